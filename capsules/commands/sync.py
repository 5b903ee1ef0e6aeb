"""`spikerelay sync`: the streams of each recording, their lines and pulses, and how well their clocks are aligned."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from capsules.commands.inspect import find_jobs
from capsules.commands.layout import Page, print_pages
from capsules.common.errors import Rejected, SpikeRelayError
from capsules.common.recordings.job import Job
from capsules.common.sync.alignment import Alignment
from capsules.common.sync.document import sync_document
from capsules.common.sync.edges import Line
from capsules.common.sync.lines import LineSource, list_analog_lines, read_lines
from capsules.common.sync.pulses import describe_noise, estimate_period, find_pulses
from capsules.common.tasks.command_line import read_section
from capsules.job_dispatch.formats import describe_unknown, guess_format
from capsules.job_dispatch.loaders.streams import cause
from capsules.job_dispatch.params import JobDispatchParams
from capsules.job_dispatch.synchronisation import describe_unaligned
from capsules.parameters import flags
from capsules.parameters.assignments import parse_assignment
from capsules.parameters.model import get_dotted, set_dotted
from capsules.resolve_params.machine.folders import data_problems
from capsules.resolve_params.params import PipelineParams
from capsules.resolve_params.params_file import read_params_file

SECTION = "job_dispatch"
FIGURE_FORMATS = (".png", ".svg", ".pdf")


def run(arguments: argparse.Namespace) -> int:
    data = arguments.data.absolute()
    if problems := data_problems(str(data), "DATA "):
        raise Rejected(problems)
    figure = arguments.figure
    if figure is not None and figure.suffix.lower() not in FIGURE_FORMATS:
        raise Rejected([f"--figure {figure}: must end in {', '.join(FIGURE_FORMATS)}"])
    params = read_params(arguments, data)
    # What the traces look like does not matter here.
    params.data_check.chunks = 0
    jobs, dispatch = find_jobs(params, data)
    page = describe_session(jobs, data, params)
    page.notes += [warning for warning in dispatch["warnings"] if warning not in page.problems]
    if figure is not None:
        page.notes.append(write_figure(sync_document(jobs)["blocks"], figure))
    print_pages([page])
    return 1 if page.problems else 0


def read_params(arguments: argparse.Namespace, data: Path) -> JobDispatchParams:
    """The parameters of job dispatch: params file, then its flags, then `--set`; the format is detected if not named.

    Raises
    ------
    Rejected
        With the problems of the file, the flags or the assignments.
    SpikeRelayError
        When the format is not named, and the folder has none or several.
    """
    file = arguments.params
    document: dict[str, Any] = {} if file is None else read_params_file(file, str(file)).value.get(SECTION, {})
    parser = flags.Parser(prog="spikerelay sync", add_help=False)
    flags.add_params(parser, JobDispatchParams)
    for dotted, value in flags.parse(parser, arguments.arguments).items():
        set_dotted(document, dotted, value.value)
    for text in arguments.set or []:
        try:
            values = parse_assignment(PipelineParams, text)
        except ValueError as error:
            raise Rejected([f"--set: {error}"]) from None
        for dotted, value in values.items():
            section, _, name = dotted.partition(".")
            if section == SECTION and name:
                set_dotted(document, name, value)
    if get_dotted(document, "input", None) is None:
        document["input"] = guess_format(data)
        if document["input"] is None:
            raise SpikeRelayError(describe_unknown(data))
    overrides = {name: flags.FlagValue(value, "") for name, value in document.items()}
    return read_section(JobDispatchParams, None, overrides, SECTION)


def describe_session(jobs: list[Job], data: Path, params: JobDispatchParams) -> Page:
    """The streams, lines and alignments of each recording; the problems are streams that are not aligned."""
    blocks = sync_document(jobs)["blocks"]
    parts, problems, aligned = {}, [], 0
    for block, entry in blocks.items():
        alignments = [Alignment.model_validate(each) for each in entry["streams"]]
        unaligned = [each for each in alignments if each.status not in ("aligned", "reference")]
        aligned += bool(alignments) and not unaligned
        problems += [f"{block}: {describe_unaligned(each)}" for each in unaligned]
        parts[block] = [line for each in alignments for line in describe_alignment(each)]
        sources = next(job.event_sources for job in jobs if job.block == block)
        parts[block] += [line for source in sources for line in describe_lines(source, data)]
        if not alignments:
            parts[block].insert(
                0, "nothing to align: a single stream, one clock, or job_dispatch.sync.enabled is false"
            )
    heading = f"{aligned} of {len(blocks)} recordings in {data} are on one clock, read as {params.input}"
    return Page(heading, problems, parts)


def describe_alignment(alignment: Alignment) -> Iterator[str]:
    """The alignment of a stream, and its problems."""
    line = f", line {alignment.line}" if alignment.line else ""
    if alignment.status == "reference":
        yield f"{alignment.stream}: the reference{line}, {alignment.pulses} pulses"
        return
    if alignment.status == "aligned":
        kind = "coded" if alignment.period_s is None else f"every {alignment.period_s:.6g} s"
        yield (
            f"{alignment.stream}: aligned{line}, {alignment.matched} of {alignment.pulses} pulses matched ({kind}), "
            f"drift {alignment.drift_ppm:+.2f} ppm, offset {alignment.offset_s:+.6f} s, residual "
            f"{alignment.residual_rms_us:.1f} us (rms), {alignment.residual_max_us:.1f} us (largest)"
        )
    else:
        yield f"{alignment.stream}: {alignment.status}{line}, {alignment.pulses} pulses"
    yield from (f"  {problem}" for problem in alignment.problems)


def describe_lines(source: LineSource, data: Path) -> Iterator[str]:
    """The digital lines of a stream with their pulses, and its analog channels.

    A probe's only line is its SYNC, which the alignment describes: its file is too large to be read again.
    """
    if source.sync_line is not None and source.sync_line.startswith("SY"):
        return
    try:
        for line in read_lines(source, data):
            yield f"{source.stream} {line.name}: {_describe_pulses(line)}"
        if analog := list_analog_lines(source, data):
            yield f"{source.stream}: analog channels {', '.join(analog)}"
    # Readers raise any kind of error on broken data.
    except Exception as error:  # noqa: BLE001
        yield f"{source.stream}: its lines cannot be read: {cause(error)}"


def _describe_pulses(line: Line) -> str:
    times_s, bounces = find_pulses(line.seconds, line.levels, 0.0)
    if not len(times_s):
        return "no pulses"
    text = f"{len(times_s)} pulses" + (f", {bounces} bouncing or doubled edges" if bounces else "")
    if describe_noise(times_s):
        return f"{text}; noise of an unconnected input"
    period_s = estimate_period(times_s)
    return text if period_s is None else f"{text}, every {period_s:.6g} s"


def write_figure(blocks: dict[str, Any], file: Path) -> str:
    """Plot the residuals of each aligned stream over time; returns a line for the user."""
    # matplotlib takes a second to import.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = [
        (block, Alignment.model_validate(each))
        for block, entry in blocks.items()
        for each in entry["streams"]
        if each["status"] == "aligned"
    ]
    if not shown:
        return f"{file} is not written: no stream is aligned"
    figure = Figure(figsize=(9, 0.6 + 2 * len(shown)), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (block, alignment) in zip(figure.subplots(len(shown), squeeze=False)[:, 0], shown, strict=True):
        axes.plot(*zip(*alignment.residuals, strict=True), ".", markersize=3, color="tab:blue")
        axes.axhline(0, color="0.7", linewidth=0.8, zorder=0)
        axes.set_title(
            f"{block}: {alignment.stream} to {alignment.reference}, {alignment.matched} pulses, "
            f"{alignment.drift_ppm:+.2f} ppm, {alignment.residual_rms_us:.1f} us rms",
            fontsize=9,
        )
        axes.set_ylabel("residual (us)")
        axes.set_xlabel("time on the reference clock (s)")
    figure.savefig(file, dpi=150)
    return (
        f"{file}: residual of each pulse over time. Steps or trends mean lost samples or a clock that changed its rate."
    )
