"""SpikeInterface's quality metrics in the space of principal components (0.105.3): the same results, faster."""

from __future__ import annotations

import warnings
from collections import namedtuple
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
from spikeinterface import SortingAnalyzer
from spikeinterface.metrics.quality import pca_metrics
from spikeinterface.metrics.quality.quality_metrics import ComputeQualityMetrics

from capsules.common.tasks.resources import count_cores
from capsules.common.units.isolation import (
    UNDEFINED,
    Neighbourhood,
    compute_d_prime,
    compute_full_silhouette,
    compute_mahalanobis,
    compute_nearest_neighbor,
    compute_silhouette,
)
from capsules.common.units.spike_groups import split_by_unit

METRICS = (pca_metrics.Mahalanobis, pca_metrics.DPrime, pca_metrics.NearestNeighbor, pca_metrics.Silhouette)
RESULTS = "isolation"
"""Where SpikeInterface's data for these metrics has their results."""

Row = dict[str, float]


def speed_up_isolation_metrics() -> None:
    """Compute the metrics of the principal components unit by unit, in threads.

    SpikeInterface keeps a copy of the components near each unit, of all units at once, which takes gigabytes with
    hundreds of units. It computes them on one core.
    """
    if METRICS[0].metric_function.__module__ == __name__:
        return
    prepare = ComputeQualityMetrics._prepare_data
    ComputeQualityMetrics._prepare_data = _prepare(prepare)  # type: ignore[method-assign]  # the patch
    for metric in METRICS:
        metric.metric_function = staticmethod(_look_up(list(metric.metric_columns)))


def _prepare(plain: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    def prepare(
        metrics: Any, sorting_analyzer: SortingAnalyzer, unit_ids: Iterable[Any] | None = None
    ) -> dict[str, Any]:
        components = sorting_analyzer.get_extension("principal_components")
        names = {metric.metric_name for metric in METRICS}.intersection(metrics.params["metric_names"])
        asked = metrics.params["metric_names"]
        try:
            # The others need no copies.
            metrics.params["metric_names"] = [name for name in asked if name not in names]
            prepared: dict[str, Any] = plain(metrics, sorting_analyzer, unit_ids)
        finally:
            metrics.params["metric_names"] = asked
        if names and components is not None:
            units = list(sorting_analyzer.unit_ids if unit_ids is None else unit_ids)
            prepared[RESULTS] = _compute(sorting_analyzer, units, names, metrics.params["metric_params"])
        return prepared

    return prepare


def _look_up(columns: Sequence[str]) -> Callable[..., Any]:
    """The function of a metric whose columns are computed already."""
    result = namedtuple("IsolationResult", columns)  # type: ignore[misc]  # SpikeInterface's interface

    def look_up(sorting_analyzer: SortingAnalyzer, unit_ids: Iterable[Any], tmp_data: Any, **settings: Any) -> Any:
        rows = tmp_data[RESULTS]
        return result(*({unit: rows[unit][column] for unit in unit_ids} for column in columns))

    look_up.__module__ = __name__
    return look_up


def _compute(
    analyzer: SortingAnalyzer, units: Sequence[Any], names: set[str], settings: dict[str, Any]
) -> dict[Any, Row]:
    """Unit -> column -> value."""
    spikes = _Components(analyzer)
    with ThreadPoolExecutor(count_cores()) as threads:
        rows = threads.map(lambda unit: _compute_unit(spikes.collect(unit), unit, names, settings), units)
        table = dict(zip(units, rows, strict=True))
    if len(units) == 1 and "d_prime" in names:
        # SpikeInterface leaves it undefined when it computes a single unit.
        table[units[0]]["d_prime"] = UNDEFINED
    return table


def _compute_unit(near: Neighbourhood, unit: Any, names: set[str], settings: dict[str, Any]) -> Row:
    row: Row = {}
    if "mahalanobis" in names:
        row["isolation_distance"], row["l_ratio"] = compute_mahalanobis(near)
    if "d_prime" in names:
        row["d_prime"] = compute_d_prime(near)
    if "nearest_neighbor" in names:
        if near.units == 1:
            warnings.warn(f"Unit {unit} has no other units near it: nn_hit_rate = 1 and nn_miss_rate = 0", stacklevel=2)
            row["nn_hit_rate"], row["nn_miss_rate"] = 1.0, 0.0
        else:
            row["nn_hit_rate"], row["nn_miss_rate"] = compute_nearest_neighbor(near, **settings["nearest_neighbor"])
    if "silhouette" in names:
        full = settings["silhouette"].get("method", "simplified") == "full"
        row["silhouette"] = compute_full_silhouette(near) if full else compute_silhouette(near)
    return row


class _Components:
    """The principal components of an analyzer's spikes, by unit."""

    def __init__(self, analyzer: SortingAnalyzer):
        self.projections = analyzer.get_extension("principal_components").data["pca_projection"]
        spikes = analyzer.get_extension("random_spikes").get_random_spikes()
        units = len(analyzer.unit_ids)
        self.rows = split_by_unit(spikes["unit_index"], units)
        self.indices = {unit: index for index, unit in enumerate(analyzer.unit_ids)}
        self.main_channels = analyzer.get_main_channels(outputs="index", with_dict=False)
        sparsity = analyzer.sparsity
        self.mask = np.ones((units, analyzer.get_num_channels()), bool) if sparsity is None else sparsity.mask

    def collect(self, unit: Any) -> Neighbourhood:
        """The spikes near a unit; near are the units whose main channel is one of the unit's channels."""
        index = self.indices[unit]
        near = np.flatnonzero(self.mask[index][self.main_channels])
        others = [other for other in near if other != index and len(self.rows[other])]
        own = self._take(index, index) if index in near else self._take(index, index)[:0]
        rows = np.concatenate([np.zeros(0, int), *(self.rows[other] for other in others)])
        order = np.empty(len(rows), int)
        order[np.argsort(rows)] = np.arange(len(rows))
        return Neighbourhood(own, [self._take(int(other), index) for other in others], order)

    def _take(self, unit: int, target: int) -> npt.NDArray[np.float64]:
        """The components of a unit's spikes on another's channels, zero where the unit has none: (spikes, features)."""
        if self.projections.ndim == 2:
            # Those of all channels together.
            return np.asarray(self.projections[self.rows[unit]], float)
        theirs, wanted = np.flatnonzero(self.mask[unit]), np.flatnonzero(self.mask[target])
        common, source, place = np.intersect1d(theirs, wanted, assume_unique=True, return_indices=True)
        taken = np.zeros((len(self.rows[unit]), self.projections.shape[1], len(wanted)))
        if len(common):
            taken[:, :, place] = self.projections[self.rows[unit]][:, :, source]
        return taken.reshape(len(taken), taken.shape[1] * taken.shape[2])
