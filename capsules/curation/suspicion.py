"""Tests for units that may be several neurons, or not the same neuron over the whole recording."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from spikeinterface import SortingAnalyzer

from capsules.common.units.contamination import estimate_contamination_bounds
from capsules.curation.params import Suspicious

MIN_SPIKES = 50
"""Units with fewer spikes are not tested for two groups."""
MAX_FITTED = 5000
"""The mixture is fitted to at most this many spikes, evenly spread over the recording."""
MIN_BIC_GAIN = 10
"""Smallest gain of two groups over one by the Bayesian information criterion: very strong evidence (Kass and Raftery,
1995)."""
MIN_VARIANCE = 1e-6
"""Smallest variance of a group, so that a mixture can be fitted to equal spikes."""
FEATURES = 3
"""Dimensions of the waveforms that are tested for two groups."""
BINS = 10
MIN_BIN_S = 10
MIN_SPIKES_PER_BIN = 20
"""Bins of time for the amplitude's range."""
Reasons = list[list[str]]
"""For each unit the reasons to mark it."""


def fit_two_groups(values: np.ndarray) -> tuple[float, float] | None:
    """Fit two groups to a distribution: their separation and the smaller share; None when one group fits as well.

    The separation is Ashman's D = sqrt(2) |m1 - m2| / sqrt(s1^2 + s2^2) of a mixture of two normal distributions
    (Ashman, Bird and Zepf, 1994), chosen over one by the Bayesian information criterion; in several dimensions along
    their linear discriminant.

    Parameters
    ----------
    values : array, (spikes,) or (spikes, dimensions)
    """
    chosen = np.linspace(0, len(values) - 1, min(len(values), MAX_FITTED)).astype(int)
    values = values[chosen].astype(float).reshape(len(chosen), -1)
    single, pair = (GaussianMixture(count, reg_covar=MIN_VARIANCE, random_state=0).fit(values) for count in (1, 2))
    if single.bic(values) - pair.bic(values) < MIN_BIC_GAIN:
        return None
    difference = pair.means_[1] - pair.means_[0]
    line = np.linalg.solve(np.einsum("i,ijk->jk", pair.weights_, pair.covariances_), difference)
    variance = sum(line @ covariance @ line for covariance in pair.covariances_)
    return float(np.sqrt(2) * abs(line @ difference) / np.sqrt(variance)), float(pair.weights_.min())


