"""The digital lines of a recording: their events as the `events` stage writes them, and their timeline."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from capsules.common.errors import nearest
from capsules.common.recordings.clock import Clock
from capsules.common.sync.event_files import read_events
from capsules.common.sync.line_names import find_lines, spell_lines
from capsules.visualization.spike_statistics import compress
from capsules.visualization.unit_data import pack

MOST_EVENTS = 1000
"""Of a line on its timeline, which has about as many pixels; a line with more is shown as their density."""
MOST_LINES = 24
"""On the timeline: a NIDQ device alone may have 32 lines."""

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class EventLine:
    """The edges of one line, in seconds of the reference clock, in order.

    `name` is the user's name of the line, or the label that it has in the NWB file; `line` is the stream's own name,
    `id` the stem of its file, which no other line has.
    `durations_s` are those from an edge to the next opposite one, NaN for the last.
    """

    stream: str
    line: str
    name: str
    id: str
    kind: str
    edges_s: Array
    rising: Array
    durations_s: Array

    def times_s(self, edge: str) -> Array:
        """The times of the `rising` or the `falling` edges."""
        return self.edges_s[self.rising if edge == "rising" else ~self.rising]


def read_event_lines(folder: Path) -> list[EventLine]:
    """The lines that the `events` stage wrote into its folder; none when it wrote nothing."""
    listing = folder / "events" / "events.json"
    # A stub run has a file in place of the folder.
    if not listing.exists():
        return []
    return [_read_line(folder / "events", entry) for entry in json.loads(listing.read_text())]


def _read_line(folder: Path, entry: dict[str, Any]) -> EventLine:
    file = folder / Path(entry["file"]).name
    events = read_events(file)
    return EventLine(
        stream=entry["stream"],
        line=entry["line"],
        name=entry["name"] or entry.get("label") or entry["line"],
        id=file.stem,
        kind=entry["kind"],
        edges_s=events["time_s"].to_numpy(),
        rising=events["level"].to_numpy() > 0,
        durations_s=events["duration_s"].to_numpy(),
    )


def choose_line(lines: Sequence[EventLine], asked: str) -> EventLine | str:
    """The line that `visualization.events.line` names, or the reason why there is none.

    A line is named by its name, by the stream's own name of it, both with or without the stream, or by its file.
    """
    chosen = [line for line in lines if asked == line.id] or [
        line for line in lines if find_lines(asked, [(line.stream, line.name), (line.stream, line.line)])
    ]
    if len(chosen) == 1:
        return chosen[0]
    if chosen:
        choices = ", ".join(spell_lines((line.stream, line.line) for line in chosen))
        return f"{asked!r} is a line of several streams: write one of {choices}"
    known = [line.name for line in lines]
    spelled = spell_lines((line.stream, line.line) for line in lines)
    others = sorted({*(text for line in lines for text in (line.line, line.id)), *spelled} - set(known))
    hint = nearest(asked, [*known, *others])
    return f"no line {asked!r}{hint}; lines: {list_names(known)}"


def list_names(names: Sequence[str]) -> str:
    """The names, or the first of too many."""
    shown = ", ".join(names[:MOST_LINES])
    return (shown or "none") + (f" and {len(names) - MOST_LINES} more" if len(names) > MOST_LINES else "")


def are_inside(times_s: Array, clock: Clock) -> Array:
    """Which times are between the first and the last sample of a clock."""
    inside: Array = (times_s >= clock.starts_s[0]) & (times_s <= clock.end_s)
    return inside


def seconds_of_traces(times_s: Array, clock: Clock) -> Array:
    """Times of the reference clock as seconds from the first sample of the traces, in which a gap has no length."""
    seconds: Array = clock.samples_at(times_s) / clock.sampling_frequency_hz
    return seconds


def collect_event_data(lines: Sequence[EventLine], clock: Clock, duration_s: float) -> dict[str, Any] | None:
    """Collect what the report's timeline shows of each line; None without lines.

    Parameters
    ----------
    lines : sequence of EventLine
    clock : Clock
        Of the traces, on the reference.
    duration_s : float
        Of the traces.
    """
    if not lines:
        return None
    rows = [_timeline(line, clock, duration_s) for line in lines]
    active = [row for row in rows if row["rising"] or row["falling"]]
    return {
        "lines": active[:MOST_LINES],
        "not_shown": [row["name"] for row in active[MOST_LINES:]],
        "silent": [row["name"] for row in rows if row not in active],
    }


def _timeline(line: EventLine, clock: Clock, duration_s: float) -> dict[str, Any]:
    """The events of a line that are in the recording: its high periods, or their density where there are too many."""
    inside = are_inside(line.edges_s, clock)
    risen = inside & line.rising
    starts_s = seconds_of_traces(line.edges_s[risen], clock)
    ends_s = line.edges_s[risen] + np.nan_to_num(line.durations_s[risen])
    row = {
        "name": line.name,
        "line": line.line,
        "stream": line.stream,
        "kind": line.kind,
        "rising": int(risen.sum()),
        "falling": int((inside & ~line.rising).sum()),
        "outside": int((~inside).sum()),
    }
    if len(starts_s) > MOST_EVENTS:
        counts, _ = np.histogram(starts_s, bins=MOST_EVENTS, range=(0, duration_s))
        return row | {"density": pack(compress(counts, axes=(0,)), "u1"), "width_s": duration_s / MOST_EVENTS}
    lengths_s = seconds_of_traces(np.minimum(ends_s, clock.end_s), clock) - starts_s
    return row | {"starts_s": pack(starts_s, "f4"), "lengths_s": pack(np.maximum(lengths_s, 0), "f4")}
