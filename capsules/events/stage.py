"""Events of a block: the edges of its lines on the reference clock, a CSV file for each line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from capsules.common.errors import RecordedFailure, SpikeRelayError
from capsules.common.facts import EventLine, EventsFacts
from capsules.common.files import write_json
from capsules.common.recordings.job import Job
from capsules.common.sync.edges import Line, remove_short
from capsules.common.sync.event_files import DIGITS, write_events
from capsules.common.sync.line_names import LineId, short_streams
from capsules.common.sync.lines import LineSource, list_analog_lines, list_lines, read_lines
from capsules.common.tasks.task import Task
from capsules.events.names import clean, label_lines, match_lines
from capsules.events.params import EventsParams

EventsTask = Task[EventsParams]


@dataclass
class Inputs:
    """The lines of a block: the sources that can be read, the digital and the analog lines, and what failed."""

    data: Path
    sources: list[LineSource] = field(default_factory=list)
    digital: dict[LineId, LineSource] = field(default_factory=dict)
    analog: dict[LineId, LineSource] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def source_of(self, id: LineId) -> LineSource:
        return self.digital.get(id) or self.analog[id]


def run(task: EventsTask) -> None:
    inputs = list_inputs(task)
    every = inputs.digital | inputs.analog
    names = match_lines(task.params.names, "events.names", every, task.warn)
    thresholds_v = match_lines(task.params.analog_thresholds_v, "events.analog_thresholds_v", inputs.analog, task.warn)
    lines = read_events(inputs, thresholds_v)
    limits_s = find_limits(task.jobs)
    own = {id: prepare_line(line, inputs.source_of(id), task.params, limits_s) for id, line in lines.items()}
    rows = describe_lines(own, thresholds_v, names)
    folder = task.out / "events"
    folder.mkdir()
    for line, row in zip(own.values(), rows, strict=True):
        write_events(folder / row.file, line)
        for problem in row.problems:
            task.warn(f"{row.stream}, line {row.line}: {problem}")
    write_json(folder / "events.json", [row.model_dump(mode="json") for row in rows])
    analog = sorted({stream for stream, _ in inputs.analog}) if task.params.analog_to_nwb else []
    if task.params.analog_to_nwb and not analog:
        task.warn("events.analog_to_nwb: this block has no analog channels")
    task.leave(EventsFacts(lines=rows, analog_streams=analog))
    if not rows and not inputs.failures:
        task.log.info("this block has no digital lines")
    if inputs.failures:
        raise RecordedFailure("; ".join(inputs.failures))


def list_inputs(task: EventsTask) -> Inputs:
    """List the lines of the block's sources; every job of the block has the same ones."""
    sources = {source.stream: source for job in task.jobs for source in job.event_sources}
    inputs = Inputs(task.data)
    for source in sources.values():
        try:
            digital, analog = list_lines(source, task.data), list_analog_lines(source, task.data)
        except (SpikeRelayError, OSError) as error:
            inputs.failures.append(f"the events of {source.stream} are not written: {error}")
            continue
        inputs.sources.append(source)
        inputs.digital |= {(source.stream, line): source for line in digital}
        inputs.analog |= {(source.stream, line): source for line in analog}
    return inputs


def read_events(inputs: Inputs, thresholds_v: Mapping[LineId, float]) -> dict[LineId, Line]:
    """Read all lines, each file once; a stream that cannot be read is a failure."""
    lines: dict[LineId, Line] = {}
    for source in inputs.sources:
        own = {line: threshold_v for (stream, line), threshold_v in thresholds_v.items() if stream == source.stream}
        try:
            lines |= {(source.stream, line.name): line for line in read_lines(source, inputs.data, None, own)}
        except (SpikeRelayError, OSError) as error:
            inputs.failures.append(f"the events of {source.stream} are not written: {error}")
    return lines


def find_limits(jobs: list[Job]) -> tuple[float, float] | None:
    """The interval of a block that is a part of its segment, on the reference clock; None for whole segments."""
    jobs = [job for job in jobs if job.failure is None]
    if not any(job.part or job.clip_s is not None for job in jobs):
        return None
    starts_s = [job.clock.starts_s[0] for job in jobs]
    ends_s = [float(job.clock.seconds(round(job.duration_s * job.sampling_frequency_hz))) for job in jobs]
    return min(starts_s), max(ends_s)


def prepare_line(line: Line, source: LineSource, params: EventsParams, limits_s: tuple[float, float] | None) -> Line:
    """Remove short pulses, put the times on the reference clock, and keep those within the limits."""
    line = remove_short(line, params.min_duration_ms / 1000)
    if source.alignment is not None:
        line = replace(line, seconds=source.alignment.map(line.seconds))
    if limits_s is not None:
        line = line.select((line.seconds >= limits_s[0]) & (line.seconds <= limits_s[1]))
    return line


def describe_lines(
    lines: Mapping[LineId, Line], thresholds_v: Mapping[LineId, float], names: Mapping[LineId, str]
) -> list[EventLine]:
    """What the record says about each line; files have different names on any file system."""
    labels = label_lines(list(lines), names)
    short = short_streams(dict.fromkeys(stream for stream, _ in lines))
    rows, files = [], set[str]()
    for id, line in lines.items():
        file = clean(f"{short[id[0]]}_{names.get(id, id[1])}") + ".csv"
        if file.lower() in files:
            file = clean(f"{short[id[0]]}_{id[1]}_{names.get(id, '')}") + ".csv"
        files.add(file.lower())
        has_edges = bool(len(line.samples))
        rising = int(line.levels.sum())
        rows.append(
            EventLine(
                stream=id[0],
                line=id[1],
                name=names.get(id),
                label=labels[id],
                kind="analog" if id in thresholds_v else "digital",
                threshold_v=thresholds_v.get(id),
                file=file,
                rising=rising,
                falling=len(line.levels) - rising,
                first_s=round(float(line.seconds[0]), DIGITS) if has_edges else None,
                last_s=round(float(line.seconds[-1]), DIGITS) if has_edges else None,
                problems=line.problems,
            )
        )
    return rows
