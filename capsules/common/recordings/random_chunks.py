"""Random chunks of a recording, computed side by side."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy.typing as npt
from spikeinterface import BaseRecording
from spikeinterface.core.time_series_tools import get_random_sample_slices

from capsules.common.tasks.resources import count_cores


def read_random_chunks(recording: BaseRecording, **slices: Any) -> list[npt.NDArray[Any]]:
    """The chunks of SpikeInterface's `get_random_data_chunks`, which computes one after the other.

    Parameters
    ----------
    recording : BaseRecording
    slices
        Arguments of SpikeInterface's `get_random_sample_slices`.

    Returns
    -------
    list of array, (samples, channels)
    """
    chosen = get_random_sample_slices(recording, **slices)
    with ThreadPoolExecutor(count_cores()) as pool:
        return list(pool.map(lambda chunk: recording.get_traces(chunk[0], chunk[1], chunk[2]), chosen))
