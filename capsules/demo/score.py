"""Score a results folder against the true spikes, and print it as one table."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WELL_FOUND = 0.8
"""A unit is well found when its accuracy, hits / (hits + misses + false positives), is at least this."""


@dataclass(frozen=True)
class Score:
    """How well one recording was sorted, and labelled.

    `true_good`: well-found true units that are labelled good. `false_good`: units that are labelled good, are not
    marked as suspicious, and are not a well-found true unit. `suspicious`: units marked so, whatever their label.
    """

    recording: str
    true_units: int
    found_units: int
    accuracies: tuple[float, ...]
    true_good: int
    false_good: int
    suspicious: int

    @property
    def well_found(self) -> int:
        return sum(accuracy >= WELL_FOUND for accuracy in self.accuracies)

    @property
    def fraction(self) -> float:
        return self.well_found / self.true_units


def score(results: Path, truths: dict[str, Path]) -> dict[str, Score]:
    """Compare each sorted recording with the truth of the probe whose name its id holds.

    Parameters
    ----------
    results : Path
    truths : dict
        Probe name -> folder of its true sorting.
    """
    import spikeinterface as si

    scores = {}
    for folder in sorted((results / "curated").iterdir()):
        truth = next((path for probe, path in truths.items() if f"_{probe}." in folder.name), None)
        if truth is None:
            continue
        scores[folder.name] = compare(folder.name, si.load(truth), si.load(folder))
    return scores


def compare(name: str, true: Any, sorting: Any) -> Score:
    """Compare one sorting with the true one."""
    from spikeinterface.comparison import compare_sorter_to_ground_truth

    comparison: Any = compare_sorter_to_ground_truth(true, sorting, exhaustive_gt=True)
    accuracies = comparison.get_performance()["accuracy"].astype(float)
    matched = comparison.hungarian_match_12
    well_found = {str(matched[unit]) for unit in true.unit_ids if accuracies[unit] >= WELL_FOUND}
    labels = sorting.get_property("default_qc")
    good = set() if labels is None else {str(unit) for unit in sorting.unit_ids[labels == "good"]}
    marked = sorting.get_property("suspicious")
    suspicious = set() if marked is None else {str(unit) for unit in sorting.unit_ids[marked]}
    return Score(
        name,
        true.get_num_units(),
        sorting.get_num_units(),
        tuple(round(value, 3) for value in accuracies),
        true_good=len(well_found & good),
        false_good=len(good - suspicious - well_found),
        suspicious=len(suspicious),
    )


def table(results: Path, scores: dict[str, Score], minutes: float) -> str:
    """One line per recording: its stages, units, units matched to the truth; then minutes and labels."""
    status = json.loads((results / "status.json").read_text())
    rows = [("recording", "stages", "units", "matched to truth", "mean accuracy")]
    for name, entry in status["recordings"].items():
        not_ok = [f"{stage} {state['status']}" for stage, state in entry["stages"].items() if state["status"] != "ok"]
        stages = ", ".join(not_ok) or "all ok"
        recording = scores.get(name)
        if recording is None:
            rows.append((name, stages, "", "", ""))
        else:
            mean = sum(recording.accuracies) / len(recording.accuracies)
            matched = f"{recording.well_found} of {recording.true_units}"
            rows.append((name, stages, str(recording.found_units), matched, f"{mean:.2f}"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, f"{minutes:.1f} minutes; matched means accuracy >= {WELL_FOUND}", labelled(scores)])


def labelled(scores: dict[str, Score]) -> str:
    """One line on the labels of all recordings together."""
    true, good, false, suspicious = (
        sum(getattr(entry, count) for entry in scores.values())
        for count in ("true_units", "true_good", "false_good", "suspicious")
    )
    return (
        f"labelled good: {good} of {true} true units, {false} false units that are not marked; "
        f"{suspicious} units of any label are marked as suspicious"
    )
