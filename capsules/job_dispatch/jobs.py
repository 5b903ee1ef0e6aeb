"""The jobs of a stream: one per segment, part between gaps and channel group, as the parameters split them."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from spikeinterface import BaseRecording

from capsules.common.errors import is_text, printable
from capsules.common.recordings.electrode_locations import find_location_file, read_locations
from capsules.common.recordings.job import Job, Reader, electrode_group, probe_name
from capsules.common.recordings.saturation import find_converter_limits
from capsules.common.recordings.session_metadata import find_metadata_files, list_folders_above, read_metadata
from capsules.job_dispatch.data_check import Verdict, check_data
from capsules.job_dispatch.loaders.streams import BrokenStream, Stream, relative_to_data, stat_files
from capsules.job_dispatch.params import JobDispatchParams
from capsules.job_dispatch.timing import Timing, read_timing, split_at_gaps

MAX_ID_LENGTH = 150
"""Ids are parts of file names, and a file system allows 255 characters."""


def jobs_of_stream(
    stream: Stream | BrokenStream, session: Path, data: Path, params: JobDispatchParams
) -> Iterator[Job]:
    """Make the jobs of one stream; a stream that cannot be read has one job, which fails."""
    if isinstance(stream, BrokenStream):
        yield broken_job(stream, session, data)
        return
    files = [entry for path in stream.files for entry in stat_files(path, data)]
    if odd := next((path for path, *_ in files if not is_text(path)), None):
        reason = f"the name {printable(odd)} is not UTF-8 text: rename the file"
        yield broken_job(BrokenStream(stream.dataset, stream.name, reason), session, data)
        return
    yield from StreamJobs(stream, session, data, params, files).make_jobs()


class StreamJobs:
    """Everything that the jobs of one stream share."""

    def __init__(
        self,
        stream: Stream,
        session: Path,
        data: Path,
        params: JobDispatchParams,
        files: list[tuple[str, int, int]],
    ):
        self.stream, self.session, self.data, self.params, self.files = stream, session, data, params, files
        self.recording = stream.recording
        self.prefix = id_prefix(session, data)
        self.groups = channel_groups(self.recording) if params.split_groups else [None]
        self.folders = list_folders_above(stream.files, session)
        metadata = find_metadata_files(stream.files, session)
        for file in metadata:
            # An invalid file is rejected here, before the sorting.
            read_metadata(file)
        self.metadata = [entry for file in metadata for entry in stat_files(file, data)]
        self.limits = find_converter_limits(self.recording, stream.max_count)

    def make_jobs(self) -> Iterator[Job]:
        segments = list(range(self.recording.get_num_segments()))
        for chosen in [[index] for index in segments] if self.params.split_segments else [segments]:
            name = f"recording{chosen[0] + 1}" + (f"-{chosen[-1] + 1}" if len(chosen) > 1 else "")
            verdict = check_data(self.recording, chosen, self.params.data_check, self.limits)
            timing = read_timing(self.stream, chosen, self.session, not self.params.skip_timestamps_check)
            for number, part in enumerate(self._split_gaps(timing, chosen)):
                part_name = name if part.part is None else f"{name}.{number + 1}"
                for group in self.groups:
                    job = self._make_job(part_name, chosen, group, part, verdict)
                    set_electrode_locations(job, self.recording, self.folders, self.data)
                    yield job

    def _split_gaps(self, timing: Timing, segments: list[int]) -> list[Timing]:
        if self.params.channel_groups and self.recording.get_annotation("assumed_layout") is None:
            timing.warnings.append("channel_groups does not apply: the channels have positions")
        if self.params.split_gaps and len(segments) == 1:
            return split_at_gaps(timing)
        if self.params.split_gaps and timing.clock.gaps():
            timing.warnings.append("split_gaps does not apply: split_segments is off, and the segments are joined")
        return [timing]

    def _make_job(self, part_name: str, segments: list[int], group: str | None, time: Timing, verdict: Verdict) -> Job:
        stream, recording, params = self.stream, self.recording, self.params
        group_name = "" if group is None else f"group{group}"
        duration_s = sum(time.durations_s)
        kept_s = min(duration_s, params.debug_duration) if params.debug else duration_s
        channels = recording.get_num_channels() if group is None else _group_size(recording, group)
        bytes_per_s = recording.sampling_frequency * channels * recording.get_dtype().itemsize
        return Job(
            id=clean_id(self.prefix, stream.dataset, stream.name, part_name, group_name),
            session=self.prefix or self.data.resolve().name,
            block=clean_id(self.prefix, stream.dataset, part_name),
            stream=stream.name,
            segments=segments,
            part=time.part,
            lfp_part=time.lfp_part,
            group=group,
            source_group=source_group(recording, stream.reader, group),
            reader=_move_paths(stream.reader, self.session, self.data),
            lfp_reader=stream.lfp_reader and _move_paths(stream.lfp_reader, self.session, self.data),
            sampling_frequency_hz=float(recording.sampling_frequency),
            num_channels=channels,
            duration_s=round(kept_s, 6),
            clip_s=params.debug_duration if params.debug else None,
            dtype=str(recording.get_dtype()),
            megabytes=round(kept_s * bytes_per_s / 1e6, 3),
            probe=_probe_name(recording),
            session_start_time=stream.start_time,
            session_start_s=stream.start_s,
            clock=time.clock,
            lfp_clock=time.lfp_clock,
            segments_in_turn=time.in_turn,
            segment_starts_s=time.starts_s,
            segment_durations_s=time.durations_s,
            first_samples=self._first_samples(segments, time),
            regular_clock=time.regular,
            converter_limits=self.limits,
            files=self.files,
            metadata_files=self.metadata,
            skip=too_short(duration_s, params) or verdict.skip,
            failure=verdict.failure,
            warnings=[*stream.warnings, *verdict.warnings, *time.warnings],
        )

    def _first_samples(self, segments: list[int], time: Timing) -> list[int] | None:
        if self.stream.first_samples is None:
            return None
        first_samples = [self.stream.first_samples[index] for index in segments]
        return first_samples if time.part is None else [first_samples[0] + time.part[0]]


def set_electrode_locations(job: Job, recording: BaseRecording, folders: list[Path], data: Path) -> None:
    """Set the locations of a job's electrodes in the brain, if one of the folders has a file of them.

    Parameters
    ----------
    job : Job
    recording : BaseRecording
        The whole stream: the file lists channels of all its groups.
    folders : list of Path
        The nearest first.
    data : Path
    """
    file = find_location_file(folders, [electrode_group(job), probe_name(job)])
    if file is None:
        return
    ids, count = recording.get_channel_ids().tolist(), recording.get_num_channels()
    depths = recording.get_channel_locations()[:, 1].tolist() if recording.has_channel_location() else [None] * count
    locations = read_locations(
        file, dict(zip(ids, zip(channel_numbers(recording, job.reader), depths, strict=True), strict=True))
    )
    groups = [None] * count if job.group is None else [str(group) for group in recording.get_channel_groups()]
    own = [str(id) for id, group in zip(ids, groups, strict=True) if group == job.group]
    job.electrode_locations = {id: locations[id] for id in own if id in locations}
    job.locations_file = relative_to_data(file, data)
    if missing := len(own) - len(job.electrode_locations):
        job.warnings.append(f"{job.locations_file} has no location for {missing} of the {len(own)} electrodes")


def channel_numbers(recording: BaseRecording, reader: Reader) -> list[int]:
    """The number of each channel of a stream, from 0: SpikeGLX' number, which counts unsaved channels, or its index."""
    if reader.name == "spikeglx":
        numbers = [int(match[1]) for id in recording.channel_ids if (match := re.search(r"#AP([0-9]+)$", str(id)))]
        if len(numbers) == recording.get_num_channels():
            return numbers
    return list(range(recording.get_num_channels()))


