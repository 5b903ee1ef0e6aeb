"""Medians and transposed traces, in compiled code free of Python's lock."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]

TILE = 64
"""Samples that are transposed together, so that they stay in the processor's cache."""
NEWTON_STEPS = 4
DEVIATIONS_PER_RANK = np.float32(2.5066)
"""The inverse of the normal density at its median, sqrt(2 pi)."""


# Sums in any order, but NaN stays NaN.
SUMS = {"reassoc", "contract", "nsz", "arcp"}


@numba.njit(nogil=True, fastmath=SUMS)
def take_median(row: Floats) -> np.float32:
    """The median of many values, NaN when one is NaN or infinite: find a level with as many values below as above.

    A pass that counts the values below a level takes the processor eight values at a time, and a few passes are enough;
    sorting or partitioning compares one by one.
    """
    size = row.size
    total, squares = 0.0, 0.0
    for index in range(size):
        value = np.float64(row[index])
        total += value
        squares += value * value
    if not np.isfinite(squares):
        return np.float32(np.nan)
    mean = total / size
    deviation = np.sqrt(max(squares / size - mean * mean, 0.0))
    # No median is further from the mean than the standard deviation; a little more covers the rounding.
    margin = 1.01 * deviation + 1e-5 * abs(mean) + 1e-30
    low, high, level = np.float32(mean - margin), np.float32(mean + margin), np.float32(mean)
    half = np.float32(0.5)
    # With an odd number the value itself is below the level or not.
    least, most = size // 2, size - size // 2
    step = np.float32(deviation) * DEVIATIONS_PER_RANK / np.float32(size)
    for attempt in range(256):
        count = np.float32(0)
        for index in range(size):
            count += np.float32(1) if row[index] < level else np.float32(0)
        below = int(count)
        if least <= below <= most:
            return _middle(row, level, below)
        if below < least:
            low = level
        else:
            high = level
        level += step * (half * np.float32(size) - count)
        if attempt >= NEWTON_STEPS or level <= low or level >= high:
            level = half * (low + high)
        if level <= low or level >= high:
            # Nothing is between them: several values equal the median.
            break
    return low


@numba.njit(nogil=True, fastmath=SUMS)
def _middle(row: Floats, level: np.float32, below: int) -> np.float32:
    """The median of a row, given a level with `below` values below, which is half of them."""
    largest_below, smallest_above = np.float32(-np.inf), np.float32(np.inf)
    for index in range(row.size):
        value = row[index]
        if value < level:
            largest_below = max(largest_below, value)
        else:
            smallest_above = min(smallest_above, value)
    if row.size % 2 == 0:
        return np.float32(0.5) * (largest_below + smallest_above)
    return smallest_above if below == row.size // 2 else largest_below


@numba.njit(nogil=True)
def take_medians(traces: Floats) -> npt.NDArray[np.float32]:
    """The median of each sample; `traces` is (samples, channels), finite float32, the result (samples,)."""
    medians = np.empty(traces.shape[0], np.float32)
    for sample in range(traces.shape[0]):
        medians[sample] = take_median(traces[sample])
    return medians


@numba.njit(nogil=True)
def transpose(traces: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Traces, (samples, channels), as float32 rows, (channels, samples)."""
    rows = np.empty((traces.shape[1], traces.shape[0]), np.float32)
    for start in range(0, traces.shape[0], TILE):
        for channel in range(traces.shape[1]):
            for sample in range(start, min(start + TILE, traces.shape[0])):
                rows[channel, sample] = traces[sample, channel]
    return rows


@numba.njit(nogil=True)
def smooth_by_median(values: npt.NDArray[np.float32], size: int) -> npt.NDArray[np.float32]:
    """The median of each value and its neighbours, `size` in all and fewer at both ends; (values,)."""
    smoothed, half = np.empty_like(values), size // 2
    for index in range(values.size):
        smoothed[index] = np.median(values[max(0, index - half) : index + half + 1])
    return smoothed
