"""Analog channels of the NI board and OneBox in the NWB file, in volts, on the file's clock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from hdmf.data_utils import GenericDataChunkIterator
from pynwb import NWBFile, TimeSeries

from capsules.common.facts import EventsFacts
from capsules.common.recordings.clock import Clock
from capsules.common.recordings.job import Job
from capsules.common.recordings.times import Times
from capsules.common.sync.lines import LineSource
from capsules.common.sync.spikeglx_meta import Header, read_header
from capsules.common.tasks.task import Task
from capsules.nwb_ecephys.events import object_name
from capsules.nwb_ecephys.params import NwbEcephysParams

CHUNK = 250_000
"""Samples of a compressed chunk in the file: 10 s at 25 kHz."""
BUFFER_GB = 0.1


class SampleIterator(GenericDataChunkIterator):
    """Samples (an array or an object with `shape`, `dtype` and slices) that are read while the file is written."""

    def __init__(self, samples: Any):
        self.samples = samples
        count = len(samples)
        buffer = min(count, CHUNK * max(1, int(BUFFER_GB * 1e9 / (CHUNK * np.dtype(samples.dtype).itemsize))))
        super().__init__(chunk_shape=(min(CHUNK, count),), buffer_shape=(buffer,))

    def _get_data(self, selection: tuple[slice]) -> npt.NDArray[Any]:
        return np.asarray(self.samples[selection[0]])

    def _get_maxshape(self) -> tuple[int]:
        return (len(self.samples),)

    def _get_dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = np.dtype(self.samples.dtype)
        return dtype


def add_analog(task: Task[NwbEcephysParams], nwbfile: NWBFile, jobs: list[Job]) -> None:
    """Add the analog channels of the streams that the stage `events` lists, a series for each channel and segment."""
    streams = task.input_facts(EventsFacts).analog_streams
    sources = {source.stream: source for job in jobs for source in job.event_sources if source.stream in streams}
    for source in sources.values():
        for index, paths in enumerate(source.paths):
            header = read_header(task.data / paths[0])
            clock = source.clocks[index]
            if source.alignment is not None and source.alignment.status == "aligned":
                clock = clock.align(source.alignment)
            if task.params.stub:
                clock = clock.part(0, min(clock.num_samples, round(task.params.stub_seconds * header.rate_hz)))
            suffix = f"_{source.segments[index]}" if len(source.paths) > 1 else ""
            _add_segment(nwbfile, source, header, clock, suffix)


def _add_segment(nwbfile: NWBFile, source: LineSource, header: Header, clock: Clock, suffix: str) -> None:
    traces = _map_file(header.file, len(header.columns))
    first: TimeSeries | None = None
    for name, gain_v in header.gains_v.items():
        time: dict[str, Any]
        if len(clock.samples) == 1:
            time = {"starting_time": clock.starts_s[0], "rate": clock.rates_hz[0]}
        else:
            # The channels of a segment share their times.
            time = {"timestamps": SampleIterator(Times(clock)) if first is None else first}
        series = TimeSeries(
            name=object_name(f"{source.stream}_{name}{suffix}"),
            description=f"Analog channel {name} of {source.stream}.",
            data=SampleIterator(traces[: clock.num_samples, header.columns.index(name)]),
            unit="volts",
            conversion=gain_v,
            **time,
        )
        nwbfile.add_acquisition(series)
        first = first or series


def _map_file(file: Path, columns: int) -> npt.NDArray[np.int16]:
    return np.memmap(file, dtype="<i2", mode="r").reshape(-1, columns)
