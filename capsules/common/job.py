"""A job: one recording to be sorted, as job dispatch describes it and every later stage reads it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from capsules.common.channel_groups import with_channel_groups
from capsules.common.clock import Clock, counted, timed
from capsules.common.distrust import EVALUATING, ForeignCode, distrust_files, load_saved
from capsules.common.electrode_locations import ElectrodeLocation
from capsules.common.outer_files import check_outer_files

ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")
"""What an id looks like. Files and folders are named for it: nothing else may become a path."""


class Reader(BaseModel):
    """A SpikeInterface extractor and its arguments; `path_arguments` name those relative to the data folder.

    `channel_groups` are those that a recording without channel positions gets, as in `4x4`.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    kwargs: dict[str, Any]
    path_arguments: list[str] = []
    probe_path: str | None = None
    channel_groups: str | None = None


class Job(BaseModel):
    """One recording to be sorted.

    `block` is the id of the NWB file that the recording belongs to; `segments` are the reader's segment indices,
    concatenated when there are several. `source_group` is the electrode group that all channels have in an NWB input.
    `files` are its raw files (path relative to the data folder, bytes, mtime in
    ns), so that a replaced file makes another job; `metadata_files`, likewise, tell about the session, and only the NWB
    export is given them. `electrode_locations` (channel id -> where it lies in the brain) come from `locations_file`;
    what is sorted does not depend on them. `part` are the first sample and the number of samples that are taken of the
    job's only segment when it is split at its gaps, `lfp_part` those of the LF stream.

    The time: `clock` maps the samples of the concatenated segments to seconds, `lfp_clock` those of the LF stream;
    `regular_clock` says that they are counted from each segment's start, `segments_in_turn` that the segments are
    counted one after the other from 0 on, because by the source's clock they overlap. `session_start_s` is
    `session_start_time` by the instrument's clock, where that is known. `segment_starts_s` and
    `segment_durations_s` are the source's. `first_samples` are the instrument's numbers of the segments' first samples,
    `sync_edges_s` the edges of the SYNC signal in the first seconds of the first segment (None: it has none).

    Sizes are those of the traces as they lie on disk. `converter_limits` are the lowest and the highest sample that the
    converter gives, in the recording's counts. `skip` says why it is not worked on, `failure` why it could not be read;
    `warnings` are for the user.
    """

    model_config = ConfigDict(extra="forbid")

    id: str
    session: str
    block: str
    stream: str
    segments: list[int]
    part: tuple[int, int] | None = None
    lfp_part: tuple[int, int] | None = None
    group: str | None = None
    source_group: str | None = None
    reader: Reader
    lfp_reader: Reader | None = None
    sampling_frequency_hz: float
    num_channels: int
    duration_s: float
    clip_s: float | None = None
    dtype: str
    converter_limits: tuple[float, float] | None = None
    megabytes: float
    probe: str | None = None
    session_start_time: str | None = None
    session_start_s: float | None = None
    clock: Clock | None = None
    lfp_clock: Clock | None = None
    segments_in_turn: bool = False
    segment_starts_s: list[float] = []
    segment_durations_s: list[float] = []
    first_samples: list[int] | None = None
    sync_edges_s: list[float] | None = None
    regular_clock: bool = True
    files: list[tuple[str, int, int]] = []
    metadata_files: list[tuple[str, int, int]] = []
    locations_file: str | None = None
    electrode_locations: dict[str, ElectrodeLocation] = {}
    warnings: list[str] = []
    skip: str | None = None
    failure: str | None = None

    @model_validator(mode="after")
    def _count_samples(self) -> Job:
        """Without a clock, time is counted by samples from 0."""
        if self.clock is None:
            rate_hz = self.sampling_frequency_hz
            self.clock = counted(round(self.duration_s * rate_hz), rate_hz)
        return self

    def clock_of_traces(self, start_s: float, num_samples: int) -> Clock:
        """The clock of the preprocessed traces: so many samples, from `start_s` after the job's first sample."""
        return self.clock.part(round(start_s * self.sampling_frequency_hz), num_samples)


def stream_stem(name: str) -> str:
    """A stream's name without its band: `imec0.ap` and `imec0.lf` are `imec0`."""
    return re.sub(r"[.-]?(ap|lfp?)$", "", name, flags=re.IGNORECASE)


def read_jobs(file: Path) -> list[Job]:
    """Read the jobs in a JSON file that holds one job or a list of them."""
    content = json.loads(file.read_text())
    return [Job.model_validate(job) for job in (content if isinstance(content, list) else [content])]


