"""What the NWB file says about its times and its scale: notes, and the table of segments."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pynwb import NWBFile
from pynwb.epoch import TimeIntervals
from spikeinterface import BaseRecording

from capsules.common.recordings.job import Job, electrode_group
from capsules.common.sync.alignment import Alignment

MOST_GAPS = 20
"""Gaps that the notes list."""


def clock_notes(jobs: list[Job]) -> list[str]:
    """Describe how the times in the file are counted, for each probe."""
    notes = []
    for job in jobs:
        if job.alignment is not None:
            notes.append(f"{job.stream}: {_describe_alignment(job.alignment)}")
        if job.alignment is not None and job.alignment.status == "aligned":
            clock = ""
        elif job.segments_in_turn:
            clock = "time is counted by samples, its segments one after the other from 0 on: their own clocks overlap"
        else:
            clock = "time is counted by samples" if job.regular_clock else "times are the instrument's timestamps"
        notes += [f"{job.stream}: {clock}"] if clock else []
        gaps = job.clock.gaps()
        for _, begin_s, length_s in gaps[:MOST_GAPS]:
            notes.append(f"{job.stream}: gap of {length_s:.6g} s from {begin_s:.6f} s on")
        if len(gaps) > MOST_GAPS:
            notes.append(f"{job.stream}: {len(gaps) - MOST_GAPS} more gaps; the units' obs_intervals have all")
    if len({job.stream for job in jobs}) > 1 and not _have_one_clock(jobs):
        notes.append("The streams' clocks were not aligned to each other.")
    # An NWB input's reference time is kept.
    unknown_zero = [job for job in jobs if job.session_start_s is None and job.reader.name != "nwb"]
    if any(not job.segments_in_turn and any(job.segment_starts_s[:1]) for job in unknown_zero):
        notes.append("Times count from the instrument's own zero, which need not be the session's start.")
    # The groups of a stream share its clock.
    return list(dict.fromkeys(notes))


def unaligned_lines(jobs: list[Job]) -> list[str]:
    """A line on each stream that keeps its own clock although others are aligned, or could be."""
    lines = [f"{job.stream}: {_describe_alignment(job.alignment)}" for job in jobs if job.alignment and _is_apart(job)]
    return list(dict.fromkeys(lines))


def _describe_alignment(alignment: Alignment) -> str:
    if alignment.status == "reference":
        return "its clock is the reference of all times in this file"
    if alignment.status == "aligned":
        return (
            f"times are on the clock of {alignment.reference}: {alignment.matched} sync pulses, drift "
            f"{alignment.drift_ppm:.2f} ppm, residual {alignment.residual_rms_us:.1f} us (rms)"
        )
    # A reference without pulses has no other clock to be aligned to.
    reference = "" if alignment.stream == alignment.reference else f" to {alignment.reference}"
    return f"its clock was not aligned{reference}: {'; '.join(alignment.problems)}"


def _is_apart(job: Job) -> bool:
    return job.alignment is None or job.alignment.status not in ("aligned", "reference")


def _have_one_clock(jobs: list[Job]) -> bool:
    """Whether all streams are on one clock: aligned, or those of an NWB file."""
    return all(job.reader.name == "nwb" and job.alignment is None for job in jobs) or not any(map(_is_apart, jobs))


def scale_notes(recordings: Iterable[tuple[Job, BaseRecording]]) -> list[str]:
    """A sentence on each probe without gains: NWB readers expect volts."""
    return [
        f"{job.stream}: its traces are counts and not volts: the source has no gains"
        for job, recording in recordings
        if not recording.has_scaleable_traces()
    ]


def add_segments(nwbfile: NWBFile, jobs: list[Job]) -> None:
    """Add a table with start and end of each segment in the file's time, when several were sorted as one."""
    rows: list[dict[str, Any]] = []
    for job in jobs:
        if len(job.segments) == 1:
            continue
        first = 0
        for index, duration_s, source_s in zip(
            job.segments, job.segment_durations_s, job.segment_starts_s, strict=True
        ):
            count = round(duration_s * job.sampling_frequency_hz)
            clock = job.clock.part(first, count)
            row = {"start_time": clock.starts_s[0], "stop_time": clock.end_s, "source_start_time": source_s}
            rows.append({**row, "probe": electrode_group(job), "segment": index + 1})
            first += count
    if not rows:
        return
    table = TimeIntervals(name="segments", description="segments of the recording that were sorted as one")
    table.add_column("probe", "electrode group of the probe")
    table.add_column("segment", "number of the segment in the source, from 1")
    table.add_column("source_start_time", "start of the segment by the source's clock, in seconds")
    for row in sorted(rows, key=lambda row: row["start_time"]):
        table.add_row(**row)
    nwbfile.add_time_intervals(table)
