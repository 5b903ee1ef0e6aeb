"""How long a run still takes, from what its finished tasks took."""

from __future__ import annotations

from collections.abc import Iterator

from capsules.commands.live_progress import RunProgress
from capsules.common.contract import RECORDING_STAGES

TYPICAL_S = {
    "preprocessing": 29,
    "spikesorting": 43,
    "postprocessing": 15,
    "curation": 7,
    "visualization": 15,
    "nwb_ecephys": 7,
    "nwb_units": 9,
}
"""Seconds of each stage in the demo (docs/benchmarks.md): how they compare where a run has not yet done a stage."""


def estimate_left_s(progress: RunProgress) -> float | None:
    """Seconds that a run still takes; None before the first stage of a recording has ended.

    A stage takes as long as it took for this run's other recordings, by their size; a stage that none has done takes
    as long as in the demo, compared with those that are done. The run takes at least the remaining stages of the
    longest recording, and at least all remaining stages, divided by how many run now.
    """
    pace = _measure_pace(progress)
    paces = [pace[name] for name in RECORDING_STAGES if name in pace]
    if not paces:
        return None
    mean = sum(paces) / len(paces)
    running = sum(stage.state == "running" for row in progress.rows for stage in row.stages.values())
    left = [
        sum(
            max(0.0, TYPICAL_S[name] * size * pace.get(name, mean) - (stage.seconds or 0))
            for name, stage in row.stages.items()
            if stage.state in ("waiting", "running")
        )
        for row, size in zip(progress.rows, _sizes(progress), strict=True)
    ]
    return max(*left, sum(left) / max(1, running))


def _measure_pace(progress: RunProgress) -> dict[str, float]:
    """Stage -> the seconds that it took in this run for a typical second and a megabyte."""
    taken: dict[str, float] = {}
    typical: dict[str, float] = {}
    for row, size in zip(progress.rows, _sizes(progress), strict=True):
        for name, stage in row.stages.items():
            if stage.state == "done" and stage.seconds and name in TYPICAL_S:
                taken[name] = taken.get(name, 0) + stage.seconds
                typical[name] = typical.get(name, 0) + TYPICAL_S[name] * size
    return {name: taken[name] / typical[name] for name in taken}


def _sizes(progress: RunProgress) -> Iterator[float]:
    """Megabytes of each row; a recording has at least a little work."""
    return (max(1.0, row.megabytes) for row in progress.rows)
