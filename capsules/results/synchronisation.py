"""How the report describes the synchronisation of the streams: a row for each stream, in plain words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from capsules.results.findings import Finding

STATES = {
    "reference": ("reference", "reference clock"),
    "aligned": ("good", "on the reference clock"),
    "ambiguous": ("undetermined", "own clock: several offsets fit the pulses"),
    "no pulses": ("none", "own clock: no pulses"),
    "failed": ("bad", "own clock: the pulses do not match"),
}
"""Status of an alignment -> class of its glyph, and in words."""
GLYPHS = {"reference": "◆", "good": "●", "undetermined": "△", "none": "○", "bad": "✕"}
SWITCHED_OFF = (
    "The streams were not synchronised, because job_dispatch.sync.enabled is false: each one has its own clock. Set it "
    "to true to put them on one clock"
)
ONE_STREAM = (
    "There was nothing to synchronise: no recording has a second stream with a clock. If pulses were recorded in "
    "another file, list them in job_dispatch.sync.pulses_file"
)
NO_PULSES = (
    "The streams were not synchronised, because no line has pulses: each one has its own clock. Name the lines in "
    "job_dispatch.sync.lines, or list the pulses in job_dispatch.sync.pulses_file"
)
NO_MATCH = (
    "No stream could be put on the reference clock. The table says why; `spikerelay sync DATA` shows the lines and "
    "their pulses"
)


@dataclass(frozen=True)
class StreamRow:
    """A row of the table, as text; `residuals` (time in s, residual in us) are for its chart."""

    stream: str
    glyph: str
    kind: str
    state: str
    line: str
    matched: str
    drift: str
    residual: str
    offset: str
    problems: list[str]
    residuals: list[list[float]]


@dataclass(frozen=True)
class BlockSync:
    """The streams of a block, and one line with what to do where none was synchronised."""

    id: str
    note: str | None
    pulses: str
    rows: list[StreamRow]


def describe_sync(document: dict[str, Any], enabled: bool) -> list[BlockSync]:
    """Describe each block of `sync.json`; a note of all blocks appears once.

    Parameters
    ----------
    document : dict
        The content of sync.json; empty for a run that stopped before its jobs were known.
    enabled : bool
        `job_dispatch.sync.enabled`.
    """
    blocks = [_describe_block(id, block, enabled) for id, block in document.get("blocks", {}).items()]
    notes = {block.note for block in blocks}
    if all(not block.rows for block in blocks) and len(notes) == 1:
        return [BlockSync("", notes.pop(), "", [])]
    return blocks


def _describe_block(id: str, block: dict[str, Any], enabled: bool) -> BlockSync:
    streams = block["streams"]
    return BlockSync(id, _note(streams, enabled), _describe_pulses(streams), [_row(stream) for stream in streams])


def _note(streams: list[dict[str, Any]], enabled: bool) -> str | None:
    """Why nothing was synchronised and what to do; None where at least one stream was."""
    states = {stream["status"] for stream in streams}
    if "aligned" in states:
        return None
    if not streams:
        return ONE_STREAM if enabled else SWITCHED_OFF
    return NO_MATCH if states & {"ambiguous", "failed"} else NO_PULSES


def _describe_pulses(streams: list[dict[str, Any]]) -> str:
    """Which kind of pulses the streams have, in words."""
    if not any(stream["pulses"] for stream in streams):
        return ""
    # Each stream measures the period by its own clock; to a millisecond they agree.
    periods = {f"{stream['period_s']:.4g}" for stream in streams if stream["pulses"] and stream["period_s"]}
    if not periods:
        return "coded pulses, whose intervals vary"
    return f"regular pulses, one every {', '.join(sorted(periods))} s"


def _row(stream: dict[str, Any]) -> StreamRow:
    kind, words = STATES[stream["status"]]
    aligned = stream["status"] == "aligned"
    rms, most = stream["residual_rms_us"], stream["residual_max_us"]
    return StreamRow(
        stream=stream["stream"],
        glyph=GLYPHS[kind],
        kind=kind,
        state=words,
        line=stream["line"] or "",
        matched=_describe_matches(stream),
        drift=_number(stream["drift_ppm"], "+.3f") if aligned else "",
        residual=f"{_number(rms, '.1f')} / {_number(most, '.1f')}" if aligned and rms is not None else "",
        offset=_number(stream["offset_s"], "+.6f") if aligned else "",
        problems=stream["problems"],
        residuals=stream["residuals"],
    )


def _describe_matches(stream: dict[str, Any]) -> str:
    if not stream["pulses"]:
        return "none"
    if stream["status"] == "reference":
        return f"{stream['pulses']} pulses"
    return f"{stream['matched']} of {stream['pulses']}"


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form).replace("-", "\N{MINUS SIGN}")


def collect_residuals(blocks: Iterable[BlockSync]) -> dict[str, dict[str, list[list[float]]]]:
    """Block -> stream -> its residuals, which the page draws."""
    return {block.id: {row.stream: row.residuals for row in block.rows if row.residuals} for block in blocks}


def sync_findings(document: dict[str, Any]) -> Iterable[Finding]:
    """The streams that have pulses and are not on the reference clock."""
    for id, block in document.get("blocks", {}).items():
        for stream in block["streams"]:
            if stream["status"] in ("ambiguous", "failed"):
                why = "; ".join(stream["problems"]) or STATES[stream["status"]][1].removeprefix("own clock: ")
                text = f"stream {stream['stream']} keeps its own clock: {why}"
                yield Finding(1, text, "See Synchronisation; times of this stream are not comparable with others", [id])


def describe_clocks(document: dict[str, Any]) -> str:
    """A sentence for a paper's methods; empty where no stream was aligned."""
    blocks = document.get("blocks", {}).values()
    aligned = [stream for block in blocks for stream in block["streams"] if stream["status"] == "aligned"]
    if not aligned:
        return ""
    names, references = ({stream[key] for stream in aligned} for key in ("stream", "reference"))
    residuals = [stream["residual_max_us"] for stream in aligned if stream["residual_max_us"] is not None]
    most = f" (largest residual: {max(residuals):.0f} us)" if residuals else ""
    return (
        f"Times of {', '.join(sorted(names))} were mapped to the clock of {', '.join(sorted(references))} by matched "
        f"synchronisation pulses and a piecewise linear map{most}."
    )
