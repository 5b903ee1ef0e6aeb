"""The weights of SpikeInterface's grid convolution (0.105.3) in compiled code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from spikeinterface.postprocessing import localization_tools

Floats = npt.NDArray[np.floating[Any]]

NEGLIGIBLE = 30.0
"""A channel whose weight is less than the largest by this, as an exponent, changes no digit of the others."""
DEFAULT_DEPTHS_UM = np.linspace(0, 120.0, 5)

_plain_weights: Callable[..., Any] = localization_tools.get_convolution_weights


def speed_up_grid_weights() -> None:
    """Leave out the channels far from a template: SpikeInterface raises e to a power for every channel and template."""
    module: Any = localization_tools
    module.get_convolution_weights = _weigh


def _weigh(distances: Floats, mode: str = "exponential_3d", **settings: Any) -> tuple[Floats, Any]:
    """Weights, (depths, channels, templates), and the depths; by SpikeInterface's own function for other shapes."""
    if mode != "exponential_3d" or not set(settings) <= {"z_list_um", "sigma_3d", "sparsity_threshold"}:
        return _plain_weights(distances, mode=mode, **settings)  # type: ignore[no-any-return]
    depths_um = settings.get("z_list_um", DEFAULT_DEPTHS_UM)
    threshold = settings.get("sparsity_threshold")
    threshold = 0.5 / np.sqrt(len(distances)) if threshold is None else threshold
    weights = np.zeros((len(depths_um), *distances.shape), np.float32)
    depths = np.asarray(depths_um, np.float64)
    _fill(distances, distances.min(axis=0), depths, settings.get("sigma_3d", 2.5), threshold, weights)
    return weights, depths_um


@numba.njit(nogil=True)
def _fill(
    distances: Floats, nearest: Floats, depths: Floats, width: float, threshold: float, weights: npt.NDArray[np.float32]
) -> None:
    for depth in range(depths.size):
        least = np.sqrt(nearest**2 + depths[depth] ** 2)
        own = weights[depth]
        for channel in range(distances.shape[0]):
            for template in range(distances.shape[1]):
                distance = distances[channel, template]
                # Cheaper than the root that it saves: the root is never less than the distance.
                if distance - least[template] < NEGLIGIBLE * width:
                    distance = np.sqrt(distance**2 + depths[depth] ** 2)
                    if distance - least[template] < NEGLIGIBLE * width:
                        own[channel, template] = np.exp(-distance / width)
        _normalize(own)
        for channel in range(own.shape[0]):
            for template in range(own.shape[1]):
                if own[channel, template] < threshold:
                    own[channel, template] = 0
        _normalize(own)


@numba.njit(nogil=True)
def _normalize(weights: npt.NDArray[np.float32]) -> None:
    """Divide by the norm of each column, as SpikeInterface in float32: a column is zero whose squares are too small."""
    squares = np.zeros(weights.shape[1], np.float32)
    for row in range(weights.shape[0]):
        for column in range(weights.shape[1]):
            squares[column] += weights[row, column] * weights[row, column]
    norms = np.sqrt(squares)
    for row in range(weights.shape[0]):
        for column in range(weights.shape[1]):
            if norms[column] > 0:
                weights[row, column] /= norms[column]
            else:
                weights[row, column] = 0
