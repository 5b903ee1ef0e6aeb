"""The last screen of a run, as text, and the one line that ends it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from capsules.common.errors import printable

COUNTED = {"units": "unit", "good_units": "good", "suspicious_good_units": "suspicious"}
"""Key of a recording's entry -> its word in the last line."""


def summary(status: dict[str, Any], remarks: list[str]) -> str:
    """One line per recording and block, with the cause and the next step where one is needed."""
    rows: list[tuple[str, ...]] = [("recording or file", "status", "units", "good", "good but suspicious", "min")]
    notes = []
    for name, entry in (*status["recordings"].items(), *status["blocks"].items()):
        seconds = sum(stage["seconds"] or 0 for stage in entry["stages"].values())
        rows.append(
            (
                name,
                entry["status"],
                format_cell(entry.get("units")),
                format_cell(entry.get("good_units")),
                format_cell(entry.get("suspicious_good_units")),
                f"{seconds / 60:.1f}",
            )
        )
        if entry["status"] != "ok":
            notes.append(f"{name}: {entry['status']} in {entry['stage']}: {entry['reason']}")
        if entry["next_step"]:
            notes.append(f"    next: {entry['next_step']}")
    return printable("\n".join([*align_columns(rows), *notes, *remarks, "", describe_run(status)])) + "\n"


def describe_run(status: dict[str, Any]) -> str:
    """A run in one line, from its status.json: `2 recordings, 23 units, 20 good, 1 suspicious`."""
    recordings = list(status["recordings"].values())
    kind = "recording" if len({entry["recording"] for entry in recordings}) == len(recordings) else "sorting"
    failed = sum(entry["status"] == "failed" for entry in status["blocks"].values())
    return describe_counts(kind, recordings) + (f", {count(failed, 'NWB file')} failed" if failed else "")


def describe_counts(kind: str, entries: Sequence[dict[str, Any]]) -> str:
    """How many entries there are, failed and were skipped, and the units in them, as far as they have any."""
    states = Counter(entry["status"] for entry in entries)
    others = ", ".join(f"{states[state]} {state}" for state in ("failed", "skipped") if states[state])
    parts = [count(len(entries), kind) + (f" ({others})" if others else "")]
    for name, word in COUNTED.items():
        values = [entry[name] for entry in entries if entry.get(name) is not None]
        if values:
            parts.append(count(sum(values), word) if word == "unit" else f"{sum(values)} {word}")
    return ", ".join(parts)


def count(number: int, thing: str) -> str:
    """A number of things: `1 unit`, `2 units`."""
    return f"{number} {thing}" + ("" if number == 1 else "s")


def align_columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Format rows as lines with aligned columns."""
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def format_cell(value: Any) -> str:
    """A value in a table; None is empty."""
    return "" if value is None else str(value)
