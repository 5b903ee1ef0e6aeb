"""The map between two clocks through pairs of pulses: continuous and piecewise linear, apart from steps."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.linalg import solveh_banded

from capsules.common.sync.matching import estimate_slope, find_steps, flatten
from capsules.common.sync.pulses import Times

STRETCH_S = 60.0
"""Between knots: the rate of a quartz changes by temperature, over minutes."""
STRETCH_PAIRS = 30
"""Likewise: the mean of so many edges is known to a sixth of a sample."""
MAX_STRETCHES = 500
"""A job is a JSON text, so it must stay small."""
OUTLIER_SIGMAS = 5.0
TRIMS = 4
END_S = 600.0
"""The rate beyond the first and the last pulse is that of so much time before."""
JITTER_SIGMAS = 5.0
"""Of pulses that jitter by more than the samples, such as those that software has timed."""
MEDIAN_DIFFERENCE = 0.954
"""Median difference of two values of a normal distribution, in standard deviations."""
CLEAN_SAMPLES = 4
"""Pairs that are further from the median of their neighbours are left out when steps are detected."""
MIN_RUN = 4
"""Pairs without which a part between two steps is left out."""


@dataclass
class Fit:
    """The map between two clocks and how well the pulses fit it.

    `own_s` and `reference_s` are its knots on both clocks (s), `pairs` those that it was fitted to, `residuals_s`
    theirs (s), `outliers` how many pairs it leaves out. `steps` are the places of steps (own s) and their sizes (s).
    The pairs are from `first_s` to `last_s` (own s).
    """

    own_s: Times
    reference_s: Times
    pairs: npt.NDArray[np.intp]
    residuals_s: Times
    outliers: int
    steps: list[tuple[float, float]]
    drift_ppm: float
    first_s: float
    last_s: float


def fit_knots(
    own_s: Times,
    reference_s: Times,
    resolution_s: float,
    extent_s: tuple[float, float],
    gaps_s: list[tuple[float, float]],
) -> Fit:
    """Fit the map through pairs of pulses.

    Parameters
    ----------
    own_s, reference_s : array (pairs,)
        The same pulses on both clocks, increasing.
    resolution_s : float
        The samples of both streams together: edges are known to that.
    extent_s : (float, float)
        Start and end of the recording, by the stream's clock: the map is continued to them.
    gaps_s : list of (float, float)
        Begin and end of the recording's gaps. A step between two pulses with a gap between them is in the gap.
    """
    shifts_s = reference_s - own_s
    resolution_s = max(resolution_s, JITTER_SIGMAS * _estimate_jitter(own_s, shifts_s))
    clean = np.flatnonzero(_find_clean(own_s, shifts_s, resolution_s))
    steps = clean[find_steps(own_s[clean], shifts_s[clean], resolution_s)]
    bounds = [0, *steps.tolist(), len(own_s)]
    runs = [
        _fit_run(own_s, shifts_s, np.arange(first, end), resolution_s)
        for first, end in pairwise(bounds)
        if end - first >= min(MIN_RUN, len(own_s))
    ]
    lefts, rights, sizes = [extent_s[0]], [], []
    for run, following in pairwise(runs):
        right_s, left_s = _find_gap(run.last_s, following.first_s, gaps_s)
        sizes.append((right_s, float(following.shift(left_s) - run.shift(right_s))))
        rights.append(right_s)
        lefts.append(left_s)
    rights.append(extent_s[1])
    own = [run.list_knots(left_s, right_s) for run, left_s, right_s in zip(runs, lefts, rights, strict=True)]
    shifts = [run.shift(knots_s) for run, knots_s in zip(runs, own, strict=True)]
    pairs = np.concatenate([run.pairs for run in runs])
    changes_s = sum(float(np.ptp(knots_s)) for knots_s in own), sum(float(shift[-1] - shift[0]) for shift in shifts)
    return Fit(
        own_s=np.concatenate(own),
        reference_s=np.concatenate(own) + np.concatenate(shifts),
        pairs=pairs,
        residuals_s=np.concatenate([run.residuals_s for run in runs]),
        outliers=len(own_s) - len(pairs),
        steps=sizes,
        drift_ppm=1e6 * changes_s[1] / changes_s[0],
        first_s=runs[0].first_s,
        last_s=runs[-1].last_s,
    )


@dataclass
class _Run:
    """A stretch without a step: knots (own s, and difference of the clocks), the pairs they fit and their residuals."""

    own_s: Times
    shifts_s: Times
    pairs: npt.NDArray[np.intp]
    residuals_s: Times
    first_s: float
    last_s: float

    def shift(self, own_s: npt.ArrayLike) -> Times:
        """The difference of the clocks; beyond the ends with the mean rate of the nearest minutes."""
        own_s = np.asarray(own_s, dtype=float)
        shifts: Times = np.interp(own_s, self.own_s, self.shifts_s)
        for end, inner_s in (
            (0, min(self.own_s[0] + END_S, self.own_s[-1])),
            (-1, max(self.own_s[-1] - END_S, self.own_s[0])),
        ):
            edge_s = self.own_s[end]
            slope = (np.interp(inner_s, self.own_s, self.shifts_s) - self.shifts_s[end]) / (inner_s - edge_s)
            beyond = own_s < edge_s if end == 0 else own_s > edge_s
            shifts = np.where(beyond, self.shifts_s[end] + slope * (own_s - edge_s), shifts)
        return shifts

    def list_knots(self, left_s: float, right_s: float) -> Times:
        """The knots between two times, and these times."""
        inner = self.own_s[(self.own_s > left_s) & (self.own_s < right_s)]
        knots: Times = np.concatenate([[left_s], inner, [right_s]])
        return knots


def _fit_run(own_s: Times, shifts_s: Times, pairs: npt.NDArray[np.intp], resolution_s: float) -> _Run:
    """Fit a continuous line with knots by least squares, and leave out the pairs that are far from it."""
    used = pairs[_find_clean(own_s[pairs], shifts_s[pairs], resolution_s)]
    for _ in range(TRIMS):
        knots_s = _choose_knots(own_s[used])
        values = _solve(own_s[used], shifts_s[used], knots_s)
        residuals = shifts_s[pairs] - np.interp(own_s[pairs], knots_s, values)
        sigma_s = 1.4826 * float(np.median(np.abs(residuals[np.isin(pairs, used)])))
        near = pairs[np.abs(residuals) <= max(OUTLIER_SIGMAS * sigma_s, 2 * resolution_s)]
        if len(near) < 2 or np.array_equal(near, used):
            break
        used = near
    knots_s = _choose_knots(own_s[used])
    values = _solve(own_s[used], shifts_s[used], knots_s)
    residuals = shifts_s[used] - np.interp(own_s[used], knots_s, values)
    return _Run(knots_s, values, used, residuals, float(own_s[used[0]]), float(own_s[used[-1]]))


def _estimate_jitter(own_s: Times, shifts_s: Times) -> float:
    """The standard deviation of a pair (s), from the differences of neighbours."""
    flat = shifts_s - estimate_slope(own_s, shifts_s) * own_s
    return float(np.median(np.abs(np.diff(flat)))) / MEDIAN_DIFFERENCE


def _find_clean(own_s: Times, shifts_s: Times, resolution_s: float) -> npt.NDArray[np.bool_]:
    """Which pairs are near their neighbours; the first estimate, before there is a fit."""
    clean: npt.NDArray[np.bool_] = np.abs(shifts_s - flatten(own_s, shifts_s)) <= CLEAN_SAMPLES * resolution_s
    # Where the clocks drift a lot between two pulses, hardly any is.
    return clean if clean.mean() > 0.5 else np.ones(len(shifts_s), dtype=bool)


def _choose_knots(own_s: Times) -> Times:
    """Knots with enough time and pulses between them, from the first pulse to the last."""
    span_s = own_s[-1] - own_s[0]
    stretches = int(np.clip(min(span_s / STRETCH_S, len(own_s) / STRETCH_PAIRS), 1, MAX_STRETCHES))
    # By pulses and not by time: between two knots are pulses then, also next to a pause.
    knots: Times = own_s[np.unique(np.linspace(0, len(own_s) - 1, stretches + 1).round().astype(int))]
    return knots


def _solve(own_s: Times, shifts_s: Times, knots_s: Times) -> Times:
    """Least squares of hat functions at the knots: their products have three diagonals."""
    count = len(knots_s)
    stretch = (np.searchsorted(knots_s, own_s, side="right") - 1).clip(0, count - 2)
    later = (own_s - knots_s[stretch]) / np.diff(knots_s)[stretch]
    earlier = 1 - later
    # Of small numbers: the difference of two clocks can be hours.
    base_s = float(np.median(shifts_s))
    sides = shifts_s - base_s
    diagonal = np.bincount(stretch, earlier**2, count) + np.bincount(stretch + 1, later**2, count)
    above = np.append(0, np.bincount(stretch, earlier * later, count - 1))
    right = np.bincount(stretch, earlier * sides, count) + np.bincount(stretch + 1, later * sides, count)
    # A trace of smoothness, so that a stretch with a single pulse has a solution.
    values: Times = solveh_banded(np.stack([above, diagonal + 1e-9]), right) + base_s
    return values


def _find_gap(before_s: float, after_s: float, gaps_s: list[tuple[float, float]]) -> tuple[float, float]:
    """Where a step between two pulses is: in the gap between them, if any; otherwise anywhere."""
    inside = [gap for gap in gaps_s if before_s <= gap[0] and gap[1] <= after_s]
    return max(inside, key=lambda gap: gap[1] - gap[0]) if inside else (before_s, after_s)
