"""Job dispatch: open every stream, cut it into segments and groups, write one job for each."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from capsules.common.errors import SpikeRelayError, is_text, nearest, printable
from capsules.common.files import write_json
from capsules.common.recordings.electrode_locations import NAME, location_file, read_locations
from capsules.common.recordings.job import Job, Reader
from capsules.common.recordings.probe_names import electrode_group, probe_name
from capsules.common.recordings.reading import open_reader
from capsules.common.recordings.saturation import converter_limits
from capsules.common.recordings.session_metadata import folders_above, metadata_files, read_metadata
from capsules.common.tasks.task import Task
from capsules.job_dispatch.loaders import LOADERS
from capsules.job_dispatch.loaders.streams import AnyStream, BrokenStream, LeftOutStream, Stream, cause
from capsules.job_dispatch.look import Findings, look
from capsules.job_dispatch.timing import parts_of, timing_of

MAX_ID_LENGTH = 150
"""Files are named for ids, with other words before and after; a file system takes 255 letters."""
SYNC_BIT = 6
"""Where SpikeGLX has the SYNC signal in the digital word of an imec stream."""
SYNC_SECONDS = 10.0
"""What is read of it: the file interleaves it with the traces."""
MOST_SYNC_EDGES = 1000
"""More of them within that time are the noise of an input that nothing is connected to."""


def run(task: Task) -> None:
    jobs: list[Job] = []
    left_out: list[str] = []
    for session in sessions(task.data, task.params):
        for stream in session_streams(session, task):
            if isinstance(stream, LeftOutStream):
                left_out.append(printable(f"{stream.dataset} {stream.name}: {stream.reason}"))
            else:
                jobs += jobs_of_stream(stream, session, task.data, task.params)
    if not jobs:
        reasons = "".join(f"; left out: {line}" for line in left_out)
        raise SpikeRelayError(
            f"nothing to sort in {task.data}: no neural stream was found by --input {task.params.input}{reasons}"
        )
    number_collisions(jobs)
    folders = {(task.data / path).parent for job in jobs for path, *_ in job.files}
    for line in unused_location_files(jobs, {task.data, *sessions(task.data, task.params), *folders}, task.data):
        task.warn(line)
    write_json(task.out / "jobs.json", [job.model_dump(mode="json") for job in jobs])
    task.fact(recordings=[job.id for job in jobs], not_sorted=left_out)


def sessions(data: Path, params: Any) -> list[Path]:
    """The folders of the sessions: the data folder itself, or its sub-folders."""
    return sorted(path for path in data.iterdir() if path.is_dir()) if params.multi_session else [data]


def session_streams(session: Path, task: Task) -> Iterator[AnyStream]:
    """The streams of a session; with several sessions, one that cannot be read does not take the others with it."""
    loader = LOADERS[task.params.input]
    if not task.params.multi_session:
        yield from loader.streams(session, task.params)
        return
    if task.params.input != "spikeinterface" and not loader.found(session):
        task.warn(f"{session.name} is left out: it holds no {task.params.input} recording")
        return
    try:
        yield from loader.streams(session, task.params)
    except SpikeRelayError as error:
        yield BrokenStream("", "session", str(error))


def jobs_of_stream(stream: Stream | BrokenStream, session: Path, data: Path, params: Any) -> Iterator[Job]:
    """The jobs of one stream: one per segment, part between gaps and channel group, as the parameters split them."""
    if isinstance(stream, BrokenStream):
        yield broken_job(stream, session, data)
        return
    files = [entry for path in stream.files for entry in stat_files(path, data)]
    if odd := next((path for path, *_ in files if not is_text(path)), None):
        reason = f"the name {printable(odd)} is no UTF-8 text: rename it"
        yield broken_job(BrokenStream(stream.dataset, stream.name, reason), session, data)
        return
    recording = stream.recording
    segments = list(range(recording.get_num_segments()))
    name = id_prefix(session, data)
    groups = channel_groups(recording) if params.split_groups else [None]
    folders = folders_above(stream.files, session)
    told = metadata_files(stream.files, session)
    for file in told:
        # Rejected now, and not after the sorting.
        read_metadata(file)
    metadata = [entry for file in told for entry in stat_files(file, data)]
    sync = None if stream.sync_reader is None else open_reader(stream.sync_reader, session)
    limits = converter_limits(recording, stream.max_count)
    for chosen in [[index] for index in segments] if params.split_segments else [segments]:
        whole = f"recording{chosen[0] + 1}" + (f"-{chosen[-1] + 1}" if len(chosen) > 1 else "")
        found = looked_at(recording, chosen, params.data_check, limits)
        pulses = {} if sync is None else sync_edges(sync, chosen[0])
        timing = timing_of(stream, chosen, session, not params.skip_timestamps_check)
        if params.channel_groups and recording.get_annotation("assumed_layout") is None:
            timing.warnings.append("channel_groups does not apply: the channels have positions")
        parts = [timing]
        if params.split_gaps and len(chosen) == 1:
            parts = parts_of(timing)
        elif params.split_gaps and timing.clock.gaps():
            timing.warnings.append("split_gaps does not apply: split_segments is off, and the segments are joined")
        for number, time in enumerate(parts):
            part = whole if time.part is None else f"{whole}.{number + 1}"
            duration_s = sum(time.durations_s)
            kept_s = min(duration_s, params.debug_duration) if params.debug else duration_s
            first_samples = stream.first_samples and [stream.first_samples[index] for index in chosen]
            if first_samples and time.part is not None:
                first_samples = [first_samples[0] + time.part[0]]
            for group in groups:
                channels = recording.get_num_channels() if group is None else _group_size(recording, group)
                job = Job(
                    id=clean_id(name, stream.dataset, stream.name, part, "" if group is None else f"group{group}"),
                    session=name or data.resolve().name,
                    block=clean_id(name, stream.dataset, part),
                    stream=stream.name,
                    segments=chosen,
                    part=time.part,
                    lfp_part=time.lfp_part,
                    group=group,
                    source_group=source_group(recording, stream.reader, group),
                    reader=_below(stream.reader, session, data),
                    lfp_reader=stream.lfp_reader and _below(stream.lfp_reader, session, data),
                    sampling_frequency_hz=float(recording.sampling_frequency),
                    num_channels=channels,
                    duration_s=round(kept_s, 6),
                    clip_s=params.debug_duration if params.debug else None,
                    dtype=str(recording.get_dtype()),
                    megabytes=round(
                        kept_s * recording.sampling_frequency * channels * recording.get_dtype().itemsize / 1e6, 3
                    ),
                    probe=_probe_name(recording),
                    session_start_time=stream.start_time,
                    session_start_s=stream.start_s,
                    clock=time.clock,
                    lfp_clock=time.lfp_clock,
                    segments_in_turn=time.in_turn,
                    segment_starts_s=time.starts_s,
                    segment_durations_s=time.durations_s,
                    first_samples=first_samples,
                    sync_edges_s=pulses.get("sync_edges_s") if number == 0 else None,
                    regular_clock=time.regular,
                    converter_limits=limits,
                    files=files,
                    metadata_files=metadata,
                    skip=too_short(duration_s, params) or found.skip,
                    failure=found.failure,
                    warnings=[*found.warnings, *time.warnings, *pulses.get("warnings", [])],
                )
                set_electrode_locations(job, recording, folders, data)
                yield job


def set_electrode_locations(job: Job, recording: Any, folders: list[Path], data: Path) -> None:
    """Set the locations of a job's electrodes in the brain, when one of these folders has a file of them.

    Parameters
    ----------
    job : Job
    recording : BaseRecording
        The whole stream: the file lists channels of all its groups.
    folders : list of Path
        The nearest first.
    data : Path
    """
    file = location_file(folders, [electrode_group(job), probe_name(job)])
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
    job.locations_file = _shown(file, data)
    if missing := len(own) - len(job.electrode_locations):
        job.warnings.append(f"{job.locations_file} has no location for {missing} of the {len(own)} electrodes")


def _shown(file: Path, data: Path) -> str:
    return str(file.relative_to(data)) if file.is_relative_to(data) else str(file)


def channel_numbers(recording: Any, reader: Reader) -> list[int]:
    """The number of each channel of a stream, from 0: SpikeGLX' own, of which some may not be saved; else its place."""
    if reader.name == "spikeglx":
        numbers = [re.search(r"#AP([0-9]+)$", str(id)) for id in recording.channel_ids]
        if all(numbers):
            return [int(number[1]) for number in numbers]
    return list(range(recording.get_num_channels()))


