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
    ms_before: float = param(
        0.5,
        "Length of a template before the spike's peak. Increase it when spikes begin earlier. The default of 0.5 is "
        "SpikeInterface's.",
        unit="ms",
        gt=0,
    )
    ms_after: float = param(
        1.5,
        "Length of a template after the spike's peak. Increase it when the repolarization is slower. The default of "
        "1.5 is SpikeInterface's.",
        unit="ms",
        gt=0,
    )
    radius_um: float = param(
        100.0,
        "Channels within this distance belong to a spike. Lower it on very dense probes; increase it on sparse "
        "ones. The default of 100 contains the channels that usually record a neuron.",
        unit="um",
        gt=0,
    )


class Filtering(Section):
    freq_min: float = param(
        150,
        "Lower cut-off of the sorter's own filter. Lower it when wide spikes lose amplitude. The default of 150 "
        "keeps wide spikes.",
        unit="Hz",
        gt=0,
    )
    freq_max: float = param(
        7000,
        "Upper cut-off of the sorter's own filter. Lower it against high-frequency noise. The default of 7000 keeps "
        "narrow spikes.",
        unit="Hz",
        gt=0,
    )
    ftype: Literal["bessel", "butter"] = param(
        "bessel",
        "Kind of filter. Choose `butter` for a steeper filter. The default is `bessel`, which keeps the shape of "
        "spikes.",
    )
    filter_order: int = param(
        2, "Order of the filter. Increase it for a steeper filter. The default of 2 is SpikeInterface's.", ge=1
    )


class Whitening(Section):
    mode: Literal["local", "global"] = param(
        "local",
        "Whiten against nearby channels (`local`) or against all (`global`). Choose `global` for few channels. The "
        "default is `local`, which is faster with many.",
    )
    regularize: bool = param(
        False,
        "Regularise the covariance (Ledoit-Wolf). Turn it on for short recordings with many channels. Off by "
        "default, as in SpikeInterface.",
    )


class DetectionKwargs(OpenSection):
    peak_sign: Literal["neg", "pos", "both"] = param(
        "neg", "Sign of the spikes. Choose `pos` or `both` when your spikes are positive. The default is `neg`."
    )
    detect_threshold: float = param(
        5,
        "Detection threshold. Lower it to detect smaller spikes, and more noise. The default of 5 is rarely reached "
        "by noise.",
        unit="MAD",
        gt=0,
    )


class Detection(Section):
    method: Literal["matched_filtering", "locally_exclusive", "by_channel"] = param(
        "matched_filtering",
        "How spikes are detected. Choose `locally_exclusive` for a simple threshold on nearby channels, or "
        "`by_channel` for separate channels. The default, `matched_filtering`, also detects spikes near the noise.",
    )
    method_kwargs: DetectionKwargs = param(DetectionKwargs(), "Settings of the method.")
    pipeline_kwargs: dict[str, Any] = param(
        {},
        "Settings of SpikeInterface's node pipeline. Set it to change how peaks are gathered. The default changes "
        "nothing.",
    )
    exclude_sweep_ms: float | None = param(
        None,
        "Of spikes closer in time than this, only the largest is detected. Increase it when one spike is detected "
        "twice. The default (null) uses the longer side of a template.",
        unit="ms",
        gt=0,
    )


class SelectionKwargs(OpenSection):
    n_peaks_per_channel: int = param(
        5000,
        "Number of spikes per channel that are clustered. Increase it to detect units that fire rarely, which needs "
        "more time. The default of 5000 is SpikeInterface's.",
        ge=1,
    )
    min_n_peaks: int = param(
        100000,
        "Smallest number of spikes that are clustered. Lower it to save time on few channels. The default of 100000 "
        "is SpikeInterface's.",
        ge=1,
    )
    select_per_channel: bool = param(
        False,
        "Draw the spikes channel by channel. Turn it on when a few channels have most of the spikes. Off by "
        "default, as in SpikeInterface.",
    )


class Selection(Section):
    # SpykingCircus2 does not pass the settings that SpikeInterface's other methods need.
    method: Literal["uniform"] = param(
        "uniform", "How the spikes that are clustered are drawn. Only the default is possible."
    )
    method_kwargs: SelectionKwargs = param(SelectionKwargs(), "Settings of the method.")


class MotionCorrection(OpenSection):
    preset: MotionPreset = param(
        "dredge_fast",
        "SpikeInterface's preset of the drift correction. Choose `dredge` to compare with a slower estimate. The "
        "default is `dredge_fast`.",
    )


class Merging(OpenSection):
    max_distance_um: float = param(
        50,
        "Units further apart are not merged. Increase it when drift splits units. The default of 50 is "
        "SpikeInterface's.",
        unit="um",
        ge=0,
    )


class Clustering(Section):
    # With the settings that SpykingCircus2 passes, SpikeInterface's other methods fail (0.105.3).
    method: Literal["iterative-hdbscan"] = param(
        "iterative-hdbscan", "How spikes are clustered. Only the default is possible."
    )
    method_kwargs: OpenSection = param(OpenSection(), "Settings of the method.")


