"""Isolation of units in the space of principal components: the metrics of SpikeInterface (0.105.3), faster.

SpikeInterface compares every spike near a unit with every other one, to find its nearest neighbours. Here a spike of
another unit is first compared with its own unit's spikes and with the spikes of the measured unit: when enough of the
first are nearer than all of the second, the measured unit has none of its nearest neighbours. Only the others are
compared with all spikes.

The discriminant analysis needs the covariances of spikes alone, not the singular values of all spikes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist
from scipy.special import chdtr
from spikeinterface.metrics.quality.pca_metrics import silhouette_score

Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.integer[Any]]

ROWS = 512
"""Spikes that are compared with all others at once: this limits the memory."""
LEAST_SINGULAR_VALUE = 1e-4
"""Smaller singular values are left out, as scikit-learn's discriminant analysis does by default (`tol`)."""
UNDEFINED = float("nan")


@dataclass(frozen=True)
class Neighbourhood:
    """The spikes of a unit and of the units near it, on the unit's channels.

    Attributes
    ----------
    own : array, (spikes, features)
    others : sequence of array, (spikes, features)
        For each other unit with spikes.
    order : array, (spikes,)
        The place of each spike of `others`, one unit after another, in the order of all of them in time.
    """

    own: Floats
    others: Sequence[Floats]
    order: Integers

    @property
    def units(self) -> int:
        """Number of units with spikes."""
        return len(self.others) + bool(len(self.own))


@np.errstate(all="ignore")
def compute_mahalanobis(near: Neighbourhood) -> tuple[float, float]:
    """Isolation distance and L-ratio.

    Source: Schmitzer-Torbert et al., "Quantitative measures of cluster quality" (2005), as in SpikeInterface.
    """
    spikes, features = near.own.shape
    number = min(spikes, sum(map(len, near.others)))
    if number < 2:
        return UNDEFINED, UNDEFINED
    try:
        inverse = np.linalg.inv(np.cov(near.own.T))
    except np.linalg.LinAlgError:
        return UNDEFINED, UNDEFINED
    # In the precision of the components, as SpikeInterface.
    mean = near.own.astype("float32").mean(axis=0, keepdims=True).astype(float)
    parts = []
    for other in near.others:
        if spikes <= features + 1:
            # The covariance is singular but for rounding, so that the result depends on the order of the sums.
            parts.append(cdist(mean, other, "mahalanobis", VI=inverse)[0] ** 2)
        else:
            offsets = other - mean
            parts.append(np.einsum("sf,sf->s", offsets @ inverse, offsets))
    squares = np.concatenate(parts)
    l_ratio = np.sum(1 - chdtr(features, squares)) / spikes
    return float(np.partition(squares, number - 1)[number - 1]), float(l_ratio)


@np.errstate(all="ignore")
def compute_d_prime(near: Neighbourhood) -> float:
    """Distance between the unit and the others along the axis of the linear discriminant analysis.

    Source: Hill et al., "Quality metrics to accompany spike sorting of extracellular signals" (2011).
    """
    if not len(near.own) or not near.others:
        return UNDEFINED
    others = np.concatenate(near.others)
    means = near.own.mean(axis=0), others.mean(axis=0)
    scatters = [offsets.T @ offsets for offsets in (near.own - means[0], others - means[1])]
    within = (scatters[0] + scatters[1]) / (len(near.own) + len(others))
    deviations = np.sqrt(np.diag(within))
    deviations[deviations == 0] = 1
    variances, axes = np.linalg.eigh(within / np.outer(deviations, deviations))
    kept = variances > LEAST_SINGULAR_VALUE**2
    distance = means[0] - means[1]
    axis = (axes[:, kept] @ (axes[:, kept].T @ (distance / deviations) / variances[kept])) / deviations
    spreads = [
        axis @ scatter @ axis / len(spikes) for scatter, spikes in zip(scatters, (near.own, others), strict=True)
    ]
    return float(axis @ distance / np.sqrt(sum(spreads) / 2))


def compute_nearest_neighbor(near: Neighbourhood, max_spikes: int, n_neighbors: int) -> tuple[float, float]:
    """Hit rate and miss rate: the share of nearest neighbours that are the unit's, for its spikes and for the others'.

    Source: Chung et al., "A fully automated approach to spike sorting" (2017).

    Parameters
    ----------
    near : Neighbourhood
        With several units.
    max_spikes : int
        Of more spikes, this number is compared.
    n_neighbors : int
    """
    own, groups = _draw(near, max_spikes)
    total = len(own) + sum(map(len, groups))
    if n_neighbors >= total:
        return UNDEFINED, UNDEFINED
    spikes = np.concatenate([own, *groups])
    squares = np.einsum("sf,sf->s", spikes, spikes)
    nearest = np.full(total, np.inf)
    hits = misses = 0
    for start in range(0, len(own), ROWS):
        products = own[start : start + ROWS] @ spikes.T
        _reduce_to_nearest(products, squares, start, nearest)
        hits += _count_neighbours(products, squares, np.arange(start, start + len(products)), len(own), n_neighbors)
    unclear = [np.zeros(0, int)]
    start = len(own)
    for group in groups:
        within = slice(start, start + len(group))
        far = _find_unclear(group @ group.T, squares[within], nearest[within], n_neighbors)
        unclear.append(far + start)
        start += len(group)
    for rows in _in_parts(np.concatenate(unclear)):
        misses += _count_neighbours(spikes[rows] @ spikes.T, squares, rows, len(own), n_neighbors)
    others = total - len(own)
    return (
        hits / (n_neighbors * len(own)) if len(own) else UNDEFINED,
        misses / (n_neighbors * others) if others else UNDEFINED,
    )


