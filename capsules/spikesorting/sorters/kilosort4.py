"""Kilosort4, on the GPU where there is one and on the CPU otherwise.

Pachitariu, Sridhar, Pennington and Stringer, Spike sorting with Kilosort4, Nature Methods 21 (2024).
"""

from math import inf
from typing import Any

from capsules.parameters.model import param
from capsules.spikesorting.sorters.base import Context, Sorter, SorterParams
from capsules.spikesorting.sorters.kilosort4_parameters import KILOSORT_NAMES, Kilosort4Settings


class Kilosort4Params(SorterParams):
    """Kilosort4 and the settings around it."""

    clear_cache: bool = param(
        False,
        "Free GPU memory between the steps that need much of it. Turn it on for GPUs with little memory; sorting is "
        "then slower. Off by default: it is turned on when the memory runs out.",
        flags={"--clear-cache": True},
    )
    sorter: Kilosort4Settings = param(Kilosort4Settings(), "Kilosort4's parameters.")


def make_arguments(params: Kilosort4Params, context: Context) -> dict[str, Any]:
    # torch takes seconds to import, and no other sorter and no check of the parameters needs it.
    import torch

    settings = params.sorter.model_dump()
    if settings["artifact_threshold"] is None:
        settings["artifact_threshold"] = inf
    if settings["torch_device"] == "auto":
        settings["torch_device"] = "cuda" if torch.cuda.is_available() else "cpu"
    settings["do_CAR"] = context.subtracts_reference("do_CAR", settings["do_CAR"])
    if not context.corrects_drift(params):
        settings |= {"nblocks": 0, "do_correction": False}
    return settings | {
        "clear_cache": params.clear_cache,
        "chunk_duration": params.job_kwargs.chunk_duration,
        "progress_bar": params.job_kwargs.progress_bar,
    }


def find_changes(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments that differ from the defaults of Kilosort's own table."""
    defaults = Kilosort4Settings().model_dump(include=set(KILOSORT_NAMES))
    defaults["artifact_threshold"] = inf
    return {name: value for name, value in arguments.items() if name in defaults and value != defaults[name]}


CPU_SECONDS = 0.3
"""Seconds that one core works on one second of one channel, by docs/benchmarks.md; twice with drift correction."""


def estimate_cpu_seconds(arguments: dict[str, Any], num_channels: int, duration_s: float) -> float:
    passes = 2 if arguments["nblocks"] else 1
    return CPU_SECONDS * passes * num_channels * duration_s


def reduce_memory(arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """First free memory between the steps; then use shorter batches, which change the result a little."""
    first: list[dict[str, Any]] = [] if arguments["clear_cache"] else [{"clear_cache": True}]
    return first + [{"clear_cache": True, "batch_size": arguments["batch_size"] // part} for part in (2, 4)]


def pin_seeds(arguments: dict[str, Any]) -> dict[str, Any]:
    return {"cluster_init_seed": arguments["cluster_init_seed"]}


def keeps_files(arguments: dict[str, Any]) -> bool:
    saves = arguments["save_extra_vars"] or arguments["save_preprocessed_copy"]
    return bool(saves or not arguments["delete_recording_dat"])


SORTER = Sorter(
    "kilosort4",
    "kilosort4",
    Kilosort4Params,
    make_arguments,
    find_changes=find_changes,
    pin_seeds=pin_seeds,
    keeps_files=keeps_files,
    nothing_to_sort={"No spikes detected": "no spikes were detected"},
    repeats="on the CPU, the same data, parameters and machine give the same spikes; on one NVIDIA H200, two runs did",
    uses_gpu=lambda params: params.sorter.torch_device != "cpu",
    estimate_cpu_seconds=estimate_cpu_seconds,
    reduce_memory=reduce_memory,
)
