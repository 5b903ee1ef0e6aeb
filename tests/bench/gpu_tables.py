"""The rows of `make bench-gpu` and their tables."""

from __future__ import annotations

from typing import Any

from capsules.demo.score import WELL_FOUND
from tests.bench.measure import Cost, table

Row = dict[str, Any]


def numbers(ran: Cost) -> Row:
    return {"wall_s": round(ran.wall_s, 1), "cpu_s": round(ran.cpu_s, 1), "others_cores": round(ran.others_cores, 1)}


def say(value: bool | None) -> str:
    return {True: "yes", False: "no", None: "unknown"}[value]


def seconds(row: Row) -> tuple[str, ...]:
    """Way, cores, wall and CPU seconds, as cells of a table."""
    shown = (row.get(key) for key in ("wall_s", "cpu_s"))
    return (row["way"], str(row["cores"]), *("-" if value is None else f"{value:.1f}" for value in shown))


def preprocessing_table(rows: list[Row]) -> str:
    """Both ways by cores, and the capsule's wall time as a fraction of the script's."""
    hand = {row["cores"]: row.get("wall_s") for row in rows if row["way"] == "by hand"}

    def ratio(row: Row) -> str:
        ours, theirs = row.get("wall_s"), hand.get(row["cores"])
        return f"{ours / theirs:.2f}" if row["way"] == "capsule" and ours and theirs else ""

    heads = ("way", "cores", "wall, s", "CPU, s", "others' cores", "capsule / by hand, wall")
    return table(heads, *((*seconds(row), str(row.get("others_cores", "-")), ratio(row)) for row in rows))


def sorting_table(rows: list[Row]) -> str:
    """Seconds, units and scores of each way."""
    names = ("units", "true_units", "well_found", "mean_accuracy")
    heads = ("way", "cores", "wall, s", "CPU, s", "units", "true units", "well found", "mean accuracy")
    shown = table(heads, *((*seconds(row), *(str(row.get(name, "-")) for name in names)) for row in rows))
    return f"{shown}\n\nWell found: accuracy >= {WELL_FOUND}."


def rates_table(rows: list[Row]) -> str:
    """Each stage's time by the recording's length; the last row of a stage is an hour by the line through both."""
    shown = []
    for stage in dict.fromkeys(row["way"] for row in rows):
        measured = [(row["duration_s"], row["wall_s"]) for row in rows if row["way"] == stage and "wall_s" in row]
        shown += [(stage, f"{duration_s}", f"{wall_s:.1f}") for duration_s, wall_s in measured]
        if len(measured) == 2:
            (short_s, first_s), (long_s, second_s) = measured
            rate = (second_s - first_s) / (long_s - short_s)
            shown.append((stage, "3600, by the rate", f"{second_s + rate * (3600 - long_s):.0f}"))
    return table(("stage", "recording, s", "wall, s"), *shown)
