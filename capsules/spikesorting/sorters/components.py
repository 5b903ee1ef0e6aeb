"""What the sorters that SpikeInterface builds from its components have in common."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, ClassVar, Literal

from capsules.parameters.model import Section, param
from capsules.spikesorting.sorters.base import Context, SorterParams


class ComponentSettings(Section):
    """Parameters that Lupin and Tridesclous2 share; each declares those whose defaults are its own."""

    replaced: ClassVar = {
        "job_kwargs": "use the sorter's job_kwargs and --n_jobs",
        "preprocessing_dict": "use preprocessing.custom_preprocessing_pipeline",
        "save_array": "use debug, which keeps the sorter's files",
    }

    apply_preprocessing: bool = param(
        True, "Filter again, whiten, and subtract the common reference from 32 channels on."
    )
    apply_motion_correction: bool = param(False, "Correct the drift.")
    motion_correction_preset: Literal[
        "dredge", "dredge_fast", "nonrigid_accurate", "nonrigid_fast_and_accurate", "rigid_fast", "kilosort_like"
    ] = param("dredge_fast", "SpikeInterface's recipe for the drift.")
    freq_min: float = param(150.0, "Lower cut-off of the sorter's own filter.", unit="Hz", gt=0)
    peak_sign: Literal["neg", "pos", "both"] = param("neg", "Polarity of the spikes.")
    detect_threshold: float = param(5.0, "Detection threshold.", unit="MAD", gt=0)
    n_peaks_per_channel: int = param(5000, "Spikes per channel that are clustered.", ge=1)
    n_svd_components_per_channel: int = param(5, "Components that a waveform is described by.", ge=1)
    features_radius_um: float = param(120.0, "Channels that a spike is described on.", unit="um", gt=0)
    split_radius_um: float = param(60.0, "Spikes further apart are split first.", unit="um", gt=0)
    clustering_recursive_depth: int = param(3, "How often a cluster is looked at again.", ge=1)
    merge_similarity_lag_ms: float = param(
        0.5, "Largest lag at which clusters are compared to be merged.", unit="ms", ge=0
    )
    ms_before: float = param(1.0, "Template before the spike's peak.", unit="ms", gt=0)
    ms_after: float = param(2.5, "Template after the spike's peak.", unit="ms", gt=0)
    template_radius_um: float = param(100.0, "Channels that belong to a template.", unit="um", gt=0)
    template_max_jitter_ms: float = param(0.2, "Templates whose peak is further off are dropped.", unit="ms", ge=0)
    min_firing_rate: float = param(0.1, "Clusters that fire less are dropped.", unit="Hz", ge=0)
    cache_preprocessing_mode: Literal["auto", "memory", "no-cache"] = param(
        "auto", "Where preprocessed traces are kept."
    )
    gather_mode: Literal["memory", "npy"] = param("memory", "Where the matched spikes are gathered.")
    seed: int | None = param(0, "Seed of all random draws; null becomes 0, which is noted.", ge=0)
    debug: bool = param(False, "Keep the sorter's intermediate results.")


def component_arguments(params: SorterParams, context: Context) -> dict[str, Any]:
    """The arguments of a sorter whose parameters are `ComponentSettings`."""
    chosen = params.sorter.model_dump()
    chosen["seed"] = context.seed("seed", chosen["seed"])
    if chosen["apply_motion_correction"] and not context.drift_correction(params):
        chosen["apply_motion_correction"] = False
    return chosen | {
        "preprocessing_dict": None,
        "save_array": chosen["debug"],
        "job_kwargs": context.job_kwargs,
        "verbose": params.job_kwargs.progress_bar,
    }


def keeps_files(arguments: dict[str, Any]) -> bool:
    return arguments["debug"]


def repeatable(sums_in: str | None = None) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """What makes a sorter of SpikeInterface give the same spikes each time, whatever the number of workers.

    Parameters
    ----------
    sums_in : str, optional
        The sorter's module in `spikeinterface.sorters.internal`, when it sums templates worker by worker.

    Returns
    -------
    callable
        Takes the sorter's arguments, works for the rest of this process, and returns the seeds for the record.
    """

    def pin(arguments: dict[str, Any]) -> dict[str, Any]:
        # It imports SpikeInterface, and command lines and checks read this module.
        from capsules.common.patches.repeatable_sorters import seed_draws, stop_in_order, sum_in_order

        stop_in_order()
        if sums_in is not None:
            sum_in_order(import_module(f"spikeinterface.sorters.internal.{sums_in}"))
        return seed_draws(arguments["seed"])

    return pin
