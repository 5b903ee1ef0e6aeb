"""Scale of its unit's template in each spike, in compiled code free of Python's lock.

The same fits as SpikeInterface's `amplitude_scalings` (0.105.3), which builds them spike by spike in Python.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.integer[Any]]
Mask = npt.NDArray[np.bool_]

DEPENDENT = 1e-14
"""A template that the others explain but for this fraction of its power is left out of a fit."""


@numba.njit(nogil=True)
def fit_scalings(
    traces: npt.NDArray[Any],
    samples: Integers,
    units: Integers,
    fitted: Integers,
    templates: Floats,
    channels: Mask,
    overlapping: Mask,
    window: tuple[int, int, int],
    distance: int,
    gains: Floats,
    offsets: Floats,
    scalings: Floats,
    colliding: Mask,
) -> None:
    """Fit the scale of a template in each spike, together with the spikes that overlap it.

    Parameters
    ----------
    traces : array, (samples, channels)
    samples, units : array, (spikes,)
        The spikes in these traces, in order of time: sample and index of the unit.
    fitted : array
        The spikes whose scale is fitted.
    templates : array, (units, samples, channels)
    channels : array, (units, channels)
        The channels that a unit's spikes are fitted on.
    overlapping : array, (units, units)
        Units that share channels.
    window : tuple
        Samples of the templates before the peak; and samples that are fitted, before the peak and from there on.
    distance : int
        Spikes that are nearer than this are fitted together; 0: each is fitted separately.
    gains, offsets : array, (channels,)
        From the numbers in the traces to those in the templates.
    scalings, colliding : array, (fitted spikes,)
        Written: the scale, and whether the spike overlaps others.
    """
    together = np.empty(samples.size, np.int64)
    for index in range(fitted.size):
        spike = fitted[index]
        together[0] = spike
        number = 1
        first, last = np.searchsorted(samples, samples[spike] - distance), samples.size
        for other in range(first, last):
            if samples[other] >= samples[spike] + distance:
                break
            if other != spike and overlapping[units[spike], units[other]]:
                together[number] = other
                number += 1
        colliding[index] = number > 1
        spikes = together[:number]
        design, values = _build(traces, samples, units, spikes, templates, channels, window, gains, offsets)
        if number > 1:
            scalings[index] = _fit_positive(_multiply(design, design), _multiply(design, values)[:, 0])[0]
        else:
            variance = _multiply(design, design)[0, 0]
            # SpikeInterface too leaves the scale of a template that is zero at zero.
            scalings[index] = _multiply(design, values)[0, 0] / variance if variance > 0 else 0.0


@numba.njit(nogil=True)
def _build(
    traces: npt.NDArray[Any],
    samples: Integers,
    units: Integers,
    spikes: Integers,
    templates: Floats,
    channels: Mask,
    window: tuple[int, int, int],
    gains: Floats,
    offsets: Floats,
) -> tuple[Floats, Floats]:
    """The templates of some spikes at their places, and the traces there: (spikes, values), (1, values), without mean."""
    template_before, before, after = window
    start = max(0, samples[spikes].min() - before)
    end = min(traces.shape[0], samples[spikes].max() + after)
    wanted = channels[units[spikes[0]]].copy()
    for spike in spikes[1:]:
        wanted |= channels[units[spike]]
    places = np.flatnonzero(wanted)
    width = places.size
    values = np.empty((1, (end - start) * width))
    for sample in range(start, end):
        for column in range(width):
            channel = places[column]
            values[0, (sample - start) * width + column] = traces[sample, channel] * gains[channel] + offsets[channel]
    design = np.zeros((spikes.size, values.shape[1]))
    for row in range(spikes.size):
        template = templates[units[spikes[row]]]
        shift = samples[spikes[row]] - start
        for sample in range(-before, after):
            place = shift + sample
            if 0 <= place < end - start:
                for column in range(width):
                    design[row, place * width + column] = template[template_before + sample, places[column]]
        design[row] -= design[row].mean()
    values[0] -= values[0].mean()
    return design, values


@numba.njit(nogil=True, fastmath={"contract", "reassoc"})
def _multiply(one: Floats, other: Floats) -> Floats:
    """The scalar products of the rows of two arrays."""
    products = np.empty((one.shape[0], other.shape[0]))
    for row in range(one.shape[0]):
        for column in range(other.shape[0]):
            total = 0.0
            for index in range(one.shape[1]):
                total += one[row, index] * other[column, index]
            products[row, column] = total
    return products


@numba.njit(nogil=True)
def _fit_positive(products: Floats, targets: Floats) -> Floats:
    """Least squares without negative coefficients, from the scalar products of the variables and with the target.

    Source: Lawson and Hanson, "Solving least squares problems" (1974), chapter 23.
    """
    size = targets.size
    coefficients, passive = np.zeros(size), np.zeros(size, np.bool_)
    for _ in range(3 * size):
        slopes = targets - products @ coefficients
        rejected = passive.copy()
        while True:
            entering = -1
            for index in range(size):
                if not rejected[index] and slopes[index] > 0 and (entering < 0 or slopes[index] > slopes[entering]):
                    entering = index
            if entering < 0:
                return coefficients
            passive[entering] = True
            solution, independent = _solve(products, targets, passive)
            if independent and solution[entering] > 0:
                break
            passive[entering] = False
            rejected[entering] = True
        while solution[passive].min() <= 0:
            step = 1.0
            for index in range(size):
                if passive[index] and solution[index] <= 0:
                    step = min(step, coefficients[index] / (coefficients[index] - solution[index]))
            for index in range(size):
                if passive[index]:
                    coefficients[index] += step * (solution[index] - coefficients[index])
                    if coefficients[index] <= 1e-15:
                        coefficients[index], passive[index] = 0.0, False
            if not passive.any():
                break
            solution, _ = _solve(products, targets, passive)
        for index in range(size):
            coefficients[index] = solution[index] if passive[index] else 0.0
    return coefficients


@numba.njit(nogil=True)
def _solve(products: Floats, targets: Floats, passive: Mask) -> tuple[Floats, bool]:
    """Solve for the passive variables by Cholesky's method; also whether they are independent of each other."""
    chosen = np.flatnonzero(passive)
    size = chosen.size
    factor, solved = np.zeros((size, size)), np.zeros(size)
    for row in range(size):
        for column in range(row + 1):
            value = products[chosen[row], chosen[column]]
            for index in range(column):
                value -= factor[row, index] * factor[column, index]
            if row > column:
                factor[row, column] = value / factor[column, column]
            elif value <= DEPENDENT * products[chosen[row], chosen[row]]:
                return np.zeros(targets.size), False
            else:
                factor[row, row] = np.sqrt(value)
        value = targets[chosen[row]]
        for index in range(row):
            value -= factor[row, index] * solved[index]
        solved[row] = value / factor[row, row]
    solution = np.zeros(targets.size)
    for row in range(size - 1, -1, -1):
        value = solved[row]
        for index in range(row + 1, size):
            value -= factor[index, row] * solution[chosen[index]]
        solution[chosen[row]] = value / factor[row, row]
    return solution, True
