"""Kilosort4, on the GPU where there is one and on the CPU otherwise.

Pachitariu, Sridhar, Pennington and Stringer, Spike sorting with Kilosort4, Nature Methods 21 (2024).
"""

from typing import Any

from capsules.spikesorting.sorters.base import Context, Sorter, SorterParams


def arguments(params: SorterParams, context: Context) -> dict[str, Any]:
    import torch

    given = params.sorter
    chosen = {
        "torch_device": "cuda" if torch.cuda.is_available() else "cpu",
        "progress_bar": params.job_kwargs.progress_bar,
        "clear_cache": params.clear_cache,
    }
    if context.referenced and "do_CAR" not in given:
        context.change("do_CAR = false: preprocessing subtracted the common reference already")
        chosen["do_CAR"] = False
    if not context.drift_correction(params):
        chosen |= {"nblocks": 0, "do_correction": False}
    return chosen | given


def pin_seeds(arguments: dict[str, Any]) -> dict[str, Any]:
    from spikeinterface.sorters import get_default_sorter_params

    defaults = get_default_sorter_params("kilosort4")
    return {"cluster_init_seed": arguments.get("cluster_init_seed", defaults["cluster_init_seed"])}


SORTER = Sorter("kilosort4", "kilosort4", arguments, pin_seeds, finds_nothing=("No spikes detected",))