def id_prefix(session: Path, data: Path) -> str:
    """The session's name, which distinguishes the ids of several sessions; empty when there is only one."""
    return session.name if session != data else ""


def broken_job(stream: BrokenStream, session: Path, data: Path) -> Job:
    """The job of a stream that cannot be read: it is listed, and preprocessing fails with its cause."""
    name = id_prefix(session, data)
    return Job(
        id=clean_id(name, stream.dataset, stream.name, "recording1"),
        session=printable(name or data.resolve().name),
        block=clean_id(name, stream.dataset, "recording1"),
        stream=printable(stream.name),
        segments=[],
        reader=Reader(name="none", kwargs={}),
        sampling_frequency_hz=0,
        num_channels=0,
        duration_s=0,
        dtype="",
        megabytes=0,
        failure=printable(stream.failure),
    )


def too_short(duration_s: float, params: JobDispatchParams) -> str | None:
    """Why a recording of this length is skipped, or None."""
    if params.debug or duration_s >= params.min_recording_duration:
        return None
    return f"{duration_s:.1f} s long, shorter than min_recording_duration = {params.min_recording_duration:g} s"


def channel_groups(recording: BaseRecording) -> list[str | None]:
    """The names of the channel groups; [None] when there is only one."""
    groups = recording.get_channel_groups()
    names = [] if groups is None else [str(group) for group in dict.fromkeys(groups.tolist())]
    return [*names] if len(names) > 1 else [None]


