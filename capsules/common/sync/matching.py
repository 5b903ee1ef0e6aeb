"""Pairs of pulses: which pulse of one stream is which pulse of another, followed from a coarse offset."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from capsules.common.sync.offsets import MAX_DRIFT_PPM, MIN_MATCHES, find_coded_offset, find_mode, nearest
from capsules.common.sync.pulses import Times

FOLLOWED = 32
"""Pulses that are matched at a time, following the line through those before."""
COARSE_S = 5e-3
"""How far coded pulses may be from the line that is continued to them."""
COARSE_PERIODS = 0.1
"""Likewise regular ones, in periods."""
SPREAD_S = 1e-3
"""How far pulses may be from their line within a window."""
MIN_UNMATCHED = 3
"""Pulses in a row without a partner: of fewer, the reference may have missed the partners."""
JUMP_FRACTION = 0.7
"""Of these, that have the same phase after a jump."""
MAX_SPREAD_S = 5e-3
"""Likewise, in a long window."""
STEP_SIDES = 3
"""Pairs on either side of a step that show it."""
SLOPE_PAIRS = 30
STEP_PPM = 5.0
"""A change of the rate between two pulses that does not count as a step."""

Pairs = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]
"""Indices of the own and of the reference pulses, equally many, both increasing."""


@dataclass
class Match:
    """Pairs of pulses, and where the phase of regular pulses jumps (own s, s): whole periods may be lost there."""

    pairs: Pairs
    jumps: list[tuple[float, float]] = field(default_factory=list)


@dataclass
class _Line:
    """The difference of the clocks, reference minus own: `shift_s` at `at_s`, growing by `slope` per own second."""

    at_s: float
    shift_s: float
    slope: float = 0.0

    def predict(self, own_s: Times) -> Times:
        return own_s + self.shift_s + self.slope * (own_s - self.at_s)


class Follower:
    """Matches one train to another, window by window, from a known offset on."""

    def __init__(self, own_s: Times, reference_s: Times, resolution_s: float, period_s: float | None):
        self.own_s, self.reference_s = own_s, reference_s
        self.resolution_s, self.period_s = resolution_s, period_s
        self.own: list[npt.NDArray[np.intp]] = []
        self.reference: list[npt.NDArray[np.intp]] = []
        self.jumps: list[tuple[float, float]] = []

    def match(self, offset_s: float, at_s: float) -> Match:
        """Match all pulses, from the offset at an own time to both ends."""
        first = int(np.searchsorted(self.own_s, at_s)) // FOLLOWED * FOLLOWED
        forward = [slice(start, start + FOLLOWED) for start in range(first, len(self.own_s), FOLLOWED)]
        backward = [slice(start, start + FOLLOWED) for start in range(first - FOLLOWED, -1, -FOLLOWED)]
        start = _Line(at_s, offset_s)
        # Once for the rate alone: without it, the pulses of a long window are spread.
        for window in forward[:1]:
            start = self._follow(window, start)
            self.own, self.reference, self.jumps = [], [], []
        for windows in (forward, backward):
            line = start
            for window in windows:
                line = self._follow(window, line)
        pairs = self._complete(_order(self.own, self.reference, self.own_s, self.reference_s))
        if len(pairs[0]):
            for run in self._list_unmatched(pairs[0]):
                neighbour = np.abs(pairs[0] - run[0]).argmin()
                at_s = float(self.own_s[pairs[0][neighbour]])
                shift_s = float(self.reference_s[pairs[1][neighbour]]) - at_s
                self._find_again(run, _Line(at_s, shift_s))
            self.own.append(pairs[0])
            self.reference.append(pairs[1])
            pairs = self._complete(_order(self.own, self.reference, self.own_s, self.reference_s))
        return Match(pairs, self.jumps)

    def _list_unmatched(self, own: npt.NDArray[np.intp]) -> list[npt.NDArray[np.intp]]:
        """Runs of pulses without a partner, each long enough to be seen as a jump of a clock."""
        left = np.setdiff1d(np.arange(len(self.own_s)), own)
        runs = np.split(left, np.flatnonzero(np.diff(left) > 1) + 1)
        return [run for run in runs if len(run) >= MIN_UNMATCHED]

    def _complete(self, pairs: Pairs) -> Pairs:
        """Add the pulses of windows whose other pulses were matched by another line, on the other side of a step."""
        own, reference = pairs
        left = np.setdiff1d(np.arange(len(self.own_s)), own)
        if len(own) < STEP_SIDES or not len(left):
            return pairs
        shifts_s = self.reference_s[reference] - self.own_s[own]
        slope = estimate_slope(self.own_s[own], shifts_s)
        shifts_s = flatten(self.own_s[own], shifts_s, slope)
        after = np.searchsorted(own, left)
        added_own, added_reference = [own], [reference]
        for neighbour in (after - 1, after):
            valid = (neighbour >= 0) & (neighbour < len(own))
            # The shift well before or after it: the nearest ones are medians over both sides of a step.
            beyond = np.where(neighbour < after, neighbour - STEP_SIDES, neighbour + STEP_SIDES).clip(0, len(own) - 1)
            away_s = self.own_s[left] - self.own_s[own[beyond]]
            predicted = self.own_s[left] + shifts_s[beyond] + slope * away_s
            partners = nearest(predicted, self.reference_s)
            reach_s = 3 * self.resolution_s + STEP_PPM * 1e-6 * np.abs(away_s)
            chosen = valid & (np.abs(self.reference_s[partners] - predicted) < reach_s)
            chosen &= ~np.isin(partners, reference)
            added_own.append(left[chosen])
            added_reference.append(partners[chosen])
        return _order(added_own, added_reference, self.own_s, self.reference_s)

    def _follow(self, window: slice, line: _Line) -> _Line:
        """Match a window by a line, and return the line through it; where nothing matches, the same line."""
        indices = np.arange(len(self.own_s))[window]
        predicted = line.predict(self.own_s[indices])
        inside = (predicted > self.reference_s[0] - SPREAD_S) & (predicted < self.reference_s[-1] + SPREAD_S)
        indices, predicted = indices[inside], predicted[inside]
        if not len(indices):
            return line
        partners = nearest(predicted, self.reference_s)
        off = self.reference_s[partners] - predicted
        away_s = float(np.abs(self.own_s[indices] - line.at_s).max())
        coarse_s = COARSE_S if self.period_s is None else COARSE_PERIODS * self.period_s
        reach_s = min(coarse_s + MAX_DRIFT_PPM * 1e-6 * away_s, 0.25 * (self.period_s or np.inf))
        spread_s = min(SPREAD_S + MAX_DRIFT_PPM * 1e-6 * float(np.ptp(self.own_s[indices])), MAX_SPREAD_S, reach_s)
        chosen = _densest(off, reach_s, spread_s)
        if len(indices) >= MIN_MATCHES and chosen.sum() < 0.3 * len(indices):
            return self._find_again(indices, line)
        if not chosen.any():
            return line
        self.own.append(indices[chosen])
        self.reference.append(partners[chosen])
        return self._fit(self.own[-1], self.reference[-1], line)

    def _find_again(self, indices: npt.NDArray[np.intp], line: _Line) -> _Line:
        """Where the pulses leave the line: a clock has jumped, by samples that were lost and not counted."""
        own_s = self.own_s[indices]
        if self.period_s is None:
            offset = find_coded_offset(own_s, self.reference_s, self.resolution_s)
            if offset.seconds is None:
                return line
            start = _Line(offset.at_s, offset.seconds, line.slope)
            predicted = start.predict(own_s)
            partners = nearest(predicted, self.reference_s)
            chosen = _densest(self.reference_s[partners] - predicted, COARSE_S, SPREAD_S)
            self.own.append(indices[chosen])
            self.reference.append(partners[chosen])
            return self._fit(self.own[-1], self.reference[-1], start)
        predicted = line.predict(own_s)
        inside = (predicted > self.reference_s[0] - self.period_s) & (predicted < self.reference_s[-1] + self.period_s)
        if inside.sum() < MIN_UNMATCHED:
            return line
        predicted = predicted[inside]
        off = self.reference_s[nearest(predicted, self.reference_s)] - predicted
        spread_s = SPREAD_S + MAX_DRIFT_PPM * 1e-6 * float(np.ptp(own_s))
        phase = find_mode(off, self.period_s, min(spread_s, 0.02 * self.period_s), JUMP_FRACTION)
        # The reference may miss these pulses: then the phase is right.
        if phase is None or abs(phase) < COARSE_S + MAX_DRIFT_PPM * 1e-6 * abs(float(own_s[0]) - line.at_s):
            return line
        self.jumps.append((float(own_s[0]), phase))
        return _Line(line.at_s, line.shift_s + phase, line.slope)

    def _fit(self, own: npt.NDArray[np.intp], reference: npt.NDArray[np.intp], before: _Line) -> _Line:
        """A robust line through pairs; of few pairs, their median with the slope that the line had before."""
        own_s, shifts_s = self.own_s[own], self.reference_s[reference] - self.own_s[own]
        at_s = float(np.median(own_s))
        slope = before.slope
        if len(own) >= FOLLOWED // 2:
            halves = [np.arange(len(own)) < len(own) // 2, np.arange(len(own)) >= len(own) // 2]
            (early_s, late_s), (early, late) = (
                [float(np.median(values[half])) for half in halves] for values in (own_s, shifts_s)
            )
            limit = MAX_DRIFT_PPM * 1e-6
            slope = float(np.clip((late - early) / (late_s - early_s), -limit, limit)) if late_s > early_s else slope
        return _Line(at_s, float(np.median(shifts_s - slope * (own_s - at_s))), slope)


def _densest(off: Times, reach_s: float, spread_s: float) -> npt.NDArray[np.bool_]:
    """Which differences are in the interval of `spread_s` with most of them, within reach; the nearest of equals."""
    within = np.sort(off[np.abs(off) < reach_s])
    if not len(within):
        return np.zeros(len(off), dtype=bool)
    counts = np.searchsorted(within, within + spread_s, side="right") - np.arange(len(within))
    starts = within[counts == counts.max()]
    start = starts[np.abs(starts).argmin()]
    chosen: npt.NDArray[np.bool_] = (off >= start) & (off <= start + spread_s)
    return chosen


def _order(
    own: list[npt.NDArray[np.intp]], reference: list[npt.NDArray[np.intp]], own_s: Times, reference_s: Times
) -> Pairs:
    """The pairs of all windows, one to one and in order: of two with the same reference pulse, the likelier stays."""
    if not own:
        return np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.intp)
    own_indices, reference_indices = np.concatenate(own), np.concatenate(reference)
    order = np.argsort(own_indices, kind="stable")
    own_indices, reference_indices = own_indices[order], reference_indices[order]
    shifts_s = reference_s[reference_indices] - own_s[own_indices]
    # A doubled edge has the same partner as its pulse, and is further from its neighbours' shift.
    off = np.abs(shifts_s - flatten(own_s[own_indices], shifts_s))
    best = np.lexsort((off, reference_indices))
    kept = best[np.diff(reference_indices[best], prepend=-1) > 0]
    kept = np.sort(kept)
    forward = np.diff(np.maximum.accumulate(reference_indices[kept]), prepend=-1) > 0
    kept = kept[forward]
    return own_indices[kept], reference_indices[kept]


def running_median(values: Times) -> Times:
    """The median of each value and its neighbours; at the ends, that of the nearest ones that have all neighbours."""
    half = min(STEP_SIDES, (len(values) - 1) // 2)
    medians = np.median(np.lib.stride_tricks.sliding_window_view(values, 2 * half + 1), axis=1)
    padded: Times = np.pad(medians, (half, len(values) - len(medians) - half), mode="edge")
    return padded


def estimate_slope(own_s: Times, shifts_s: Times) -> float:
    """The median rate at which the difference of the clocks grows, over many pulses: single ones are coarse."""
    lag = max(1, min(SLOPE_PAIRS, len(own_s) // 2))
    slopes = (shifts_s[lag:] - shifts_s[:-lag]) / (own_s[lag:] - own_s[:-lag])
    # Those across a step are not rates.
    slopes = slopes[np.abs(slopes) < MAX_DRIFT_PPM * 1e-6]
    return float(np.median(slopes)) if len(slopes) else 0.0


def flatten(own_s: Times, shifts_s: Times, slope: float | None = None) -> Times:
    """The running median of the differences of the clocks, without the change by a constant drift."""
    drift_s = (estimate_slope(own_s, shifts_s) if slope is None else slope) * (own_s - own_s[0])
    medians: Times = running_median(shifts_s - drift_s) + drift_s
    return medians


def find_steps(own_s: Times, shifts_s: Times, resolution_s: float) -> npt.NDArray[np.intp]:
    """The pairs before which the difference of the clocks steps: samples were lost and not counted.

    Parameters
    ----------
    own_s, shifts_s : array (pairs,)
        Own times and differences to the reference (s), without outliers.
    resolution_s : float
    """
    if len(own_s) < 2 * STEP_SIDES:
        return np.zeros(0, dtype=np.intp)
    slope = estimate_slope(own_s, shifts_s)
    flat = shifts_s - slope * own_s
    windows = np.lib.stride_tricks.sliding_window_view(flat, STEP_SIDES)
    middle = np.median(windows, axis=1)
    before, after = middle[:-STEP_SIDES], middle[STEP_SIDES:]
    places = np.arange(STEP_SIDES, len(own_s) - STEP_SIDES + 1)
    between_s = own_s[places + STEP_SIDES - 1] - own_s[places - STEP_SIDES]
    size = np.abs(after - before)
    is_step = size > 3 * resolution_s + STEP_PPM * 1e-6 * between_s
    # Of neighbouring places, the one where the two pairs themselves differ most.
    steps: list[int] = []
    apart = np.abs(np.diff(flat))
    for group in np.split(np.flatnonzero(is_step), np.flatnonzero(np.diff(np.flatnonzero(is_step)) > 1) + 1):
        if len(group):
            steps.append(int(places[group][apart[places[group] - 1].argmax()]))
    return np.asarray(steps, dtype=np.intp)
