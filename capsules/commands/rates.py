"""How long a run takes, from measured rates, and on which device: for `spikerelay plan`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capsules.commands.measured_rates import RUN_S, choose_rate
from capsules.common.contract import BLOCK_STAGES, STAGES
from capsules.common.recordings.job import Job
from capsules.resolve_params.resolve import Resolved

GPUS = Path("/proc/driver/nvidia/gpus")


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


def find_gpu_sorters(resolved: Resolved, machine: Machine) -> dict[str, bool]:
    """Whether each sorter of a run sorts on a GPU."""
    return {name: name in resolved.gpu_sorters() and machine.gpus > 0 for name in resolved.sorters}


def describe_time(jobs: list[Job], stages: list[str], resolved: Resolved, options: dict[str, Any]) -> list[str]:
    """The expected time of a run over these jobs, and its devices."""
    machine = machine_of(options)
    on_gpu = find_gpu_sorters(resolved, machine)
    unmeasured = [name for name in resolved.sorters if choose_rate("spikesorting", name, on_gpu[name]) is None]
    seconds = _expect_seconds(jobs, [*stages, *BLOCK_STAGES], on_gpu, machine)
    without = f" without the sorting by {' and '.join(unmeasured)}, whose time is unknown" if unmeasured else ""
    cores = f"{machine.cores} core{'s' if machine.cores != 1 else ''}"
    lines = [f"about {show_time(seconds)} on {cores}{without}"]
    lines += [f"{name} sorts on {_device(name in resolved.gpu_sorters(), machine)}" for name in resolved.sorters]
    return [*lines, "estimated from rates that were measured on 2 cores; other work on the machine makes it longer"]


def _expect_seconds(jobs: list[Job], stages: list[str], on_gpu: dict[str, bool], machine: Machine) -> float:
    """Seconds of a run, apart from what was not measured.

    It takes at least as long as its longest recording, as all recordings on all cores, and as all sortings on all GPUs.
    """
    chains, gpu_s = [], 0.0
    for job in jobs:
        chain = 0.0
        for stage in stages:
            cores = 1 if stage in BLOCK_STAGES else machine.cores_of(len(jobs))
            for name in on_gpu if STAGES[stage].level == "sorting" else list(on_gpu)[:1]:
                rate = choose_rate(stage, name, on_gpu[name])
                seconds = rate.seconds(job.megabytes, cores) if rate else 0.0
                gpu_s += seconds if stage == "spikesorting" and on_gpu[name] else 0.0
                chain += seconds
        chains.append(chain)
    together = max(1, min(len(jobs), machine.cores))
    return RUN_S + max(max(chains, default=0), sum(chains) / together, gpu_s / max(1, machine.gpus))


def _device(uses_gpu: bool, machine: Machine) -> str:
    if not uses_gpu:
        return "the CPU"
    return f"a GPU ({machine.gpus} in this run)" if machine.gpus else "the CPU: this run has no GPU"


def show_time(seconds: float) -> str:
    """A time with two digits, as an estimate deserves."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 99.5 * 60 else f"{seconds / 3600:.1f} h"
