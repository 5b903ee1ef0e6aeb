"""A task's share of the machine: cores for every library that starts threads, and the lasting numba cache."""

from __future__ import annotations

import logging
import os
import resource
import sys
from pathlib import Path
from typing import Any

from capsules.common.params import JobKwargs

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)


def limit_threads(n_jobs: int) -> None:
    """Hold BLAS, OpenMP, numba and torch to `n_jobs` threads; call it before any of them is imported."""
    for name in THREAD_VARIABLES:
        os.environ[name] = str(n_jobs)


def job_kwargs(n_jobs: int, settings: JobKwargs, pool_engine: str = "thread") -> dict[str, Any]:
    """SpikeInterface's `job_kwargs` for a task with `n_jobs` cores and a section's `job_kwargs`.

    Threads rather than processes: they share the traces and start at once, and are as fast on numpy and numba work.
    `show_progress` says what becomes of the progress that is asked for here.
    """
    return {
        "n_jobs": n_jobs,
        "pool_engine": pool_engine,
        "chunk_duration": settings.chunk_duration,
        "progress_bar": True,
    }


PROGRESS_INTERVAL_S = 30


def show_progress(bars: bool, log: logging.Logger) -> None:
    """Show SpikeInterface's progress as bars, or as a line in the log every PROGRESS_INTERVAL_S.

    Parameters
    ----------
    bars : bool
        Whether bars are wanted; without a terminal to draw them in, it is lines nevertheless.
    log : logging.Logger
    """
    from spikeinterface.core import job_tools
    from tqdm import tqdm

    class Lines(tqdm):
        def __init__(self, *args: Any, **kwargs: Any):
            super().__init__(
                *args, **(kwargs | dict.fromkeys(("mininterval", "maxinterval", "delay"), PROGRESS_INTERVAL_S))
            )

        def display(self, *args: Any, **kwargs: Any) -> None:
            log.info("%s: %d of %d chunks", self.desc, self.n, self.total)

    job_tools.tqdm = tqdm if bars and sys.stderr.isatty() else Lines


def peak_memory_mb() -> float:
    """The largest resident size this process and its ended children had, in MB."""
    usage = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return round(usage / 1024, 1)


def numba_cache_folder() -> Path:
    """Where compiled code lasts: beside the installed packages when they may be written, else in the user's cache."""
    installed = Path(sys.prefix) / "share" / "spikerelay" / "numba"
    if os.access(sys.prefix, os.W_OK) or os.access(installed, os.R_OK | os.W_OK):
        return installed
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "spikerelay" / "numba"


def use_numba_cache() -> None:
    """Point numba at the lasting cache and make every function that it compiles from now on use it.

    SpikeInterface compiles its functions without a cache, which costs a short task more than its work. Their
    decorators ask numba for a dispatcher, so the cache is turned on where dispatchers are made.
    """
    os.environ.setdefault("NUMBA_CACHE_DIR", str(numba_cache_folder()))
    Path(os.environ["NUMBA_CACHE_DIR"]).mkdir(parents=True, exist_ok=True)
    from numba.core.registry import CPUDispatcher

    if getattr(CPUDispatcher.__init__, "caches", False):
        return
    plain_init = CPUDispatcher.__init__

    def init_with_cache(self, py_func, *args, **kwargs):
        plain_init(self, py_func, *args, **kwargs)
        if py_func.__module__ and py_func.__module__.startswith("spikeinterface"):
            self.enable_caching()

    init_with_cache.caches = True
    CPUDispatcher.__init__ = init_with_cache
