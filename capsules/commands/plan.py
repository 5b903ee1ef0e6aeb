"""`spikerelay plan`: the recordings, stages, parameters and task sizes of a run; it runs and writes nothing."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from capsules.commands.inspect import find_jobs, left_out_lines, recording_lines
from capsules.common.contract import BLOCK_STAGES, RECORDING_STAGES, STAGES
from capsules.common.errors import Rejected, SpikeRelayError, printable
from capsules.common.recordings.job import Job
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
from capsules.resolve_params.machine.folders import data_problems
from capsules.resolve_params.options import chosen_options
from capsules.resolve_params.params_file import differences
from capsules.resolve_params.resolve import Resolved, guess_input, resolve
from capsules.resolve_params.sheet import sessions_of


def run(arguments: argparse.Namespace) -> int:
    options = chosen_options(arguments)
    data = str(arguments.data.absolute()) if arguments.data else os.environ.get("DATA_PATH")
    results = arguments.results or Path(os.environ.get("RESULTS_PATH") or "results")
    lines, good = plan_sessions(options, data, arguments.work.absolute(), results.absolute())
    print(*map(printable, lines), sep="\n")
    return 0 if good else 1


def plan_sessions(options: dict[str, Any], data: str | None, work: Path, results: Path) -> tuple[list[str], bool]:
    """Plan a run over a data folder, or over the sessions of a sheet; parameters and errors as for `plan`."""
    sessions = sessions_of(options, Path.cwd(), data)
    if problems := [problem for session in sessions for problem in data_problems(session.data, session.source)]:
        raise Rejected(problems)
    lines: list[str] = []
    all_good = True
    all_written: list[Written] = []
    for session in sessions:
        if session.name:
            lines += ["", f"session {session.name}"]
        try:
            own_options = options | {"params_file": session.params_file}
            planned, good, written = plan(own_options, session.data_folder, work, session.results(results))
        except SpikeRelayError as error:
            if not session.name:
                raise
            planned, good, written = [f"  fails: {error}"], False, []
        lines += planned
        all_good = all_good and good
        all_written += written
    if len(sessions) > 1:
        disk, fits = _disk_lines(all_written, work, results)
        lines += ["", "disk, all sessions together:", *disk]
        all_good = all_good and fits
    return lines, all_good


def plan(options: dict[str, Any], data: Path, work: Path, results: Path) -> tuple[list[str], bool, list[Written]]:
    """Plan a run.

    Parameters
    ----------
    options : dict
        The pipeline's options, as for `resolve`; relative paths in them start at the current folder.
    data, work, results : Path
        The data folder, the work folder and the results folder; the last two need not exist.

    Returns
    -------
    lines : list of str
        The plan, for the user.
    good : bool
        Whether every recording can be read, the parameters fit it, and the disks have enough space.
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
    written = forecast([job for job in jobs if job.id not in broken], resolved.params, resolved.sorters)
    lines = [f"{len(jobs)} recordings in {data}, sorted by {' and by '.join(resolved.sorters)}", *resolved.notes]
    for job in jobs:
        lines += _job_lines(job, broken.get(job.id), written)
    for block in dict.fromkeys(job.block for job in jobs):
        lines += _block_lines(block, [job for job in jobs if job.block == block and job.id not in broken], written)
    lines += left_out_lines(dispatch)
    disk, fits = _disk_lines(written, work, results)
    lines += ["", "disk:", *disk]
    lines += ["", "parameters that are not the default:", *_parameter_lines(resolved)]
    return lines, not broken and fits, written


def find_failure(job: Job, resolved: Resolved) -> str | None:
    """Why a recording would fail, as far as it is known before the run."""
    if job.failure:
        return job.failure
    documents = [] if job.skip else [resolved.document(sorter) for sorter in resolved.sorters]
    problems = [
        str(problem) for document in documents for problem in rate_problems(document, job.sampling_frequency_hz)
    ]
    return "; ".join(dict.fromkeys(problems)) or None


def _job_lines(job: Job, failure: str | None, written: list[Written]) -> Iterator[str]:
    yield from recording_lines(job, failure)
    if not failure and not job.skip:
        yield from (_size_line(stage, [job], written) for stage in RECORDING_STAGES)


def _block_lines(block: str, jobs: list[Job], written: list[Written]) -> Iterator[str]:
    yield ""
    yield f"nwb/{block}.nwb"
    yield from (_size_line(stage, jobs, written) for stage in BLOCK_STAGES)


def _size_line(stage: str, jobs: list[Job], written: list[Written]) -> str:
    """A stage's task on one job, or on the jobs of a block."""
    size = STAGES[stage].size
    memory_gb = size.memory_gb(sum(job.num_channels for job in jobs))
    minutes = size.time_min(sum(job.megabytes for job in jobs))
    place = {job.block for job in jobs} if stage in BLOCK_STAGES else {job.id for job in jobs}
    megabytes = sum(entry.work_mb for entry in written if entry.stage == stage and entry.recording in place)
    return f"  {stage:<15} {memory_gb:5.1f} GB, at most {minutes:.0f} min; writes about {shown_size(megabytes)}"


def _disk_lines(written: list[Written], work: Path, results: Path) -> tuple[list[str], bool]:
    """What is written where, and whether it fits."""
    lines = [
        f"  about {shown_size(megabytes)} of {name} in {folder}, where {shown_size(free_mb(folder))} are free"
        for name, folder, megabytes in needs(written, work, results)
    ]
    if one_file_system(work, results):
        lines.append(f"  the results in {results} are links to them, and take no additional space")
    short = shortages(written, work, results)
    return [*lines, *(f"  {line}" for line in short)], not short


def _parameter_lines(resolved: Resolved) -> Iterator[str]:
    changed = differences(resolved.params)
    for dotted, (default, value) in changed.items():
        yield f"  {dotted}: {quote(default)} -> {quote(value)} ({resolved.origins[dotted]})"
    if not changed:
        yield "  none"
