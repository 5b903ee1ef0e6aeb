"""The pulses of a sync line: bounces removed, regular or coded, and what is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Times = npt.NDArray[np.float64]

BOUNCE_S = 1e-3
"""Edges that follow each other faster are one edge: a contact bounces for less, and sync pulses last longer."""
REGULAR_FRACTION = 0.7
"""Of the intervals that are one or several periods. With 5 % of the pulses doubled, 0.9 are."""
NEIGHBOUR_FRACTION = 0.5
"""Of the intervals that are exactly one period."""
REGULAR_TOLERANCE = 0.02
"""How much an interval may differ from the period."""
NOISE_INTERVAL_S = 0.01
"""A line whose pulses follow each other faster in the median is noise of an unconnected input."""


@dataclass
class Pulses:
    """The pulses of one stream's sync line.

    `times_s` are the rising edges on the stream's own clock (s). `resolution_s` is one sample of the stream. `start_s`
    and `end_s` are those of the recording, `gaps_s` begin and end of its gaps. `start_is_known`: the clock counts from
    a zero that the streams share to within less than half a period; otherwise the offset is unknown.
    """

    stream: str
    times_s: Times
    resolution_s: float
    start_s: float
    end_s: float
    line: str | None = None
    gaps_s: list[tuple[float, float]] = field(default_factory=list)
    start_is_known: bool = False
    bounces: int = 0


def find_pulses(seconds: npt.ArrayLike, levels: npt.ArrayLike, resolution_s: float) -> tuple[Times, int]:
    """Find the pulses of a line.

    Parameters
    ----------
    seconds : array (edges,)
        When the first sample after each edge was taken (s).
    levels : array (edges,) of int
        The level after each edge.
    resolution_s : float
        One sample. An edge is between two samples, so in the mean half a sample before the second.

    Returns
    -------
    times_s : array (pulses,)
        The rising edges, in order.
    bounces : int
        How many rising edges were removed, because they repeat the one before them or follow within `BOUNCE_S`.
    """
    seconds, levels = np.asarray(seconds, dtype=float), np.asarray(levels) > 0
    if not len(seconds):
        return seconds, 0
    order = np.argsort(seconds, kind="stable")
    seconds, levels = seconds[order], levels[order]
    # A burst of edges is its first edge; where it ends at another level, it is a short pulse: its first and last edge.
    starts = np.flatnonzero(np.diff(seconds, prepend=-np.inf) > BOUNCE_S)
    ends = np.append(starts[1:], len(seconds)) - 1
    kept = np.zeros(len(seconds), dtype=bool)
    kept[starts] = True
    kept[ends[levels[ends] != levels[starts]]] = True
    rising = seconds[kept & levels]
    # Without an edge between them, two rising edges are one that was written twice, unless the falling edge was lost.
    return rising - resolution_s / 2, int(levels.sum()) - len(rising)


def estimate_period(times_s: Times) -> float | None:
    """The period of regular pulses (s); None where their intervals vary, or there are fewer than three."""
    if len(times_s) < 3:
        return None
    around_s = float(np.median(np.diff(times_s)))
    return refine_period(times_s, around_s) if is_regular(times_s, around_s) else None


def is_regular(times_s: Times, period_s: float) -> bool:
    """Whether most pulses follow each other by an integer number of periods, and many by one."""
    if len(times_s) < 2 or period_s <= 0:
        return False
    counts, clean = _count_periods(np.diff(times_s), period_s)
    # A pulse per second follows the last by 30 periods of a camera, but is none of its frames.
    return bool(clean.mean() >= REGULAR_FRACTION and (clean & (counts == 1)).mean() >= NEIGHBOUR_FRACTION)


def refine_period(times_s: Times, period_s: float) -> float:
    """The period (s) from the whole train, by the number of periods between neighbours."""
    intervals = np.diff(times_s)
    counts, clean = _count_periods(intervals, period_s)
    return float(intervals[clean].sum() / counts[clean].sum()) if clean.any() else period_s


def _count_periods(intervals: Times, period_s: float) -> tuple[Times, npt.NDArray[np.bool_]]:
    counts = np.rint(intervals / period_s)
    return counts, (counts > 0) & (np.abs(intervals - counts * period_s) < REGULAR_TOLERANCE * period_s)


def describe_noise(times_s: Times) -> str | None:
    """Why the line of these pulses is noise, or None."""
    if len(times_s) < 3 or np.median(np.diff(times_s)) > NOISE_INTERVAL_S:
        return None
    rate_hz = (len(times_s) - 1) / (times_s[-1] - times_s[0])
    return f"{len(times_s)} pulses, {rate_hz:.0f} per second: this is noise of an unconnected input, not a sync signal"
