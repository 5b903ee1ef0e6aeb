"""How long a run takes, from measured rates: an estimate for `spikerelay plan`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capsules.common.contract import BLOCK_STAGES
from capsules.common.recordings.job import Job
from capsules.resolve_params.resolve import Resolved

GPUS = Path("/proc/driver/nvidia/gpus")
RUN_S = 15.0
"""Nextflow's start, parameters, job dispatch and results: `The whole pipeline compared with one script`."""


@dataclass(frozen=True)
class Rate:
    """Seconds of a task: `start_s`, and for each megabyte of raw traces `serial_s` and, on one core, `parallel_s`."""

    start_s: float
    serial_s: float = 0
    parallel_s: float = 0

    def seconds(self, megabytes: float, cores: int) -> float:
        return self.start_s + megabytes * (self.serial_s + self.parallel_s / cores)


RATES = {
    "preprocessing": Rate(6, 0.015, 0.038),
    "spykingcircus2": Rate(6, 0, 0.245),
    "postprocessing": Rate(6, 0.009, 0.027),
    "curation": Rate(7),
    "visualization": Rate(6, 0.0085),
    "nwb_ecephys": Rate(5, 0.008),
    "nwb_units": Rate(9),
}
"""Stage, or sorter, -> its rate. Other sorters were not measured.

From the sections of docs/benchmarks.md: preprocessing from 384 channels on one and on two cores, SpykingCircus2 from
`A Neuropixels-like recording`, postprocessing and figures from `Postprocessing, figures, report`, curation and units in
NWB from `The whole pipeline compared with one script`, electrodes and LFP from `LFP in the NWB file`.
"""


@dataclass(frozen=True)
class Machine:
    """The cores and GPUs of a run."""

    cores: int
    gpus: int

    def cores_of(self, recordings: int) -> int:
        """The cores of a recording's task, as `cores_of` in pipeline/modules/capsule.nf shares them."""
        shared = self.cores - 1 if self.cores > 3 else self.cores
        return max(1, shared // max(1, recordings))


def machine_of(options: dict[str, Any]) -> Machine:
    """The cores and GPUs that the options name, or that this machine has."""
    cores = os.cpu_count() or 1
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        gpus = len([name for name in visible.split(",") if name])
    else:
        gpus = len(list(GPUS.iterdir())) if GPUS.is_dir() else 0
    n_jobs, n_gpus = options.get("n_jobs"), options.get("n_gpus")
    return Machine(min(n_jobs or cores, cores), gpus if n_gpus is None else n_gpus)


def stage_seconds(stage: str, jobs: list[Job], machine: Machine, recordings: int, sorter: str = "") -> float | None:
    """Seconds of a stage's task on one job, or on the jobs of a block; None for a sorter that was not measured."""
    rate = RATES.get(sorter if stage == "spikesorting" else stage)
    cores = 1 if stage in BLOCK_STAGES else machine.cores_of(recordings)
    return None if rate is None else rate.seconds(sum(job.megabytes for job in jobs), cores)


def describe_time(jobs: list[Job], stages: list[str], resolved: Resolved, options: dict[str, Any]) -> list[str]:
    """The expected time of a run over these jobs, and its devices."""
    machine, parts = machine_of(options), [*stages, *BLOCK_STAGES]
    chains = []
    for job in jobs:
        tasks = [
            stage_seconds(stage, [job], machine, len(jobs), sorter)
            for stage in parts
            for sorter in (resolved.sorters if stage not in ("preprocessing", *BLOCK_STAGES) else resolved.sorters[:1])
        ]
        chains.append(sum(seconds for seconds in tasks if seconds is not None))
    together = max(1, min(len(jobs), machine.cores))
    seconds = RUN_S + max(max(chains, default=0), sum(chains) / together)
    unmeasured = [name for name in resolved.sorters if name not in RATES]
    lines = [f"about {show_time(seconds)} on {machine.cores} cores, by the measured rates of docs/benchmarks.md"]
    if unmeasured:
        lines.append(f"plus the sorting by {' and '.join(unmeasured)}, for which no rate was measured")
    gpu_sorters = resolved.gpu_sorters()
    lines += [f"{name} sorts on {_device(name in gpu_sorters, machine)}" for name in resolved.sorters]
    return lines


def _device(uses_gpu: bool, machine: Machine) -> str:
    if not uses_gpu:
        return "the CPU"
    return f"a GPU ({machine.gpus} in this run)" if machine.gpus else "the CPU: this run has no GPU"


def show_time(seconds: float) -> str:
    """A time with two digits, as an estimate deserves."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 99.5 * 60 else f"{seconds / 3600:.1f} h"
