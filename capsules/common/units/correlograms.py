"""Histograms of the lags between spikes, in compiled code free of Python's lock."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.integer[Any]]


@numba.njit(nogil=True)
def count_lags(counts: Integers, samples: Integers, units: Integers, longest: int, bin_size: int, middle: int) -> None:
    """Add the lags between all pairs of spikes to the correlograms of their units.

    Parameters
    ----------
    counts : array, (units, units, bins)
        Changed.
    samples, units : array, (spikes,)
        The spikes in order of time: sample and index of the unit.
    longest : int
        Lags from -`longest` up to this are counted, without the last, in samples.
    bin_size : int
        In samples.
    middle : int
        The bin that begins with lag 0.
    """
    start = 0
    for spike in range(samples.size):
        while samples[spike] - samples[start] > longest:
            start += 1
        for other in range(start, samples.size):
            lag = samples[spike] - samples[other]
            if lag < -longest:
                break
            if other != spike and lag != longest:
                counts[units[spike], units[other], middle + lag // bin_size] += 1


@numba.njit(nogil=True)
def count_own_lags(
    counts: Integers, samples: Integers, units: Integers, longest: int, bin_size: int, middle: int
) -> None:
    """Add the lags between the spikes of the same unit to its autocorrelogram; `counts` is (units, bins)."""
    start = 0
    for spike in range(samples.size):
        while samples[spike] - samples[start] > longest:
            start += 1
        for other in range(start, samples.size):
            lag = samples[spike] - samples[other]
            if lag < -longest:
                break
            if other != spike and lag != longest and units[other] == units[spike]:
                counts[units[spike], middle + lag // bin_size] += 1
