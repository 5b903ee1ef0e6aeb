"""AIND's processing.json: a process for each task that ended well, and which process has used which."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from capsules.common.contract import STAGES
from capsules.results.aind.run_results import RunResults, TaskRecord
from capsules.results.aind.schema import PIPELINE, as_stored, drop_none, find_repository, make_code, make_core_file

PROCESS_TYPES = {
    "preprocessing": "Ephys preprocessing",
    "spikesorting": "Spike sorting",
    "postprocessing": "Ephys postprocessing",
    "curation": "Ephys curation",
    "visualization": "Ephys visualization",
    "nwb_ecephys": "File format conversion",
    "nwb_units": "File format conversion",
}
"""Stage -> its name in aind-data-schema; all else is `Other`."""
MAX_FACT_LENGTH = 2000
"""Characters of JSON: AIND's files have at most 500 KB."""


def describe_processing(run: RunResults) -> dict[str, Any]:
    """The content of AIND's processing.json."""
    records = sorted((record for record in run.records if record.status == "ok"), key=lambda record: record.started)
    versions = records[0].versions if records else {}
    fields: dict[str, Any] = {
        "data_processes": [describe_process(record) for record in records],
        "pipelines": [make_code(PIPELINE, versions)],
        "dependency_graph": list_dependencies(records, run),
        "notes": "\n".join(list_notes(run)) or None,
    }
    return make_core_file("processing", "Processing", fields)


def describe_process(record: TaskRecord) -> dict[str, Any]:
    """The process of one task."""
    facts = {name: fact for name, fact in record.facts.items() if len(json.dumps(fact)) <= MAX_FACT_LENGTH}
    notes = [f"Adjustment: {text}" for text in record.changes] + [f"Warning: {text}" for text in record.warnings]
    if large := sorted(set(record.facts) - set(facts)):
        notes.append(f"Too large for this file, and in SpikeRelay's processing.json: {', '.join(large)}")
    fields: dict[str, Any] = {
        "object_type": "Data process",
        "process_type": PROCESS_TYPES.get(record.stage, "Other"),
        "name": record.name,
        "stage": "Processing",
        "code": make_code(
            f"{PIPELINE} {record.stage}",
            record.versions,
            parameters=as_stored(record.params or {}),
            core_dependency=find_core_dependency(record),
        ),
        # Who started the run is unknown.
        "experimenters": [],
        "pipeline_name": PIPELINE,
        "start_date_time": record.started.isoformat(),
        "end_date_time": record.ended.isoformat(),
        "output_path": find_output(record),
        "output_parameters": describe_output(record, facts),
        "notes": "\n".join(notes) or None,
    }
    return drop_none(fields)


def describe_output(record: TaskRecord, facts: dict[str, Any]) -> dict[str, Any]:
    """What a task left, and what it needed."""
    costs = {name: getattr(record, name) for name in ("device", "n_jobs", "seconds", "peak_memory_mb")}
    output: dict[str, Any] = as_stored(
        drop_none({**facts, **costs, "seeds": record.seeds, "versions": record.versions})
    )
    return output


def find_core_dependency(record: TaskRecord) -> dict[str, str] | None:
    """The sorter of a sorting; SpikeInterface of another task that uses it."""
    facts, version = record.facts, record.versions.get("spikeinterface")
    if record.stage == "spikesorting" and isinstance(facts.get("sorter"), str):
        return {
            "object_type": "Software",
            "name": facts["sorter"],
            "version": str(facts.get("sorter_version", "unknown")),
        }
    return None if version is None else {"object_type": "Software", "name": "spikeinterface", "version": version}


def find_output(record: TaskRecord) -> str | None:
    """The place of a task's first published part, in the results."""
    parts = STAGES[record.stage].gives
    places = [part.place(record.stage, record.id) for part in parts if not part.optional]
    return next((place for place in places if place is not None), None)


def list_dependencies(records: list[TaskRecord], run: RunResults) -> dict[str, list[str]] | None:
    """Process -> the processes whose output it used; None where the block of a recording is unknown."""
    blocks = {entry.recording: entry.block for entry in run.recordings.values()}
    if None in blocks.values():
        return None
    known = {(record.stage, record.id): record for record in records}
    return {
        record.name: [
            known[key].name
            for stage in (*STAGES[record.stage].takes, *STAGES[record.stage].may_take)
            for key in list_inputs(record, stage, run, blocks)
            if key in known
        ]
        for record in records
    }


def list_inputs(
    record: TaskRecord, stage: str, run: RunResults, blocks: dict[str, str | None]
) -> Iterator[tuple[str, str]]:
    """The tasks of a stage that a task can have used, as stage and id."""
    level, own_level = STAGES[stage].level, STAGES[record.stage].level
    recording = record.recording or record.id
    if level == own_level:
        yield stage, record.id
    elif level == "recording":
        yield stage, recording
    elif level == "block":
        yield stage, str(blocks.get(recording))
    else:
        yield from ((stage, id) for id, entry in run.recordings.items() if entry.block == record.id)


def list_notes(run: RunResults) -> Iterator[str]:
    """What the processes do not say: what did not run, and what is unknown."""
    for record in run.records:
        if record.status != "ok":
            yield f"{record.name}: {record.status}: {record.reason}"
    if find_repository() is None:
        yield "The address of SpikeRelay's repository is unknown: the field `url` of its code has none."
