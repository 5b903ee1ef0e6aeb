"""SpykingCircus2, SpikeInterface's own sorter; runs on the CPU.

https://spikeinterface.readthedocs.io/en/stable/how_to/customize_a_sorter.html
"""

import inspect
from typing import Any

from capsules.spikesorting.sorters.base import Context, Sorter, SorterParams


def arguments(params: SorterParams, context: Context) -> dict[str, Any]:
    drift = {} if context.drift_correction(params) else {"apply_motion_correction": False}
    return {"job_kwargs": context.job_kwargs} | drift | params.sorter


def pin_seeds(arguments: dict[str, Any]) -> dict[str, Any]:
    """Seed the one random draw that the sorter's own `seed` does not reach.

    The matched-filter peak detector takes its noise from chunks drawn without a seed, and SpykingCircus2 hands it
    none (0.105.3), so that every run differs. The detector's default for those chunks is a dictionary: the seed is
    put into it.
    """
    from spikeinterface.sorters import get_default_sorter_params
    from spikeinterface.sortingcomponents.peak_detection.matched_filtering import MatchedFilteringPeakDetector

    seed = arguments.get("seed", get_default_sorter_params("spykingcircus2")["seed"])
    default = inspect.signature(MatchedFilteringPeakDetector.__init__).parameters["random_chunk_kwargs"].default
    default["seed"] = seed
    return {"seed": seed, "matched_filtering.random_chunk_kwargs.seed": seed}


# With two BLAS threads its sums, and then some of its spikes, are others than with one; it works in n_jobs processes.
SORTER = Sorter("spykingcircus2", "spykingcircus2", arguments, pin_seeds, threads=1)
