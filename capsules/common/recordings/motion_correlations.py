"""Correlations of the peaks' depths between bins of time, from which DREDge estimates the motion, without torch.

After DREDge (Windolf et al., Nature Methods 2025) as SpikeInterface has it: for every two bins of time, the weighted
Pearson correlation of their histograms over depth at each shift, and the shift at which it is largest.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

BLOCK = 512
"""Bins of time that are compared at once."""


def correlate_histograms(
    templates: npt.ArrayLike,
    histograms: npt.ArrayLike,
    weights: npt.ArrayLike,
    shifts: npt.NDArray[np.number],
    padding: int,
    max_bins_apart: int | None = None,
) -> tuple[Floats, Floats]:
    """Find the shift at which each histogram correlates best with each template.

    Parameters
    ----------
    templates : array, (depths, bins of time)
        Histograms over the depths of one window.
    histograms : array, (more depths, other bins of time)
        Histograms over the window's depths and those to which it can move.
    weights : array, (depths,)
        Weight of each depth of the window.
    shifts : array, (more depths + 2 * padding - depths + 1,)
        Displacement at each place of the window in the histograms.
    padding : int
        Empty depths to add to each side of the histograms.
    max_bins_apart : int, optional
        Blocks of bins that are further apart keep zeros.

    Returns
    -------
    displacements, correlations : float32 arrays, (bins of time, other bins of time)
    """
    wanted, searched = (np.asarray(array, np.float32).T for array in (templates, histograms))
    weight = np.asarray(weights, np.float32)
    size = len(wanted), len(searched)
    displacements, correlations = np.zeros(size, np.float32), np.zeros(size, np.float32)
    for first in range(0, size[0], BLOCK):
        for other in range(0, size[1], BLOCK):
            apart = min(abs(first - other), abs(first + BLOCK - other), abs(first - other - BLOCK))
            if max_bins_apart and apart > max_bins_apart:
                continue
            block = slice(first, first + BLOCK), slice(other, other + BLOCK)
            best, correlation = _find_best_places(wanted[block[0]], searched[block[1]], weight, padding, len(shifts))
            displacements[block], correlations[block] = shifts[best], correlation
    return displacements, correlations


def _find_best_places(
    templates: Floats, histograms: Floats, weights: Floats, padding: int, places: int
) -> tuple[npt.NDArray[np.intp], Floats]:
    """The place with the largest correlation, and that, for each template (rows) and histogram (columns)."""
    length = len(weights)
    padded = np.pad(histograms, ((0, 0), (padding, padding)))
    inside = np.pad(np.ones(histograms.shape[1], np.float32), padding)
    size = len(templates), len(histograms)
    best, largest = np.zeros(size, np.intp), np.full(size, -np.inf, np.float32)
    # With a column for the means, one matrix product gives the correlations.
    left, right = np.empty((size[0], length + 1), np.float32), np.empty((size[1], length + 1), np.float32)
    last = np.empty(0, np.float32)
    for place in range(places):
        part, weight = padded[:, place : place + length], weights * inside[place : place + length]
        total = weight.sum()
        if total == 0:
            _keep_larger(np.zeros(size, np.float32), place, best, largest)
            continue
        weight /= total
        if not np.array_equal(weight, last):
            _standardize(templates, weight, left)
            left[:, :length] *= weight
            last = weight
        _standardize(part, weight, right)
        right[:, length] *= -1
        _keep_larger(left @ right.T, place, best, largest)
    return best, largest


@numba.njit(nogil=True)
def _keep_larger(values: Floats, place: int, best: npt.NDArray[np.intp], largest: Floats) -> None:
    """Keep the values that are larger than the largest so far, and their place."""
    for row in range(values.shape[0]):
        for column in range(values.shape[1]):
            if values[row, column] > largest[row, column]:
                largest[row, column] = values[row, column]
                best[row, column] = place


def _standardize(histograms: Floats, weights: Floats, out: Floats) -> None:
    """Divide by the weighted standard deviation; the weighted means, divided likewise, become the last column."""
    means = histograms @ weights
    variances = np.square(histograms) @ weights - np.square(means)
    variances[variances <= 0] = 1
    deviations = np.sqrt(variances)
    np.divide(histograms, deviations[:, None], out=out[:, :-1])
    out[:, -1] = means / deviations
