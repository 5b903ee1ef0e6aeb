"""Metrics that are NaN for every unit, and what SpikeInterface needs to compute them."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from spikeinterface import SortingAnalyzer

from capsules.common.units.metric_names import METRIC_EXTENSIONS

IN_PCA = "two units that share channels, each with more spikes than there are principal components on its channels"
NEEDS = {
    "presence_ratio": "a recording of at least five bins of {bin_duration_s:g} s",
    "firing_range": "a recording of at least one bin of {bin_size_s:g} s",
    "rp_violation": "two spikes of a unit",
    "sliding_rp_violation": "enough spikes for 90 % confidence in one of the tested contaminations",
    "amplitude_cutoff": "{amplitudes_bins_min_ratio:g} spikes of a unit for each of {num_histogram_bins} bins",
    "amplitude_cv": "{min_num_bins} bins of {average_num_spikes_per_bin} spikes of a unit",
    "noise_cutoff": "an amplitude histogram of {n_bins} bins that has a lower tail",
    "sd_ratio": "noise levels and several spikes of a unit",
    "drift": "{min_num_bins} bins of {interval_s:g} s, with {min_spikes_per_interval} spikes of a unit in half of them",
    "mahalanobis": IN_PCA,
    "d_prime": IN_PCA,
    "nearest_neighbor": IN_PCA,
    "silhouette": IN_PCA,
    "nn_advanced": "two units of {min_spikes} spikes that share channels",
    "peak_to_trough_duration": "a peak after the trough",
    "half_width": "a trough and a peak that rise from half their height",
    "repolarization_slope": "a trough that comes back to zero",
    "recovery_slope": "a peak after the trough",
    "main_to_next_extremum_duration": "a second peak or trough",
    "waveform_ratios": "peaks on both sides of the trough",
    "waveform_widths": "a peak on that side of the trough, prominent enough to have a width",
    "waveform_baseline_flatness": "a template that is not flat, with {baseline_window_ms[1]:g} ms at its beginning",
    "velocity_fits": "{min_channels} channels above and below the main one, and a straight line through their delays",
    "exp_decay": "enough channels with an amplitude that decays with distance",
    "spread": "a template on several channels",
}
"""SpikeInterface's metric -> the data that it needs, with its settings filled in; the others need nothing more."""


def find_empty_metrics(analyzer: SortingAnalyzer) -> dict[str, dict[str, str]]:
    """Computed extension -> column that is NaN for every unit -> what its metric needs."""
    computed = filter(analyzer.has_extension, METRIC_EXTENSIONS)
    return {name: _find_empty_columns(analyzer.get_extension(name)) for name in computed}


def _find_empty_columns(extension: Any) -> dict[str, str]:
    table, settings = extension.get_data(), extension.params["metric_params"]
    metric_of = {column: metric.metric_name for metric in extension.metric_list for column in metric.metric_columns}
    return {
        str(column): NEEDS.get(metric := metric_of[column], "other data").format(**settings.get(metric, {}))
        for column in table.columns
        if table[column].isna().all()
    }


def describe_empty_metrics(analyzer: SortingAnalyzer, columns: dict[str, str]) -> list[str]:
    """A sentence for the empty columns with the same need, and what the data have."""
    counts = analyzer.sorting.count_num_spikes_per_unit(outputs="array")
    here = f"{analyzer.get_total_duration():.0f} s, {len(counts)} units of {counts.min()} to {counts.max()} spikes"
    return [
        f"{', '.join(column for column, _ in group)} empty for every unit: needs {need} (here: {here})"
        for need, group in groupby(sorted(columns.items(), key=lambda item: item[1]), key=lambda item: item[1])
    ]
