"""The content of a results folder as a small table: text for a terminal, HTML for a notebook."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from capsules.common.errors import printable, shorten
from capsules.results.summary import align_columns, format_cell

if TYPE_CHECKING:
    from capsules.common.recordings.clock import Clock

HEADINGS = ("recording", "state", "units", "good units", "duration")
MOST_ROWS = 40
"""A session of hundreds of recordings must not fill the screen."""


class Row(NamedTuple):
    """One sorting; a cell is empty where the run did not get that far."""

    id: str
    state: str
    units: str
    good_units: str
    duration: str


def write_text(folder: Path, status: dict[str, Any], clocks: Mapping[str, Clock]) -> str:
    """The table as text; characters that steer a terminal become escapes."""
    rows = [HEADINGS, *_rows(status, clocks)]
    return printable("\n".join([_title(folder, status), *align_columns(rows), *_rest(status)]))


def write_html(folder: Path, status: dict[str, Any], clocks: Mapping[str, Clock]) -> str:
    """The table as HTML; everything that comes from the results is escaped."""
    head = _html_row("th", HEADINGS)
    body = "".join(_html_row("td", row) for row in _rows(status, clocks))
    notes = "".join(f"<p>{_html(note)}</p>" for note in _rest(status))
    title = f"<p>{_html(_title(folder, status))}</p>"
    return f"<div>{title}<table><thead>{head}</thead><tbody>{body}</tbody></table>{notes}</div>"


def _rows(status: dict[str, Any], clocks: Mapping[str, Clock]) -> Iterator[Row]:
    for id, entry in list(status["recordings"].items())[:MOST_ROWS]:
        reason = f": {' '.join(str(entry['reason']).split())}" if entry.get("reason") else ""
        clock = clocks.get(entry["recording"])
        yield Row(
            id,
            shorten(f"{entry['status']}{reason}"),
            format_cell(entry.get("units")),
            format_cell(entry.get("good_units")),
            "" if clock is None else f"{clock.num_samples / clock.sampling_frequency_hz:.1f} s",
        )


def _title(folder: Path, status: dict[str, Any]) -> str:
    entries = status["recordings"].values()
    recordings = len({entry["recording"] for entry in entries})
    counts = [f"{recordings} recording{'s' * (recordings != 1)}"]
    if len(entries) > recordings:
        counts.append(f"{len(entries)} sortings")
    return f"SpikeRelay results in {folder}: {', '.join(counts)}"


def _rest(status: dict[str, Any]) -> list[str]:
    more = len(status["recordings"]) - MOST_ROWS
    return [f"and {more} more: see session.status"] if more > 0 else []


def _html_row(tag: str, cells: tuple[str, ...]) -> str:
    return f"<tr>{''.join(f'<{tag}>{_html(cell)}</{tag}>' for cell in cells)}</tr>"


def _html(text: str) -> str:
    return escape(printable(text))
