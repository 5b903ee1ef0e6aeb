"""Put the streams of each recording on one clock: its sync pulses are matched, and its jobs get the alignments."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from capsules.common.errors import is_text, nearest
from capsules.common.recordings.job import Job
from capsules.common.sync.alignment import Alignment, Status
from capsules.common.sync.line_names import match_stream
from capsules.common.sync.lines import LineSource
from capsules.common.sync.pulses import Pulses, describe_noise
from capsules.common.sync.synchronise import align_streams
from capsules.common.tasks.task import Task
from capsules.job_dispatch.loaders import LINE_SOURCES
from capsules.job_dispatch.loaders.line_sources import select_sources
from capsules.job_dispatch.loaders.streams import cause
from capsules.job_dispatch.params import JobDispatchParams, Sync
from capsules.job_dispatch.sync_pulses import SyncStream, choose_lines, list_file_sources, list_streams, read_trains

NI_BOARD = re.compile(r"nidq|ni-?daq|\bni\b|pxi-6", re.IGNORECASE)
BEST_FIRST = ("aligned", "ambiguous", "failed", "no pulses")
"""The statuses by what they say of a line: pulses that fit in several ways are more likely the right ones."""

NO_PULSES = "no line with sync pulses is known: name it in job_dispatch.sync.lines"
Recorded = tuple[str, Job]
"""A job and the data set of its stream."""


def synchronise(session: Path, recorded: list[Recorded], task: Task[JobDispatchParams]) -> None:
    """Set `event_sources` and `alignment` of a session's jobs; what is not aligned becomes a warning."""
    settings = task.params.sync
    sources = _list_sources(session, task)
    known: set[str] = set()
    for dataset, jobs in _group_by_recording(recorded):
        chosen = {
            source.stream: source
            for job in jobs
            for source in select_sources(sources, dataset, job.stream, job.segments)
        }
        own = list(chosen.values())
        if settings.pulses_file is not None:
            own += list_file_sources(settings.pulses_file, session, task.data, jobs)
        alignments = align_recording(jobs, own, task.data, settings) if settings.enabled else {}
        known |= {job.stream for job in jobs} | {source.stream for source in own}
        recorded_streams = {job.stream for job in jobs}
        for source in own:
            source.alignment = alignments.get(source.stream)
            if source.alignment is not None and source.stream in recorded_streams:
                # The job of the stream has them.
                source.alignment = source.alignment.model_copy(update={"residuals": []})
        for job in jobs:
            job.event_sources = own
            job.alignment = alignments.get(job.stream)
        for alignment in alignments.values():
            if alignment.status not in ("aligned", "reference"):
                task.warn(f"{jobs[0].block}: {describe_unaligned(alignment)}")
    for name in dict.fromkeys((*settings.lines, *settings.offsets_s)):
        if known and match_stream(name, known) is None:
            task.warn(f"job_dispatch.sync: {session.name} has no stream {name}{nearest(name, sorted(known))}")


def describe_unaligned(alignment: Alignment) -> str:
    """Why a stream keeps its own clock, in one line."""
    return f"{alignment.stream} keeps its own clock: {'; '.join(alignment.problems)}"


def _list_sources(session: Path, task: Task[JobDispatchParams]) -> list[LineSource]:
    """The sources of digital lines of a session; one that cannot be read does not fail the sorting."""
    list_sources = LINE_SOURCES.get(task.params.input)
    if list_sources is None:
        return []
    try:
        # A stream whose files have names that are not UTF-8 fails; its lines are not read either.
        return [source for source in list_sources(session, task.data, task.params) if has_text_names(source)]
    # Readers raise any kind of error on broken data.
    except Exception as error:  # noqa: BLE001
        task.warn(f"the digital lines of {session.name} cannot be read: {cause(error)}")
        return []


def has_text_names(source: LineSource) -> bool:
    """Whether all names in a source are valid text, so that it can be written to a job."""
    return all(map(is_text, (source.dataset, source.stream, *(path for paths in source.paths for path in paths))))


def _group_by_recording(recorded: list[Recorded]) -> Iterable[tuple[str, list[Job]]]:
    """The jobs that were recorded together, by data set and segments; jobs that cannot be read are left out."""
    groups: dict[tuple[str, tuple[int, ...]], list[Job]] = {}
    for dataset, job in recorded:
        if job.segments:
            groups.setdefault((dataset, tuple(job.segments)), []).append(job)
    return [(dataset, jobs) for (dataset, _), jobs in groups.items()]


