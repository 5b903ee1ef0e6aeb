"""The times of a clock, given to SpikeInterface's recordings and sortings."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from spikeinterface import BaseRecording, BaseSorting, concatenate_recordings
from spikeinterface.core import NumpyRecording

from capsules.common.recordings.clock import Clock


class Times:
    """The times of all samples of a clock as an array (samples,) that computes only what it is asked for.

    SpikeInterface takes it for a segment's time vector, as it takes a zarr array.
    """

    ndim, dtype = 1, "float64"

    def __init__(self, clock: Clock):
        self.clock, self.shape = clock, (clock.num_samples,)

    def __len__(self) -> int:
        return self.clock.num_samples

    def __getitem__(self, index: slice | npt.ArrayLike) -> npt.NDArray[np.float64]:
        if isinstance(index, slice):
            return self.clock.seconds(np.arange(*index.indices(len(self))))
        index = np.asarray(index)
        return self.clock.seconds(np.where(index < 0, index + len(self), index))

    def astype(self, dtype: npt.DTypeLike, copy: bool = True) -> Times | npt.NDArray[Any]:
        """Itself, since it is float64: SpikeInterface asks for that."""
        return self if dtype == self.dtype else self[:].astype(dtype)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return self[:] if dtype is None else self[:].astype(dtype)


def set_clock(recording: BaseRecording, clock: Clock) -> BaseRecording:
    """The same recording (BaseRecording of one segment) with the times of a clock of as many samples."""
    # SpikeInterface's preprocessed recordings ask those that they are made of for the time.
    recording = concatenate_recordings([recording])
    if clock.regular:
        recording.shift_times(clock.starts_s[0])
    else:
        recording.set_times(Times(clock))
    return recording


def register_clock(sorting: BaseSorting, clock: Clock) -> None:
    """Give a sorting (BaseSorting of one segment) the times of the recording that it was sorted from.

    `sorting.get_unit_spike_train(unit, return_times=True)` then returns seconds of that clock.
    """
    # SpikeInterface keeps times with a recording. This one needs no memory: all its samples are one number.
    silent = NumpyRecording([np.broadcast_to(np.int16(0), (clock.num_samples, 1))], clock.sampling_frequency_hz)
    sorting.register_recording(set_clock(silent, clock))


def set_times_like(recording: BaseRecording, source: BaseRecording) -> None:
    """Give a saved, slower copy of `source` (one segment each) the times of `source`, where it has one per sample.

    Those of the samples of `source` that lie nearest: counted by its rate it would drift away from the spikes.
    """
    if source.has_time_vector():
        times = source.get_times()
        every = source.sampling_frequency / recording.sampling_frequency
        nearest = np.rint(np.arange(recording.get_num_samples()) * every).astype(int)
        recording.set_times(times[nearest.clip(max=len(times) - 1)])
