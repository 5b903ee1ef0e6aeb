"""GPUs: which one a sorting task uses, and whether its memory ran out."""

from __future__ import annotations

import fcntl
import gc
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from capsules.common.errors import SpikeRelayError

GPUS_VARIABLE = "SPIKERELAY_GPUS"
"""Set by the workstation's configuration: how many GPUs the sorting tasks share. A cluster assigns them to jobs."""
DEVICES_VARIABLE = "CUDA_VISIBLE_DEVICES"
POLL_S = 1.0
OUT_OF_MEMORY = (
    "CUDA out of memory",
    "CUDA error: out of memory",
    "CUDA_ERROR_OUT_OF_MEMORY",
    "OutOfMemoryError",
    "CUBLAS_STATUS_ALLOC_FAILED",
    # cuBLAS cannot make its workspace.
    "CUBLAS_STATUS_NOT_INITIALIZED",
    "CUFFT_ALLOC_FAILED",
    "CUSOLVER_STATUS_ALLOC_FAILED",
)
"""What CUDA and its libraries say when the GPU's memory is used up."""


@contextmanager
def reserve_gpu() -> Iterator[str | None]:
    """Reserve one of the workstation's GPUs for this task, and make CUDA see that one alone.

    Nextflow starts no more sorting tasks than there are GPUs; this finds a free one. Call it before CUDA is first used.

    Yields
    ------
    str or None
        The GPU's number; None when the tasks share none, or a cluster assigns them.
    """
    count = int(os.environ.get(GPUS_VARIABLE) or 0)
    if not count:
        yield None
        return
    visible = os.environ.get(DEVICES_VARIABLE)
    devices = (visible.split(",") if visible else [str(number) for number in range(count)])[:count]
    folder = _make_lock_folder()
    with _lock_free([folder / f"{device}.lock" for device in devices]) as file:
        os.environ[DEVICES_VARIABLE] = file.stem
        yield file.stem


def _make_lock_folder() -> Path:
    """Make the user's folder of locks in the shared temporary folder.

    Raises
    ------
    SpikeRelayError
        When another user owns it or may write to it: a link in it could lead to any file of this user.
    """
    folder = Path(tempfile.gettempdir()) / f"spikerelay-gpus-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    state = folder.lstat()
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.getuid() or state.st_mode & 0o022:
        raise SpikeRelayError(f"{folder} belongs to another user: remove it, or set TMPDIR to a private folder")
    return folder


@contextmanager
def _lock_free(files: list[Path]) -> Iterator[Path]:
    """Lock the first free file, and wait when all are locked; the lock of a process that ends is released."""
    while True:
        for file in files:
            with file.open("w") as stream:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                yield file
                return
        time.sleep(POLL_S)


def has_gpu() -> bool:
    """Whether the machine has an NVIDIA GPU, also one that torch cannot use."""
    folder = Path("/proc/driver/nvidia/gpus")
    return folder.exists() and any(folder.iterdir())


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the GPU's memory ran out."""
    return any(text in str(error) for text in OUT_OF_MEMORY)


def free_memory() -> None:
    """Free the GPU memory of an earlier attempt."""
    # Only a sorter that uses torch gets here; it takes seconds to import.
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
