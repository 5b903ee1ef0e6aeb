"""Results: from what every stage left, the status, the record of the processing and the report."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

from capsules.common.contract import BLOCK_STAGES, RECORDING_STAGES, STAGES
from capsules.common.errors import printable
from capsules.common.files import write_json
from capsules.common.recordings.job import ID, Job
from capsules.common.tasks.failure_mark import results_folder
from capsules.common.tasks.task import Task
from capsules.common.untrusted.places import is_inside
from capsules.results.agreement import agreement
from capsules.results.report import fitted, render

LAYOUT_VERSION = 1

NEXT_STEP = {
    "recorded": "read logs/<id>/ for the cause; the run went on without what failed",
    "failed": "read logs in nextflow/failed/, put the cause right and run the same command with -resume",
    "killed": "give the task more memory or time (see nextflow/trace.txt) and run the same command with -resume",
}


def run(task: Task) -> None:
    params = json.loads((task.inputs / "params.json").read_text())
    records = {(record["stage"], record["id"]): record for record in read_records(task.inputs)}
    failures = {
        (failure["stage"], failure["id"]): failure
        for failure in json.loads((task.inputs / "failures.json").read_text())
    }
    status = status_document(task.jobs, params["sorters"], records, failures)
    write_json(task.out / "status.json", status)
    for place in stale_places(task.inputs, status, results_folder()):
        task.change(f"{place.name} of an earlier run removed from {place.parent.name}/: this run did not make it")
        shutil.rmtree(place) if place.is_dir() and not place.is_symlink() else place.unlink()
    write_json(task.out / "processing.json", {"stages": [records[key] for key in sorted(records)]})
    write_json(task.out / "params.json", params)
    compared = agreement(curated_sortings(task, params["sorters"], status))
    write_json(task.out / "sorter_agreement.json", compared)
    content, left_out = fitted(report_content(task.inputs, records))
    for id in left_out:
        task.change(f"the unit pages of {id} are left out of the report, to keep it small")
    figures = {id: [picture["file"] for picture in shown["pictures"]] for id, shown in content.items()}
    write_json(task.out / "visualization_output.json", figures)
    report = render(
        status,
        content,
        params,
        compared,
        planned=planned_memory(task.jobs, params["sorters"]),
        versions=software(records),
        ended=datetime.now(UTC).isoformat(sep=" ", timespec="seconds"),
    )
    (task.out / "report.html").write_text(report)
    (task.out / "summary.txt").write_text(summary(status, params["notes"]))


def stale_places(inputs: Path, status: dict[str, Any], results: Path | None) -> list[Path]:
    """What an earlier run published for its recordings, or for this run's, and this run did not make.

    Only places of ids that a status.json names are looked at: other files in the folder are the user's. Nor is a name
    that is no id, or a place behind a link: they could lead out of the folder.
    """
    earlier = None if results is None else results / "status.json"
    if earlier is None or not earlier.exists():
        return []
    try:
        documents = (status, json.loads(earlier.read_text()))
        ids = {id for document in documents for kind in ("recordings", "blocks") for id in document[kind]}
        ids |= {entry.get("recording", id) for document in documents for id, entry in document["recordings"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        # Not what a run leaves: it tells nothing.
        return []
    ids = {id for id in ids if isinstance(id, str) and ID.fullmatch(id)}
    return sorted(
        results / part.place(stage.name, id)
        for stage in STAGES.values()
        if stage.level != "run"
        for part in stage.parts
        for id in ids
        if part.published
        and (results / part.place(stage.name, id)).exists()
        and is_inside((results / part.place(stage.name, id)).parent, results)
        and not (inputs / stage.folder(id) / part.name).exists()
    )


def read_records(folder: Path) -> list[dict[str, Any]]:
    """Every `stage.json` of the stages' folders in `folder`."""
    files = sorted(folder.glob("*/stage.json"))
    return [json.loads(file.read_text()) for file in files]


def curated_sortings(task: Task, sorters: list[dict[str, str]], status: dict[str, Any]) -> dict[str, dict[str, Path]]:
    """Recording -> sorter -> folder of its curated sorting, of those that were curated."""
    folders: dict[str, dict[str, Path]] = {job.id: {} for job in task.jobs}
    for job, sorter in product(task.jobs, sorters):
        id = job.id + sorter["suffix"]
        if status["recordings"][id].get("units"):
            folders[job.id][sorter["name"]] = task.input("curation", "curated", id)
    return folders


