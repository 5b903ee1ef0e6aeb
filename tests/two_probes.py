"""A session of two small probes, sorted by their true spikes and taken through the stages without Nextflow."""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from capsules.common.contract import STAGES
from capsules.common.recordings.job import Job, Reader
from capsules.common.tasks import perform as performing
from capsules.common.tasks.task import Task
from tests.data import ProbeSpec, as_counts, ground_truth

IDS = ("day_imec0_recording1", "day_imec1_recording1")
CHANNELS = (8, 16)
SECTIONS = {
    "preprocessing": {"min_preprocessing_duration": 0, "motion_correction": {"compute": False}},
    "curation": {"query": "num_spikes > 40", "min_spikes": 0},
    "nwb_ecephys": {"write_lfp": False},
}


@contextmanager
def quiet_tasks() -> Iterator[None]:
    """Stages that run in this process leave its log alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(performing, "_start_log", lambda task: (task.out / "log.txt").touch())
        yield


def make_run(folder: Path) -> None:
    """Write the stages' folders of both probes (4 s), and `results` with what they publish."""
    import spikeinterface as si

    with quiet_tasks():
        for index, id in enumerate(IDS):
            recording, truth = ground_truth(
                ProbeSpec(channels=CHANNELS[index], units=4, duration_s=4.0, seed=3 + index)
            )
            as_counts(recording).save(folder=folder / "data" / id)
            perform("preprocessing", id, [job(index)], folder)
            trains = {str(unit): truth.get_unit_spike_train(unit) for unit in truth.unit_ids}
            sorted_ = folder / f"spikesorting_{id}"
            si.NumpySorting.from_unit_dict([trains], 30000.0).save(folder=sorted_ / "spikesorted")
            record = {"stage": "spikesorting", "id": id, "recording": id, "status": "ok", "reason": None}
            facts = {"sorter": "spykingcircus2", "sorter_version": "2025.12"}
            (sorted_ / "stage.json").write_text(json.dumps(record | {"facts": facts}))
            for stage in ("postprocessing", "curation"):
                perform(stage, id, [job(index)], folder)
        for stage in ("nwb_ecephys", "nwb_units"):
            perform(stage, "day", [job(0), job(1)], folder)
    publish(folder, folder / "results")


def job(index: int) -> Job:
    reader = Reader(
        name="spikeinterface", kwargs={"file_or_folder_path": IDS[index]}, path_arguments=["file_or_folder_path"]
    )
    return Job(
        id=IDS[index], session="day", block="day", stream=f"imec{index}.ap", segments=[0], reader=reader,
        sampling_frequency_hz=30000.0, num_channels=CHANNELS[index], duration_s=4.0, dtype="int16", megabytes=2.0,
    )  # fmt: skip


def task_of(stage: str, id: str, jobs: list[Job], folder: Path, **params) -> Task:
    """A task of a stage; `params` are laid over SECTIONS."""
    section = "nwb_ecephys" if stage == "nwb_units" else stage
    model = importlib.import_module(f"capsules.{section}.params").PARAMS
    out = folder / f".{stage}_{id}.partial"
    out.mkdir()
    given = model.model_validate(SECTIONS.get(section, {}) | params)
    return Task(STAGES[stage], id, jobs, given, folder, folder / "data", out, 1)


def perform(stage: str, id: str, jobs: list[Job], folder: Path, **params) -> dict:
    """Run a stage, which must end well; returns its record."""
    task = task_of(stage, id, jobs, folder, **params)
    run = importlib.import_module(f"capsules.{stage}.stage").run
    assert performing.perform(task, run, folder) == 0, task.record
    return task.record


def publish(folder: Path, results: Path) -> None:
    """Copy what Nextflow publishes of the stages' folders."""
    for stage in STAGES.values():
        for made in folder.glob(f"{stage.name}_*"):
            for part in stage.parts:
                place, source = part.place(stage.name, made.name.removeprefix(f"{stage.name}_")), made / part.name
                if place and source.exists():
                    (results / place).parent.mkdir(parents=True, exist_ok=True)
                    (shutil.copytree if source.is_dir() else shutil.copyfile)(source, results / place)
    recordings = {id: {"recording": id, "sorter": "spykingcircus2", "status": "ok"} for id in IDS}
    (results / "status.json").write_text(json.dumps({"recordings": recordings, "blocks": {"day": {}}}))


def linked_run(run_folder: Path, folder: Path, *prefixes: str) -> Path:
    """A folder that has some of a run's stage folders, and its data, as links."""
    folder.mkdir(exist_ok=True)
    for path in run_folder.iterdir():
        if path.name == "data" or path.name.startswith(prefixes):
            (folder / path.name).symlink_to(path)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
