"""What the report and the figures show of the spike trains, computed once from all spikes of each unit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from spikeinterface import SortingAnalyzer

from capsules.common.recordings.peaks import is_located
from capsules.common.units.correlograms import count_pair_lags
from capsules.common.units.spike_groups import split_by_unit

BIN_MS = 0.5
"""Bins of the correlograms: a refractory period of 1 to 2 ms spans several."""
AUTO_BINS, CROSS_BINS = 100, 50
"""Bins of a correlogram on either side of lag 0."""
RATE_BINS, DEPTH_BINS = 120, 60
AMPLITUDE_SHAPE = (24, 60)
"""Bins of amplitude and of time."""
EDGE_PERCENTILES = (0.5, 99.5)
REFRACTORY_MS = 1.0
"""When the metrics, which have this as a parameter, were not computed. It is their default."""

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class TimeBins:
    """Bins of equal width that cover a recording."""

    count: int
    width_s: float

    def indices(self, seconds: Array) -> Array:
        """The bin of each time."""
        return np.minimum((seconds / self.width_s).astype(np.int64), self.count - 1)


@dataclass(frozen=True)
class Correlograms:
    """Counts of lags, (units or pairs, bins), with lag 0 between the two middle bins."""

    counts: Array
    width_ms: float

    @property
    def start_ms(self) -> float:
        return float(-self.width_ms * self.counts.shape[1] / 2)


@dataclass(frozen=True)
class AmplitudeDensity:
    """Number of spikes by amplitude and time, (units, amplitude bins, time bins), and each unit's range of amplitudes.

    Few spikes are far from all others; they are counted in the first and the last bin of amplitude.
    """

    counts: Array
    lowest: Array
    highest: Array
    times: TimeBins


class SpikeStatistics:
    """Statistics of the spikes of an analyzer's units; time counts from the analyzer's first sample.

    Parameters
    ----------
    analyzer : SortingAnalyzer
        Of one segment.

    Attributes
    ----------
    ids : list of str
        Of the units.
    trains : list of array
        Samples of each unit's spikes.
    amplitudes, depths_um : list of array, or None
        Of each unit's spikes, where the extension was computed. The depth is NaN where the triangulation failed.
    """

    def __init__(self, analyzer: SortingAnalyzer):
        self.rate_hz = float(analyzer.sampling_frequency)
        self.duration_s = float(analyzer.get_total_duration())
        self.ids = [str(unit) for unit in analyzer.unit_ids]
        self.units = len(self.ids)
        spikes = np.asarray(analyzer.sorting.to_spike_vector())
        places = split_by_unit(spikes["unit_index"], self.units)
        self.trains: list[Array] = [spikes["sample_index"][chosen].astype(np.int64) for chosen in places]
        self.spikes = np.array(list(map(len, self.trains)), dtype=np.int64)
        self.amplitudes = _split(analyzer, "spike_amplitudes", places)
        self.depths_um = _split_depths(analyzer, places)
        self.refractory_ms = find_refractory_ms(analyzer)

    def bins(self, most: int) -> TimeBins:
        """At most so many bins of time, none shorter than a second unless the recording is."""
        count = min(most, max(1, int(self.duration_s)))
        return TimeBins(count, self.duration_s / count)

    def seconds(self, unit: int) -> Array:
        """The times of a unit's spikes."""
        return self.trains[unit] / self.rate_hz

    @property
    def mean_rates_hz(self) -> Array:
        """Mean firing rate of each unit."""
        return self.spikes / self.duration_s

    def rates(self, times: TimeBins) -> Array:
        """Firing rate of each unit over time in Hz, (units, bins)."""
        counts = [np.bincount(times.indices(self.seconds(unit)), minlength=times.count) for unit in range(self.units)]
        return np.array(counts, dtype=float).reshape(self.units, times.count) / times.width_s

    def mean_depths_um(self, times: TimeBins) -> Array | None:
        """Mean depth of each unit's spikes over time, (units, bins); NaN without spikes."""
        if self.depths_um is None:
            return None
        means = np.full((self.units, times.count), np.nan)
        for unit, depths_um in enumerate(self.depths_um):
            known = np.isfinite(depths_um)
            bins = times.indices(self.seconds(unit)[known])
            counts = np.bincount(bins, minlength=times.count)
            sums = np.bincount(bins, weights=depths_um[known], minlength=times.count)
            means[unit] = np.divide(sums, counts, out=np.full(times.count, np.nan), where=counts > 0)
        return means

    @cached_property
    def autocorrelograms(self) -> Correlograms:
        """The autocorrelogram of each unit; the same on both sides, since each lag is counted once either way."""
        own = np.repeat(np.arange(self.units)[:, np.newaxis], 2, axis=1)
        correlograms = self._correlate(own, AUTO_BINS)
        right = correlograms.counts[:, AUTO_BINS:]
        return Correlograms(np.hstack([right[:, ::-1], right]), correlograms.width_ms)

    def cross_correlograms(self, pairs: Array) -> Correlograms:
        """The spikes of the second unit around those of the first, for each pair of indices; pairs is (pairs, 2)."""
        return self._correlate(pairs, CROSS_BINS)

    def _correlate(self, pairs: Array, bins: int) -> Correlograms:
        size = max(1, round(BIN_MS * self.rate_hz / 1000))
        counts = np.zeros((len(pairs), 2 * bins), dtype=np.int64)
        samples = np.concatenate(self.trains) if self.units else np.zeros(0, dtype=np.int64)
        starts = np.append(0, np.cumsum(self.spikes))
        count_pair_lags(counts, samples, starts, pairs.astype(np.int64).reshape(-1, 2), bins * size, size)
        return Correlograms(counts, 1000 * size / self.rate_hz)

    def violation_share(self, units: list[int]) -> float | None:
        """Share of the units' spikes, as one train, that follow another within the refractory period."""
        merged = np.sort(np.concatenate([self.trains[unit] for unit in units]))
        if len(merged) < 2:
            return None
        return float((np.diff(merged) < self.refractory_ms * self.rate_hz / 1000).sum() / len(merged))

    @cached_property
    def amplitude_density(self) -> AmplitudeDensity | None:
        """All spikes of each unit by amplitude and time; None without amplitudes."""
        if self.amplitudes is None:
            return None
        rows, columns = AMPLITUDE_SHAPE
        times = self.bins(columns)
        limits = np.array([_amplitude_range(values) for values in self.amplitudes]).reshape(self.units, 2)
        counts = np.zeros((self.units, rows, times.count), dtype=np.int64)
        for unit, values in enumerate(self.amplitudes):
            low, high = limits[unit]
            row = np.clip(((values - low) / (high - low) * rows).astype(np.int64), 0, rows - 1)
            flat = row * times.count + times.indices(self.seconds(unit))
            counts[unit] = np.bincount(flat, minlength=rows * times.count).reshape(rows, times.count)
        return AmplitudeDensity(counts, limits[:, 0], limits[:, 1], times)