def load_recording(job: Job, data: Path) -> Any:
    """The raw recording of a job, lazy: its segments as one, its channel group, clipped as the job says.

    Time counts from 0 by samples, which is all that the work on the traces needs.

    Parameters
    ----------
    job : Job
    data : Path
        The data folder; the job's paths are relative to it.

    Returns
    -------
    spikeinterface.BaseRecording
        One segment.
    """
    from spikeinterface import concatenate_recordings

    recording = open_reader(job.reader, data)
    recording.reset_times()
    segments = segments_of(recording, job, job.part)
    return segments[0] if len(segments) == 1 else concatenate_recordings(segments)


def load_segments(job: Job, data: Path) -> list[Any]:
    """The segments of a job's raw recording, lazy, with the times of the job's clock.

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
    return _timed_segments(segments_of(open_reader(job.reader, data), job, job.part), job.clock)


def load_lfp_segments(job: Job, data: Path) -> list[Any] | None:
    """Likewise of the LF stream that belongs to the job's recording; None when the instrument wrote none."""
    if job.lfp_reader is None:
        return None
    return _timed_segments(segments_of(open_reader(job.lfp_reader, data), job, job.lfp_part), job.lfp_clock)


def _timed_segments(segments: list[Any], clock: Clock) -> list[Any]:
    result, first = [], 0
    for segment in segments:
        count = segment.get_num_samples()
        result.append(timed(segment, clock.part(first, count)))
        first += count
    return result


def open_reader(reader: Reader, data: Path) -> Any:
    """Open a stream with SpikeInterface and give it its probe; unsigned samples become signed.

    Raises
    ------
    ForeignCode
        When reading it would run something that the files bring along.
    ValueError
        When SpikeInterface has no extractor of that name.
    """
    import numpy as np
    from spikeinterface.extractors.extractor_classes import recording_extractor_full_dict

    distrust_files()
    kwargs = {key: str(data / value) if key in reader.path_arguments else value for key, value in reader.kwargs.items()}
    for key in reader.path_arguments:
        check_outer_files(Path(kwargs[key]), data)
    if reader.name == "spikeinterface":
        recording = load_saved(Path(kwargs["file_or_folder_path"]))
    elif reader.name in EVALUATING.values():
        raise ForeignCode(f"SpikeInterface's reader {reader.name} runs text of the data's files: it is not used")
    elif reader.name in recording_extractor_full_dict:
        recording = recording_extractor_full_dict[reader.name](**kwargs)
    else:
        from capsules.common.errors import nearest

        raise ValueError(
            f"SpikeInterface has no reader {reader.name!r}{nearest(reader.name, list(recording_extractor_full_dict))}"
        )
    for segment in recording.segments:
        if segment._t_start is not None:
            # NWB in zarr gives an array of one.
            segment._t_start = float(np.ravel(segment._t_start)[0])
    if reader.probe_path is not None:
        import probeinterface

        recording = recording.select_channels_with_probegroup(
            probeinterface.read_probeinterface(data / reader.probe_path)
        )
    recording = with_channel_groups(recording, reader.channel_groups)
    if recording.get_dtype().kind == "u":
        from spikeinterface.preprocessing import unsigned_to_signed

        # Filters would wrap around zero, and refuse unsigned samples.
        signed = unsigned_to_signed(recording)
        if recording.has_scaleable_traces():
            # What was half of the range is 0 from here on.
            half = 2 ** (8 * recording.get_dtype().itemsize - 1)
            signed.set_channel_offsets(recording.get_channel_offsets() + half * recording.get_channel_gains())
        recording = signed
    return recording


def segments_of(recording: Any, job: Job, part: tuple[int, int] | None) -> list[Any]:
    """Take the job's segments, each as a recording of its own, its group and its seconds out of its stream."""
    if job.group is not None and recording.get_channel_groups() is not None:
        recording = recording.split_by("group", outputs="dict")[_group_key(recording, job.group)]
    segments = [recording.select_segments([index]) for index in job.segments]
    if part is not None:
        (segment,), (first, count) = segments, part
        segments = [segment.frame_slice(first, first + count)]
    return segments if job.clip_s is None else first_seconds(segments, job.clip_s)


def first_seconds(segments: list[Any], seconds: float) -> list[Any]:
    """The first seconds of recordings of one segment that follow each other; those that begin later are left out.

    One sample at least.
    """
    left, kept = max(1, round(seconds * segments[0].sampling_frequency)), []
    for segment in segments:
        count = segment.get_num_samples()
        if left > 0:
            kept.append(segment if count <= left else segment.frame_slice(0, left))
        left -= count
    return kept


def _group_key(recording: Any, group: str) -> Any:
    return next(key for key in set(recording.get_channel_groups().tolist()) if str(key) == group)
