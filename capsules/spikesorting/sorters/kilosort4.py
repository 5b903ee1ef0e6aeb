"""Kilosort4, on the GPU where there is one and on the CPU otherwise.

Pachitariu, Sridhar, Pennington and Stringer, Spike sorting with Kilosort4, Nature Methods 21 (2024).
"""

from math import inf
from typing import Any, ClassVar

from pydantic import create_model

from capsules.parameters.model import Section, param
from capsules.spikesorting.sorters.base import JOB_KWARGS_REPLACED, Context, Sorter, SorterParams
from capsules.spikesorting.sorters.kilosort4_parameters import EXTRA_PARAMETERS, MAIN_PARAMETERS, compare_settings

REPLACED = {
    "n_chan_bin": "the recording tells its channels",
    "fs": "the recording tells its rate",
    "tmin": "use preprocessing.t_start",
    "tmax": "use preprocessing.t_stop",
    "clear_cache": "use spikesorting.kilosort4.clear_cache",
}
"""Parameters of the table that are not set here: name -> what takes their place."""
NULLABLE = ("max_cluster_subset",)
"""Parameters with a default for which null has a meaning too."""


def _declared(name: str, entry: dict[str, Any]) -> tuple[Any, Any]:
    """Type and field of a parameter of the table: JSON has no infinity, so null stands for it."""
    default = None if entry["default"] == inf else entry["default"]
    bounds = {}
    if entry["min"] not in (None, -inf):
        bounds["gt" if entry["min"] in entry["exclude"] else "ge"] = entry["min"]
    if entry["max"] not in (None, inf):
        bounds["lt" if entry["max"] in entry["exclude"] else "le"] = entry["max"]
    facts = {"gui_name": entry["gui_name"], "step": entry["step"]}
    if entry["type"] is list:
        bounds, kind = {"min_length": len(default), "max_length": len(default)}, list[float]
    else:
        kind = entry["type"] | None if default is None or name in NULLABLE else entry["type"]
    return kind, param(default, entry["description"], facts=facts, **bounds)


class _Wrapper(Section):
    """Kilosort4's own parameters, and those of its SpikeInterface wrapper."""

    replaced: ClassVar = REPLACED | JOB_KWARGS_REPLACED

    do_CAR: bool | None = param(
        None, "Subtract the common average; null does unless preprocessing subtracted a common reference."
    )
    invert_sign: bool = param(False, "Turn the traces upside down first.")
    do_correction: bool = param(True, "Correct the drift.")
    torch_device: str = param(
        "auto",
        "Device: `auto`, `cpu`, `cuda` or one of several, e.g. `cuda:1`.",
        pattern=r"^(auto|cpu|cuda(:[0-9]+)?)$(?!\n)",
    )
    bad_channels: list[int] | None = param(None, "Channels, counted from 0, that are not sorted.")
    skip_kilosort_preprocessing: bool = param(False, "Leave out Kilosort's own filter and whitening.")
    keep_good_only: bool = param(False, "Keep only the units that Kilosort calls good.")
    use_binary_file: bool | None = param(
        True, "Hand the traces over as a binary file; null: when they already are one."
    )
    delete_recording_dat: bool = param(True, "Delete a binary file that was written for the sorter.")
    save_extra_vars: bool = param(False, "Save more of Kilosort's intermediate results.")
    save_preprocessed_copy: bool = param(False, "Save the traces as Kilosort preprocessed them.")


Kilosort4Settings = create_model(
    "Kilosort4Settings",
    __base__=_Wrapper,
    __doc__=_Wrapper.__doc__,
    **{
        name: _declared(name, entry)
        for name, entry in (MAIN_PARAMETERS | EXTRA_PARAMETERS).items()
        if name not in REPLACED
    },
)


class Kilosort4Params(SorterParams):
    """Kilosort4 and the settings around it."""

    clear_cache: bool = param(
        False,
        "Give GPU memory back between the steps that need much of it; slower, for GPUs with little memory.",
        flags={"--clear-cache": True},
    )
    sorter: Kilosort4Settings = param(Kilosort4Settings(), "Kilosort4's parameters.")


def arguments(params: SorterParams, context: Context) -> dict[str, Any]:
    import torch

    chosen = params.sorter.model_dump()
    if chosen["artifact_threshold"] is None:
        chosen["artifact_threshold"] = inf
    if chosen["torch_device"] == "auto":
        chosen["torch_device"] = "cuda" if torch.cuda.is_available() else "cpu"
    chosen["do_CAR"] = context.own_reference("do_CAR", chosen["do_CAR"])
    if not context.drift_correction(params):
        chosen |= {"nblocks": 0, "do_correction": False}
    return chosen | {
        "clear_cache": params.clear_cache,
        "chunk_duration": params.job_kwargs.chunk_duration,
        "progress_bar": params.job_kwargs.progress_bar,
    }


CPU_SECONDS = 0.3
"""Seconds that one core works on one second of one channel, by docs/benchmarks.md; twice with drift correction."""


def cpu_seconds(arguments: dict[str, Any], num_channels: int, duration_s: float) -> float:
    passes = 2 if arguments["nblocks"] else 1
    return CPU_SECONDS * passes * num_channels * duration_s


def when_memory_is_short(arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """First give memory back between the steps; then shorter batches, which change the result a little."""
    freed = [] if arguments["clear_cache"] else [{"clear_cache": True}]
    return freed + [{"clear_cache": True, "batch_size": arguments["batch_size"] // part} for part in (2, 4)]


def pin_seeds(arguments: dict[str, Any]) -> dict[str, Any]:
    return {"cluster_init_seed": arguments["cluster_init_seed"]}


def keeps_files(arguments: dict[str, Any]) -> bool:
    kept = arguments["save_extra_vars"] or arguments["save_preprocessed_copy"]
    return kept or not arguments["delete_recording_dat"]


SORTER = Sorter(
    "kilosort4",
    "kilosort4",
    Kilosort4Params,
    arguments,
    differing=lambda arguments: compare_settings(arguments)[0],
    pin_seeds=pin_seeds,
    keeps_files=keeps_files,
    finds_nothing={"No spikes detected": "no spikes were found"},
    repeats="on the CPU, the same data, parameters and machine give the same spikes; on a GPU not measured",
    uses_gpu=lambda params: params.sorter.torch_device != "cpu",
    cpu_seconds=cpu_seconds,
    when_memory_is_short=when_memory_is_short,
)