def find_refractory_ms(analyzer: SortingAnalyzer) -> float:
    """The refractory period that the metrics of these units were computed with."""
    metrics = analyzer.get_extension("quality_metrics")
    settings = {} if metrics is None else metrics.params.get("metric_params", {}).get("rp_violation", {})
    return float(settings.get("refractory_period_ms", REFRACTORY_MS))


def compress(counts: Array, axes: tuple[int, ...]) -> Array:
    """Counts as square roots from 0 to 255, which is the largest over `axes`: rare values stay visible."""
    roots = np.sqrt(counts)
    largest = roots.max(axis=axes, keepdims=True, initial=0)
    return np.rint(255 * roots / np.where(largest > 0, largest, 1)).astype(np.uint8)


def _split(analyzer: SortingAnalyzer, extension: str, places: list[Array]) -> list[Array] | None:
    """The values of an extension, one for each spike, by unit; None when it was not computed."""
    if (computed := analyzer.get_extension(extension)) is None:
        return None
    values = computed.get_data()
    return [values[chosen] for chosen in places]


def _split_depths(analyzer: SortingAnalyzer, places: list[Array]) -> list[Array] | None:
    """The depths of the spikes of each unit; a failed triangulation would move a mean to the tip of the probe."""
    if (locations := _split(analyzer, "spike_locations", places)) is None:
        return None
    return [np.where(is_located(values), values["y"], np.nan) for values in locations]


def _amplitude_range(values: Array) -> tuple[float, float]:
    """The range of a unit's amplitudes, without the few that are farther from the others than half of their range."""
    if len(values) == 0:
        return 0.0, 1.0
    low, high = np.percentile(values, EDGE_PERCENTILES)
    margin = (high - low) / 2
    low, high = max(values.min(), low - margin), min(values.max(), high + margin)
    return (float(low), float(high)) if low < high else (float(low) - 0.5, float(low) + 0.5)
