"""Parameters and arguments that the sorters made of SpikeInterface's components share."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, ClassVar, Literal, cast

from capsules.parameters.model import MotionPreset, Section, param
from capsules.spikesorting.sorters.base import Context, SorterParams


class ComponentSettings(Section):
    """Parameters that Lupin and Tridesclous2 share; each declares those whose defaults differ."""

    replaced: ClassVar[dict[str, str]] = {
        "job_kwargs": "use the sorter's job_kwargs and --n_jobs",
        "preprocessing_dict": "use preprocessing.custom_preprocessing_pipeline",
        "save_array": "use debug, which keeps the sorter's files",
    }

    apply_preprocessing: bool = param(
        True,
        "Filter again, whiten, and subtract the common reference from 32 channels on. Turn it off only for traces "
        "that are whitened already. On by default, because the sorter expects it.",
    )
    apply_motion_correction: bool = param(
        False, "Correct the drift. Turn it on when the drift map shows drift. Off by default."
    )
    motion_correction_preset: MotionPreset = param(
        "dredge_fast",
        "SpikeInterface's preset of the drift correction. Choose `dredge` to compare with a slower estimate. The "
        "default is `dredge_fast`.",
    )
    freq_min: float = param(
        150.0,
        "Lower cut-off of the sorter's own filter. Lower it when wide spikes lose amplitude. The default of 150 "
        "keeps wide spikes.",
        unit="Hz",
        gt=0,
    )
    peak_sign: Literal["neg", "pos", "both"] = param(
        "neg", "Sign of the spikes. Choose `pos` or `both` when your spikes are positive. The default is `neg`."
    )
    detect_threshold: float = param(
        5.0,
        "Detection threshold. Lower it to detect smaller spikes, and more noise. The default of 5 is rarely reached "
        "by noise.",
        unit="MAD",
        gt=0,
    )
    n_peaks_per_channel: int = param(
        5000,
        "Number of spikes per channel that are clustered. Increase it to detect units that fire rarely, which needs "
        "more time. The default of 5000 is SpikeInterface's.",
        ge=1,
    )
    n_svd_components_per_channel: int = param(
        5,
        "Number of components that describe a waveform. Increase it to separate similar waveforms. The default of 5 "
        "is SpikeInterface's.",
        ge=1,
    )
    features_radius_um: float = param(
        120.0,
        "Distance of the channels that describe a spike. Lower it on very dense probes; increase it on sparse ones. "
        "The default of 120 is SpikeInterface's.",
        unit="um",
        gt=0,
    )
    split_radius_um: float = param(
        60.0,
        "Spikes further apart than this are split first. Increase it on sparse probes. The default of 60 is "
        "SpikeInterface's.",
        unit="um",
        gt=0,
    )
    clustering_recursive_depth: int = param(
        3,
        "How often a cluster is tested for further splits. Increase it when units are mixed. The default of 3 is "
        "SpikeInterface's.",
        ge=1,
    )
    merge_similarity_lag_ms: float = param(
        0.5,
        "Largest lag at which clusters are compared for merging. Increase it when one neuron becomes two units that "
        "are shifted in time. The default of 0.5 is SpikeInterface's.",
        unit="ms",
        ge=0,
    )
    ms_before: float = param(
        1.0,
        "Length of a template before the spike's peak. Increase it when spikes begin earlier. The default of 1 is "
        "SpikeInterface's.",
        unit="ms",
        gt=0,
    )
    ms_after: float = param(
        2.5,
        "Length of a template after the spike's peak. Increase it when the repolarization is slower. The default of "
        "2.5 includes the repolarization.",
        unit="ms",
        gt=0,
    )
    template_radius_um: float = param(
        100.0,
        "Distance of the channels of a template. Increase it on sparse probes. The default of 100 contains the "
        "channels that usually record a neuron.",
        unit="um",
        gt=0,
    )
    template_max_jitter_ms: float = param(
        0.2,
        "Templates whose peak is shifted further are removed. Increase it to keep more templates. The default of "
        "0.2 is SpikeInterface's.",
        unit="ms",
        ge=0,
    )
    min_firing_rate: float = param(
        0.1,
        "Clusters with a lower rate are removed. Lower it to keep units that fire rarely. The default of 0.1 "
        "removes clusters with too few spikes for a template.",
        unit="Hz",
        ge=0,
    )
    cache_preprocessing_mode: Literal["auto", "memory", "no-cache"] = param(
        "auto",
        "Where preprocessed traces are cached. Choose `no-cache` when memory and disk are short; sorting is then "
        "slower. The default, `auto`, uses memory when there is enough.",
    )
    gather_mode: Literal["memory", "npy"] = param(
        "memory",
        "Where the matched spikes are collected. Choose `npy` (files) when memory is short. The default is "
        "`memory`, which is faster.",
    )
    seed: int | None = param(
        0,
        "Seed of all random draws. Change it to see whether units depend on it. The default of 0 makes the result "
        "reproducible; null becomes 0, which `stage.json` lists as a change.",
        ge=0,
    )
    debug: bool = param(False, "Keep the sorter's intermediate results. Turn it on to study a sorting. Off by default.")


def make_component_arguments(params: SorterParams, context: Context) -> dict[str, Any]:
    """The arguments of a sorter whose parameters are `ComponentSettings`."""
    settings = params.sorter.model_dump()
    settings["seed"] = context.choose_seed(settings["seed"])
    if settings["apply_motion_correction"] and not context.corrects_drift(params):
        settings["apply_motion_correction"] = False
    return settings | {
        "preprocessing_dict": None,
        "save_array": settings["debug"],
        "job_kwargs": context.job_kwargs,
        "verbose": params.job_kwargs.progress_bar,
    }


def estimate_cache(params: SorterParams, megabytes: float) -> float:
    """MB on disk when the filtered traces are cached there, in half precision: as many as the written ones."""
    return 0.0 if cast(ComponentSettings, params.sorter).cache_preprocessing_mode == "no-cache" else megabytes


def keeps_files(arguments: dict[str, Any]) -> bool:
    return bool(arguments["debug"])


def speed_up(module: str) -> Callable[[], None]:
    """Make the `patch` of a sorter, by its module in `spikeinterface.sorters.internal`."""

    def patch() -> None:
        # It imports SpikeInterface, and command lines and checks read this module.
        from capsules.common.patches.faster_sorters import speed_up_sorter

        speed_up_sorter(import_module(f"spikeinterface.sorters.internal.{module}"))

    return patch


def make_repeatable(sums_in: str | None = None) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Make the `pin_seeds` of a sorter of SpikeInterface: the same spikes each time, with any number of workers.

    Parameters
    ----------
    sums_in : str, optional
        The sorter's module in `spikeinterface.sorters.internal`, when it sums templates worker by worker.

    Returns
    -------
    callable
        Patches SpikeInterface for the rest of this process, and returns the seeds for the record.
    """

    def pin(arguments: dict[str, Any]) -> dict[str, Any]:
        # It imports SpikeInterface, and command lines and checks read this module.
        from capsules.common.patches.repeatable_sorters import seed_draws, stop_in_order, sum_in_order

        stop_in_order()
        if sums_in is not None:
            sum_in_order(import_module(f"spikeinterface.sorters.internal.{sums_in}"))
        return seed_draws(arguments["seed"])

    return pin
