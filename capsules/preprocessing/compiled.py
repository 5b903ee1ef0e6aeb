"""The loops of the fused chain, compiled and free of Python's lock: threads run them side by side.

Traces that SpikeInterface gives are (samples, channels); the Fourier transforms work on (channels, samples), where
the samples of a channel lie together.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

TILE = 64
"""Samples that are transposed together, so that they stay in the processor's cache."""
NO_REFERENCE, MEDIAN, AVERAGE = range(3)


@numba.njit(nogil=True)
def gather_channels(traces: npt.NDArray[Any], channels: npt.NDArray[np.int64], taper: Floats, rows: Floats) -> None:
    """Copy some channels into rows, from their first sample as zero, and let them begin and end at zero.

    Parameters
    ----------
    traces : array of integers, (samples, channels)
    channels : array, (rows,)
    taper : array, (tapered samples,)
        From 0 to 1; the first samples are multiplied by it, the last ones by its reverse.
    rows : array, (rows, at least samples)
        Written; zero beyond the samples.
    """
    samples, tapered = traces.shape[0], taper.size
    for start in range(0, samples, TILE):
        end = min(start + TILE, samples)
        for row in range(channels.size):
            channel = channels[row]
            zero = np.float32(traces[0, channel])
            for sample in range(start, end):
                rows[row, sample] = np.float32(traces[sample, channel]) - zero
    for row in range(channels.size):
        # A straight line from the first to the last sample would need no taper, but noise at both ends does.
        for sample in range(tapered):
            rows[row, sample] *= taper[sample]
            rows[row, samples - 1 - sample] *= taper[sample]
        rows[row, samples:] = 0


@numba.njit(nogil=True, fastmath=True)
def multiply_spectra(
    spectra: npt.NDArray[np.complex64], responses: npt.NDArray[np.complex64], kinds: npt.NDArray[np.int64]
) -> None:
    """Multiply each row, (rows, frequencies), in place by the response of its kind, (kinds, frequencies)."""
    for row in range(spectra.shape[0]):
        response = responses[kinds[row]]
        for frequency in range(spectra.shape[1]):
            spectra[row, frequency] *= response[frequency]


@numba.njit(nogil=True)
def scatter_channels(rows: Floats, first: int, column: int, traces: Floats) -> None:
    """Copy rows back into the columns of `traces`, (samples, channels), from `column` on and from sample `first` on."""
    for start in range(0, traces.shape[0], TILE):
        end = min(start + TILE, traces.shape[0])
        for row in range(rows.shape[0]):
            for sample in range(start, end):
                traces[sample, column + row] = rows[row, first + sample]


@numba.njit(nogil=True, fastmath=True)
def subtract_reference(
    traces: Floats, operator: int, columns: npt.NDArray[np.int64], gain: float, rounded: bool, out: npt.NDArray[Any]
) -> None:
    """Subtract the channels' median or average from each sample, scale, and round to the range of 16 bits.

    Parameters
    ----------
    traces : array, (samples, channels)
    operator : int
        NO_REFERENCE, MEDIAN or AVERAGE.
    columns : array, (columns of out,)
        The channels that are wanted; the reference is that of all.
    gain : float
    rounded : bool
        Round and clip; otherwise only scale.
    out : array, (samples, columns)
        Written.
    """
    scale = np.float32(gain)
    for sample in range(traces.shape[0]):
        row = traces[sample]
        reference = np.float32(0)
        if operator == MEDIAN:
            reference = median(row)
        elif operator == AVERAGE:
            reference = np.float32(row.sum() / np.float32(row.size))
        for column in range(columns.size):
            value = (row[columns[column]] - reference) * scale
            if rounded:
                value = np.rint(min(max(value, np.float32(-32768)), np.float32(32767)))
            out[sample, column] = value


NEWTON_STEPS = 4
DEVIATIONS_PER_RANK = np.float32(2.5066)
"""The inverse of the normal density at its median, sqrt(2 pi)."""


@numba.njit(nogil=True, fastmath=True)
def median(row: Floats) -> np.float32:
    """The median of many finite values: find a level with as many values below as above.

    A pass that counts the values below a level takes the processor eight values at a time, and a few passes are enough;
    sorting or partitioning compares one by one.
    """
    size = row.size
    total, squares = 0.0, 0.0
    for index in range(size):
        value = np.float64(row[index])
        total += value
        squares += value * value
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


@numba.njit(nogil=True, fastmath=True)
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
