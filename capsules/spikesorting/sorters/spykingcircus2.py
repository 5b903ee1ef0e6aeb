"""SpykingCircus2, SpikeInterface's own sorter; runs on the CPU.

https://spikeinterface.readthedocs.io/en/stable/how_to/customize_a_sorter.html
"""

from typing import Any, ClassVar, Literal

from capsules.common.recordings.dredge_stretches import DREDGE_PRESETS, choose_batching
from capsules.common.tasks.free_memory import measure_free_memory
from capsules.parameters.model import MotionPreset, OpenSection, Section, param
from capsules.spikesorting.sorters.base import Context, Sorter, SorterParams
from capsules.spikesorting.sorters.components import keeps_files, make_repeatable, speed_up


class General(Section):
    ms_before: float = param(0.5, "Template before the spike's peak.", unit="ms", gt=0)
    ms_after: float = param(1.5, "Template after the spike's peak.", unit="ms", gt=0)
    radius_um: float = param(100.0, "Channels within this distance belong to a spike.", unit="um", gt=0)


class Filtering(Section):
    freq_min: float = param(150, "Lower cut-off of the sorter's own filter.", unit="Hz", gt=0)
    freq_max: float = param(7000, "Upper cut-off of the sorter's own filter.", unit="Hz", gt=0)
    ftype: Literal["bessel", "butter"] = param("bessel", "Kind of filter.")
    filter_order: int = param(2, "Order of the filter.", ge=1)


class Whitening(Section):
    mode: Literal["local", "global"] = param("local", "Whiten against nearby channels or against all.")
    regularize: bool = param(False, "Regularise the covariance (Ledoit-Wolf).")


class DetectionKwargs(OpenSection):
    peak_sign: Literal["neg", "pos", "both"] = param("neg", "Polarity of the spikes.")
    detect_threshold: float = param(5, "Detection threshold.", unit="MAD", gt=0)


class Detection(Section):
    method: Literal["matched_filtering", "locally_exclusive", "by_channel"] = param(
        "matched_filtering", "How spikes are detected."
    )
    method_kwargs: DetectionKwargs = param(DetectionKwargs(), "Settings of the method.")
    pipeline_kwargs: dict[str, Any] = param({}, "Settings of SpikeInterface's node pipeline.")
    exclude_sweep_ms: float | None = param(
        None,
        "Of spikes closer than this only the largest is detected; null uses the longer side of a template.",
        unit="ms",
        gt=0,
    )


class SelectionKwargs(OpenSection):
    n_peaks_per_channel: int = param(5000, "Spikes per channel that are clustered.", ge=1)
    min_n_peaks: int = param(100000, "Minimum of spikes that are clustered.", ge=1)
    select_per_channel: bool = param(False, "Draw the spikes channel by channel.")


class Selection(Section):
    # SpykingCircus2 does not pass the settings that SpikeInterface's other methods need.
    method: Literal["uniform"] = param("uniform", "How the spikes that are clustered are drawn.")
    method_kwargs: SelectionKwargs = param(SelectionKwargs(), "Settings of the method.")


class MotionCorrection(OpenSection):
    preset: MotionPreset = param("dredge_fast", "SpikeInterface's preset of the drift correction.")


class Merging(OpenSection):
    max_distance_um: float = param(50, "Units further apart are not merged.", unit="um", ge=0)


class Clustering(Section):
    # With the settings that SpykingCircus2 passes, SpikeInterface's other methods fail (0.105.3).
    method: Literal["iterative-hdbscan"] = param("iterative-hdbscan", "How spikes are clustered.")
    method_kwargs: OpenSection = param(OpenSection(), "Settings of the method.")


class Cleaning(Section):
    min_snr: float | None = param(5, "Templates with a lower signal-to-noise ratio are removed.", ge=0)
    max_jitter_ms: float | None = param(0.2, "Templates whose peak is shifted further are removed.", unit="ms", ge=0)
    sparsify_threshold: float | None = param(1, "Channels below this signal-to-noise ratio are removed.", ge=0)
    mean_sd_ratio_threshold: float | None = param(3, "Templates that vary more are removed.", ge=0)


class Matching(Section):
    method: Literal["circus-omp", "wobble"] = param("circus-omp", "How spikes are matched with the templates.")
    method_kwargs: OpenSection = param(OpenSection(), "Settings of the method.")
    pipeline_kwargs: dict[str, Any] = param({}, "Settings of SpikeInterface's node pipeline.")


class CachePreprocessing(Section):
    mode: Literal["memory", "folder", "no-cache"] = param(
        "memory", "Where preprocessed traces are cached; `memory` becomes `folder` where they need too much."
    )
    memory_limit: float = param(0.5, "Share of the free memory that they may use.", gt=0, le=1)


class ChunkPreprocessing(Section):
    memory_limit: float | None = param(
        None, "Share of the free memory for the chunks; null uses `job_kwargs.chunk_duration`.", gt=0, le=1
    )