class Cleaning(Section):
    min_snr: float | None = param(
        5,
        "Templates with a lower signal-to-noise ratio are removed. Lower it to keep smaller units; null keeps all. "
        "The default of 5 is SpikeInterface's.",
        ge=0,
    )
    max_jitter_ms: float | None = param(
        0.2,
        "Templates whose peak is shifted further are removed. Increase it to keep more templates; null keeps all. "
        "The default of 0.2 is SpikeInterface's.",
        unit="ms",
        ge=0,
    )
    sparsify_threshold: float | None = param(
        1,
        "Channels below this signal-to-noise ratio are removed from a template. Increase it to keep fewer channels; "
        "null keeps all. The default of 1 is SpikeInterface's.",
        ge=0,
    )
    mean_sd_ratio_threshold: float | None = param(
        3,
        "Templates that vary more are removed. Increase it to keep more templates; null keeps all. The default of 3 "
        "is SpikeInterface's.",
        ge=0,
    )


class Matching(Section):
    method: Literal["circus-omp", "wobble"] = param(
        "circus-omp",
        "How spikes are matched with the templates. Choose `wobble` to compare. The default is `circus-omp`, "
        "SpikeInterface's.",
    )
    method_kwargs: OpenSection = param(OpenSection(), "Settings of the method.")
    pipeline_kwargs: dict[str, Any] = param(
        {},
        "Settings of SpikeInterface's node pipeline. Set it to change how spikes are gathered. The default changes "
        "nothing.",
    )


class CachePreprocessing(Section):
    mode: Literal["memory", "folder", "no-cache"] = param(
        "memory",
        "Where preprocessed traces are cached. Choose `no-cache` when memory and disk are short; sorting is then "
        "slower. The default is `memory`, which becomes `folder` when the traces need too much.",
    )
    memory_limit: float = param(
        0.5,
        "Share of the free memory that the traces may use. Lower it when other programs need memory. The default of "
        "0.5 leaves half of it.",
        gt=0,
        le=1,
    )


class ChunkPreprocessing(Section):
    memory_limit: float | None = param(
        None,
        "Share of the free memory for the chunks. Set it to use larger chunks. The default (null) uses "
        "`job_kwargs.chunk_duration`.",
        gt=0,
        le=1,
    )


class SpykingCircus2Settings(Section):
    """SpykingCircus2's own parameters."""

    replaced: ClassVar[dict[str, str]] = {"job_kwargs": "use spikesorting.spykingcircus2.job_kwargs and --n_jobs"}

    general: General = param(General(), "Length and size of the templates.")
    filtering: Filtering = param(Filtering(), "The sorter's own filter.")
    whitening: Whitening = param(Whitening(), "Whitening of the traces.")
    detection: Detection = param(Detection(), "Detection of spikes.")
    selection: Selection = param(Selection(), "Selection of the spikes that are clustered.")
    apply_motion_correction: bool = param(
        True, "Correct the drift. Turn it off for tetrodes, arrays and probes that do not drift. On by default."
    )
    motion_correction: MotionCorrection = param(MotionCorrection(), "Drift correction.")
    merging: Merging = param(Merging(), "Merging of units at the end.")
    clustering: Clustering = param(Clustering(), "Clustering of spikes.")
    cleaning: Cleaning = param(Cleaning(), "Removal of templates.")
    min_firing_rate: float | None = param(
        0.1,
        "Clusters with a lower rate are removed. Lower it to keep units that fire rarely; null keeps all. The "
        "default of 0.1 removes clusters with too few spikes for a template.",
        unit="Hz",
        ge=0,
    )
    matching: Matching = param(Matching(), "Template matching.")
    apply_preprocessing: bool = param(
        True,
        "Filter and subtract the common reference again. Turn it off only for traces that are filtered as the "
        "sorter expects. On by default, because the sorter keeps lower frequencies than detection needs.",
    )
    apply_whitening: bool = param(
        True,
        "Whiten the traces. Turn it off only for traces that are whitened already. On by default, because it "
        "separates neighbouring units.",
    )
    cache_preprocessing: CachePreprocessing = param(CachePreprocessing(), "Cache of the preprocessed traces.")
    chunk_preprocessing: ChunkPreprocessing = param(ChunkPreprocessing(), "Memory of the chunks.")
    multi_units_only: bool = param(
        False, "Make one unit per channel, without clustering. Turn it on for multi-unit activity only. Off by default."
    )
    seed: int | None = param(
        42,
        "Seed of all random draws. Change it to see whether units depend on it. The default of 42 is "
        "SpikeInterface's; null becomes 0, which `stage.json` lists as a change.",
        ge=0,
    )
    deterministic_peaks_detection: bool = param(
        False,
        "Detect peaks on the whole recording, in order. Turn it on to use the peaks of the whole recording; it "
        "needs more time. Off by default: the results are reproducible anyway.",
    )
    debug: bool = param(False, "Keep the sorter's intermediate results. Turn it on to study a sorting. Off by default.")


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
