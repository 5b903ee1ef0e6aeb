"""`spikerelay plan`: the recordings, stages, parameters and task sizes of a run; it runs and writes nothing."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from capsules.commands.inspect import find_jobs, not_sorted, recording_lines, warnings_of
from capsules.commands.layout import Page, print_pages
from capsules.commands.rates import describe_time, find_gpu_sorters, machine_of
from capsules.common.contract import BLOCK_STAGES, RECORDING_STAGES, STAGES
from capsules.common.errors import Rejected, SpikeRelayError
from capsules.common.recordings.job import Job
from capsules.common.untrusted.places import explain_overlap
from capsules.parameters.problems import quote
from capsules.parameters.rules import rate_problems
from capsules.preprocessing.artifact_times import digest_times_files
from capsules.resolve_params.machine.classifiers import missing_models
from capsules.resolve_params.machine.disk import (
    Written,
    forecast,
    free_mb,
    needs,
    one_file_system,
    shortages,
    shown_size,
)
from capsules.resolve_params.machine.folders import VARIABLES, data_problems
from capsules.resolve_params.options import chosen_options
from capsules.resolve_params.params_file import differences
from capsules.resolve_params.resolve import Resolved, guess_input, resolve
from capsules.resolve_params.sheet import sessions_of


def run(arguments: argparse.Namespace) -> int:
    options = chosen_options(arguments)
    data = str(arguments.data.absolute()) if arguments.data else os.environ.get("DATA_PATH")
    results = arguments.results or Path(os.environ.get("RESULTS_PATH") or "results")
    if data is None and "sessions" not in options:
        raise Rejected(["--data is missing: spikerelay plan --data DIR, or --sessions FILE"])
    source = "--data " if arguments.data else VARIABLES.data
    pages = plan_sessions(options, data, arguments.work.absolute(), results.absolute(), source)
    print_pages(pages)
    return 1 if any(page.problems for page in pages) else 0


def plan_sessions(
    options: dict[str, Any], data: str | None, work: Path, results: Path, source: str = VARIABLES.data
) -> list[Page]:
    """Plan a run over a data folder, or over the sessions of a sheet; parameters and errors as for `plan`.

    `source` is what messages write before the path of the data folder.
    """
    sessions = sessions_of(options, Path.cwd(), data, source)
    if problems := [problem for session in sessions for problem in data_problems(session.data, session.source)]:
        raise Rejected(problems)
    folders = {session.results(results): session.data_folder for session in sessions}
    overlaps = {folder: explain_overlap(folder, data_folder) for folder, data_folder in folders.items()}
    if problems := [
        f"RESULTS {folder} {reason}: choose another folder" for folder, reason in overlaps.items() if reason
    ]:
        raise Rejected(problems)
    pages: list[Page] = []
    all_written: list[Written] = []
    for session in sessions:
        own_options = options | {"params_file": session.params_file}
        try:
            page, written = plan(own_options, session.data_folder, work, session.results(results))
            page.heading = f"session {session.name}: {page.heading}" if session.name else page.heading
        except SpikeRelayError as error:
            if not session.name:
                raise
            page, written = Page(f"session {session.name}", [str(error)]), []
        pages.append(page)
        all_written += written
    if len(sessions) > 1:
        disk, short = _disk_lines(all_written, work, results)
        names = [session.name for session, page in zip(sessions, pages, strict=True) if page.problems]
        listed = [f"sessions with problems, listed above: {', '.join(names)}"] if names else []
        pages.append(Page(f"all {len(sessions)} sessions together", listed + short, {"disk": disk}))
    return pages


def plan(options: dict[str, Any], data: Path, work: Path, results: Path) -> tuple[Page, list[Written]]:
    """Plan a run.

    Parameters
    ----------
    options : dict
        The pipeline's options, as for `resolve`; relative paths in them start at the current folder.
    data, work, results : Path
        The data folder, the work folder and the results folder; the last two need not exist.

    Returns
    -------
    page : Page
        Its problems: recordings that cannot be read or that the parameters do not fit, and too little disk.
    written : list of Written

    Raises
    ------
    Rejected
        With every problem of the options and the params file.
    SpikeRelayError
        When the data folder has nothing to sort.
    """
    resolved = resolve(options, Path.cwd())
    # Rejects a file of times that is missing or invalid.
    digest_times_files(data, resolved.params.preprocessing.artifacts.times)
    guess_input(resolved, data)
    resolved.notes += missing_models(resolved, Path.cwd())
    jobs, dispatch = find_jobs(resolved.params.job_dispatch, data)
    broken = {job.id: reason for job in jobs if (reason := find_failure(job, resolved))}
    sound = [job for job in jobs if job.id not in broken]
    sorted_jobs = [job for job in sound if not job.skip]
    written = forecast(sound, resolved.params, resolved.sorters)
    disk, short = _disk_lines(written, work, results)
    # Several sorters are in one line, so it has the time of the slowest.
    on_gpu = all(find_gpu_sorters(resolved, machine_of(options)).values())
    parts = {"expected time": describe_time(sorted_jobs, RECORDING_STAGES, resolved, options)}
    for job in jobs:
        stages = RECORDING_STAGES if job in sorted_jobs else []
        parts[job.id] = [*recording_lines(job), *(_size_line(stage, [job], written, on_gpu) for stage in stages)]
    for block in dict.fromkeys(job.block for job in jobs):
        of_block = [job for job in sound if job.block == block]
        parts[f"nwb/{block}.nwb"] = [_size_line(stage, of_block, written) for stage in BLOCK_STAGES]
    parts |= {"not sorted": not_sorted(dispatch), "disk": disk}
    parts["parameters that are not the default"] = list(_parameter_lines(resolved))
    heading = f"{len(jobs)} recordings in {data}, sorted by {' and by '.join(resolved.sorters)}"
    problems = [f"{id} fails: {reason}" for id, reason in broken.items()] + short
    return Page(heading, problems, parts, [*resolved.notes, *warnings_of(jobs, dispatch)]), written


def find_failure(job: Job, resolved: Resolved) -> str | None:
    """Why a recording would fail, as far as it is known before the run."""
    if job.failure:
        return job.failure
    documents = [] if job.skip else [resolved.document(sorter) for sorter in resolved.sorters]
    problems = [
        str(problem) for document in documents for problem in rate_problems(document, job.sampling_frequency_hz)
    ]
    return "; ".join(dict.fromkeys(problems)) or None


def _size_line(stage: str, jobs: list[Job], written: list[Written], on_gpu: bool = False) -> str:
    """A stage's task on one job, or on the jobs of a block."""
    size = STAGES[stage].size
    memory_gb = size.memory_gb(sum(job.num_channels for job in jobs))
    minutes = size.time_min(sum(job.megabytes for job in jobs), on_gpu)
    place = {job.block for job in jobs} if stage in BLOCK_STAGES else {job.id for job in jobs}
    megabytes = sum(entry.work_mb for entry in written if entry.stage == stage and entry.recording in place)
    return f"{stage:<15} {memory_gb:5.1f} GB, time limit {minutes:.0f} min; writes about {shown_size(megabytes)}"


def _disk_lines(written: list[Written], work: Path, results: Path) -> tuple[list[str], list[str]]:
    """What is written where, and what does not fit."""
    lines = [
        f"about {shown_size(megabytes)} of {name} in {folder}, where {shown_size(free_mb(folder))} are free"
        for name, folder, megabytes in needs(written, work, results)
    ]
    if one_file_system(work, results):
        lines.append(f"the results in {results} are links to them, and take no additional space")
    return lines, shortages(written, work, results)


def _parameter_lines(resolved: Resolved) -> Iterator[str]:
    changed = differences(resolved.params)
    for dotted, (default, value) in changed.items():
        yield f"{dotted}: {quote(default)} -> {quote(value)} ({resolved.origins[dotted]})"
    if not changed:
        yield "none"
