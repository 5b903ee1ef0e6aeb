"""The sessions that are measured, made once in `.demo/bench`, and their jobs."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.bench.measure import cost, python
from tests.data import ProbeSpec, cached_spikeglx, truth_folders
from tests.demo import ROOT

BENCH = ROOT / ".demo" / "bench"
RESULTS = BENCH / "results"
N_JOBS = 2


@dataclass(frozen=True)
class Session:
    """A SpikeGLX session of one probe, and where its job, its truth and its results are."""

    data: Path
    job: Path
    truth: Path

    @property
    def raw(self) -> Path:
        """The AP band's file."""
        (file,) = self.data.rglob("*.ap.bin")
        return file

    def stage(self, name: str, output: Path, *arguments: str | Path, n_jobs: int = N_JOBS) -> tuple[str | Path, ...]:
        """The command of a capsule on this session; `output` holds the earlier stages' folders too."""
        places = ("--job", self.job, "--data", self.data, "--inputs", output, "--output", output)
        return python(f"capsules.{name}", *places, "--n-jobs", str(n_jobs), *arguments)


def session(channels: int, units: int, duration_s: int) -> Session:
    """The session of that size, with its job; made when it is not there."""
    data = BENCH / f"{channels}x{duration_s}s"
    data.parent.mkdir(parents=True, exist_ok=True)
    probes = [ProbeSpec(channels=channels, units=units, duration_s=float(duration_s))]
    if not data.exists():
        print(f"making {data.name} (once)", flush=True)
    cached_spikeglx(data, probes)
    job = BENCH / f"{data.name}.job.json"
    cost(*python("capsules.job_dispatch", "--data", data, "--input", "spikeglx", "--output", BENCH))
    (only,) = json.loads((BENCH / "job_dispatch_job_dispatch" / "jobs.json").read_text())
    job.write_text(json.dumps(only))
    return Session(data, job, truth_folders(data, probes)[probes[0].name])


def empty_folder(name: str) -> Path:
    """A folder for results, empty."""
    folder = RESULTS / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def traces_of(folder: Path) -> Path:
    """The file of written traces below a folder of results."""
    (file,) = folder.rglob("traces/*.raw")
    return file
