"""Recognize a full disk, and describe which one and what to do."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

CODES = (errno.ENOSPC, errno.EDQUOT)
WORDS = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT), f"errno = {errno.ENOSPC}", f"errno = {errno.EDQUOT}")
"""The error in libraries that lose its number: sorters in their logs, HDF5 in its messages."""


def is_full(error: BaseException) -> bool:
    """Whether an error, or its cause, is a full disk or an exhausted quota."""
    return any(
        getattr(cause, "errno", None) in CODES or any(word in str(cause) for word in WORDS) for cause in _causes(error)
    )


def describe_full_disk(error: BaseException, *folders: Path | None) -> str:
    """Describe a full disk: the free space where a task writes, and in the folder for temporary files."""
    existing = [folder for folder in (*folders, Path(tempfile.gettempdir())) if folder is not None and folder.exists()]
    free = ", ".join(f"{_free(folder)} in {folder.resolve()}" for folder in dict.fromkeys(existing))
    return f"a disk is full ({free} are free): make room and run the same command with -resume ({error})"


def _free(folder: Path) -> str:
    megabytes = shutil.disk_usage(folder).free / 1e6
    return f"{megabytes:.1f} MB" + ("" if os.statvfs(folder).f_favail else " and no more files")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
