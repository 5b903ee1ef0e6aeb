"""How long a run still takes, from what its finished tasks took."""

from __future__ import annotations

from collections.abc import Iterator

from capsules.commands.live_progress import RunProgress
from capsules.commands.measured_rates import choose_rate
from capsules.common.contract import RECORDING_STAGES

USUAL_SORTER = "spykingcircus2"
"""Whose rate compares the sorting with the other stages until this run has sorted a recording."""


def estimate_left_s(progress: RunProgress) -> float | None:
    """Seconds that a run still takes; None before the first stage of a recording has ended.

    A stage takes as long as it took for this run's other recordings, by their size; a stage that none has done takes
    as long as it was measured to take, compared with those that are done. The run takes at least the remaining stages
    of the longest recording, and at least all remaining stages, divided by how many run now.
    """
    pace = _measure_pace(progress)
    paces = [pace[name] for name in RECORDING_STAGES if name in pace]
    if not paces:
        return None
    mean = sum(paces) / len(paces)
    running = sum(stage.state == "running" for row in progress.rows for stage in row.stages.values())
    left = [
        sum(
            max(0.0, expect_seconds(name, size) * pace.get(name, mean) - (stage.seconds or 0))
            for name, stage in row.stages.items()
            if stage.state in ("waiting", "running")
        )
        for row, size in zip(progress.rows, _sizes(progress), strict=True)
    ]
    return max(*left, sum(left) / max(1, running))


def expect_seconds(stage: str, megabytes: float) -> float:
    """Seconds of a stage on one core, as measured."""
    rate = choose_rate(stage, USUAL_SORTER)
    assert rate is not None
    return rate.seconds(megabytes, 1)


def _measure_pace(progress: RunProgress) -> dict[str, float]:
    """Stage -> the seconds that it took in this run for each second that it was measured to take."""
    taken: dict[str, float] = {}
    expected: dict[str, float] = {}
    for row, size in zip(progress.rows, _sizes(progress), strict=True):
        for name, stage in row.stages.items():
            if stage.state == "done" and stage.seconds:
                taken[name] = taken.get(name, 0) + stage.seconds
                expected[name] = expected.get(name, 0) + expect_seconds(name, size)
    return {name: taken[name] / expected[name] for name in taken}


def _sizes(progress: RunProgress) -> Iterator[float]:
    """Megabytes of each row; a recording has at least a little work."""
    return (max(1.0, row.megabytes) for row in progress.rows)
