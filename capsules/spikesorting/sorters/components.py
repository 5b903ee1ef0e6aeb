"""What the sorters that SpikeInterface builds from its components have in common."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any, ClassVar, Literal

from capsules.common.params import Section, param
from capsules.spikesorting.sorters.base import Context, SorterParams

FIRST_CHUNKS = 16
"""How many chunks tell how many peaks a chunk has."""
LONGEST_SEGMENT = 2**40
"""In samples; a year at 30 kHz."""


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
        _stop_in_order()
        if sums_in is not None:
            _sum_in_order(import_module(f"spikeinterface.sorters.internal.{sums_in}"))
        return _pin_seeds(arguments["seed"])

    return pin


def _sum_in_order(module: Any) -> None:
    """Let one worker sum the templates: each sums its own part in float32, and parts add up to other last digits."""
    plain = module.estimate_templates_with_accumulator
    module.estimate_templates_with_accumulator = lambda *args, **kwargs: plain(*args, **(kwargs | {"n_jobs": 1}))


def _stop_in_order() -> None:
    """Let a search that stops at a number of peaks look at the same chunks each time.

    SpikeInterface (0.105.3) lets each worker stop at its share, so that which chunks are looked at depends on which
    worker was faster. Here they are those up to the one that reaches the number, in their order, as with one worker.
    """
    from spikeinterface.core import node_pipeline
    from spikeinterface.sortingcomponents.peak_detection import main

    node_pipeline.run_node_pipeline = main.run_node_pipeline = stopping_in_order(node_pipeline.run_node_pipeline)


def stopping_in_order(plain: Callable[..., Any]) -> Callable[..., Any]:
    """SpikeInterface's `run_node_pipeline`, which looks at the same `slices` for any number of workers."""
    import numpy as np
    from spikeinterface.core.job_tools import fix_job_kwargs

    def run(
        recording: Any, nodes: Any, job_kwargs: Any, skip_after_n_peaks: Any = None, slices: Any = None, **gather: Any
    ) -> Any:
        if skip_after_n_peaks is None or slices is None:
            rest = {"skip_after_n_peaks": skip_after_n_peaks, "slices": slices}
            return plain(recording, nodes, job_kwargs, **rest, **gather)
        squeeze, workers = gather.pop("squeeze_output", True), fix_job_kwargs(job_kwargs)["n_jobs"]
        parts: list[Any] = []
        counts = np.zeros(0, int)
        while counts.sum() <= skip_after_n_peaks and len(counts) < len(slices):
            # As many as are likely to be enough: a second round costs the start of the workers.
            lacking = (skip_after_n_peaks - counts.sum()) / max(counts.mean(), 1) if len(counts) else FIRST_CHUNKS
            several = slices[len(counts) :][: max(workers, round(1.1 * lacking) + 1)]
            parts.append(plain(recording, nodes, job_kwargs, slices=several, squeeze_output=False, **gather))
            counts = np.append(counts, _peaks_in(several, parts[-1][0]))
        # A chunk is looked at when those before it have not reached the number.
        kept = counts[np.cumsum(counts) - counts <= skip_after_n_peaks].sum()
        outputs = tuple(np.concatenate(output)[:kept] for output in zip(*parts, strict=True))
        return outputs[0] if squeeze and len(outputs) == 1 else outputs

    return run


def _peaks_in(slices: Any, peaks: Any) -> Any:
    """How many peaks lie in each slice (segment, first sample, end): an array of int."""
    import numpy as np

    starts = slices[:, 0] * LONGEST_SEGMENT + slices[:, 1]
    samples = peaks["segment_index"] * LONGEST_SEGMENT + peaks["sample_index"]
    order = np.argsort(starts)
    owners = order[np.searchsorted(starts, samples, side="right", sorter=order) - 1]
    return np.bincount(owners, minlength=len(slices))


def _pin_seeds(seed: int) -> dict[str, Any]:
    """Seed the random draws that the sorter's own `seed` does not reach.

    SpikeInterface's sorters (0.105.3) call these functions without a seed in places: the chunks that noise and
    whitening are told from, and the choice of the peaks that are clustered. A default of theirs is what remains.
    """
    from spikeinterface.core.time_series_tools import get_random_sample_slices
    from spikeinterface.sortingcomponents.peak_selection import select_peaks

    for function in (get_random_sample_slices, select_peaks):
        parameters = inspect.signature(function).parameters.values()
        with_default = [one.name for one in parameters if one.default is not one.empty]
        function.__defaults__ = tuple(
            seed if name == "seed" else default
            for name, default in zip(with_default, function.__defaults__, strict=True)
        )
    return {"seed": seed, "get_random_sample_slices.seed": seed, "select_peaks.seed": seed}