def status_document(jobs: list[Job], sorters: list[dict[str, str]], records: dict, failures: dict) -> dict[str, Any]:
    """The state of every recording (by each sorter) and block: per stage ok, skipped, failed or not reached, and why.

    Parameters
    ----------
    jobs : list of Job
    sorters : list of dict
        `name`, and the `suffix` that the recordings' ids get.
    records : dict
        (stage, id) -> `stage.json`.
    failures : dict
        (stage, id) -> what a failed task left.
    """
    recordings = {
        job.id + sorter["suffix"]: {"recording": job.id, "sorter": sorter["name"]}
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


def _stages(id: str, stages: list[str], records: dict, failures: dict, recording: str | None = None) -> dict[str, Any]:
    """The state of each stage; stages of the recording itself go by its own id."""

    def key(stage: str) -> tuple[str, str]:
        return (stage, recording if STAGES[stage].level == "recording" else id)

    entry: dict[str, Any] = {"status": "ok", "stage": None, "reason": None, "next_step": None, "stages": {}}
    for stage in stages:
        record, failure = records.get(key(stage)), failures.get(key(stage))
        if record is not None:
            state, reason, kind = record["status"], record["reason"], "recorded"
        elif failure is not None:
            state, reason, kind = "failed", failure["reason"], failure["kind"]
        elif entry["status"] == "failed" or any(key(name) not in records for name in _awaited(stage)):
            state, reason, kind = "not reached", None, None
        else:
            state, reason, kind = "failed", "the task left no record: it never ran, or was lost", "killed"
        facts = record or (failure or {}).get("record") or {}
        entry["stages"][stage] = {
            "status": state,
            "reason": reason,
            "seconds": facts.get("seconds"),
            "peak_memory_mb": facts.get("peak_memory_mb"),
            "warnings": facts.get("warnings", []),
            "changes": facts.get("changes", []),
        }
        if state in ("skipped", "failed") and entry["status"] == "ok":
            entry.update(
                status=state, stage=stage, reason=reason, next_step=NEXT_STEP[kind] if state == "failed" else None
            )
    curation = records.get(("curation", id))
    if curation is not None and curation["status"] == "ok":
        entry["units"] = curation["facts"].get("units")
        for count in ("good_units", "undetermined_units", "suspicious_good_units"):
            entry[count] = curation["facts"].get(count)
    return entry


def _awaited(stage: str) -> list[str]:
    """The stages without which this one does not run (nwb_units waits for nwb_ecephys alone)."""
    return [name for name in STAGES[stage].takes if stage not in BLOCK_STAGES or name in BLOCK_STAGES]


def report_content(inputs: Path, records: dict) -> dict[str, dict[str, Any]]:
    """Sorting -> what visualization gives for the report, with its figures' places in the results folder."""
    content = {}
    for (stage, id), record in sorted(records.items()):
        if stage == "visualization" and record["status"] == "ok":
            shown = json.loads((inputs / STAGES[stage].folder(id) / "report.json").read_text())
            # A stub has written an empty one.
            for picture in shown.get("pictures", []):
                folder, name = picture["file"].split("/", 1)
                picture["file"] = f"{folder}/{id}/{name}"
            content |= {id: shown} if shown else {}
    return content


def planned_memory(jobs: list[Job], sorters: list[dict[str, str]]) -> dict[str, dict[str, float]]:
    """Sorting -> stage -> the memory in GB that its first attempt asked for."""
    return {
        job.id + sorter["suffix"]: {stage: STAGES[stage].size.memory_gb(job.num_channels) for stage in RECORDING_STAGES}
        for job, sorter in product(jobs, sorters)
    }


def software(records: dict) -> dict[str, str]:
    """Software -> version, over all stages."""
    versions = {name: version for record in records.values() for name, version in record["versions"].items()}
    return dict(sorted(versions.items()))


def summary(status: dict[str, Any], remarks: list[str]) -> str:
    """The last screen of a run: one line per recording and block, the cause and the next step where one is needed."""
    rows = [("recording or file", "status", "units", "good", "good but suspicious", "min")]
    notes = []
    for name, entry in (*status["recordings"].items(), *status["blocks"].items()):
        seconds = sum(stage["seconds"] or 0 for stage in entry["stages"].values())
        rows.append(
            (
                name,
                entry["status"],
                shown_cell(entry.get("units")),
                shown_cell(entry.get("good_units")),
                shown_cell(entry.get("suspicious_good_units")),
                f"{seconds / 60:.1f}",
            )
        )
        if entry["status"] != "ok":
            notes.append(f"{name}: {entry['status']} in {entry['stage']}: {entry['reason']}")
        if entry["next_step"]:
            notes.append(f"    next: {entry['next_step']}")
    return printable("\n".join([*columns(rows), *notes, *remarks])) + "\n"


def columns(rows: list[tuple[str, ...]]) -> list[str]:
    """Rows of a table as lines, its columns aligned."""
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def shown_cell(value: Any) -> str:
    """A value in a table; nothing where there is none."""
    return "" if value is None else str(value)
