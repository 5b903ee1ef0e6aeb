"""The last screen of a run, as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from capsules.common.errors import printable


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
    return printable("\n".join([*align_columns(rows), *notes, *remarks])) + "\n"


def align_columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Format rows as lines with aligned columns."""
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def format_cell(value: Any) -> str:
    """A value in a table; None is empty."""
    return "" if value is None else str(value)
