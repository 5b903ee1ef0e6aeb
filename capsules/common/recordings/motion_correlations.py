"""Correlations of the peaks' depths between bins of time, from which DREDge estimates the motion, without torch.

After DREDge (Windolf et al., Nature Methods 2025) as SpikeInterface has it: for every two bins of time, the weighted
Pearson correlation of their histograms over depth at each shift, and the shift at which it is largest. SpikeInterface
multiplies matrices for each shift; here Fourier transforms of stretches of depth give all shifts at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
import scipy.fft
from scipy.linalg import toeplitz
from threadpoolctl import threadpool_limits

Floats = npt.NDArray[np.float32]
Spectra = npt.NDArray[np.complex64]

BLOCK = 512
"""Bins of time whose distance to others is that of their block, as in SpikeInterface."""
ROWS = 128
"""Of a block, so many bins are one piece of work for a thread."""
ROWS_AT_ONCE = 16
"""Of a piece, so many bins are in memory with all shifts: 20 MB."""


@dataclass(frozen=True)
class Window:
    """What is compared in a window of depths.

    Attributes
    ----------
    templates : array, (bins of time, depths)
        Histograms over the depths of the window.
    histograms : array, (other bins of time, more depths)
        Histograms over the window's depths and those to which it can move.
    weights : array, (depths,)
        Weight of each depth of the window.
    shifts : array, (more depths + 2 * padding - depths + 1,)
        Displacement at each place of the window in the histograms.
    padding : int
        Empty depths to add to each side of the histograms.
    """

    templates: Floats
    histograms: Floats
    weights: Floats
    shifts: npt.NDArray[np.number]
    padding: int


def correlate_windows(
    windows: Sequence[Window], max_bins_apart: int | None = None, threads: int = 1
) -> tuple[Floats, Floats]:
    """Find the shift at which each histogram correlates best with each template, in each window.

    Parameters
    ----------
    windows : sequence of Window
        Of the same bins of time.
    max_bins_apart : int, optional
        Blocks of bins that are further apart keep zeros.
    threads : int

    Returns
    -------
    displacements, correlations : float32 arrays, (windows, bins of time, other bins of time)
    """
    size = len(windows), len(windows[0].templates), len(windows[0].histograms)
    displacements, correlations = np.zeros(size, np.float32), np.zeros(size, np.float32)

    def correlate(index: int, rows: slice, columns: slice) -> None:
        window = windows[index]
        best, correlation = _find_best_places(
            window.templates[rows], window.histograms[columns], window.weights, window.padding, len(window.shifts)
        )
        displacements[index, rows, columns] = window.shifts[best]
        correlations[index, rows, columns] = correlation

    pieces = list(_list_pieces(size[1], size[2], max_bins_apart))
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        works = [pool.submit(correlate, index, *piece) for index in range(len(windows)) for piece in pieces]
        for work in works:
            work.result()
    return displacements, correlations


def _list_pieces(rows: int, columns: int, max_bins_apart: int | None) -> Iterator[tuple[slice, slice]]:
    for first in range(0, rows, BLOCK):
        for other in range(0, columns, BLOCK):
            apart = min(abs(first - other), abs(first + BLOCK - other), abs(first - other - BLOCK))
            if not max_bins_apart or apart <= max_bins_apart:
                for row in range(first, min(first + BLOCK, rows), ROWS):
                    yield slice(row, min(row + ROWS, first + BLOCK)), slice(other, other + BLOCK)


def _find_best_places(
    templates: Floats, histograms: Floats, weights: Floats, padding: int, places: int
) -> tuple[npt.NDArray[np.int32], Floats]:
    """The place with the largest correlation, and that, for each template (rows) and histogram (columns)."""
    padded, weighted = np.pad(histograms, ((0, 0), (padding, padding))), templates * weights
    # Weights that are beyond the histograms' ends do not count.
    inside = np.pad(np.ones(histograms.shape[1], np.float32), padding)
    counted = np.lib.stride_tricks.sliding_window_view(inside, len(weights)).T
    totals = weights @ counted
    scale = np.divide(1, totals, out=np.zeros_like(totals), where=totals > 0)
    left = _describe(weighted @ counted * scale, (templates * weighted) @ counted * scale)
    weights_by_place = toeplitz(np.pad(weights, (0, places - 1)), np.pad(weights[:1], (0, places - 1)))
    right = _describe(padded @ weights_by_place * scale, np.square(padded) @ weights_by_place * scale)
    length, left_spectra, right_spectra = _transform(weighted, padded, places)
    size = len(templates), len(histograms)
    best, largest = np.zeros(size, np.int32), np.full(size, -np.inf, np.float32)
    for row in range(0, size[0], ROWS_AT_ONCE):
        rows = slice(row, row + ROWS_AT_ONCE)
        spectra = left_spectra[:, rows] @ right_spectra
        products = scipy.fft.irfft(spectra, n=length, axis=0, overwrite_x=True)[:places]
        _keep_largest(products, scale, left[:, :, rows], right, best[rows], largest[rows])
    return best, largest


def _describe(means: Floats, squares: Floats) -> Floats:
    """Weighted mean and one over the standard deviation, (2, places, bins); 0 for a constant histogram."""
    variances = squares - np.square(means)
    known = variances > 0
    inverse = np.sqrt(np.divide(1, variances, out=np.zeros_like(variances), where=known))
    return np.ascontiguousarray(np.stack([means, inverse]).transpose(0, 2, 1))


def _transform(weighted: Floats, padded: Floats, places: int) -> tuple[int, Spectra, Spectra]:
    """Spectra of stretches of depth: summed over the stretches, their products are those of the sums at all places.

    Returns
    -------
    length : int
        Of the transforms.
    templates : array, (frequencies, templates, stretches)
        Conjugated.
    histograms : array, (frequencies, stretches, histograms)
    """
    depths = weighted.shape[1]
    length = scipy.fft.next_fast_len(min(depths, places) + places - 1, real=True)
    step = length - places + 1
    starts = range(0, depths, step)
    missing = starts[-1] + length - padded.shape[1]
    padded = np.pad(padded, ((0, 0), (0, max(0, missing))))
    templates = np.stack([scipy.fft.rfft(weighted[:, start : start + step], n=length).conj() for start in starts])
    histograms = np.stack([scipy.fft.rfft(padded[:, start : start + length]) for start in starts])
    return length, np.ascontiguousarray(templates.transpose(2, 1, 0)), histograms.transpose(2, 0, 1).copy()


@numba.njit(nogil=True)
def _keep_largest(
    products: Floats, scale: Floats, left: Floats, right: Floats, best: npt.NDArray[np.int32], largest: Floats
) -> None:
    """Turn weighted sums of products, (places, rows, columns), into correlations; keep the largest and its place.

    `scale` is one over the sum of the weights; `left`, (2, places, rows), and `right`, (2, places, columns), are the
    means and one over the standard deviations.
    """
    for place in range(products.shape[0]):
        for row in range(products.shape[1]):
            mean, inverse, own = left[0, place, row], left[1, place, row], scale[place]
            for column in range(products.shape[2]):
                covariance = products[place, row, column] * own - mean * right[0, place, column]
                correlation = covariance * inverse * right[1, place, column]
                if correlation > largest[row, column]:
                    largest[row, column] = correlation
                    best[row, column] = place
