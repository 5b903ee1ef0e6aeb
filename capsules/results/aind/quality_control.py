"""AIND's quality_control.json: a metric for the status of each recording, for each of its checks, and for its units."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from capsules.results.aind.run_results import CheckResult, RecordingEntry, RunResults
from capsules.results.aind.schema import MODALITY, as_stored, drop_none, make_core_file, make_modality

EVALUATOR = "Automated"
FIGURES = {
    "bad channels": "rms",
    "noise, median channel": "rms",
    "drift, upper end": "drift_map",
    "units": "unit_yield",
    "good units": "unit_yield",
    "undetermined units": "unit_yield",
    "suspicious good units": "unit_yield",
}
"""Check -> the figure that shows it, without the end of its name."""
STATUS_OF_RECORDING = {"ok": "Pass", "skipped": "Pending", "failed": "Fail"}
NOTES = (
    "A value outside its typical range is Pending, not Fail: the ranges are conventions, and a person decides after "
    "looking at the figures."
)


def describe_quality_control(run: RunResults) -> dict[str, Any]:
    """The content of AIND's quality_control.json."""
    fields = {
        "metrics": [metric for id in run.recordings for metric in list_metrics(id, run)],
        "default_grouping": ["recording"],
        "notes": NOTES,
    }
    return make_core_file("quality_control", "Quality control", fields)


def list_metrics(id: str, run: RunResults) -> Iterator[dict[str, Any]]:
    """The metrics of a recording by one sorter."""
    entry, checks = run.recordings[id], run.checks.get(id, [])
    tags = drop_none({"recording": id, "block": entry.block, "sorter": entry.sorter if run.several_sorters else None})
    time = find_time(id, run)

    def metric(name: str, value: Any, status: str, description: str, figure: str | None = None) -> dict[str, Any]:
        fields = {
            "object_type": "QC metric",
            "name": f"{name}, {id}",
            "modality": make_modality(MODALITY),
            "stage": "Processing",
            "value": as_stored(value),
            "status_history": [make_status(status, time)],
            "description": description,
            "reference": figure,
            "tags": tags,
        }
        return drop_none(fields)

    yield metric("status", entry.status, STATUS_OF_RECORDING[entry.status], explain_status(entry))
    if entry.sorted_units is not None:
        yield metric("sorted units", entry.sorted_units, "Pass", "units before duplicates are removed; no limit: Pass")
    for check in checks:
        name = f"{check.name} ({check.unit})" if check.unit else check.name
        value = check.value if check.unit or not check.value.is_integer() else int(check.value)
        status = "Pass" if check.within else "Pending"
        yield metric(name, value, status, explain_check(check), find_figure(check.name, run.figures.get(id, [])))
    # A recording whose figures failed has no checks.
    for name, count in (("units", entry.units), ("good units", entry.good_units)):
        if count is not None and name not in {check.name for check in checks}:
            yield metric(name, count, "Pass" if count else "Pending", "Pass: at least 1; otherwise Pending")


def make_status(status: str, time: datetime) -> dict[str, str]:
    """A status that the pipeline sets."""
    return {"object_type": "QC status", "evaluator": EVALUATOR, "status": status, "timestamp": time.isoformat()}


def find_time(id: str, run: RunResults) -> datetime:
    """When the recording was checked; otherwise when the run ended."""
    times = [record.ended for record in run.records if (record.stage, record.id) == ("visualization", id)]
    return times[0] if times else run.ended


def explain_status(entry: RecordingEntry) -> str:
    """The rule of the recording's status, with the reason of one that is not `ok`."""
    rule = "ok: Pass; skipped: Pending; failed: Fail"
    return rule if entry.reason is None else f"{rule}. {entry.reason}"


def explain_check(check: CheckResult) -> str:
    """What a check measures, and the rule of its status."""
    low = None if check.low is None else f"at least {check.low:g}"
    high = None if check.high is None else f"at most {check.high:g}"
    limits = " and ".join(limit for limit in (low, high) if limit is not None)
    return f"{check.meaning}; " + (
        f"Pass: {limits} {check.unit}".rstrip() + "; otherwise Pending" if limits else "no limit: Pass"
    )


def find_figure(check: str, figures: list[str]) -> str | None:
    """The figure of a check, as a path in the results."""
    return next((figure for figure in figures if PurePosixPath(figure).stem == FIGURES.get(check)), None)