def unused_location_files(jobs: list[Job], folders: set[Path], data: Path) -> Iterator[str]:
    """A warning for each file of electrode locations in these folders that has the name of no job's probe."""
    used = {job.locations_file for job in jobs}
    probes = sorted({name for job in jobs for name in (probe_name(job), electrode_group(job))})
    for file in sorted({file for folder in folders for file in folder.glob(f"*{NAME}.*")}):
        name = _shown(file, data)
        if file.suffix in (".csv", ".json") and name not in used:
            probe = file.stem.removesuffix(NAME).rstrip("_")
            yield (
                f"{printable(name)} is not read: its name has no probe of this run ({', '.join(probes)})"
                f"{nearest(probe, probes)}"
            )


def looked_at(recording: Any, segments: list[int], settings: Any, limits: tuple[float, float] | None) -> Findings:
    """What a look at a recording's segments finds; traces that cannot be read are this recording's failure."""
    try:
        return look(recording, segments, settings, limits)
    # Readers raise whatever their parsing runs into.
    except Exception as error:  # noqa: BLE001
        return Findings(failure=f"the traces cannot be read: {cause(error)}")


def id_prefix(session: Path, data: Path) -> str:
    """What keeps the ids of several sessions apart: the session's name, or nothing when there is one."""
    return session.name if session != data else ""


