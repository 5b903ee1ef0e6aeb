"""The clock of an NWB file: when each segment of a recording began, and the time of any of its samples."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path
from typing import Any

from capsules.common.job import Job, Reader, open_reader, segments_of


def load_segments(job: Job, data: Path) -> list[Any]:
    """The segments of a job's raw recording, lazy, by the clock that `in_turn` tells of.

    Parameters
    ----------
    job : Job
    data : Path
        The data folder; the job's paths are relative to it.

    Returns
    -------
    list of spikeinterface.BaseRecording
        One or more, of one segment each.
    """
    return _timed_segments(job, job.reader, data)


def load_lfp_segments(job: Job, data: Path) -> list[Any] | None:
    """Likewise of the LF stream that belongs to the job's recording; None when the instrument wrote none."""
    return None if job.lfp_reader is None else _timed_segments(job, job.lfp_reader, data)


def in_turn(job: Job) -> bool:
    """Whether the segments are counted one after the other from 0 on: by the source's clock they would overlap."""
    starts, tolerance_s = job.segment_starts_s, 1 / job.sampling_frequency_hz
    followed = zip(starts, job.segment_durations_s, starts[1:], strict=False)
    return any(later < start + duration_s - tolerance_s for start, duration_s, later in followed)


def segment_starts(job: Job) -> list[float]:
    """When each of a job's segments begins in the file, in seconds."""
    return [0.0, *accumulate(job.segment_durations_s[:-1])] if in_turn(job) else job.segment_starts_s


def sample_times(segments: list[Any], samples: Any) -> Any:
    """The times of samples that are counted through all segments, in seconds.

    Parameters
    ----------
    segments : list of BaseRecording
        As `load_segments` gives them.
    samples : array of int
    """
    import numpy as np

    samples = np.asarray(samples)
    firsts = np.cumsum([0, *(segment.get_num_samples() for segment in segments[:-1])])
    times = np.empty(samples.shape)
    owners = np.searchsorted(firsts, samples, side="right") - 1
    for index, (segment, first) in enumerate(zip(segments, firsts, strict=True)):
        own = owners == index
        times[own] = segment.sample_index_to_time(samples[own] - first)
    return times


def intervals(segments: list[Any], first: int, count: int) -> Any:
    """Where `count` samples from `first` on lie: an array (intervals, 2) in seconds, a row for each segment."""
    import numpy as np

    rows, start = [], 0
    for segment in segments:
        begin, end = max(first - start, 0), min(first + count - start, segment.get_num_samples())
        if begin < end:
            last = segment.sample_index_to_time(end - 1) + 1 / segment.sampling_frequency
            rows.append([segment.sample_index_to_time(begin), last])
        start += segment.get_num_samples()
    return np.array(rows)


def counted_from(recording: Any, start_s: float) -> Any:
    """The same recording of one segment, with time counted by samples from `start_s` on."""
    from spikeinterface import concatenate_recordings

    # SpikeInterface's preprocessed recordings ask those that they are made of for the time.
    counted = concatenate_recordings([recording])
    counted.shift_times(float(start_s))
    return counted


def set_times_like(recording: Any, source: Any) -> None:
    """Give a saved, slower copy of `source` (one segment each) the instrument's timestamps, where `source` has them.

    Those of the samples of `source` that lie nearest: counted by its rate it would drift away from the spikes.
    """
    import numpy as np

    if source.has_time_vector():
        times = source.get_times()
        every = source.sampling_frequency / recording.sampling_frequency
        nearest = np.rint(np.arange(recording.get_num_samples()) * every).astype(int)
        recording.set_times(times[nearest.clip(max=len(times) - 1)])


def _timed_segments(job: Job, reader: Reader, data: Path) -> list[Any]:
    segments = segments_of(open_reader(reader, data), job)
    if in_turn(job):
        return [counted_from(one, start) for one, start in zip(segments, segment_starts(job), strict=False)]
    if job.regular_clock:
        return [counted_from(one, one.get_start_time()) for one in segments]
    for segment in segments:
        # Those of an NWB file are looked up one by one otherwise.
        segment.get_times()
    return segments
