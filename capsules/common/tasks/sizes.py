"""What a task asks the machine for at its first attempt, by `pipeline/sizes.json` (which the workflow reads too)."""

from __future__ import annotations

import json
from pathlib import Path

SIZES = Path(__file__).parents[3] / "pipeline" / "sizes.json"


def task_size(stage: str, channels: int, megabytes: float) -> tuple[float, float]:
    """Memory in GB and time in minutes for a stage's task on so many channels, and megabytes on disk."""
    row = json.loads(SIZES.read_text())[stage]
    memory_mb = row["memory_mb"] + row["memory_mb_per_channel"] * channels
    return memory_mb / 1024, row["minutes"] + row["seconds_per_megabyte"] * megabytes / 60


def written_mb(what: str, channels: int, megabytes: float) -> float:
    """MB that a stage writes, or a sorter in passing, for so many channels, and megabytes of traces."""
    row = json.loads(SIZES.read_text())["disk"].get(what)
    return 0.0 if row is None else row["mb"] + row["mb_per_channel"] * channels + row["mb_per_megabyte"] * megabytes
