"""Run the capsules' command lines one after another on a recording in SpikeInterface's own format."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capsules.common.tasks.resources import THREAD_VARIABLES

ROOT = Path(__file__).parents[2]
READER = {"reader_type": "spikeinterface", "reader_kwargs": {"file_or_folder_path": "rec"}}


@dataclass(frozen=True)
class Ended:
    """How one stage ended: exit code, its `stage.json` (empty when it wrote none), its folder and what it printed."""

    code: int
    record: dict[str, Any]
    folder: Path
    output: str

    @property
    def status(self) -> str | None:
        return self.record.get("status")

    @property
    def reason(self) -> str:
        return self.record.get("reason") or ""


def write(recording: Any, data: Path) -> None:
    """Write the recording where `dispatch` looks for it."""
    recording.save(folder=data / "rec", format="binary", n_jobs=2, progress_bar=False)


def stage(name: str, output: Path, id: str, *words: str | Path) -> Ended:
    """Run one stage in its own process; a failed one leaves its folder under the name of an unfinished one."""
    command = [sys.executable, "-m", f"capsules.{name}", "--output", output, *words]
    environment = {key: value for key, value in os.environ.items() if key not in THREAD_VARIABLES}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    folder = output / f"{name}_{id}"
    kept = folder if folder.exists() else output / f".{folder.name}.partial"
    record = kept / "stage.json"
    return Ended(done.returncode, json.loads(record.read_text()) if record.exists() else {}, folder, done.stderr)


def dispatch(data: Path, folder: Path, *words: str) -> list[Path]:
    """The job files of the recording below `data`."""
    given = ("--data", data, "--input", "spikeinterface", "--spikeinterface-info", json.dumps(READER), *words)
    ended = stage("job_dispatch", folder, "job_dispatch", *given)
    assert ended.code == 0, ended.output
    jobs = json.loads((ended.folder / "jobs.json").read_text())
    for job in jobs:
        (folder / f"{job['id']}.json").write_text(json.dumps(job))
    return [folder / f"{job['id']}.json" for job in jobs]


def preprocess(job: Path, data: Path, output: Path, *words: str) -> Ended:
    given = ("--job", job, "--data", data, "--n-jobs", "2", "--min-duration-for-preprocessing", "0", *words)
    return stage("preprocessing", output, job.stem, *given)


def spikesort(job: Path, inputs: Path, output: Path, *words: str, sorter: str = "spykingcircus2") -> Ended:
    given = ("--job", job, "--inputs", inputs, "--n-jobs", "2", "--sorter", sorter, *words)
    return stage("spikesorting", output, job.stem, *given)


def postprocess(job: Path, inputs: Path, output: Path, *words: str) -> Ended:
    return stage("postprocessing", output, job.stem, "--job", job, "--inputs", inputs, "--n-jobs", "2", *words)


def curate(job: Path, inputs: Path, output: Path, *words: str) -> Ended:
    return stage("curation", output, job.stem, "--job", job, "--inputs", inputs, *words)


def write_nwb(job: Path, data: Path, folder: Path) -> Ended:
    """The units in an NWB file of their own, without traces."""
    block = json.loads(job.read_text())["block"]
    given = ("--job", job, "--data", data, "--inputs", folder)
    ended = stage("nwb_ecephys", folder, block, *given, "--skip-lfp", "--backend", "hdf5")
    return stage("nwb_units", folder, block, *given) if ended.status == "ok" else ended


def sort_groups(data: Path, folder: Path, *dispatching: str) -> dict:
    """Dispatch, preprocess and sort: the job's channel group (None: all channels) -> its sorting."""
    import spikeinterface as si

    found = {}
    for job in dispatch(data, folder, *dispatching):
        for ended in (preprocess(job, data, folder), spikesort(job, folder, folder)):
            assert ended.status == "ok", ended.output
        found[json.loads(job.read_text())["group"]] = si.load(ended.folder / "spikesorted")
    return found


def run_bare(data: Path, folder: Path, *words: str) -> None:
    """Run `tests.truth.bare`, a script without this package."""
    one_thread = os.environ | dict.fromkeys(THREAD_VARIABLES, "1")
    command = [sys.executable, "-m", "tests.truth.bare", data / "rec", folder, *words]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, env=one_thread)
    assert done.returncode == 0, done.stderr


def bare(data: Path, folder: Path, split: bool = False) -> dict:
    """The same as `sort_groups` by the script."""
    import spikeinterface as si

    run_bare(data, folder, *(["--split"] if split else []))
    found = {path.name: si.load(path) for path in sorted(folder.iterdir())}
    return found if split else {None: found["all"]}