class SpykingCircus2Settings(Section):
    """SpykingCircus2's own parameters."""

    replaced: ClassVar[dict[str, str]] = {"job_kwargs": "use spikesorting.spykingcircus2.job_kwargs and --n_jobs"}

    general: General = param(General(), "Templates.")
    filtering: Filtering = param(Filtering(), "The sorter's own filter.")
    whitening: Whitening = param(Whitening(), "Whitening.")
    detection: Detection = param(Detection(), "Detection of spikes.")
    selection: Selection = param(Selection(), "Selection of the spikes that are clustered.")
    apply_motion_correction: bool = param(True, "Correct the drift.")
    motion_correction: MotionCorrection = param(MotionCorrection(), "Drift correction.")
    merging: Merging = param(Merging(), "Merging of units at the end.")
    clustering: Clustering = param(Clustering(), "Clustering.")
    cleaning: Cleaning = param(Cleaning(), "Removal of templates.")
    min_firing_rate: float | None = param(0.1, "Clusters with a lower rate are removed.", unit="Hz", ge=0)
    matching: Matching = param(Matching(), "Template matching.")
    apply_preprocessing: bool = param(True, "Filter and subtract the common reference again.")
    apply_whitening: bool = param(True, "Whiten the traces.")
    cache_preprocessing: CachePreprocessing = param(CachePreprocessing(), "Cache of the preprocessed traces.")
    chunk_preprocessing: ChunkPreprocessing = param(ChunkPreprocessing(), "Memory of the chunks.")
    multi_units_only: bool = param(False, "One unit per channel, without clustering.")
    seed: int | None = param(
        42, "Seed of all random draws; null becomes 0, which `stage.json` lists as a change.", ge=0
    )
    deterministic_peaks_detection: bool = param(False, "Detect peaks on the whole recording, in order.")
    debug: bool = param(False, "Keep the sorter's intermediate results.")


class SpykingCircus2Params(SorterParams):
    """SpykingCircus2 and the settings around it."""

    sorter: SpykingCircus2Settings = param(SpykingCircus2Settings(), "SpykingCircus2's parameters.")


def make_arguments(params: SpykingCircus2Params, context: Context) -> dict[str, Any]:
    settings = params.sorter.model_dump()
    settings["seed"] = context.choose_seed(settings["seed"])
    # SpykingCircus2 (0.105.3) reads the matching method's settings under a name that its defaults do not have.
    settings["matching"]["matching_kwargs"] = settings["matching"]["method_kwargs"]
    if settings["detection"]["exclude_sweep_ms"] is None:
        del settings["detection"]["exclude_sweep_ms"]
    if not context.corrects_drift(params):
        settings["apply_motion_correction"] = False
    if settings["apply_motion_correction"]:
        settings["motion_correction"] = _choose_motion(settings["motion_correction"], context)
    settings["cache_preprocessing"] = _choose_cache(params.sorter.cache_preprocessing, context)
    return settings | {"job_kwargs": context.job_kwargs, "verbose": params.job_kwargs.progress_bar}


def _choose_motion(chosen: dict[str, Any], context: Context) -> dict[str, Any]:
    """The settings of the drift correction, for which a long recording is taken in stretches."""
    if chosen["preset"] not in DREDGE_PRESETS:
        return chosen
    estimate = chosen.get("estimate_motion_kwargs") or {}
    what = "the sorter's motion"
    return chosen | {"estimate_motion_kwargs": choose_batching(estimate, context.duration_s, context.change, what)}


def _choose_cache(settings: CachePreprocessing, context: Context) -> dict[str, Any]:
    """Where SpykingCircus2 caches its traces. Without room in memory it would filter them anew in every pass."""
    mode, most_bytes = settings.mode, settings.memory_limit * context.free_bytes
    if mode == "memory" and context.cache_bytes > most_bytes:
        mode = "folder"
        context.change(
            f"cache_preprocessing.mode = folder: the cached traces need {context.cache_bytes / 1e9:.1f} GB, more than "
            f"memory_limit = {settings.memory_limit:g} of the {context.free_bytes / 1e9:.1f} GB that are free"
        )
    return settings.model_dump() | {"mode": mode} | ({"folder": context.cache_folder} if mode == "folder" else {})


def estimate_scratch(params: SpykingCircus2Params, megabytes: float) -> float:
    """MB of the cache on disk, in half precision: none when it fits into the memory of this machine."""
    settings, cache_mb = params.sorter.cache_preprocessing, megabytes
    on_disk = settings.mode == "folder" or cache_mb > settings.memory_limit * measure_free_memory() / 1e6
    return cache_mb if on_disk and settings.mode != "no-cache" else 0.0


# With two BLAS threads its sums, and some of its spikes, differ from those with one; it works in n_jobs processes.
SORTER = Sorter(
    "spykingcircus2",
    "spykingcircus2",
    SpykingCircus2Params,
    make_arguments,
    patch=speed_up("spyking_circus2"),
    pin_seeds=make_repeatable(),
    keeps_files=keeps_files,
    threads=1,
    estimate_scratch=estimate_scratch,
    nothing_to_sort={
        "Prototype should have a negative peak": "no spikes were detected",
        "cannot access local variable 'node0'": "no cluster of spikes made a template",
    },
)
