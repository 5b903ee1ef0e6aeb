"""The machine of `make bench-gpu`: its GPU, its cores shared among runs, and a process that uses the GPU's memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tests.bench.measure import python
from tests.demo import ROOT

FIND_GPU = """
import json, torch
gpu = torch.cuda.get_device_properties(0) if torch.cuda.is_available() else None
found = {"gpu": gpu and gpu.name, "gpu_memory_gb": gpu and round(gpu.total_memory / 1e9, 1)}
print(json.dumps(found | {"torch": torch.__version__, "cuda": torch.version.cuda}))
"""


def find_machine() -> dict[str, Any]:
    """The GPU that torch sees, and the cores; torch is asked in another process, so that it uses no GPU memory here."""
    found = json.loads(subprocess.run([sys.executable, "-c", FIND_GPU], check=True, capture_output=True).stdout)
    return found | {"cores": len(os.sched_getaffinity(0))}


def describe(machine: dict[str, Any]) -> str:
    gpu = (
        f"{machine['gpu']} with {machine['gpu_memory_gb']} GB"
        if machine["gpu"]
        else "no GPU, so Kilosort4 is on the CPU"
    )
    return f"{gpu}, {machine['cores']} cores, torch {machine['torch']}"


def share_cores(counts: Sequence[int], cores: Sequence[int]) -> list[list[tuple[int, list[int]]]]:
    """Share the cores among runs: waves of runs that run side by side, each as its index and its cores.

    A run begins at an even place, because neighbours are often the two halves of one physical core.
    """
    waves: list[list[tuple[int, list[int]]]] = []
    place = len(cores)
    for index, count in enumerate(counts):
        if place + count > len(cores):
            waves.append([])
            place = 0
        waves[-1].append((index, list(cores[place : place + count])))
        place += count + count % 2
    return waves


@contextmanager
def pinned(cores: Sequence[int]) -> Iterator[None]:
    """Let this thread, and the processes that it starts, run on these cores alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def other_process(free_gb: float) -> Iterator[float]:
    """Another process that uses all of the GPU's memory but `free_gb`; yields how many GB are free then."""
    process = subprocess.Popen(
        [*map(str, python("tests.bench.hold_gpu_memory", str(free_gb)))],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield float(process.stdout.readline())
    finally:
        process.communicate()
