"""Run the stages once on simulated traces, so that numba's permanent cache has their compiled functions.

python -m capsules.setup.warm_up
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import warnings
from importlib import import_module
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from capsules.common.contract import STAGES
from capsules.common.recordings.job import Job, Reader
from capsules.common.tasks import resources
from capsules.common.tasks.perform import perform
from capsules.common.tasks.task import Task

DURATION_S = 40
RATE_HZ = 30000.0


def make_job(folder: Path) -> Job:
    """Make a job on a short simulated recording in SpikeInterface's format."""
    from spikeinterface.core import generate_ground_truth_recording

    recording, _ = generate_ground_truth_recording(
        durations=[DURATION_S],
        sampling_frequency=RATE_HZ,
        num_channels=16,
        num_units=5,
        noise_kwargs={"noise_levels": 8.0, "strategy": "on_the_fly"},
        generate_templates_kwargs={"unit_params": {"alpha": (300.0, 500.0)}},
        seed=0,
    )
    recording.set_property("inter_sample_shift", [index % 4 / 8 for index in range(16)])
    counts = recording.astype("int16", round=True)
    counts.set_channel_gains(1.0)
    counts.set_channel_offsets(0.0)
    counts.save(folder=folder / "recording", progress_bar=False)
    return Job(
        id="warm",
        session="warm",
        block="warm",
        stream="warm",
        segments=[0],
        reader=Reader(
            name="spikeinterface", kwargs={"file_or_folder_path": "recording"}, path_arguments=["file_or_folder_path"]
        ),
        sampling_frequency_hz=RATE_HZ,
        num_channels=16,
        duration_s=DURATION_S,
        dtype="int16",
        megabytes=40,
    )


def main() -> None:
    resources.limit_threads(1)
    resources.use_numba_cache()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    sections: dict[str, dict[str, object]] = {
        "preprocessing": {"min_preprocessing_duration": 0},
        "spikesorting": {"sorter": "spykingcircus2"},
        "postprocessing": {},
        "curation": {"noise_neural_classifier": None, "sua_mua_classifier": None},
        "visualization": {},
    }
    with tempfile.TemporaryDirectory() as name, _open_bar() as bar:
        folder = Path(name)
        line = bar.add_task("importing the libraries", total=len(sections))
        job = make_job(folder)
        for stage_name, section in sections.items():
            bar.update(line, description=f"compiling {stage_name}")
            stage = STAGES[stage_name]
            params = import_module(f"capsules.{stage_name}.params").PARAMS.model_validate(section)
            out = folder / f".{stage_name}"
            out.mkdir()
            task = Task(stage, job.id, [job], params, folder, folder, out, 1)
            code = perform(task, import_module(f"capsules.{stage_name}.stage").run, folder)
            status = (
                json.loads((folder / stage.folder(job.id) / "stage.json").read_text()) if code == 0 else task.record
            )
            if status["status"] != "ok":
                sys.exit(f"warm-up: {stage_name} {status['status']}: {status['reason']}")
            bar.advance(line)


def _open_bar() -> Progress:
    """A bar with the time so far, on a terminal only; it disappears at the end."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


if __name__ == "__main__":
    main()
