"""Job dispatch: open every stream, cut it into segments and groups, write one job for each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from capsules.common.errors import SpikeRelayError
from capsules.common.job import Job, Reader
from capsules.common.task import Task, write_json
from capsules.job_dispatch.loaders import LOADERS, BrokenStream, Stream


def run(task: Task) -> None:
    data, params = task.data, task.params
    sessions = sorted(path for path in data.iterdir() if path.is_dir()) if params.multi_session else [data]
    jobs = [
        job
        for session in sessions
        for stream in LOADERS[params.input](session, params)
        for job in jobs_of_stream(stream, session, data, params)
    ]
    if not jobs:
        raise SpikeRelayError(f"nothing to sort in {data}: no neural stream was found by --input {params.input}")
    number_collisions(jobs)
    write_json(task.out / "jobs.json", [job.model_dump(mode="json") for job in jobs])
    task.fact(recordings=[job.id for job in jobs])


def jobs_of_stream(stream: Stream | BrokenStream, session: Path, data: Path, params: Any) -> Iterator[Job]:
    """The jobs of one stream: one per segment and channel group, or fewer when the parameters join them."""
    if isinstance(stream, BrokenStream):
        yield broken_job(stream, session, data)
        return
    recording = stream.recording
    segments = list(range(recording.get_num_segments()))
    name = session.name if session != data else ""
    for chosen in [[index] for index in segments] if params.split_segments else [segments]:
        part = f"recording{chosen[0] + 1}" + (f"-{chosen[-1] + 1}" if len(chosen) > 1 else "")
        duration_s = sum(recording.get_duration(segment_index=index) for index in chosen)
        kept_s = min(duration_s, params.debug_duration) if params.debug else duration_s
        for group in channel_groups(recording) if params.split_groups else [None]:
            channels = recording.get_num_channels() if group is None else _group_size(recording, group)
            yield Job(
                id=clean_id(name, stream.dataset, stream.name, part, "" if group is None else f"group{group}"),
                session=name or data.resolve().name,
                block=clean_id(name, stream.dataset, part),
                stream=stream.name,
                segments=chosen,
                group=group,
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
                files=[entry for path in stream.files for entry in stat_files(path, data)],
                skip=too_short(duration_s, params),
                warnings=[] if params.skip_timestamps_check else timestamp_warnings(recording, chosen),
            )


def timestamp_warnings(recording: Any, segments: list[int]) -> list[str]:
    """What is wrong with the timestamps that a recording has of its own: steps back and gaps, where and how long.

    The stages count time by samples, so that such timestamps change nothing but are to be known.
    """
    import numpy as np

    warnings = []
    for index in segments:
        if not recording.has_time_vector(segment_index=index):
            continue
        times = recording.get_times(segment_index=index)
        steps = np.diff(times)
        period = 1 / recording.sampling_frequency
        for wrong, what in ((steps <= 0, "steps back"), (steps > 1.5 * period, "gaps")):
            if wrong.any():
                places = np.flatnonzero(wrong)
                longest = places[np.abs(steps[places]).argmax()]
                warnings.append(
                    f"timestamps of segment {index + 1}: {len(places)} {what}, the largest of {steps[longest]:g} s at "
                    f"{times[longest]:.3f} s; times are counted by samples instead"
                )
    return warnings


def broken_job(stream: BrokenStream, session: Path, data: Path) -> Job:
    """The job of a stream that cannot be read: it is listed, and fails in preprocessing with its cause."""
    name = session.name if session != data else ""
    return Job(
        id=clean_id(name, stream.dataset, stream.name, "recording1"),
        session=name or data.resolve().name,
        block=clean_id(name, stream.dataset, "recording1"),
        stream=stream.name,
        segments=[],
        reader=Reader(name="none", kwargs={}),
        sampling_frequency_hz=0,
        num_channels=0,
        duration_s=0,
        dtype="",
        megabytes=0,
        failure=stream.failure,
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
    """Join the parts of an id with `_`; characters that are no letter, digit, `.`, `_` or `-` become `-`."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", "_".join(part for part in parts if part))


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


def _group_size(recording: Any, group: str) -> int:
    return sum(str(value) == group for value in recording.get_channel_groups().tolist())


def _probe_name(recording: Any) -> str | None:
    if not recording.has_probe():
        return None
    probe = recording.get_probegroup().probes[0]
    return probe.annotations.get("model_name") or probe.name or None