def align_recording(jobs: list[Job], sources: list[LineSource], data: Path, settings: Sync) -> dict[str, Alignment]:
    """Align the streams of one recording.

    Parameters
    ----------
    jobs : list of Job
    sources : list of LineSource
        Of the recording's segments.
    data : Path
    settings : Sync

    Returns
    -------
    dict of str to Alignment
        By stream; empty where there is a single stream, or where all have one clock, that of an NWB file. Nothing is
        read where fewer than two streams may have pulses.
    """
    streams = list_streams(jobs, sources)
    is_one_clock = all(job.reader.name == "nwb" for job in jobs) and not (settings.lines or settings.pulses_file)
    if len(streams) < 2 or is_one_clock:
        return {}
    settings = complete_names(settings, [stream.name for stream in streams])
    lines: dict[str, list[str]] = {}
    for stream in streams:
        try:
            lines[stream.name] = choose_lines(stream, data, settings)
        # Readers raise any kind of error on broken data.
        except Exception as error:  # noqa: BLE001
            lines[stream.name], stream.problem = [], f"its lines cannot be read: {cause(error)}"
    if sum(map(bool, lines.values())) > 1:
        for stream in streams:
            read_trains(stream, lines[stream.name], data, settings)
    references, problem = _list_references(streams, settings.reference)
    if problem is not None:
        return {stream.name: _keep(stream, settings.reference or "", "failed", problem) for stream in streams}
    attempts = []
    for reference in references:
        attempts.append(_align_to(reference, streams, settings))
        if _count_matched(attempts[-1]):
            return attempts[-1]
    # Nothing matches: the first reference would have been the right one.
    return attempts[0]


def complete_names(settings: Sync, streams: list[str]) -> Sync:
    """The settings with the full names of streams, and with the lines' own names: `nidq:XD3` is `XD3` of `nidq`."""
    lines = {}
    for key, line in settings.lines.items():
        stream, own = match_stream(key, streams) or key, line
        prefix, colon, rest = line.rpartition(":")
        if colon and match_stream(prefix, streams) == stream:
            own = rest
        lines[stream] = own
    offsets_s = {match_stream(key, streams) or key: offset_s for key, offset_s in settings.offsets_s.items()}
    reference = settings.reference and (match_stream(settings.reference, streams) or settings.reference)
    return settings.model_copy(update={"lines": lines, "offsets_s": offsets_s, "reference": reference})


def _list_references(streams: list[SyncStream], asked: str | None) -> tuple[list[SyncStream], str | None]:
    """The streams on whose clock all times could be, the best first, or why there is none.

    That is the one that the user names; otherwise those with pulses: NI boards, other streams that are not sorted,
    probes. Without any pulses, it is the one that would have been chosen.
    """
    names = [stream.name for stream in streams]
    if asked is not None:
        listed = f"{nearest(asked, names)}; its streams: {', '.join(names)}"
        chosen = [stream for stream in streams if stream.name == asked]
        return chosen, None if chosen else f"the reference {asked} is not in this recording{listed}"
    ordered = sorted(streams, key=lambda stream: (not NI_BOARD.search(stream.name), stream.is_sorted))
    return [stream for stream in ordered if _has_pulses(stream)] or ordered[:1], None


def _has_pulses(stream: SyncStream) -> bool:
    return any(len(train.times_s) and not describe_noise(train.times_s) for train in stream.trains)


def _count_matched(alignments: dict[str, Alignment]) -> int:
    """How many pulses of all streams have a partner."""
    return sum(each.matched for each in alignments.values() if each.status == "aligned")


def _align_to(reference: SyncStream, streams: list[SyncStream], settings: Sync) -> dict[str, Alignment]:
    """The alignments to a reference, by that of its lines which matches the other streams best."""
    others = [stream for stream in streams if stream is not reference]
    lines: list[Pulses | None] = [*reference.trains] or [None]
    choices = [{stream.name: _align_stream(stream, reference, line, settings) for stream in others} for line in lines]
    best = max(range(len(lines)), key=lambda index: _count_matched(choices[index]))
    line = lines[best]
    if line is None or not len(line.times_s):
        problem = reference.problem or (NO_PULSES if line is None else f"its sync line {line.line} has no pulses")
        return {reference.name: _keep(reference, reference.name, "no pulses", problem), **choices[best]}
    own = Alignment(
        stream=reference.name,
        reference=reference.name,
        status="reference",
        line=line.line,
        reference_line=line.line,
        pulses=len(line.times_s),
        reference_pulses=len(line.times_s),
    )
    return {reference.name: own, **choices[best]}


def _align_stream(stream: SyncStream, reference: SyncStream, line: Pulses | None, settings: Sync) -> Alignment:
    """The alignment of a stream by that of its lines which matches a line of the reference best."""
    if stream.problem is not None:
        return _keep(stream, reference.name, "failed" if stream.source else "no pulses", stream.problem)
    if not stream.trains:
        return _keep(stream, reference.name, "no pulses", NO_PULSES)
    if line is None:
        return _keep(stream, reference.name, "no pulses", f"the reference {reference.name} has no pulses")
    sources = [each.source for each in (reference, stream) if each.source is not None]
    period_s = settings.period_s or next((each.sync_period_s for each in sources if each.sync_period_s), None)
    expected_s = settings.offsets_s.get(stream.name)
    alignments = [align_streams(own, line, period_s, expected_s) for own in stream.trains]
    return min(alignments, key=lambda each: (BEST_FIRST.index(each.status), -each.matched))


def _keep(stream: SyncStream, reference: str, status: Status, problem: str) -> Alignment:
    """The alignment of a stream that keeps its clock, and why."""
    return Alignment(stream=stream.name, reference=reference or stream.name, status=status, problems=[problem])
