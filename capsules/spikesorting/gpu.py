"""GPUs: which one a sorting task works on, and what is done when its memory runs out."""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from capsules.common.errors import SpikeRelayError

GPUS_VARIABLE = "SPIKERELAY_GPUS"
"""Set by the workstation's configuration: how many GPUs the sorting tasks share. A cluster hands them out itself."""
DEVICES_VARIABLE = "CUDA_VISIBLE_DEVICES"
LOOK_AGAIN_S = 1.0
OUT_OF_MEMORY = ("CUDA out of memory", "CUDA_ERROR_OUT_OF_MEMORY", "CUBLAS_STATUS_ALLOC_FAILED", "OutOfMemoryError")


@contextmanager
def own_gpu() -> Iterator[str | None]:
    """Hold one of the workstation's GPUs, which nobody else gets meanwhile, and make CUDA see that one alone.

    Nextflow starts no more sorting tasks than there are GPUs; this tells which one is free. It must come before
    CUDA is first used.

    Yields
    ------
    str or None
        The GPU's number; None when the tasks share none, or somebody else hands them out.
    """
    count = int(os.environ.get(GPUS_VARIABLE) or 0)
    if not count:
        yield None
        return
    visible = os.environ.get(DEVICES_VARIABLE)
    devices = (visible.split(",") if visible else [str(number) for number in range(count)])[:count]
    folder = _own_folder()
    with _first_free([folder / f"{device}.lock" for device in devices]) as file:
        os.environ[DEVICES_VARIABLE] = file.stem
        yield file.stem


def _own_folder() -> Path:
    """The user's folder of locks in the shared temporary folder.

    Raises
    ------
    SpikeRelayError
        When somebody else has made it, or may write to it: a link in it could lead to any file of the user's.
    """
    folder = Path(tempfile.gettempdir()) / f"spikerelay-gpus-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise SpikeRelayError(f"{folder} is not this user's alone: remove it, or set TMPDIR to a folder of your own")
    return folder


@contextmanager
def _first_free(files: list[Path]) -> Iterator[Path]:
    """Lock the first file that nobody holds, and wait when all are held; a process that ends lets go of its own."""
    while True:
        for file in files:
            with file.open("w") as stream:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                yield file
                return
        time.sleep(LOOK_AGAIN_S)


def unused_gpu() -> bool:
    """Whether the machine has an NVIDIA GPU; asked when torch says that it cannot use one."""
    folder = Path("/proc/driver/nvidia/gpus")
    return folder.exists() and any(folder.iterdir())


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the GPU's memory ran out."""
    return any(text in str(error) for text in OUT_OF_MEMORY)


def free_memory() -> None:
    """Give what an earlier attempt held on the GPU back to it."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
