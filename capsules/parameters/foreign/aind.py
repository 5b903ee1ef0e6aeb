"""Params files of the AIND ephys pipeline (1.2 and 1.3) as our parameters.

The translation knows their keys; values that our models reject are reported by the caller, which validates the result.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from capsules.parameters.foreign.aind_curation import translate_curation
from capsules.parameters.foreign.changes import ABSENT, Translation
from capsules.parameters.foreign.kilosort4 import MAX_CHANNEL_DISTANCE_UM
from capsules.parameters.model import get_dotted
from capsules.parameters.problems import quote

SECTIONS = ("job_dispatch", "preprocessing", "spikesorting", "postprocessing", "curation", "visualization", "nwb")
KNOWN_VERSIONS = ("1.2", "1.3")
STEPS = "preprocessing.default_preprocessing_pipeline"
SAME_STEPS = ("phase_shift", "highpass_filter", "bandpass_filter", "common_reference", "highpass_spatial_filter")
BAD_CHANNELS = "detect_and_remove_bad_channels"
SORTERS = ("kilosort4", "kilosort25", "spykingcircus2", "lupin")
CORES = "the pipeline chooses it, and --n_jobs sets the number of cores"
EXTENSIONS = "postprocessing.extensions"
METRICS = f"{EXTENSIONS}.quality_metrics"
ONE_SIGN = "SpikeInterface uses one sign for the whole analyzer, that of extensions.spike_amplitudes"
NN_METRICS = ("nn_isolation", "nn_noise_overlap")
OPTIONAL_EXTENSIONS = (
    "noise_levels",
    "waveforms",
    "spike_amplitudes",
    "amplitude_scalings",
    "template_similarity",
    "correlograms",
    "isi_histograms",
    "unit_locations",
    "spike_locations",
    "template_metrics",
    "principal_components",
    "quality_metrics",
)
"""Extensions that we compute unless the file turns them off; AIND computes only those that the file names."""
DEFAULTS: dict[str, Any] = {
    "job_dispatch.input": "aind",
    "spikesorting.kilosort4.min_drift_channels": 96,
    "spikesorting.kilosort4.sorter.do_CAR": True,
    "spikesorting.kilosort4.sorter.nblocks": 5,
    "spikesorting.kilosort25.min_drift_channels": 96,
    "spikesorting.kilosort25.sorter.car": True,
    "spikesorting.spykingcircus2.sorter.apply_preprocessing": False,
    "spikesorting.lupin.sorter.apply_motion_correction": True,
    "spikesorting.lupin.sorter.template_sparsify_threshold": 1.5,
    "spikesorting.lupin.sorter.template_matching_engine": "circus-omp",
}
"""AIND's defaults that change the result and that are not ours; a file that lacks them means these."""
LATER = ("lupin",)
"""Sorters that 1.3 brought."""
LIBRARY_DEFAULTS = ("do_CAR", "car")
"""Of a sorter's own parameters, those whose default is AIND's also where the file has others of the sorter."""
DIFFERENCES = (
    "a unit with an undefined metric, or with fewer than 50 spikes, is not `bad`: that clause of the query is left out,"
    " or the unit is `undetermined`; curation.undefined_metric = reject and curation.min_spikes = 0 do as AIND",
    "a similar unit is removed only when it also shares spikes with the other;"
    " postprocessing.duplicate_shared_spikes = 0 removes by similarity alone, as AIND",
    "curation removes no unit: noise is a label, in decoder_label and bombcell_label",
    "a recording that is saturated or flat is skipped or fails before it is sorted: job_dispatch.data_check",
    "a seed that is null becomes 0, so that a second run gives the same result",
)


def is_aind(document: dict[str, Any]) -> bool:
    """Whether a document has the sections of AIND's params files, which are also ours."""
    return any(isinstance(document.get(name), dict) for name in SECTIONS) or "pipeline_version" in document