def compute_waveform_features(projections: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The largest differences between the waveforms of a unit's spikes, without slow changes such as drift.

    Parameters
    ----------
    projections : array, (spikes, ...)
        Principal components on the unit's channels.
    times : array, (spikes,)
        Only their order counts.

    Returns
    -------
    array, (spikes, FEATURES at most)
        Scaled to a standard deviation of one over all of them.
    """
    values = projections.reshape(len(projections), -1).astype(float)
    bins = np.array_split(np.argsort(times, kind="stable"), max(1, min(BINS, len(values) // MIN_SPIKES)))
    for chosen in bins:
        values[chosen] -= values[chosen].mean(axis=0)
    features: np.ndarray = PCA(min(FEATURES, values.shape[1]), random_state=0).fit_transform(values)
    return np.asarray(features / (features.std() or 1.0))


def compute_amplitude_range(amplitudes: np.ndarray, times_s: np.ndarray, duration_s: float) -> float:
    """Range of the amplitude's median over bins of time, as a share of the median of all; 0 with fewer than two bins.

    Parameters
    ----------
    amplitudes, times_s : array, (spikes,)
    duration_s : float
    """
    bins = max(1, min(BINS, int(duration_s / MIN_BIN_S)))
    index = np.minimum((times_s / duration_s * bins).astype(int), bins - 1)
    full = [chosen for bin in range(bins) if (chosen := index == bin).sum() >= MIN_SPIKES_PER_BIN]
    if len(full) < 2:
        return 0.0
    return float(np.ptp([np.median(amplitudes[chosen]) for chosen in full]) / abs(np.median(amplitudes)))


def find_suspicious(
    analyzer: SortingAnalyzer, metrics: pd.DataFrame, limits: Suspicious, change: Callable[[str], None]
) -> Reasons:
    """Test each unit: a list of reasons to mark it, empty when no test does.

    Parameters
    ----------
    analyzer : SortingAnalyzer
    metrics : pandas.DataFrame
        One row per unit.
    limits : Suspicious
    change : callable
        Records a line on each test that is skipped because postprocessing did not compute its data.
    """
    reasons: Reasons = [[] for _ in analyzer.unit_ids]

    def skip(test: str, missing: str) -> None:
        change(f"suspicious: {test} is not tested: postprocessing did not compute {missing}")

    for test, (column, metric, mark) in BY_METRIC.items():
        limit = getattr(limits, test)
        if limit is None:
            continue
        if column in metrics:
            mark(reasons, analyzer, metrics, limit)
        else:
            skip(test, f"the metric {metric}")
    if limits.min_amplitude_separation is not None or limits.max_amplitude_range is not None:
        if analyzer.has_extension("amplitude_scalings"):
            _mark_amplitudes(reasons, analyzer, limits)
        else:
            skip("amplitudes", "the extension amplitude_scalings")
    if limits.min_waveform_separation is not None:
        if analyzer.has_extension("principal_components"):
            _mark_waveforms(reasons, analyzer, limits.min_waveform_separation, limits.min_waveform_share)
        else:
            skip("waveforms", "the extension principal_components")
    return reasons


def _mark_contaminated(reasons: Reasons, analyzer: SortingAnalyzer, metrics: pd.DataFrame, limit: float) -> None:
    settings = analyzer.get_extension("quality_metrics").params["metric_params"].get("rp_violation", {})
    refractory_s = (settings.get("refractory_period_ms", 1.0) - settings.get("censored_period_ms", 0.0)) / 1000
    spikes = analyzer.sorting.count_num_spikes_per_unit(outputs="array")
    violations = metrics["rp_violations"].to_numpy(dtype=float).clip(min=0)
    lowest, _ = estimate_contamination_bounds(violations, spikes, analyzer.get_total_duration(), refractory_s)
    for marks, count, bound in zip(reasons, violations, lowest, strict=True):
        # One violation may be chance in any unit.
        if count > 1 and bound > limit:
            marks.append(f"contamination at least {bound:.0%} (limit {limit:.0%}; {count:.0f} violations)")


def _mark_moving(reasons: Reasons, analyzer: SortingAnalyzer, metrics: pd.DataFrame, limit: float) -> None:
    for marks, range_um in zip(reasons, metrics["drift_ptp"].astype(float), strict=True):
        if range_um > limit:
            marks.append(f"position ranges over {range_um:.0f} um (limit {limit:g})")


def _mark_not_isolated(reasons: Reasons, analyzer: SortingAnalyzer, metrics: pd.DataFrame, limit: float) -> None:
    for marks, rate in zip(reasons, metrics["nn_hit_rate"].astype(float), strict=True):
        if rate < limit:
            marks.append(f"{rate:.0%} of nearest neighbours belong to the unit (limit {limit:.0%})")


BY_METRIC = {
    "max_contamination": ("rp_violations", "rp_violation", _mark_contaminated),
    "max_position_range_um": ("drift_ptp", "drift", _mark_moving),
    "min_nn_hit_rate": ("nn_hit_rate", "nearest_neighbor", _mark_not_isolated),
}
"""Threshold -> the column that its test needs, the metric that has this column, and the test."""


def _mark_amplitudes(reasons: Reasons, analyzer: SortingAnalyzer, limits: Suspicious) -> None:
    by_unit = analyzer.get_extension("amplitude_scalings").get_data(outputs="by_unit", concatenated=True)
    rate, duration_s = analyzer.sampling_frequency, analyzer.get_total_duration()
    for marks, unit in zip(reasons, analyzer.unit_ids, strict=True):
        amplitudes = by_unit[unit]
        if len(amplitudes) < MIN_SPIKES:
            continue
        if limits.min_amplitude_separation is not None:
            separation, share = limits.min_amplitude_separation, limits.min_amplitude_share
            marks.extend(_test_two_groups("amplitudes", amplitudes, separation, share))
        if limits.max_amplitude_range is not None:
            times_s = analyzer.sorting.get_unit_spike_train(unit, segment_index=0) / rate
            change = compute_amplitude_range(amplitudes, times_s, duration_s)
            if change > limits.max_amplitude_range:
                marks.append(f"amplitude ranges over {change:.0%} (limit {limits.max_amplitude_range:.0%})")


def _mark_waveforms(reasons: Reasons, analyzer: SortingAnalyzer, min_separation: float, min_share: float) -> None:
    components = analyzer.get_extension("principal_components")
    spikes = analyzer.get_extension("random_spikes").get_random_spikes()
    for index, (marks, unit) in enumerate(zip(reasons, analyzer.unit_ids, strict=True)):
        times = spikes["sample_index"][spikes["unit_index"] == index]
        if len(times) < MIN_SPIKES:
            continue
        projections, _ = components.get_projections_one_unit(unit, sparse=analyzer.sparsity is not None)
        features = compute_waveform_features(projections, times)
        marks.extend(_test_two_groups("waveforms", features, min_separation, min_share))


def _test_two_groups(of: str, values: np.ndarray, min_separation: float, min_share: float) -> list[str]:
    """The reason to mark a unit whose values form two groups, if they do."""
    separation, share = fit_two_groups(values) or (0.0, 0.0)
    if separation <= min_separation or share < min_share:
        return []
    return [
        f"two groups of {of}: separation {separation:.1f} (limit {min_separation:g}), the smaller one has {share:.0%} "
        f"of the spikes (limit {min_share:.0%})"
    ]
