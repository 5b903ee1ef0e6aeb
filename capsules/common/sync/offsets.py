"""The coarse offset between the pulses of two streams, or that it is ambiguous."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.signal import correlate  # type: ignore[attr-defined]  # scipy fills this namespace at run time

from capsules.common.sync.pulses import Times

WINDOW = 64
"""Pulses that are compared at a time."""
WINDOWS = 8
"""Places of a train that are tried, evenly spaced."""
ANCHORS = 8
"""Pulses of a window that are paired with each pulse of the reference: one of them is missing in neither."""
MAX_DRIFT_PPM = 300.0
"""Clocks of instruments differ by less than 100 ppm."""
MIN_MATCHES = 4
MIN_FRACTION = 0.5
"""Of the pulses of a window, at the right offset."""
CERTAIN_FRACTION = 0.8
"""Of the pulses of a window: at an offset that matches more of them, no other window is tried."""
RIVAL = 0.6
"""An offset is unique where every other one has fewer matches than this part of those that it has."""
MAX_PHASE = 0.4
"""In periods. Clocks that differ by more could as well be one period off the other way."""


@dataclass
class Offset:
    """How much later the pulses are on the reference clock (s), around `at_s` of the own clock; None: unknown."""

    seconds: float | None
    at_s: float = 0.0
    ambiguous: bool = False
    reason: str = ""


def nearest(times_s: Times, reference_s: Times) -> npt.NDArray[np.intp]:
    """The index of the reference pulse that is nearest to each time; the reference has at least one."""
    after = np.searchsorted(reference_s, times_s).clip(1, max(len(reference_s) - 1, 1))
    if len(reference_s) == 1:
        return np.zeros(len(times_s), dtype=np.intp)
    nearer = times_s - reference_s[after - 1] < reference_s[after] - times_s
    chosen: npt.NDArray[np.intp] = after - nearer
    return chosen


def list_windows(count: int) -> list[slice]:
    """Stretches of a train of so many pulses, evenly spaced, its first and last pulses among them."""
    size = min(WINDOW, count)
    starts = np.unique(np.linspace(0, count - size, WINDOWS).astype(int))
    return [slice(start, start + size) for start in starts.tolist()]


def find_coded_offset(own_s: Times, reference_s: Times, resolution_s: float) -> Offset:
    """The offset at which the pattern of intervals matches.

    The windows are of the shorter train, since the longer one need not overlap it everywhere.
    """
    if np.ptp(own_s) > np.ptp(reference_s):
        swapped = find_coded_offset(reference_s, own_s, resolution_s)
        if swapped.seconds is None:
            return swapped
        return Offset(-swapped.seconds, swapped.at_s + swapped.seconds)
    best = Offset(None, reason="no offset fits: the pulses of the two lines have different intervals")
    most = 0
    for window in list_windows(len(own_s)):
        offset, matches = _search(own_s[window], reference_s, resolution_s)
        # An offset that is ambiguous in one place, where pulses are regular for a while, can be unique in another.
        if (offset.seconds is not None, matches) > (best.seconds is not None, most):
            best, most = offset, matches
        if offset.seconds is not None and matches > CERTAIN_FRACTION * WINDOW:
            break
    return best


def _search(window_s: Times, reference_s: Times, resolution_s: float) -> tuple[Offset, int]:
    tolerance_s = 3 * resolution_s + MAX_DRIFT_PPM * 1e-6 * float(np.ptp(window_s))
    anchors = window_s[np.unique(np.linspace(0, len(window_s) - 1, ANCHORS).astype(int))]
    candidates = np.unique(np.subtract.outer(reference_s, anchors))
    # Of candidates within a third of the tolerance of each other, the first does.
    candidates = candidates[np.diff(np.floor(candidates / (tolerance_s / 3)), prepend=-np.inf) > 0]
    scores = np.concatenate(
        [_count_matches(window_s, reference_s, part, tolerance_s) for part in np.array_split(candidates, 50)]
    )
    best = int(scores.argmax())
    if scores[best] < max(MIN_MATCHES, MIN_FRACTION * len(window_s)):
        return Offset(None, reason="no offset fits: the pulses of the two lines have different intervals"), 0
    around = np.abs(candidates - candidates[best]) < 4 * tolerance_s
    # A rival that is only a tolerance away is the same offset.
    rivals = scores[~around]
    if len(rivals) and rivals.max() > RIVAL * scores[best]:
        return Offset(None, ambiguous=True, reason="several offsets fit equally well"), int(scores[best])
    at_best = candidates[around & (scores == scores[best])]
    return Offset(float(np.median(at_best)), float(window_s.mean())), int(scores[best])


def _count_matches(window_s: Times, reference_s: Times, offsets: Times, tolerance_s: float) -> npt.NDArray[np.intp]:
    times = (window_s + offsets[:, None]).ravel()
    if not len(times):
        return np.zeros(0, dtype=np.intp)
    off = np.abs(reference_s[nearest(times, reference_s)] - times).reshape(len(offsets), -1)
    counts: npt.NDArray[np.intp] = (off < tolerance_s).sum(axis=1)
    return counts


def find_phase(own_s: Times, reference_s: Times, period_s: float, expected_s: float) -> Offset:
    """The offset of regular pulses nearest to the expected one, from the earliest pulses that both have.

    Clocks drift from when they were started, so that the expected offset is best at the beginning.
    """
    shared = own_s[(own_s + expected_s > reference_s[0] - period_s) & (own_s + expected_s < reference_s[-1] + period_s)]
    if len(shared) < MIN_MATCHES:
        return Offset(None, reason="the two lines have no pulses at the same time")
    first_s = shared[:WINDOW]
    off = reference_s[nearest(first_s + expected_s, reference_s)] - first_s - expected_s
    phase = find_mode(off, period_s, 0.02 * period_s)
    if phase is None:
        return Offset(None, reason="the pulses of the two lines have different phases")
    if abs(phase) > MAX_PHASE * period_s:
        reason = f"the clocks differ by {phase:.3f} s, about half a period of {period_s:.4g} s"
        return Offset(None, ambiguous=True, reason=reason)
    return Offset(expected_s + phase, float(first_s.mean()))


def find_mode(values: Times, period_s: float, width_s: float, fraction: float = MIN_FRACTION) -> float | None:
    """The value from -period/2 to period/2 (s) that this fraction of values has, modulo the period, or None."""
    wrapped = np.sort((values + period_s / 2) % period_s - period_s / 2)
    twice = np.concatenate([wrapped, wrapped + period_s])
    ends = np.searchsorted(twice, wrapped + width_s, side="right")
    counts = ends - np.arange(len(wrapped))
    best = int(counts.argmax())
    if counts[best] < fraction * len(values):
        return None
    mode = float(np.median(twice[best : ends[best]]))
    return (mode + period_s / 2) % period_s - period_s / 2


def compare_shifts(own_s: Times, reference_s: Times, period_s: float) -> tuple[int | None, int]:
    """Compare shifts by whole periods: at which do the missing pulses of regular trains agree?

    Parameters
    ----------
    own_s, reference_s : array (pulses,)
        On one clock, up to a number of periods.
    period_s : float

    Returns
    -------
    shift : int or None
        In periods, to be added to the own times; None where the pattern does not decide.
    mismatches : int
        Pulses that only one of the trains has, without a shift.
    """
    start_s = min(own_s[0], reference_s[0])
    own, reference = (
        np.bincount(np.rint((times - start_s) / period_s).astype(int)).clip(max=1).astype(float)
        for times in (own_s, reference_s)
    )
    inside = [np.zeros(len(present)) for present in (own, reference)]
    for mask, present in zip(inside, (own, reference), strict=True):
        mask[np.flatnonzero(present)[0] :] = 1
    both, only_own, only_reference, overlap = (
        np.rint(correlate(second, first, method="fft"))
        for first, second in (
            (own, reference),
            (own, inside[1]),
            (inside[0], reference),
            (inside[0], inside[1]),
        )
    )
    shifts = np.arange(len(overlap)) - (len(own) - 1)
    mismatches = only_own + only_reference - 2 * both
    unshifted = int(mismatches[shifts == 0][0])
    possible = overlap >= 0.2 * overlap.max()
    best = int(np.where(possible, mismatches / overlap.clip(min=1), np.inf).argmin())
    rivals = mismatches[possible & (shifts != shifts[best])]
    if len(rivals) and rivals.min() >= 3 * mismatches[best] + 8:
        return int(shifts[best]), unshifted
    return None, unshifted