def translate_aind(document: dict[str, Any]) -> Translation:
    """Translate a params file of AIND's pipeline."""
    work = Translation(deepcopy(document))
    is_later = _is_1_3(document)
    _drop_version(work)
    _translate_dispatch(work)
    _translate_steps(work)
    _translate_postprocessing(work)
    translate_curation(work)
    _translate_sorters(work)
    for name in SECTIONS:
        work.drop(f"{name}.job_kwargs.mp_context", CORES)
    work.params = _merge(work.source, work.params)
    _fill_defaults(work, document, is_later)
    for text in DIFFERENCES:
        work.note("differs", text)
    return work


def _is_1_3(document: dict[str, Any]) -> bool:
    """Whether a file is of 1.3 or later, by its version or by the parameters that 1.3 brought."""
    curation = document.get("curation")
    new = {"qc_thresholds", "unitrefine", "bombcell", "noise_strategy", "slay"}
    return "pipeline_version" in document or (isinstance(curation, dict) and bool(new & set(curation)))


def _drop_version(work: Translation) -> None:
    version = work.take("pipeline_version")
    if version is not ABSENT and not str(version).startswith(KNOWN_VERSIONS):
        work.note("differs", f"pipeline_version {quote(version)} is translated as 1.3, the latest version tested")
    elif version is not ABSENT:
        work.note("left out", f"pipeline_version = {quote(version)}: versions.json in the results has ours")
    work.drop("$schema", "it is AIND's; pipeline/default_params_schema.json is ours")


def _translate_dispatch(work: Translation) -> None:
    def negate(value: Any) -> Any:
        return not value if isinstance(value, bool) else value

    work.rename("job_dispatch.concatenate", "job_dispatch.split_segments", negate)


def _translate_steps(work: Translation) -> None:
    """The steps that AIND has in one section are sections of preprocessing here."""
    for name in SAME_STEPS:
        work.rename(f"{STEPS}.{name}", f"preprocessing.{name}")
    filters = work.take(f"{STEPS}.{BAD_CHANNELS}.channel_filters")
    work.rename(f"{STEPS}.{BAD_CHANNELS}", "preprocessing.detect_bad_channels")
    if isinstance(filters, list):
        _translate_channel_filters(work, filters)
    rest = work.take(STEPS)
    for name in rest if isinstance(rest, dict) else ():
        work.note("left out", f"{STEPS}.{name}: not a step of AIND's pipeline or ours")


def _translate_channel_filters(work: Translation, filters: list[Any]) -> None:
    """The labels to remove are two switches here; a switch of the file that is off stays off."""
    old = f"{STEPS}.{BAD_CHANNELS}.channel_filters"
    bad = [name for name in ("noise", "dead") if name in filters]
    removed = {"remove_out_channels": "out" in filters, "remove_bad_channels": len(bad) == 2}
    for name, value in removed.items():
        if not value:
            work.source["preprocessing"].pop(name, None)
            work.set(f"preprocessing.{name}", False)
    work.note("renamed", f"{old} = {quote(filters)} -> preprocessing.remove_out_channels and remove_bad_channels")
    if len(bad) == 1:
        work.note("differs", "noisy and dead channels are removed together or not at all: none is removed")


def _translate_postprocessing(work: Translation) -> None:
    extensions = get_dotted(work.source, EXTENSIONS)
    if not isinstance(extensions, dict):
        return
    for name in OPTIONAL_EXTENSIONS:
        if name not in extensions:
            work.set(f"{EXTENSIONS}.{name}", None)
            work.note("set", f"{EXTENSIONS}.{name} = null: the file does not name it, so AIND does not compute it")
    names = get_dotted(extensions, "quality_metrics.metric_names")
    if isinstance(names, list) and any(name in names for name in NN_METRICS):
        extensions["quality_metrics"]["metric_names"] = [
            *(name for name in names if name not in (*NN_METRICS, "nn_advanced")),
            "nn_advanced",
        ]
        work.note("renamed", f"{METRICS}.metric_names: {' and '.join(NN_METRICS)} -> nn_advanced")
    params = get_dotted(extensions, "quality_metrics.metric_params")
    if isinstance(params, dict):
        _translate_metric_params(work, params)


