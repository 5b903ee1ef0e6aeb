"""The pulses of a recording's streams: which lines may have them, and reading those."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from capsules.common.errors import SpikeRelayError
from capsules.common.recordings.clock import Clock, concatenate_clocks
from capsules.common.recordings.job import Job
from capsules.common.sync.lines import LineSource, list_analog_lines, list_lines, read_lines
from capsules.common.sync.pulses import Pulses, find_pulses
from capsules.common.sync.pulses_file import list_pulse_streams, read_pulses
from capsules.job_dispatch.loaders.line_sources import make_source
from capsules.job_dispatch.loaders.streams import cause
from capsules.job_dispatch.params import Sync

DEFAULT_THRESHOLD_V = 1.1
"""SpikeGLX' default for analog sync lines."""
UNNAMED = ("openephys", "openephys_older", "csv")
"""Formats that do not say which line has the sync pulses: all are tried."""


@dataclass
class SyncStream:
    """A stream of a recording: its source of pulses, if any, and what is known of its clock.

    `is_sorted`: it has jobs. `start_is_known`: its clock counts from a zero that the streams share. `problem` is the
    reason why it cannot be aligned.
    """

    name: str
    source: LineSource | None = None
    clock: Clock | None = None
    is_sorted: bool = False
    start_is_known: bool = False
    problem: str | None = None
    trains: list[Pulses] = field(default_factory=list)


def list_streams(jobs: list[Job], sources: list[LineSource]) -> list[SyncStream]:
    """The streams of one recording, those that are sorted first.

    Parameters
    ----------
    jobs : list of Job
        The jobs of the recording: those of all streams, channel groups, and parts between gaps.
    sources : list of LineSource
        Of the recording's segments. Of two sources of one stream, the last counts.
    """
    streams = {job.stream: SyncStream(job.stream, is_sorted=True) for job in jobs}
    for source in sources:
        stream = streams.setdefault(source.stream, SyncStream(source.stream))
        stream.source = source
    counted = any(job.first_samples is not None for job in jobs)
    for stream in streams.values():
        own = [job for job in jobs if job.stream == stream.name]
        stream.clock = join_parts(own) if own else None if stream.source is None else stream.source.clock
        # Without numbers of samples or timestamps, a clock counts from 0.
        stream.start_is_known = counted or (stream.clock is not None and stream.clock.starts_s[0] != 0)
        stream.problem = _find_problem(stream, own)
    return list(streams.values())


def join_parts(jobs: list[Job]) -> Clock:
    """The clock of a stream's segments, from its jobs: one of each part between gaps."""
    parts = {job.part or (0, 0): job.clock for job in jobs}
    return concatenate_clocks([parts[part] for part in sorted(parts)])


def _find_problem(stream: SyncStream, jobs: list[Job]) -> str | None:
    """Why a stream cannot be aligned, whatever its pulses are."""
    if any(job.segments_in_turn for job in jobs):
        return "its segments overlap by its own clock, so that its times are counted anew"
    if stream.source is None:
        return "it has no digital line"
    if stream.source.failure is not None:
        return stream.source.failure
    own = stream.source.clock
    if stream.clock is not None and own is not None and abs(own.starts_s[0] - stream.clock.starts_s[0]) > 1e-3:
        return f"its lines count from {own.starts_s[0]:.3f} s, its samples from {stream.clock.starts_s[0]:.3f} s"
    return None


def choose_lines(stream: SyncStream, data: Path, settings: Sync) -> list[str]:
    """The lines of a stream that may have the sync pulses: the one that is named, or all where none can be named.

    Raises
    ------
    SpikeRelayError
        When the stream cannot be read.
    """
    source = stream.source
    if source is None or stream.problem is not None:
        return []
    name = settings.lines.get(stream.name) or source.sync_line
    if name is not None:
        return [name]
    return list_lines(source, data) if source.format in UNNAMED else []


def read_trains(stream: SyncStream, lines: list[str], data: Path, settings: Sync) -> None:
    """Read the pulses of some lines of a stream; what cannot be read becomes its problem."""
    try:
        stream.trains = list(_read_trains(stream, lines, data, settings))
    # Readers raise any kind of error on broken data; the stream keeps its clock then.
    except Exception as error:  # noqa: BLE001
        stream.problem = f"its sync line cannot be read: {cause(error)}"


def _read_trains(stream: SyncStream, names: list[str], data: Path, settings: Sync) -> Iterable[Pulses]:
    source = stream.source
    if source is None:
        return
    analog = set(list_analog_lines(source, data)) & set(names)
    threshold_v = settings.threshold_v or source.sync_threshold_v or DEFAULT_THRESHOLD_V
    digital = [name for name in names if name not in analog]
    resolution_s = 1 / source.sampling_frequency_hz if source.sampling_frequency_hz else 0.0
    for line in read_lines(source, data, digital, dict.fromkeys(sorted(analog), threshold_v)):
        times_s, bounces = find_pulses(line.seconds, line.levels, resolution_s)
        ends_s = (float(times_s[0]), float(times_s[-1])) if len(times_s) else (0.0, 0.0)
        clock = stream.clock
        yield Pulses(
            stream=stream.name,
            times_s=times_s,
            resolution_s=resolution_s,
            start_s=ends_s[0] if clock is None else clock.starts_s[0],
            end_s=ends_s[1] if clock is None else clock.end_s,
            line=line.name,
            gaps_s=[] if clock is None else [(begin_s, begin_s + length_s) for _, begin_s, length_s in clock.gaps()],
            start_is_known=stream.start_is_known,
            bounces=bounces,
        )


def list_file_sources(name: str, session: Path, data: Path, jobs: list[Job]) -> list[LineSource]:
    """The sources of the streams that the user's file of pulses lists, for one recording.

    Raises
    ------
    SpikeRelayError
        When the file is missing or invalid, or has samples of a stream whose samples have no clock.
    """
    file = next((file for file in (session / name, data / name) if file.exists()), data / name)
    if not file.resolve().is_relative_to(data.resolve()):
        raise SpikeRelayError(f"job_dispatch.sync.pulses_file: {name} is not in the data folder: put the file there")
    has_samples, _ = read_pulses(file)
    sources = []
    for stream in list_pulse_streams(file):
        own = [job for job in jobs if job.stream == stream]
        source = make_source("", stream, "csv", ["all"], [[file]], data)
        if has_samples:
            if not own or len(own[0].segments) > 1 or own[0].segments[0] != 0:
                raise SpikeRelayError(
                    f"{name}: {stream} is not a recorded stream with a single segment: give time_s instead of sample"
                )
            source.clocks = [join_parts(own)]
            source.sampling_frequency_hz = own[0].sampling_frequency_hz
        sources.append(source)
    return sources
