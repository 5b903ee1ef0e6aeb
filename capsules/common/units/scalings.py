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
ZERO = 1e-15
"""Coefficients up to this are zero but for rounding."""


@numba.njit(nogil=True)
def fit_scalings(
    traces: npt.NDArray[Any],
    samples: Integers,
    units: Integers,
    wanted: Integers,
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
    wanted : array
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
    scalings, colliding : array, (wanted spikes,)
        Written: the scale, and whether the spike overlaps others.
    """
    together = np.empty(samples.size, np.int64)
    # Reused for all spikes.
    memory = np.empty(0)
    _, before, after = window
    for index in range(wanted.size):
        spike = wanted[index]
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
        needed = (number + 1) * (before + after + 2 * distance) * traces.shape[1]
        if memory.size < needed:
            memory = np.empty(needed)
        design, values = _build(memory, traces, samples, units, spikes, templates, channels, window, gains, offsets)
        products, targets = _multiply(design, values)
        if number > 1:
            scalings[index] = _fit_positive(products, targets)[0]
        else:
            # SpikeInterface too leaves the scale of a template that is zero at zero.
            scalings[index] = targets[0] / products[0, 0] if products[0, 0] > 0 else 0.0


@numba.njit(nogil=True)
def _build(
    memory: Floats,
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
    """The templates of some spikes at their places, (spikes, values), the traces there, (values,); without means."""
    template_before, before, after = window
    start = max(0, samples[spikes].min() - before)
    end = min(traces.shape[0], samples[spikes].max() + after)
    used = channels[units[spikes[0]]].copy()
    for spike in spikes[1:]:
        used |= channels[units[spike]]
    places = np.flatnonzero(used)
    width = places.size
    size = (end - start) * width
    values = memory[:size]
    for sample in range(start, end):
        for column in range(width):
            channel = places[column]
            values[(sample - start) * width + column] = traces[sample, channel] * gains[channel] + offsets[channel]
    design = memory[size : size * (spikes.size + 1)].reshape((spikes.size, size))
    design[:] = 0
    for row in range(spikes.size):
        template = templates[units[spikes[row]]]
        shift = samples[spikes[row]] - start
        for sample in range(-before, after):
            place = shift + sample
            if 0 <= place < end - start:
                for column in range(width):
                    design[row, place * width + column] = template[template_before + sample, places[column]]
        design[row] -= design[row].mean()
    values -= values.mean()
    return design, values


@numba.njit(nogil=True, fastmath={"contract", "reassoc"})
def _multiply(design: Floats, values: Floats) -> tuple[Floats, Floats]:
    """The scalar products of the rows of a design, (rows, rows), and of each with the values, (rows,)."""
    products, targets = np.empty((design.shape[0], design.shape[0])), np.empty(design.shape[0])
    for row in range(design.shape[0]):
        total = 0.0
        for index in range(values.size):
            total += design[row, index] * values[index]
        targets[row] = total
        for column in range(row + 1):
            total = 0.0
            for index in range(values.size):
                total += design[row, index] * design[column, index]
            products[row, column] = products[column, row] = total
    return products, targets


@numba.njit(nogil=True)
def _fit_positive(products: Floats, targets: Floats) -> Floats:
    """Least squares without negative coefficients, from the scalar products of the variables and with the target.

    Source: Lawson and Hanson, "Solving least squares problems" (1974), chapter 23.
    """
    size = targets.size
    coefficients, passive = np.zeros(size), np.zeros(size, np.bool_)
    for _ in range(3 * size):
        solution, added = _add_variable(products, targets, coefficients, passive)
        if not added:
            break
        while solution[passive].min() <= 0:
            _step_towards(solution, coefficients, passive)
            if not passive.any():
                break
            solution, _ = _solve(products, targets, passive)
        coefficients = np.where(passive, solution, 0.0)
    return coefficients


@numba.njit(nogil=True)
def _add_variable(products: Floats, targets: Floats, coefficients: Floats, passive: Mask) -> tuple[Floats, bool]:
    """Add the variable that reduces the error most; the solution with it, and whether there is such a variable."""
    slopes = targets - products @ coefficients
    slopes[passive] = 0
    while slopes.max() > 0:
        entering = slopes.argmax()
        passive[entering] = True
        solution, independent = _solve(products, targets, passive)
        if independent and solution[entering] > 0:
            return solution, True
        passive[entering] = False
        slopes[entering] = 0
    return coefficients, False


@numba.njit(nogil=True)
def _step_towards(solution: Floats, coefficients: Floats, passive: Mask) -> None:
    """Move the coefficients towards a solution until one is zero, which is passive no more."""
    step = 1.0
    for index in range(solution.size):
        if passive[index] and solution[index] <= 0:
            step = min(step, coefficients[index] / (coefficients[index] - solution[index]))
    for index in range(solution.size):
        if passive[index]:
            coefficients[index] += step * (solution[index] - coefficients[index])
            if coefficients[index] <= ZERO:
                coefficients[index], passive[index] = 0.0, False


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
