"""Histograms of the lags between spikes, in compiled code free of Python's lock."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.integer[Any]]


@numba.njit(nogil=True)
def count_lags(
    counts: Integers,
    samples: Integers,
    units: Integers,
    longest: int,
    bin_size: int,
    middle: int,
    own: bool = False,
) -> None:
    """Add the lags between all pairs of spikes to the correlograms of their units.

    Parameters
    ----------
    counts : array, (units, units, bins)
        Changed. With `own`: (units, 1, bins).
    samples, units : array, (spikes,)
        The spikes in order of time: sample and index of the unit.
    longest : int
        Lags from -`longest` up to this are counted, without the last, in samples.
    bin_size : int
        In samples.
    middle : int
        The bin that begins with lag 0.
    own : bool
        Count the lags between spikes of the same unit alone.
    """
    start = 0
    for spike in range(samples.size):
        while samples[spike] - samples[start] > longest:
            start += 1
        for other in range(start, samples.size):
            lag = samples[spike] - samples[other]
            if lag < -longest:
                break
            if other != spike and lag != longest and (not own or units[other] == units[spike]):
                counts[units[spike], 0 if own else units[other], middle + lag // bin_size] += 1


def count_own_lags(
    counts: Integers, samples: Integers, units: Integers, longest: int, bin_size: int, middle: int
) -> None:
    """Add the lags between the spikes of the same unit to its autocorrelogram; `counts` is (units, bins)."""
    count_lags(counts[:, np.newaxis], samples, units, longest, bin_size, middle, own=True)
