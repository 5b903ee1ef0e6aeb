"""Kilosort2.5, through its compiled executable or MATLAB; it needs a CUDA GPU.

Pachitariu, Steinmetz, Kadir, Carandini and Harris, NeurIPS 2016; drift correction: Steinmetz et al., Science 2021.
"""

import os
import shutil
from typing import Any

from capsules.spikesorting.sorters.base import Context, Sorter, SorterParams


def arguments(params: SorterParams, context: Context) -> dict[str, Any]:
    chosen = {"car": not context.referenced, "delete_recording_dat": True, "delete_tmp_files": True}
    if not context.drift_correction(params):
        chosen |= {"nblocks": 0, "do_correction": False}
    return chosen | params.sorter


def unavailable() -> str | None:
    if shutil.which("ks2_5_compiled") or (shutil.which("matlab") and os.environ.get("KILOSORT2_5_PATH")):
        return None
    return (
        "kilosort25 needs the executable ks2_5_compiled on PATH, or MATLAB with KILOSORT2_5_PATH set to "
        "Kilosort2.5's folder, and a CUDA GPU; install one of them or choose kilosort4 or spykingcircus2"
    )


SORTER = Sorter("kilosort25", "kilosort2_5", arguments, unavailable=unavailable)
