"""The loops of the fused chain, compiled and free of Python's lock: threads run them side by side.

Traces that SpikeInterface gives are (samples, channels); the Fourier transforms work on (channels, samples), where
the samples of a channel lie together.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from capsules.common.recordings.medians import TILE, take_median

Floats = npt.NDArray[np.float32]

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
            reference = take_median(row)
        elif operator == AVERAGE:
            reference = np.float32(row.sum() / np.float32(row.size))
        for column in range(columns.size):
            value = (row[columns[column]] - reference) * scale
            if rounded:
                value = np.rint(min(max(value, np.float32(-32768)), np.float32(32767)))
            out[sample, column] = value
