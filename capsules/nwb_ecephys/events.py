"""Events in the NWB file: a pynwb `EventsTable` for each line, in the form that NeuroConv's NIDQ interface writes.

That interface is not used: it reads SpikeGLX' NIDQ alone, a whole recording at once, by that stream's own clock.
"""

from __future__ import annotations

import re
from pathlib import Path

from pynwb import NWBFile
from pynwb.event import DurationVectorData, EventsTable, TimestampVectorData

from capsules.common.facts import EventLine, EventsFacts
from capsules.common.recordings.job import Job
from capsules.common.sync.event_files import pulses_of, read_events
from capsules.common.tasks.task import Task
from capsules.nwb_ecephys.params import NwbEcephysParams


def add_events(task: Task[NwbEcephysParams], nwbfile: NWBFile, jobs: list[Job]) -> None:
    """Add the events that the stage `events` wrote for this block; a line without pulses has no table.

    Parameters
    ----------
    task : Task
    nwbfile : NWBFile
    jobs : list of Job
    """
    record = task.input_record("events")
    if record is None:
        if any(job.event_sources for job in jobs):
            task.warn("the events are not in this file: the stage `events` wrote none; its own failure has the reason")
        return
    end_s = None
    if task.params.stub:
        end_s = min(job.clock.starts_s[0] for job in jobs) + task.params.stub_seconds
    rates_hz = {source.stream: source.sampling_frequency_hz for job in jobs for source in job.event_sources}
    for line in task.input_facts(EventsFacts).lines:
        _add_line(nwbfile, line, task.input("events", "events") / line.file, rates_hz.get(line.stream), end_s)


def _add_line(nwbfile: NWBFile, line: EventLine, file: Path, rate_hz: float | None, end_s: float | None) -> None:
    pulses = pulses_of(read_events(file))
    if end_s is not None:
        pulses = pulses[pulses["time_s"] < end_s]
    if not len(pulses):
        return
    resolution_s = None if not rate_hz else 1 / rate_hz
    times = TimestampVectorData(
        name="timestamp",
        description="start of each pulse, in seconds on the file's clock",
        data=pulses["time_s"].to_numpy(dtype=float),
        resolution=resolution_s,
    )
    durations = DurationVectorData(
        name="duration",
        description="how long the line stays high, in seconds; NaN where it is high until the end",
        data=pulses["duration_s"].to_numpy(dtype=float),
        resolution=resolution_s,
    )
    nwbfile.add_events_table(
        EventsTable(
            name=object_name(line.label),
            description=f"Pulses of line {line.line} of {line.stream}: it is high from timestamp on for duration.",
            source_description=_source(line),
            columns=[times, durations],
            colnames=["timestamp", "duration"],
        )
    )


def _source(line: EventLine) -> str:
    if line.threshold_v is None:
        return f"Digital line {line.line} of {line.stream}"
    return f"Thresholding of analog channel {line.line} of {line.stream} at {line.threshold_v:g} V"


def object_name(label: str) -> str:
    """A line's label as the name of an NWB object, which has no `/` and `:`."""
    return re.sub(r"[/:]", "_", label)
