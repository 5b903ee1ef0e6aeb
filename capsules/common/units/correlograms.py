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


@numba.njit(nogil=True)
def count_pair_lags(
    counts: Integers, samples: Integers, starts: Integers, pairs: Integers, longest: int, bin_size: int
) -> None:
    """Add the lags of the spikes of one unit around those of another, for chosen pairs of units.

    The work grows with the spikes of the pairs, not with all spikes that fall into the window.

    Parameters
    ----------
    counts : array, (pairs, bins)
        Changed. Bin 0 begins with lag -`longest`.
    samples : array, (spikes,)
        Unit after unit, each in order of time.
    starts : array, (units + 1,)
        Where each unit's spikes begin in `samples`, and the end of the last.
    pairs : array, (pairs, 2)
        Indices of the reference unit and of the other; twice the same unit counts its autocorrelogram.
    longest : int
        Lags from -`longest` up to this are counted, without the last, in samples.
    bin_size : int
        In samples.
    """
    for pair in range(len(pairs)):
        reference, other = pairs[pair]
        first = starts[other]
        for spike in range(starts[reference], starts[reference + 1]):
            while first < starts[other + 1] and samples[first] < samples[spike] - longest:
                first += 1
            for neighbour in range(first, starts[other + 1]):
                lag = samples[neighbour] - samples[spike]
                if lag >= longest:
                    break
                if neighbour != spike:
                    counts[pair, (lag + longest) // bin_size] += 1
