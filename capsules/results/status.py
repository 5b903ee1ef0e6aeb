"""status.json: the state of every recording and NWB file, by stages."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np

from capsules.common.contract import BLOCK_STAGES, RECORDING_STAGES, STAGES, list_needed_stages
from capsules.common.facts import CurationFacts, PreprocessingFacts, SortedUnits, facts_of
from capsules.common.recordings.job import Job
from capsules.common.tasks.task import Record

LAYOUT_VERSION = 1
Records = Mapping[tuple[str, str], Record]
"""(stage, id) -> `stage.json`."""
Failures = Mapping[tuple[str, str], dict[str, Any]]
"""(stage, id) -> the note of a failed task."""

NEXT_STEP = {
    "recorded": "read logs/<id>/ for the cause; the run continued without what failed",
    "failed": "read logs in nextflow/failed/, correct the cause and run the same command with -resume",
    "killed": "give the task more memory or time (see nextflow/trace.txt) and run the same command with -resume",
}


def status_document(
    jobs: list[Job], sorters: list[dict[str, str]], records: Records, failures: Failures
) -> dict[str, Any]:
    """The state of every recording (by each sorter) and block: per stage ok, skipped, failed or not reached, and why.

    Parameters
    ----------
    jobs : list of Job
    sorters : list of dict
        `name`, and the `suffix` of the recordings' ids.
    records, failures : mapping
    """
    recordings = {
        job.id + sorter["suffix"]: {"recording": job.id, "block": job.block, "sorter": sorter["name"]}
        | _stages(job.id + sorter["suffix"], RECORDING_STAGES, records, failures, job.id)
        for job, sorter in product(jobs, sorters)
    }
    blocks = {
        block: _stages(block, BLOCK_STAGES, records, failures) for block in dict.fromkeys(job.block for job in jobs)
    }
    states = [entry["status"] for entry in (*recordings.values(), *blocks.values())]
    return {
        "layout_version": LAYOUT_VERSION,
        "status": "failed" if "failed" in states else "ok",
        "recordings": recordings,
        "blocks": blocks,
    }


def _stages(
    id: str, stages: list[str], records: Records, failures: Failures, recording: str | None = None
) -> dict[str, Any]:
    """The state of each stage; stages of the recording itself have its id."""

    def key(stage: str) -> tuple[str, str]:
        return stage, recording if recording is not None and STAGES[stage].level == "recording" else id

    entry: dict[str, Any] = {"status": "ok", "stage": None, "reason": None, "next_step": None, "stages": {}}
    for stage in stages:
        record, failure = records.get(key(stage)), failures.get(key(stage))
        kind: str | None
        reason: str | None
        if record is not None:
            state, reason, kind = str(record["status"]), record["reason"], "recorded"
        elif failure is not None:
            state, reason, kind = "failed", failure["reason"], failure["kind"]
        elif entry["status"] == "failed" or any(key(name) not in records for name in list_needed_stages(stage)):
            state, reason, kind = "not reached", None, None
        else:
            state, reason, kind = "failed", "the task left no record: it never ran, or was lost", "killed"
        details = record or (failure or {}).get("record") or {}
        entry["stages"][stage] = {
            "status": state,
            "reason": reason,
            "seconds": details.get("seconds"),
            "peak_memory_mb": details.get("peak_memory_mb"),
            "warnings": details.get("warnings", []),
            "changes": details.get("changes", []),
        }
        if state in ("skipped", "failed") and entry["status"] == "ok":
            next_step = NEXT_STEP[str(kind)] if state == "failed" else None
            entry.update(status=state, stage=stage, reason=reason, next_step=next_step)
    sorted_units = facts_of(_completed(records, ("spikesorting", id)), SortedUnits).units
    motion = facts_of(_completed(records, key("preprocessing")), PreprocessingFacts).motion
    if sorted_units is not None:
        entry["sorted_units"] = sorted_units
    if motion is not None:
        entry["drift_um"] = motion.range_um
    curation = records.get(("curation", id))
    if curation is not None and curation["status"] == "ok":
        counts = facts_of(curation, CurationFacts)
        for count in ("units", "good_units", "undetermined_units", "suspicious_good_units"):
            entry[count] = getattr(counts, count)
    return entry


def _completed(records: Records, key: tuple[str, str]) -> Record | None:
    """The record of a stage that completed."""
    record = records.get(key)
    return record if record is not None and record["status"] == "ok" else None


def add_noise(status: dict[str, Any], content: Mapping[str, dict[str, Any]]) -> None:
    """Add `noise_uv`, the median over the channels after preprocessing, where it is in microvolts."""
    for id, entry in status["recordings"].items():
        noise = (content.get(id, {}).get("recording") or {}).get("channels_noise") or {}
        # Removed channels have none.
        values = [value for value in noise.get("preprocessed_uv") or () if value is not None]
        if values and noise.get("physical_unit") == "uV":
            entry["noise_uv"] = round(float(np.median(values)), 2)
