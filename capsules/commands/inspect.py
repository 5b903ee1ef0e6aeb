"""`spikerelay inspect`: the recordings in a data folder, and the streams that are not sorted."""

from __future__ import annotations

import argparse
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

from capsules.commands.layout import Page, print_pages
from capsules.commands.probe_drawing import draw_probe
from capsules.common.contract import STAGES
from capsules.common.errors import Rejected, SpikeRelayError
from capsules.common.facts import JobDispatchFacts, facts_of
from capsules.common.recordings.job import Job, read_jobs
from capsules.common.recordings.reading import load_recording
from capsules.common.sync.lines import LineSource, list_analog_lines, list_lines
from capsules.common.tasks.command_line import read_section
from capsules.common.tasks.task import Record, Task
from capsules.job_dispatch.formats import describe_unknown, guess_format
from capsules.job_dispatch.loaders.streams import cause
from capsules.job_dispatch.params import InputFormat, JobDispatchParams
from capsules.job_dispatch.stage import run as dispatch_jobs
from capsules.parameters import flags
from capsules.resolve_params.machine.folders import data_problems


def run(arguments: argparse.Namespace) -> int:
    data = arguments.data.absolute()
    if problems := data_problems(str(data), "DATA "):
        raise Rejected(problems)
    parser = flags.Parser(prog="spikerelay inspect", add_help=False)
    flags.add_params(parser, JobDispatchParams)
    values = flags.parse(parser, arguments.arguments)
    params = read_section(JobDispatchParams, None, values, "job_dispatch") if values else None
    if params is not None and "input" not in values:
        # As a run does: other parameters do not name the format.
        params = params.model_copy(update={"input": detect_format(data, params.multi_session)})
    page = inspect_folder(data, params)
    print_pages([page])
    return 1 if page.problems else 0


def inspect_folder(data: Path, params: JobDispatchParams | None) -> Page:
    """List the recordings of a data folder and the streams that are not sorted.

    Parameters
    ----------
    data : Path
    params : JobDispatchParams or None
        How to read it; with None the format is detected.

    Returns
    -------
    Page
        Its problems are the recordings that cannot be read.
    """
    if params is None:
        params = JobDispatchParams(input=detect_format(data))
    jobs, dispatch = find_jobs(params, data)
    drawings = drawing_lines(jobs, data)
    return Page(
        f"{len(jobs)} recordings in {data}, read as {params.input}",
        [f"{job.id} fails: {job.failure}" for job in jobs if job.failure],
        {job.id: [*recording_lines(job), *drawings.get(job.id, [])] for job in jobs}
        | {"lines, whose edges become events": event_lines(jobs, data), "not sorted": not_sorted(dispatch)},
        warnings_of(jobs, dispatch),
    )


def detect_format(data: Path, multi_session: bool = False) -> InputFormat:
    """The only format of a data folder, or of its sub-folders.

    Raises
    ------
    SpikeRelayError
        When it has none, or several.
    """
    folders = [path for path in data.iterdir() if path.is_dir()] if multi_session else [data]
    names = {name for folder in folders if (name := guess_format(folder)) is not None}
    if len(names) != 1:
        raise SpikeRelayError(describe_unknown(data))
    return names.pop()


def find_jobs(params: JobDispatchParams, data: Path) -> tuple[list[Job], Record]:
    """The jobs that job dispatch makes, and its record."""
    with tempfile.TemporaryDirectory() as folder:
        task = Task(STAGES["job_dispatch"], "run", [], params, Path(folder), data, Path(folder), 1)
        # Without a handler, Python prints warnings itself: the caller prints those of the record.
        task.log.addHandler(logging.NullHandler())
        dispatch_jobs(task)
        return read_jobs(Path(folder) / "jobs.json"), task.record


def recording_lines(job: Job) -> Iterator[str]:
    """What was detected of a recording."""
    if job.skip:
        yield f"skipped: {job.skip}"
    if not job.num_channels:
        return
    segments = f"segments {', '.join(str(index + 1) for index in job.segments)}"
    facts = [f"{job.num_channels} channels", f"{job.sampling_frequency_hz:g} Hz", f"{job.duration_s:g} s ({segments})"]
    facts += [job.dtype, f"{job.megabytes:.1f} MB", f"probe {job.probe or 'unknown'}"]
    yield ", ".join(facts + ([f"group {job.group}"] if job.group else []))
    yield "time: " + ("counted by samples" if job.regular_clock else "by the instrument's timestamps")


def drawing_lines(jobs: list[Job], data: Path) -> dict[str, list[str]]:
    """The probe of each recording as a small drawing, by the recording's id; segments of a stream share one."""
    drawings: dict[str, list[str]] = {}
    drawn = set()
    for job in jobs:
        shown = (job.reader.model_dump_json(), job.group)
        if not job.num_channels or shown in drawn:
            continue
        drawn.add(shown)
        recording = load_recording(job, data)
        groups = recording.get_channel_groups()
        names = [""] * job.num_channels if groups is None else [str(group) for group in groups]
        drawings[job.id] = list(draw_probe(recording.get_channel_locations()[:, :2], names))
    return drawings


def event_lines(jobs: list[Job], data: Path) -> list[str]:
    """The digital lines and the analog channels of each stream that has some."""
    sources = {(source.dataset, source.stream): source for job in jobs for source in job.event_sources}
    return [f"{dataset} {stream}: {_describe_lines(source, data)}" for (dataset, stream), source in sources.items()]


def _describe_lines(source: LineSource, data: Path) -> str:
    if source.failure:
        return source.failure
    try:
        digital, analog = list_lines(source, data), list_analog_lines(source, data)
    # Readers raise any kind of error on broken data.
    except Exception as error:  # noqa: BLE001
        return f"cannot be read: {cause(error)}"
    analog_text = [f"analog, with a threshold: {', '.join(analog)}"] if analog else []
    return "; ".join([*([", ".join(digital)] if digital else []), *analog_text]) or "none"


def not_sorted(record: Record) -> list[str]:
    """The streams that job dispatch does not sort, a line for each reason."""
    by_reason: dict[str, list[str]] = {}
    for line in facts_of(record, JobDispatchFacts).not_sorted:
        name, _, reason = line.rpartition(": ")
        by_reason.setdefault(reason, []).append(name)
    return [f"{reason}: {', '.join(names)}" for reason, names in by_reason.items()]


def warnings_of(jobs: list[Job], record: Record) -> list[str]:
    """The warnings about each recording, and about the data folder."""
    return [f"{job.id}: {warning}" for job in jobs for warning in job.warnings] + list(record["warnings"])
