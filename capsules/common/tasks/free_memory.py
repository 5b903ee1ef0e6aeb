"""The memory that a task's processes can still take."""

from __future__ import annotations

import shutil
from pathlib import Path

import psutil

SHARED_MEMORY = Path("/dev/shm")


def measure_free_memory() -> int:
    """Free bytes that processes can share: containers often limit shared memory to much less than the memory."""
    free: int = psutil.virtual_memory().available
    return min(free, shutil.disk_usage(SHARED_MEMORY).free) if SHARED_MEMORY.is_dir() else free