def _draw(near: Neighbourhood, max_spikes: int) -> tuple[Floats, list[Floats]]:
    """The spikes of the unit and those of each group of others; evenly drawn when there are more than `max_spikes`."""
    number, total = len(near.own), len(near.own) + len(near.order)
    ratio = max_spikes / total
    if ratio >= 1:
        return near.own, list(near.others)
    drawn = np.arange(0, total - 1, 1 / ratio).astype(int)
    # SpikeInterface counts the first ones as the unit's, which may differ by one from those that are.
    first, rest = drawn[: int(number * ratio)], drawn[int(number * ratio) :]
    spikes = np.concatenate([near.own, *near.others])
    places = np.append(np.arange(number), number + np.argsort(near.order))
    owners = np.repeat(np.arange(len(near.others) + 1), [number, *map(len, near.others)])
    groups = [spikes[places[rest][owners[places[rest]] == owner]] for owner in range(len(near.others) + 1)]
    return spikes[places[first]], [group for group in groups if len(group)]


def _in_parts(rows: Integers) -> list[Integers]:
    return [rows[start : start + ROWS] for start in range(0, len(rows), ROWS)]


@np.errstate(all="ignore")
def compute_silhouette(near: Neighbourhood) -> float:
    """Simplified silhouette score: distances to the units' centroids.

    Source: Hruschka et al., "Evolutionary search for optimal fuzzy c-means clustering" (2004), as in SpikeInterface.
    """
    if not len(near.own) or not near.others:
        return UNDEFINED
    centroids = np.array([spikes.mean(axis=0) for spikes in (near.own, *near.others)])
    own, *others = cdist(centroids, near.own)
    other = min(others, key=lambda distances: float(distances.mean()))
    return float(np.mean((other - own) / np.maximum(other, own)))


def compute_full_silhouette(near: Neighbourhood) -> float:
    """Silhouette score from the distances between all pairs of spikes, by SpikeInterface's own function.

    It fails (0.105.3) unless the nearest unit has as many spikes: SpikeInterface then leaves the score undefined.
    """
    if not len(near.own) or not near.others:
        return UNDEFINED
    parts = [near.own, *near.others]
    labels = np.repeat(np.arange(len(parts)), list(map(len, parts)))
    try:
        return float(silhouette_score(np.concatenate(parts), labels, 0))
    except ValueError:
        return UNDEFINED


@numba.njit(nogil=True)
def _reduce_to_nearest(products: Floats, squares: Floats, first: int, nearest: Floats) -> None:
    """Reduce `nearest`, each spike's least distance from a spike of some rows, which begin at the spike `first`.

    A distance is given as its square without the square of the spike's own length.
    """
    for row in range(products.shape[0]):
        length = squares[first + row]
        for spike in range(nearest.size):
            nearest[spike] = min(nearest[spike], length - 2 * products[row, spike])


@numba.njit(nogil=True)
def _find_unclear(products: Floats, squares: Floats, limits: Floats, number: int) -> Integers:
    """The spikes of a unit that have fewer than `number` other spikes of the unit nearer than their limit."""
    places = np.empty(limits.size, np.int64)
    size = 0
    for row in range(limits.size):
        nearer = 0
        for spike in range(limits.size):
            if spike != row and squares[spike] - 2 * products[row, spike] < limits[row]:
                nearer += 1
                if nearer == number:
                    break
        if nearer < number:
            places[size] = row
            size += 1
    return places[:size]


@numba.njit(nogil=True)
def _count_neighbours(products: Floats, squares: Floats, spikes: Integers, owned: int, number: int) -> int:
    """Count how many of the nearest neighbours of some spikes are among the first `owned` spikes.

    Parameters
    ----------
    products : array, (rows, spikes)
        Scalar products of the rows' spikes and all spikes.
    squares : array, (spikes,)
    spikes : array, (rows,)
        The spike of each row, which is not its own neighbour.
    owned : int
    number : int
        Neighbours of a spike.
    """
    distances, places = np.empty(number), np.empty(number, np.int64)
    count = 0
    for row in range(products.shape[0]):
        distances[:] = np.inf
        places[:] = squares.size
        for spike in range(squares.size):
            distance = squares[spike] - 2 * products[row, spike]
            if distance < distances[-1] and spike != spikes[row]:
                place = number - 1
                while place > 0 and distances[place - 1] > distance:
                    distances[place], places[place] = distances[place - 1], places[place - 1]
                    place -= 1
                distances[place], places[place] = distance, spike
        for place in range(number):
            count += places[place] < owned
    return count
