"""The arguments of the installed SpikeInterface, from the parameter reference's names of metrics and settings.

Every translation is recorded in `stage.json`.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any, cast

import numpy as np

from capsules.postprocessing.extension_params import METRIC_NAMES, PeakSign, missing_extension

Arguments = dict[str, Any]
Record = Callable[[str], None]

NO_METRIC_SETTINGS = (
    ("snr", "peak_sign"),
    ("amplitude_cutoff", "peak_sign"),
    ("amplitude_median", "peak_sign"),
    ("synchrony", "synchrony_sizes"),
)
"""Settings of metrics that SpikeInterface no longer takes: the sign of peaks is the analyzer's, the sizes are fixed."""

SEEDED = ("random_spikes", "spike_locations", "quality_metrics")
"""Extensions with the argument `seed`; `noise_levels` takes it within `random_slices_kwargs`."""


def translate_extensions(extensions: dict[str, Arguments | None], change: Record) -> dict[str, Arguments]:
    """Translate the extensions of the params file to SpikeInterface's arguments.

    Parameters
    ----------
    extensions : dict
        Extension -> settings, under the reference's names; None for one that is not computed.
    change : callable
        Records each translation and each seed that was set.

    Returns
    -------
    dict
        Extension -> arguments for `SortingAnalyzer.compute`.
    """
    translated = {name: deepcopy(settings) for name, settings in extensions.items() if settings is not None}
    if "noise_levels" in translated:
        translated["noise_levels"] = {"random_slices_kwargs": translated["noise_levels"]}
        change("the settings of noise_levels are passed as random_slices_kwargs")
    if "peak_sign" in translated.get("spike_amplitudes", {}):
        sign = translated["spike_amplitudes"].pop("peak_sign")
        change(f"spike_amplitudes.peak_sign = {sign!r} is passed to the analyzer, which selects main channels by it")
    # Only null is valid: SpikeInterface uses the analyzer's own sparsity.
    translated.get("template_metrics", {}).pop("sparsity", None)
    if "quality_metrics" in translated:
        translated["quality_metrics"] = _translate_quality_metrics(translated, change)
    _set_seeds(translated, change)
    return translated


def find_peak_sign(extensions: dict[str, Arguments | None]) -> PeakSign:
    """The sign of peaks that the analyzer selects main channels by: that of the extensions or the metrics."""
    amplitudes, metrics = extensions.get("spike_amplitudes"), extensions.get("quality_metrics")
    if amplitudes is not None:
        return cast(PeakSign, amplitudes["peak_sign"])
    return "both" if metrics is None else cast(PeakSign, metrics["metric_params"]["snr"]["peak_sign"])


def _translate_quality_metrics(extensions: dict[str, Arguments], change: Record) -> Arguments:
    settings = extensions["quality_metrics"]
    if settings.get("metric_names") is not None:
        names = [METRIC_NAMES.get(name, name) for name in settings["metric_names"]]
        for name, renamed in zip(settings["metric_names"], names, strict=True):
            if name != renamed:
                change(f"metric {name} is computed as {renamed}")
        computed = []
        for name in dict.fromkeys(names):
            if missing := missing_extension(name, settings.get("metric_params"), extensions):
                change(f"metric {name} is skipped: it needs the extension {missing}, which is off")
            else:
                computed.append(name)
        settings["metric_names"] = computed
    if settings.get("metric_params") is not None:
        settings["metric_params"] = _translate_metrics(settings["metric_params"], settings.get("metric_names"), change)
    return settings


def _translate_metrics(
    metric_params: dict[str, Arguments], names: list[str] | None, change: Record
) -> dict[str, Arguments]:
    """The settings of the metrics that are computed, without those that SpikeInterface's metrics do not take."""
    metrics = {name: settings for name, settings in metric_params.items() if names is None or name in names}
    # The analyzer has one sign and one set of sizes; `parameters.rules` rejects others.
    for name, setting in NO_METRIC_SETTINGS:
        metrics.get(name, {}).pop(setting, None)
    snr = metrics.get("snr", {})
    if "peak_mode" in snr:
        snr["method"] = snr.pop("peak_mode")
        change("snr.peak_mode is passed as method")
    sliding = metrics.get("sliding_rp_violation", {})
    if sliding.get("contamination_values") is not None:
        # SpikeInterface computes with them as an array.
        sliding["contamination_values"] = np.array(sliding["contamination_values"])
    silhouette = metrics.get("silhouette", {})
    if isinstance(silhouette.get("method"), list):
        (silhouette["method"],) = silhouette["method"]
    return {name: settings for name, settings in metrics.items() if settings}


def read_seeds(extensions: dict[str, Arguments]) -> dict[str, int]:
    """Extension -> its seed, from the arguments that `translate_extensions` returns."""
    return {name: holder["seed"] for name, holder in _find_seed_holders(extensions).items()}


def _find_seed_holders(extensions: dict[str, Arguments]) -> dict[str, Arguments]:
    """Extension -> the part of its arguments that has the seed."""
    holders = {name: extensions[name] for name in SEEDED if name in extensions}
    if "noise_levels" in extensions:
        holders["noise_levels"] = extensions["noise_levels"]["random_slices_kwargs"]
    return holders


def _set_seeds(extensions: dict[str, Arguments], change: Record) -> None:
    for name, holder in _find_seed_holders(extensions).items():
        if holder.get("seed") is None:
            holder["seed"] = 0
            change(f"{name}.seed = 0 instead of null: the result is reproducible")
