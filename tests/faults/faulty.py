"""A pipeline to do harm to: started in the background, watched, killed, and a disk that fills up."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from tests.data import ProbeSpec
from tests.pipeline.nextflow_runs import ROOT, VARIANTS, Finished, Pipeline

PROBE = ProbeSpec("imec0", channels=16, units=4, duration_s=8.0, seed=3)
RECORDING, BLOCK = "run_g0_imec0.ap_recording1", "run_g0_recording1"
SHORT = ("--preprocessing_args", "--min-duration-for-preprocessing 5")
RECORDING_STAGES = ("preprocessing", "spikesorting", "postprocessing", "curation", "visualization")
STAGES = (*RECORDING_STAGES, "nwb_ecephys", "nwb_units")
"""Those that write enough to fill a disk: the events of a recording without pulses are a few lines."""
IN_ORDER = ("resolve_params", "job_dispatch", "events", "nwb_ecephys", *RECORDING_STAGES, "nwb_units", "results")
"""Every process of a run; each needs what those before it made."""
ENDED_S = 30
"""What the tasks of a Nextflow that is gone may take to end."""


class Faulty(Pipeline):
    """A pipeline that a test disturbs."""

    @property
    def work(self) -> Path:
        return (self.folder / self.work_name).resolve()

    def start(self, *arguments: str, config: Path | None = None, stub: bool = False, **variables: str) -> Started:
        arguments = (*arguments, "-stub-run") if stub else arguments
        log = self.folder / f"output{len(list(self.folder.glob('output*')))}.txt"
        process = subprocess.Popen(
            self.command(*arguments, config=config),
            cwd=self.folder,
            env=self.environment(*VARIANTS[0]) | variables,
            stdout=log.open("w"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        return Started(self, process, log)

    def slow(self, *arguments: str) -> Started:
        """A run of stubs in the background, which sorts for some seconds: it is at this when it is given."""
        config = self.config_with("process { withName: 'SPIKESORTING' { beforeScript = 'sleep 5' } }")
        started = self.start(*arguments, config=config, stub=True)
        started.until(lambda: "SPIKESORTING (" in started.output, "sorting")
        return started

    def forget(self, stage: str) -> None:
        """Remove a stage's tasks from the work folder: -resume does them again."""
        for script in self.work.glob("*/*/.command.sh"):
            if f"-m capsules.{stage} " in script.read_text():
                shutil.rmtree(script.parent)

    def real(self, *arguments: str) -> Finished:
        return self.run(*SHORT, *arguments, stub=False)


class Started:
    """A run in the background."""

    def __init__(self, pipeline: Faulty, process: subprocess.Popen, log: Path):
        self.pipeline, self.process, self.log = pipeline, process, log

    @property
    def output(self) -> str:
        return self.log.read_text()

    def wait(self) -> Finished:
        return Finished(self.process.wait(timeout=600), self.output, self.pipeline.results)

    def task(self, stage: str) -> psutil.Process:
        """The process of a stage's task, once it is there."""
        return self.until(lambda: next(iter(tasks(self.pipeline.work, stage)), None), stage)

    def until(self, condition: Callable[[], Any], what: str, seconds: float = 300) -> Any:
        """What a condition gives, once it holds; the run must go on until then."""
        return wait_for(condition, f"{what}\n{self.output}", seconds, lambda: self.process.poll() is None)

    def kill(self, signal: int) -> int:
        """End Nextflow with a signal; its tasks must be gone soon."""
        self.process.send_signal(signal)
        code = self.process.wait(timeout=60)
        wait_for(lambda: not processes_in(self.pipeline.work), "an orphan is left", ENDED_S)
        return code


def wait_for(condition: Callable[[], Any], what: str, seconds: float, going: Callable[[], bool] = lambda: True) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s for: {what}"
        assert going(), f"ended before: {what}"
        time.sleep(0.05)
    return found


def processes_in(folder: Path) -> list[int]:
    """The processes that work in a folder or below it."""
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                where = os.readlink(f"/proc/{entry.name}/cwd")
            except OSError:
                continue
            if where.startswith(f"{folder}/"):
                found.append(int(entry.name))
    return found


def tasks(folder: Path, stage: str) -> list[psutil.Process]:
    """The Python processes of a stage's tasks."""
    found = []
    for pid in processes_in(folder):
        try:
            process = psutil.Process(pid)
            words = process.cmdline()
        except psutil.NoSuchProcess:
            continue
        if words[1:3] == ["-m", f"capsules.{stage}"]:
            found.append(process)
    return found


def digest(results: Path) -> str:
    """The total of `spikerelay hash`."""
    command = [sys.executable, "-m", "capsules", "hash", results]
    shown = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    return re.search(r"^(\w+)  total$", shown, re.MULTILINE)[1]


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def contents(results: Path) -> dict[str, bytes]:
    """The published files of a run of stubs, but for what tells of the run itself."""
    parts = ("preprocessed", "spikesorted", "postprocessed", "curated", "visualization", "quality_control", "nwb")
    return {name: (results / name).read_bytes() for name in files_of(results) if name.startswith(parts)}


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A small disk of its own, in memory."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


def fill(disk: Path, free_bytes: int) -> Path:
    """Fill a disk up to so many free bytes; removing the file makes room again."""
    filler = disk / "filler"
    # Others write to it meanwhile.
    with suppress(OSError), filler.open("wb", buffering=0) as stream:
        stream.write(bytes(max(0, shutil.disk_usage(disk).free - free_bytes)))
    return filler