def sync_edges(recording: Any, segment: int) -> dict[str, Any]:
    """Seconds from the segment's start at which the SYNC bit of a digital stream changes, in its first seconds.

    `sync_edges_s`; or `warnings`, where it changes too often to be a wave that recordings are aligned by.
    """
    import numpy as np

    end = min(recording.get_num_samples(segment_index=segment), round(SYNC_SECONDS * recording.sampling_frequency))
    words = recording.get_traces(segment_index=segment, end_frame=end)[:, 0].astype("int64")
    edges = (np.flatnonzero(np.diff((words >> SYNC_BIT) & 1)) + 1) / recording.sampling_frequency
    if len(edges) > MOST_SYNC_EDGES:
        seconds = end / recording.sampling_frequency
        return {"warnings": [f"the sync bit changes {len(edges)} times in {seconds:g} s: it is noise, and left out"]}
    return {"sync_edges_s": [round(float(edge), 6) for edge in edges]}


def broken_job(stream: BrokenStream, session: Path, data: Path) -> Job:
    """The job of a stream that cannot be read: it is listed, and fails in preprocessing with its cause."""
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


def too_short(duration_s: float, params: Any) -> str | None:
    """Why a recording of this length is not worked on, or None."""
    if params.debug or duration_s >= params.min_recording_duration:
        return None
    return f"{duration_s:.1f} s long, shorter than min_recording_duration = {params.min_recording_duration:g} s"


def channel_groups(recording: Any) -> list[str | None]:
    """The names of the channel groups; [None] when there is only one."""
    groups = recording.get_channel_groups()
    names = [] if groups is None else [str(group) for group in dict.fromkeys(groups.tolist())]
    return names if len(names) > 1 else [None]


def clean_id(*parts: str) -> str:
    """Join the parts of an id with `_`; characters that are no letter, digit, `.`, `_` or `-` become `-`.

    It never begins with `.` or `-`, which would hide files or look like options; a long one is cut, and ends in a
    digest of the whole.
    """
    whole = "_".join(part for part in parts if part)
    id = re.sub(r"^[.-]", "_", re.sub(r"[^A-Za-z0-9._-]", "-", whole))
    if len(id) <= MAX_ID_LENGTH:
        return id
    digest = hashlib.sha256(whole.encode(errors="surrogateescape")).hexdigest()[:8]
    return f"{id[: MAX_ID_LENGTH - len(digest) - 1]}-{digest}"


def number_collisions(jobs: list[Job]) -> None:
    """Make equal ids distinct: the second becomes `<id>-2`, and so on."""
    seen: Counter[str] = Counter()
    taken = {job.id for job in jobs}
    for job in jobs:
        seen[job.id] += 1
        if seen[job.id] > 1:
            number = seen[job.id]
            while f"{job.id}-{number}" in taken:
                number += 1
            job.id = f"{job.id}-{number}"
            taken.add(job.id)


def stat_files(path: Path, data: Path) -> list[tuple[str, int, int]]:
    """Path relative to the data folder, bytes and mtime in ns of a file, or of every file below a folder."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    root = data.resolve()
    stats = [(file.resolve(), file.stat()) for file in files]
    return [
        (str(file.relative_to(root) if file.is_relative_to(root) else file), stat.st_size, stat.st_mtime_ns)
        for file, stat in stats
    ]


def _below(reader: Any, session: Path, data: Path) -> Any:
    """The same reader with paths relative to the data folder instead of the session's."""
    prefix = session.relative_to(data)
    kwargs = {
        key: str(prefix / value) if key in reader.path_arguments else value for key, value in reader.kwargs.items()
    }
    probe = None if reader.probe_path is None else str(prefix / reader.probe_path)
    return reader.model_copy(update={"kwargs": kwargs, "probe_path": probe})


def source_group(recording: Any, reader: Reader, group: str | None) -> str | None:
    """The electrode group of an NWB input that all of these channels are in, or None."""
    if reader.name != "nwb" or recording.get_channel_groups() is None:
        return None
    names = {str(name) for name in recording.get_channel_groups()} if group is None else {group}
    return names.pop() if len(names) == 1 else None


def _group_size(recording: Any, group: str) -> int:
    return sum(str(value) == group for value in recording.get_channel_groups().tolist())


def _probe_name(recording: Any) -> str | None:
    if not recording.has_probe():
        return None
    probe = recording.get_probegroup().probes[0]
    name = probe.annotations.get("model_name") or probe.name
    return printable(str(name)) if name else None
