"""From the manual's names of extensions, metrics and settings to those of the installed SpikeInterface.

The params file keeps the manual's names; every translation made is recorded in `stage.json`.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

METRIC_NAMES = {"isolation_distance": "mahalanobis", "l_ratio": "mahalanobis"}
"""Manual's metric -> SpikeInterface's; the columns keep the manual's names."""

METRIC_NEEDS = {
    "snr": "noise_levels",
    "mahalanobis": "principal_components",
    "d_prime": "principal_components",
    "nearest_neighbor": "principal_components",
    "silhouette": "principal_components",
    "drift": "spike_locations",
    "amplitude_cutoff": "spike_amplitudes",
    "amplitude_median": "spike_amplitudes",
    "amplitude_cv": "spike_amplitudes",
    "noise_cutoff": "spike_amplitudes",
    "sd_ratio": "spike_amplitudes",
    "nn_advanced": "principal_components",
}
"""Metric -> the extension it is computed from, beyond those that are always there."""

AT_ANOTHER_PLACE = (
    ("snr", "peak_sign"),
    ("amplitude_cutoff", "peak_sign"),
    ("amplitude_median", "peak_sign"),
    ("synchrony", "synchrony_sizes"),
)
"""Settings of metrics that SpikeInterface no longer takes: the analyzer has the sign of the peaks, and the sizes are
fixed."""

SEEDED = ("random_spikes", "spike_locations", "quality_metrics")
"""Extensions with a `seed` argument of their own; `noise_levels` takes its within `random_slices_kwargs`."""


def extension_arguments(extensions: dict[str, dict[str, Any] | None], change: Callable[[str], None]) -> dict[str, dict]:
    """SpikeInterface's arguments for the extensions of the params file.

    Parameters
    ----------
    extensions : dict
        Extension -> settings, under the manual's names; null for one that is not computed.
    change : callable
        Takes a line on each translation and each seed that was set.

    Returns
    -------
    dict
        Extension -> arguments for `SortingAnalyzer.compute`.
    """
    translated = {name: deepcopy(settings) for name, settings in extensions.items() if settings is not None}
    if "noise_levels" in translated:
        translated["noise_levels"] = {"random_slices_kwargs": translated["noise_levels"]}
        change("noise_levels settings handed on as random_slices_kwargs")
    if "peak_sign" in translated.get("spike_amplitudes", {}):
        sign = translated["spike_amplitudes"].pop("peak_sign")
        change(
            f"spike_amplitudes.peak_sign = {sign!r} handed on to the analyzer, which chooses the main channels by it"
        )
    # The model lets only null through: SpikeInterface takes the analyzer's own sparsity.
    translated.get("template_metrics", {}).pop("sparsity", None)
    if "quality_metrics" in translated:
        translated["quality_metrics"] = _quality_metrics(translated, change)
    _set_seeds(translated, change)
    return translated


def peak_sign(extensions: dict[str, dict[str, Any] | None]) -> str:
    """The sign of peaks that the analyzer chooses main channels by: the one that the extensions, or metrics, name."""
    amplitudes, metrics = extensions.get("spike_amplitudes"), extensions.get("quality_metrics")
    if amplitudes is not None:
        return amplitudes["peak_sign"]
    return "both" if metrics is None else metrics["metric_params"]["snr"]["peak_sign"]


def needed_extension(metric: str, metric_params: dict[str, dict] | None) -> str | None:
    """The extension that a metric is computed from, beyond those that are always there."""
    needed = METRIC_NEEDS.get(metric)
    if metric == "amplitude_cv":
        return (metric_params or {}).get(metric, {}).get("amplitude_extension", needed)
    return needed


def _quality_metrics(extensions: dict[str, dict], change: Callable[[str], None]) -> dict[str, Any]:
    settings = extensions["quality_metrics"]
    if settings.get("metric_names") is not None:
        names = [METRIC_NAMES.get(name, name) for name in settings["metric_names"]]
        for name, renamed in zip(settings["metric_names"], names, strict=True):
            if name != renamed:
                change(f"metric {name} computed by {renamed}")
        kept = []
        for name in dict.fromkeys(names):
            needed = needed_extension(name, settings.get("metric_params"))
            if needed is not None and needed not in extensions:
                change(f"metric {name} left out: it needs the extension {needed}, which is not computed")
            else:
                kept.append(name)
        settings["metric_names"] = kept
    if settings.get("metric_params") is not None:
        settings["metric_params"] = _metric_params(settings["metric_params"], settings.get("metric_names"), change)
    return settings


def _metric_params(
    given: dict[str, dict], names: list[str] | None, change: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    """The settings of the metrics that are computed, without those that SpikeInterface has in another place."""
    import numpy as np

    metrics = {name: settings for name, settings in given.items() if names is None or name in names}
    # One sign for the whole analyzer, and one set of sizes: the parameters are checked to have no other.
    for name, setting in AT_ANOTHER_PLACE:
        metrics.get(name, {}).pop(setting, None)
    snr = metrics.get("snr", {})
    if "peak_mode" in snr:
        snr["method"] = snr.pop("peak_mode")
        change("snr.peak_mode handed on as method")
    sliding = metrics.get("sliding_rp_violation", {})
    if sliding.get("contamination_values") is not None:
        # SpikeInterface calculates with them as an array.
        sliding["contamination_values"] = np.array(sliding["contamination_values"])
    silhouette = metrics.get("silhouette", {})
    if isinstance(silhouette.get("method"), list):
        (silhouette["method"],) = silhouette["method"]
    return {name: settings for name, settings in metrics.items() if settings}


def seeds(extensions: dict[str, dict]) -> dict[str, int]:
    """Extension -> its seed, of the arguments that `extension_arguments` gives."""
    return {name: holder["seed"] for name, holder in _seed_holders(extensions).items()}


def _seed_holders(extensions: dict[str, dict]) -> dict[str, dict]:
    """Extension -> that part of its arguments that holds the seed."""
    holders = {name: extensions[name] for name in SEEDED if name in extensions}
    if "noise_levels" in extensions:
        holders["noise_levels"] = extensions["noise_levels"]["random_slices_kwargs"]
    return holders


def _set_seeds(extensions: dict[str, dict], change: Callable[[str], None]) -> None:
    for name, holder in _seed_holders(extensions).items():
        if holder.get("seed") is None:
            holder["seed"] = 0
            change(f"{name}.seed = 0 in place of null, so that a second run gives the same")
