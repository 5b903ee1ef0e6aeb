"""Results: the status, the record of the processing and the report, from the records of all stages."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

from capsules.common.contract import RECORDING_STAGES, STAGES
from capsules.common.files import write_json
from capsules.common.recordings.job import ID, Job
from capsules.common.sync.document import sync_document
from capsules.common.tasks.failure_mark import find_results_folder
from capsules.common.tasks.task import Record, Task
from capsules.common.untrusted.places import is_inside
from capsules.results.agreement import compare_sorters
from capsules.results.aind.run_results import RunResults
from capsules.results.aind.schema import FOLDER as AIND_FOLDER
from capsules.results.aind.write import write_metadata
from capsules.results.report import add_settings, render, shrink_to_limit
from capsules.results.status import Records, add_noise, status_document
from capsules.results.summary import summary


def run(task: Task[None]) -> None:
    params = json.loads((task.inputs / "params.json").read_text())
    records = {(record["stage"], record["id"]): record for record in read_records(task.inputs)}
    failures = {
        (failure["stage"], failure["id"]): failure
        for failure in json.loads((task.inputs / "failures.json").read_text())
    }
    status = status_document(task.jobs, params["sorters"], records, failures)
    whole = report_content(task.inputs, records)
    add_noise(status, whole)
    write_json(task.out / "status.json", status)
    for place in find_stale_places(task.inputs, status, find_results_folder()):
        task.change(f"{place.name} of an earlier run removed from {place.parent.name}/: this run did not make it")
        shutil.rmtree(place) if place.is_dir() and not place.is_symlink() else place.unlink()
    write_json(task.out / "processing.json", {"stages": [records[key] for key in sorted(records)]})
    write_json(task.out / "params.json", params)
    agreement = compare_sorters(curated_sortings(task, params["sorters"], status))
    write_json(task.out / "sorter_agreement.json", agreement)
    content, left_out = shrink_to_limit(add_settings(whole, params))
    for id in left_out:
        task.change(f"the unit pages of {id} are left out of the report: it would be too large")
    figures = {id: [picture["file"] for picture in shown["pictures"]] for id, shown in content.items()}
    write_json(task.out / "visualization_output.json", figures)
    sync = sync_document(task.jobs)
    write_json(task.out / "sync.json", sync)
    if params["params"]["job_dispatch"]["input"] == "aind":
        write_aind_metadata(task, list(records.values()), status, whole, figures)
    report = render(
        status,
        content,
        params,
        agreement,
        sync,
        planned=planned_memory(task.jobs, params["sorters"]),
        versions=software(records),
        ended=datetime.now(UTC).isoformat(sep=" ", timespec="seconds"),
    )
    (task.out / "report.html").write_text(report)
    (task.out / "summary.txt").write_text(summary(status, params["notes"]))


def write_aind_metadata(
    task: Task[None],
    records: list[Record],
    status: dict[str, Any],
    content: dict[str, dict[str, Any]],
    figures: dict[str, list[str]],
) -> None:
    """Write the metadata of a derived asset in AIND's form; what is unknown is a warning."""
    checks = {id: shown.get("checks", []) for id, shown in content.items()}
    run = RunResults.model_validate(
        {"records": records, "recordings": status["recordings"], "checks": checks, "figures": figures}
    )
    (task.out / AIND_FOLDER).mkdir()
    for warning in write_metadata(run, task.data, task.out / AIND_FOLDER):
        task.warn(warning)


def find_stale_places(inputs: Path, status: dict[str, Any], results: Path | None) -> list[Path]:
    """Find what an earlier run published for its recordings, or for this run's, and this run did not make.

    Only places of ids in a status.json count: other files in the folder are the user's. Invalid ids and places behind
    a link do not count: they could lead out of the folder.
    """
    if results is None or not (results / "status.json").exists():
        return []
    try:
        documents = (status, json.loads((results / "status.json").read_text()))
        ids = {id for document in documents for kind in ("recordings", "blocks") for id in document[kind]}
        ids |= {entry.get("recording", id) for document in documents for id, entry in document["recordings"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        # It is not a status.json of a run.
        return []
    ids = {id for id in ids if isinstance(id, str) and ID.fullmatch(id)}
    places = set()
    for stage, id in product([stage for stage in STAGES.values() if stage.level != "run"], ids):
        for part in stage.parts:
            published = part.place(stage.name, id)
            if published is None or (inputs / stage.folder(id) / part.name).exists():
                continue
            place = results / published
            if place.exists() and is_inside(place.parent, results):
                places.add(place)
    return sorted(places)


def read_records(folder: Path) -> list[Record]:
    """Every `stage.json` of the stages' folders in `folder`."""
    files = sorted(folder.glob("*/stage.json"))
    return [json.loads(file.read_text()) for file in files]


def curated_sortings(
    task: Task[None], sorters: list[dict[str, str]], status: dict[str, Any]
) -> dict[str, dict[str, Path]]:
    """Recording -> sorter -> folder of its curated sorting, of those that were curated."""
    folders: dict[str, dict[str, Path]] = {job.id: {} for job in task.jobs}
    for job, sorter in product(task.jobs, sorters):
        id = job.id + sorter["suffix"]
        if status["recordings"][id].get("units"):
            folders[job.id][sorter["name"]] = task.input("curation", "curated", id)
    return folders


def report_content(inputs: Path, records: Records) -> dict[str, dict[str, Any]]:
    """Sorting -> visualization's content for the report, with its figures' places in the results folder."""
    content: dict[str, dict[str, Any]] = {}
    for (stage, id), record in sorted(records.items()):
        if stage == "visualization" and record["status"] == "ok":
            shown = json.loads((inputs / STAGES[stage].folder(id) / "report.json").read_text())
            # That of a stub run is empty.
            for picture in shown.get("pictures", []):
                folder, name = picture["file"].split("/", 1)
                picture["file"] = f"{folder}/{id}/{name}"
            content |= {id: shown} if shown else {}
    return content


def planned_memory(jobs: list[Job], sorters: list[dict[str, str]]) -> dict[str, dict[str, float]]:
    """Sorting -> stage -> the memory in GB that its first attempt requested."""
    return {
        job.id + sorter["suffix"]: {stage: STAGES[stage].size.memory_gb(job.num_channels) for stage in RECORDING_STAGES}
        for job, sorter in product(jobs, sorters)
    }


def software(records: Records) -> dict[str, str]:
    """Software -> version, over all stages."""
    versions = {name: version for record in records.values() for name, version in record["versions"].items()}
    return dict(sorted(versions.items()))