def clean_id(*parts: str) -> str:
    """Join the parts of an id with `_`, and replace characters other than letters, digits, `.`, `_` and `-` by `-`.

    An id never begins with `.` or `-`, which would hide files or look like options. A long id is cut, and ends in a
    digest of the uncut id.
    """
    whole = "_".join(part for part in parts if part)
    id = re.sub(r"^[.-]", "_", re.sub(r"[^A-Za-z0-9._-]", "-", whole))
    if len(id) <= MAX_ID_LENGTH:
        return id
    digest = hashlib.sha256(whole.encode(errors="surrogateescape")).hexdigest()[:8]
    return f"{id[: MAX_ID_LENGTH - len(digest) - 1]}-{digest}"


def number_equal_ids(jobs: list[Job]) -> None:
    """Make equal ids distinct: the second becomes `<id>-2`, and so on."""
    seen: Counter[str] = Counter()
    used = {job.id for job in jobs}
    for job in jobs:
        seen[job.id] += 1
        if seen[job.id] > 1:
            number = seen[job.id]
            while f"{job.id}-{number}" in used:
                number += 1
            job.id = f"{job.id}-{number}"
            used.add(job.id)


def _move_paths(reader: Reader, session: Path, data: Path) -> Reader:
    """The same reader with paths relative to the data folder instead of the session's."""
    prefix = session.relative_to(data)
    kwargs = {
        key: str(prefix / value) if key in reader.path_arguments else value for key, value in reader.kwargs.items()
    }
    probe = None if reader.probe_path is None else str(prefix / reader.probe_path)
    appended = [_move_paths(other, session, data) for other in reader.appended]
    return reader.model_copy(update={"kwargs": kwargs, "probe_path": probe, "appended": appended})


def source_group(recording: BaseRecording, reader: Reader, group: str | None) -> str | None:
    """The electrode group of an NWB input that has all of these channels, or None."""
    if reader.name != "nwb" or recording.get_channel_groups() is None:
        return None
    names = {str(name) for name in recording.get_channel_groups()} if group is None else {group}
    return names.pop() if len(names) == 1 else None


def _group_size(recording: BaseRecording, group: str) -> int:
    return sum(str(value) == group for value in recording.get_channel_groups().tolist())


def _probe_name(recording: BaseRecording) -> str | None:
    if not recording.has_probe():
        return None
    probe = recording.get_probegroup().probes[0]
    name = probe.annotations.get("model_name") or probe.name
    return printable(str(name)) if name else None
