"""SpikeInterface's own sorters made repeatable: the same spikes for any number of workers."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from spikeinterface import BaseRecording
from spikeinterface.core import node_pipeline
from spikeinterface.core.job_tools import fix_job_kwargs
from spikeinterface.core.time_series_tools import get_random_sample_slices
from spikeinterface.sortingcomponents.peak_selection import select_peaks

FIRST_CHUNKS = 16
"""The chunks that the number of peaks per chunk is estimated from."""
LONGEST_SEGMENT = 2**40
"""In samples; a year at 30 kHz."""


def sum_in_order(module: Any) -> None:
    """Sum the templates in one worker: the sum of several workers' parts in float32 has other last digits.

    SpikeInterface (0.105.3) in `estimate_templates_with_accumulator`, which the sorter's module calls by its own name.
    """
    plain = module.estimate_templates_with_accumulator
    module.estimate_templates_with_accumulator = lambda *args, **kwargs: plain(*args, **(kwargs | {"n_jobs": 1}))


def stop_in_order() -> None:
    """Let a peak detection that stops at a number of peaks process the same chunks each time.

    SpikeInterface (0.105.3) lets each worker stop at its share, so that the processed chunks depend on which worker
    was faster. Here they are the chunks up to the one that reaches the number, in order, as with one worker.
    """
    # The sorter imported it already, with torch, which takes seconds.
    from spikeinterface.sortingcomponents.peak_detection import main

    node_pipeline.run_node_pipeline = main.run_node_pipeline = make_stop_in_order(node_pipeline.run_node_pipeline)


def make_stop_in_order(plain: Callable[..., Any]) -> Callable[..., Any]:
    """SpikeInterface's `run_node_pipeline`, which processes the same `slices` for any number of workers."""

    def run(
        recording: BaseRecording,
        nodes: list[node_pipeline.PipelineNode],
        job_kwargs: dict[str, Any],
        skip_after_n_peaks: int | None = None,
        slices: npt.NDArray[np.int64] | None = None,
        **gather: Any,
    ) -> Any:
        if skip_after_n_peaks is None or slices is None:
            rest = {"skip_after_n_peaks": skip_after_n_peaks, "slices": slices}
            return plain(recording, nodes, job_kwargs, **rest, **gather)
        squeeze, workers = gather.pop("squeeze_output", True), fix_job_kwargs(job_kwargs)["n_jobs"]
        parts: list[Any] = []
        counts = np.zeros(0, int)
        while counts.sum() <= skip_after_n_peaks and len(counts) < len(slices):
            # As many as are probably enough: a second round starts the workers again.
            lacking = (skip_after_n_peaks - counts.sum()) / max(counts.mean(), 1) if len(counts) else FIRST_CHUNKS
            several = slices[len(counts) :][: max(workers, round(1.1 * lacking) + 1)]
            parts.append(plain(recording, nodes, job_kwargs, slices=several, squeeze_output=False, **gather))
            counts = np.append(counts, _peaks_in(several, parts[-1][0]))
        # A chunk counts when the chunks before it have not reached the number.
        kept = counts[np.cumsum(counts) - counts <= skip_after_n_peaks].sum()
        outputs = tuple(np.concatenate(output)[:kept] for output in zip(*parts, strict=True))
        return outputs[0] if squeeze and len(outputs) == 1 else outputs

    return run


def _peaks_in(slices: npt.NDArray[np.int64], peaks: npt.NDArray[np.void]) -> npt.NDArray[np.int64]:
    """The number of peaks in each slice (segment, first sample, end)."""
    starts = slices[:, 0] * LONGEST_SEGMENT + slices[:, 1]
    samples = peaks["segment_index"] * LONGEST_SEGMENT + peaks["sample_index"]
    order = np.argsort(starts)
    owners = order[np.searchsorted(starts, samples, side="right", sorter=order) - 1]
    return np.bincount(owners, minlength=len(slices))


def seed_draws(seed: int) -> dict[str, Any]:
    """Seed the random draws that the sorter's own `seed` does not reach.

    SpikeInterface's sorters (0.105.3) call these functions without a seed in places: the chunks that noise and
    whitening are estimated from, and the choice of the peaks for clustering. Only their defaults can be changed.
    """
    for function in (get_random_sample_slices, select_peaks):
        parameters = inspect.signature(function).parameters.values()
        with_default = [item.name for item in parameters if item.default is not item.empty]
        function.__defaults__ = tuple(
            seed if name == "seed" else default
            for name, default in zip(with_default, function.__defaults__ or (), strict=True)
        )
    return {"seed": seed, "get_random_sample_slices.seed": seed, "select_peaks.seed": seed}
