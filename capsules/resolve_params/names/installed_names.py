"""The names in the installed SpikeInterface, which `make generate` writes to `pipeline/library_names.json`."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any

from matplotlib import colormaps
from spikeinterface.core.sortinganalyzer import get_extension_class
from spikeinterface.core.time_series_tools import get_random_sample_slices
from spikeinterface.extractors.extractor_classes import recording_extractor_full_dict
from spikeinterface.metrics.quality.quality_metrics import get_default_quality_metrics_params
from spikeinterface.metrics.template.template_metrics import (
    get_multi_channel_template_metric_names,
    get_template_metric_list,
)
from spikeinterface.postprocessing.localization_tools import (
    compute_center_of_mass,
    compute_grid_convolution,
    compute_monopolar_triangulation,
)
from spikeinterface.preprocessing.motion import correct_motion
from spikeinterface.preprocessing.pipeline import pp_names_to_functions
from spikeinterface.sorters.internal.spyking_circus2 import final_cleaning_circus
from spikeinterface.sortingcomponents.clustering.method_list import clustering_methods
from spikeinterface.sortingcomponents.matching.method_list import matching_methods
from spikeinterface.sortingcomponents.motion.dredge import dredge_ap
from spikeinterface.sortingcomponents.motion.motion_estimation import estimate_motion, estimate_motion_methods
from spikeinterface.sortingcomponents.motion.motion_interpolation import InterpolateMotionRecording
from spikeinterface.sortingcomponents.peak_detection.method_list import detect_peak_methods
from spikeinterface.sortingcomponents.peak_localization.method_list import peak_localization_methods
from spikeinterface.sortingcomponents.peak_selection import _possible_methods, select_peaks

from capsules.common.units.metric_names import METRIC_EXTENSIONS
from capsules.postprocessing.extension_params import Extensions, MetricParams
from capsules.resolve_params.names.library_names import CIRCUS, EXTENSIONS, MOTION, PIPELINE

Settings = dict[str, Any]
"""Name of a setting -> its default."""
SET_BY_CALLERS = {
    "recording",
    "peaks",
    "peak_locations",
    "parents",
    "return_output",
    "return_tensor",
    "noise_levels",
    "sparsity",
    "motion",
    "extra",
    "verbose",
    "progress_bar",
    "templates",
    "job_kwargs",
    "prototype",
    "periods",
    "delete_existing_metrics",
    "metrics_to_compute",
    "debug_folder",
    "sorting",
    "amplitude_scalings",
    "time_series",
    "unit_ids",
    "sorting_analyzer_or_templates",
    "return_indices",
    "return_alpha",
    "extra_outputs",
    "folder",
    "overwrite",
    "output_motion",
    "output_motion_info",
}
"""Arguments that the pipeline or the library sets."""
OVERRULED = {
    f"{EXTENSIONS}.noise_levels": ["chunk_duration"],
    f"{EXTENSIONS}.quality_metrics": ["skip_pc_metrics"],
    f"{EXTENSIONS}.quality_metrics.metric_params.snr": ["method"],
    f"{CIRCUS}.detection.method_kwargs": ["radius_um", "exclude_sweep_ms", "ms_before"],
    f"{CIRCUS}.motion_correction": ["detect_kwargs"],
    f"{CIRCUS}.clustering.method_kwargs": ["seed", "verbose", "peaks_svd", "clean_templates", "debug_folder"],
}
"""Settings that other settings overrule: `chunk_size`, `metric_names`, `peak_mode`, `general.radius_um`,
`detection.exclude_sweep_ms` and `general.ms_before`, or the code of SpykingCircus2."""


def collect_names() -> dict[str, Settings | list[str]]:
    """The content of `library_names.read_names`, from the installed SpikeInterface."""
    names: dict[str, Settings] = {f"{EXTENSIONS}.{name}": settings for name, settings in _extensions().items()}
    metrics = f"{EXTENSIONS}.quality_metrics.metric_params"
    names |= {f"{metrics}.{name}": settings for name, settings in _metrics().items()}
    names |= {f"{MOTION}.{name}": settings for name, settings in _motion().items()}
    names |= {f"{CIRCUS}.{name}": settings for name, settings in _spykingcircus2().items()}
    steps = _preprocessing_steps()
    names[PIPELINE] = dict.fromkeys(steps)
    names |= {f"{PIPELINE}.{name}": settings for name, settings in steps.items() if settings is not None}
    for path, hidden in OVERRULED.items():
        names[path] = {name: default for name, default in names[path].items() if name not in hidden}
    values = {path: sorted(map(str, known)) for path, known in _values().items()}
    return dict(sorted({path: dict(sorted(settings.items())) for path, settings in names.items()}.items())) | values


def collect_metrics() -> dict[str, Any]:
    """The columns and dependencies of each metric, and which need several channels (`common.units.metric_names`)."""
    known = {extension: get_extension_class(extension).metric_list for extension in METRIC_EXTENSIONS}
    return {
        "columns": {
            extension: {metric.metric_name: list(metric.metric_columns) for metric in metrics}
            for extension, metrics in known.items()
        },
        "dependencies": {
            metric.metric_name: list(metric.depend_on) for metrics in known.values() for metric in metrics
        },
        "multi_channel": get_multi_channel_template_metric_names(),
    }


def _values() -> dict[str, list[str]]:
    """Dotted name of a parameter -> its valid values in the library."""
    return {
        "job_dispatch.spikeinterface_info.reader_type": ["spikeinterface", *recording_extractor_full_dict],
        f"{MOTION}.detect_kwargs.method": list(detect_peak_methods),
        f"{MOTION}.select_kwargs.method": list(_possible_methods),
        f"{MOTION}.localize_peaks_kwargs.method": list(peak_localization_methods),
        f"{MOTION}.estimate_motion_kwargs.method": [name for name in estimate_motion_methods if name != "medicine"],
        f"{EXTENSIONS}.template_metrics.metric_names": get_template_metric_list(),
        "visualization.drift.cmap": list(colormaps),
        "visualization.motion.cmap": list(colormaps),
    }


def _extensions() -> dict[str, Settings]:
    settings = {name: _arguments(get_extension_class(name)._set_params) for name in Extensions.model_fields}
    settings["noise_levels"] = _arguments(get_random_sample_slices)
    settings["unit_locations"] |= _arguments(
        compute_monopolar_triangulation, compute_center_of_mass, compute_grid_convolution
    )
    return settings


def _metrics() -> dict[str, Settings]:
    defaults = get_default_quality_metrics_params()
    return {name: _plain(defaults[name]) for name in MetricParams.model_fields}


def _motion() -> dict[str, Settings]:
    methods: dict[str, Any] = estimate_motion_methods
    estimators = [cls.run for name, cls in methods.items() if name != "medicine"]
    return {
        "detect_kwargs": {"method": None} | _detection(),
        "select_kwargs": _arguments(select_peaks) | {"n_peaks": None, "select_per_channel": False},
        "localize_peaks_kwargs": {"method": None} | _arguments(*peak_localization_methods.values()),
        "estimate_motion_kwargs": _arguments(dredge_ap, *estimators) | _arguments(estimate_motion),
        "interpolate_motion_kwargs": _arguments(InterpolateMotionRecording),
    }


def _detection() -> Settings:
    return _arguments(*detect_peak_methods.values())


def _spykingcircus2() -> dict[str, Settings]:
    clustering: Any = clustering_methods["iterative-hdbscan"]
    return {
        "detection.method_kwargs": _detection(),
        "selection.method_kwargs": {},
        "clustering.method_kwargs": _plain(clustering._default_params),
        "matching.method_kwargs": _arguments(matching_methods["circus-omp"], matching_methods["wobble"]),
        "motion_correction": _arguments(correct_motion),
        "merging": _arguments(final_cleaning_circus),
    }


def _preprocessing_steps() -> dict[str, Settings | None]:
    """Step -> its settings, or None for a step that passes on settings without naming them."""

    def settings(step: Callable[..., Any]) -> Settings | None:
        kinds = {parameter.kind for parameter in inspect.signature(step).parameters.values()}
        return None if inspect.Parameter.VAR_KEYWORD in kinds else _arguments(step)

    return {name: settings(step) for name, step in pp_names_to_functions.items()}


def _arguments(*functions: Callable[..., Any]) -> Settings:
    """Names and defaults of the functions' arguments, the first function's default where several have one."""
    names: dict[str, Any] = {}
    for function in functions:
        for name, parameter in inspect.signature(function).parameters.items():
            named = parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
            if (
                named
                and name != "self"
                and not name.startswith("_")
                and name not in SET_BY_CALLERS
                and name not in names
            ):
                names[name] = None if parameter.default is parameter.empty else parameter.default
    return _plain(names)


def _plain(settings: Settings) -> Settings:
    """Settings with their defaults as JSON; null for a default that JSON cannot express, such as an array."""
    plain = {}
    for name, value in settings.items():
        try:
            plain[name] = json.loads(json.dumps(value, allow_nan=False))
        except (TypeError, ValueError):
            plain[name] = None
    return plain
