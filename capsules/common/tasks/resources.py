"""A task's cores, for every library that starts threads, its memory, and the permanent numba cache."""

from __future__ import annotations

import atexit
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from capsules.common.installation import choose_shared_folder
from capsules.common.patches.compiled_code import cache_compiled_code
from capsules.parameters.model import JobKwargs

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)


def print_warning(text: str) -> None:
    print(text, file=sys.stderr)


def limit_threads(n_jobs: int) -> None:
    """Limit BLAS, OpenMP, numba and torch to `n_jobs` threads: those imported later, in child processes, and now."""
    for name in THREAD_VARIABLES:
        os.environ[name] = str(n_jobs)
    threadpool_limits(n_jobs)
    if numba := sys.modules.get("numba"):
        # The size of its pool is fixed by now, and it raises when the variable changes: some of the threads rest.
        most = numba.config.NUMBA_NUM_THREADS
        os.environ["NUMBA_NUM_THREADS"] = str(most)
        numba.set_num_threads(min(n_jobs, most))
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(n_jobs)


def job_kwargs(n_jobs: int, settings: JobKwargs, pool_engine: str = "thread") -> dict[str, Any]:
    """SpikeInterface's `job_kwargs` for a task with `n_jobs` cores and a section's `job_kwargs`.

    Threads rather than processes: they share the traces and start at once, and are as fast on numpy and numba work.
    `patches.progress` shows the progress that `progress_bar` turns on.
    """
    return {
        "n_jobs": n_jobs,
        "pool_engine": pool_engine,
        "chunk_duration": settings.chunk_duration,
        "progress_bar": True,
    }


def count_cores() -> int:
    """The cores of this task: `n_jobs` of SpikeInterface's global `job_kwargs`, which `set_job_kwargs` sets."""
    # Not at the top: the command line is read without SpikeInterface.
    from spikeinterface.core.job_tools import fix_job_kwargs

    return int(fix_job_kwargs({})["n_jobs"])


def peak_memory_mb() -> float:
    """The largest resident size of this process and its ended children, in MB."""
    usage = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return round(usage / 1024, 1)


def numba_cache_folder() -> Path:
    """The folder of compiled code: next to the installed packages if it is writable, else in the user's cache."""
    return choose_shared_folder("spikerelay") / "numba"


def use_numba_cache(warn: Callable[[str], None] = print_warning) -> None:
    """Make numba use the permanent cache for every function that it compiles from now on.

    Where that folder cannot be written, such as another user's, compiled code is kept until this process ends.
    """
    folder = Path(os.environ.setdefault("NUMBA_CACHE_DIR", str(numba_cache_folder())))
    if not _is_writable(folder):
        # Numba raises without a cache. It unpickles what is in one: nobody else may write there.
        private = tempfile.mkdtemp(prefix="spikerelay-numba-")
        atexit.register(shutil.rmtree, private, ignore_errors=True)
        os.environ["NUMBA_CACHE_DIR"] = private
        warn(
            f"compiled code cannot be kept in {folder}, which is not writable: each task compiles it again, for up "
            "to a minute; set NUMBA_CACHE_DIR to a folder of yours"
        )
    cache_compiled_code()


def _is_writable(folder: Path) -> bool:
    """Whether a folder, which is made if it is missing, can be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.R_OK | os.W_OK | os.X_OK)