def _translate_metric_params(work: Translation, params: dict[str, Any]) -> None:
    base = f"{METRICS}.metric_params"
    for name in NN_METRICS:
        # Both are one metric of SpikeInterface now, with the same settings.
        work.rename(f"{base}.{name}", f"{base}.nn_advanced")
    sign = get_dotted(work.source, f"{EXTENSIONS}.spike_amplitudes.peak_sign", "neg")
    for name, settings in params.items():
        if not isinstance(settings, dict) or "peak_sign" not in settings:
            continue
        if name not in ("snr", "amplitude_cutoff", "amplitude_median"):
            work.drop(f"{base}.{name}.peak_sign", ONE_SIGN)
        elif settings["peak_sign"] != sign:
            old = settings["peak_sign"]
            settings["peak_sign"] = sign
            work.note("differs", f"{base}.{name}.peak_sign = {quote(sign)}, not {quote(old)}: {ONE_SIGN}")


def _translate_sorters(work: Translation) -> None:
    for name in SORTERS:
        sorter = f"spikesorting.{name}.sorter"
        work.drop(f"{sorter}.job_kwargs", f"use spikesorting.{name}.job_kwargs and --n_jobs")
    inner, outer = "spikesorting.kilosort4.sorter.clear_cache", "spikesorting.kilosort4.clear_cache"
    if get_dotted(work.source, outer) is None:
        work.rename(inner, outer)
    else:
        work.drop(inner, f"{outer} sets it")
    circus, lupin = "spikesorting.spykingcircus2.sorter", "spikesorting.lupin.sorter"
    work.drop(f"{circus}.filtering.margin_ms", "SpikeInterface chooses it by the filter")
    work.drop(f"{circus}.cache_preprocessing.delete_cache", "the pipeline removes the cache in every case")
    distance = "spikesorting.kilosort4.sorter.max_channel_distance"
    if get_dotted(work.source, distance, ABSENT) is None:
        work.rename(distance, distance, lambda value: MAX_CHANNEL_DISTANCE_UM)
    work.drop(f"{lupin}.preprocessing_dict", "use preprocessing.custom_preprocessing_pipeline")
    work.drop(f"{lupin}.save_array", "use debug, which keeps the sorter's files")


def _fill_defaults(work: Translation, document: dict[str, Any], is_later: bool) -> None:
    """Write AIND's defaults where the file does not set them, and ours are others."""
    chosen = get_dotted(document, "spikesorting.sorter")
    for dotted, value in DEFAULTS.items():
        *parents, last = dotted.split(".")
        if parents[0] == "spikesorting" and (chosen not in (None, parents[1]) or parents[1] in LATER * (not is_later)):
            continue
        # Of a sorter's parameters that the file has, those that it lacks are the library's defaults, which are ours.
        partial = parents[-1] == "sorter" and get_dotted(document, ".".join(parents)) is not None
        if _is_absent(work.params, dotted) and (not partial or last in LIBRARY_DEFAULTS):
            work.set(dotted, value)
            work.note("set", f"{dotted} = {quote(value)}: AIND's default, which the file does not change")
    if is_later and _is_absent(work.params, "curation.query"):
        query = "rp_contamination <= 0.5 and presence_ratio >= 0.8 and amplitude_cutoff <= 0.1"
        work.set("curation.query", query)
        work.note("set", f"curation.query = {quote(query)}: AIND's default, which the file does not change")


def _is_absent(params: dict[str, Any], dotted: str) -> bool:
    """Whether a parameter is absent and can be set: a section that is not an object is rejected later."""
    names = dotted.split(".")
    around = [get_dotted(params, ".".join(names[:end])) for end in range(1, len(names))]
    return all(holder is None or isinstance(holder, dict) for holder in around) and (
        get_dotted(params, dotted, ABSENT) is ABSENT
    )


def _merge(document: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The document with the changes in it."""
    merged = dict(document)
    for name, value in changes.items():
        old = merged.get(name)
        merged[name] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged
