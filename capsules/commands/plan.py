"""What a run would do: its recordings, stages, parameters and task sizes; nothing is run and nothing is written."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from capsules.common.contract import BLOCK_STAGES, RECORDING_STAGES, STAGES
from capsules.common.errors import Rejected, SpikeRelayError
from capsules.common.recordings.job import Job, read_jobs
from capsules.common.tasks.task import Task
from capsules.job_dispatch.loaders import LOADERS, guess_format
from capsules.job_dispatch.params import JobDispatchParams
from capsules.parameters.problems import shown
from capsules.parameters.rules import rate_problems
from capsules.preprocessing.artifact_times import digest_times_files
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
from capsules.resolve_params.names.classifiers import missing_models
from capsules.resolve_params.params_file import differences
from capsules.resolve_params.resolve import Resolved, guess_input, resolve
from capsules.resolve_params.sheet import sessions_of


def plan_sessions(options: dict[str, Any], data: str | None, work: Path, results: Path) -> tuple[list[str], bool]:
    """Plan a run over a data folder, or over the sessions of a sheet; parameters and errors as for `plan`."""
    sessions = sessions_of(options, Path.cwd(), data)
    if problems := [problem for session in sessions for problem in data_problems(session.data, session.said)]:
        raise Rejected(problems)
    lines, all_good, all_written = [], True, []
    for session in sessions:
        if session.name:
            lines += ["", f"session {session.name}"]
        try:
            own = options | {"params_file": session.params_file}
            planned, good, written = plan(own, Path(session.data), work, session.results(results))
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
        The data folder, the work folder and the results folder; the last two need not be there.

    Returns
    -------
    lines : list of str
        The plan, to be read.
    good : bool
        Whether every recording can be read and worked on as the parameters say, and what is written fits on the disks.
    written : list of Written

    Raises
    ------
    Rejected
        With every problem of the options and the params file.
    SpikeRelayError
        When the data folder holds nothing to sort.
    """
    resolved = resolve(options, Path.cwd())
    # Rejects a file of times that is missing or invalid.
    digest_times_files(data, resolved.params.preprocessing.artifacts.times)
    guess_input(resolved, data)
    resolved.notes += missing_models(resolved, Path.cwd())
    jobs, dispatch = find_jobs(resolved.params.job_dispatch, data)
    broken = {job.id: reason for job in jobs if (reason := failure(job, resolved))}
    written = forecast([job for job in jobs if job.id not in broken], resolved.params, resolved.sorters)
    lines = [f"{len(jobs)} recordings in {data}, sorted by {' and by '.join(resolved.sorters)}", *resolved.notes]
    for job in jobs:
        lines += _job_lines(job, broken.get(job.id), written)
    for block in dict.fromkeys(job.block for job in jobs):
        lines += _block_lines(block, [job for job in jobs if job.block == block and job.id not in broken], written)
    lines += _left_out_lines(dispatch)
    disk, fits = _disk_lines(written, work, results)
    lines += ["", "disk:", *disk]
    lines += ["", "parameters that are not the default:", *_parameter_lines(resolved)]
    return lines, not broken and fits, written


def inspect(data: Path, params: JobDispatchParams | None) -> tuple[list[str], bool]:
    """Look into a data folder: its recordings, what would not be sorted and why, and whether all is well.

    Parameters
    ----------
    data : Path
    params : JobDispatchParams or None
        How to read it; None guesses the format.
    """
    if params is None:
        name = guess_format(data)
        if name is None:
            raise SpikeRelayError(f"{data}: its format cannot be told; give --input, one of {', '.join(LOADERS)}")
        params = JobDispatchParams(input=name)
    jobs, dispatch = find_jobs(params, data)
    lines = [f"{len(jobs)} recordings in {data}, read as {params.input}"]
    for job in jobs:
        lines += _recording_lines(job, job.failure)
    return [*lines, *_left_out_lines(dispatch)], not any(job.failure for job in jobs)


def find_jobs(params: JobDispatchParams, data: Path) -> tuple[list[Job], dict[str, Any]]:
    """The jobs that job dispatch would give, and its record."""
    from capsules.job_dispatch.stage import run

    with tempfile.TemporaryDirectory() as folder:
        task = Task(STAGES["job_dispatch"], "run", [], params, Path(folder), data, Path(folder), 1)
        run(task)
        return read_jobs(Path(folder) / "jobs.json"), task.record


def failure(job: Job, resolved: Resolved) -> str | None:
    """Why a recording would fail, as far as it can be told now."""
    if job.failure:
        return job.failure
    documents = [] if job.skip else [resolved.document(sorter) for sorter in resolved.sorters]
    problems = [str(one) for document in documents for one in rate_problems(document, job.sampling_frequency_hz)]
    return "; ".join(dict.fromkeys(problems)) or None


def _job_lines(job: Job, failure: str | None, written: list[Written]) -> Iterator[str]:
    yield from _recording_lines(job, failure)
    if not failure and not job.skip:
        yield from (_size_line(stage, [job], written) for stage in RECORDING_STAGES)


def _recording_lines(job: Job, failure: str | None) -> Iterator[str]:
    yield ""
    yield job.id
    if failure or job.skip:
        yield f"  {'fails' if failure else 'skipped'}: {failure or job.skip}"
    if not job.num_channels:
        return
    segments = f"segments {', '.join(str(index + 1) for index in job.segments)}"
    facts = [f"{job.num_channels} channels", f"{job.sampling_frequency_hz:g} Hz", f"{job.duration_s:g} s ({segments})"]
    facts += [job.dtype, f"{job.megabytes:.1f} MB", f"probe {job.probe or 'unknown'}"]
    yield "  " + ", ".join(facts + ([f"group {job.group}"] if job.group else []))
    yield "  time: " + ("counted by samples" if job.regular_clock else "by the instrument's timestamps")
    yield from (f"  warning: {warning}" for warning in job.warnings)


def _left_out_lines(record: dict[str, Any]) -> list[str]:
    left_out = [*record["facts"]["not_sorted"], *record["warnings"]]
    return ["", "not sorted:", *(f"  {line}" for line in left_out)] if left_out else []


def _block_lines(block: str, jobs: list[Job], written: list[Written]) -> Iterator[str]:
    yield ""
    yield f"nwb/{block}.nwb"
    yield from (_size_line(stage, jobs, written) for stage in BLOCK_STAGES)


def _size_line(stage: str, jobs: list[Job], written: list[Written]) -> str:
    """A stage's task on one job, or on a block's."""
    size = STAGES[stage].size
    memory_gb = size.memory_gb(sum(job.num_channels for job in jobs))
    minutes = size.time_min(sum(job.megabytes for job in jobs))
    place = {job.block for job in jobs} if stage in BLOCK_STAGES else {job.id for job in jobs}
    megabytes = sum(one.work_mb for one in written if one.stage == stage and one.recording in place)
    return f"  {stage:<15} {memory_gb:5.1f} GB, at most {minutes:.0f} min; writes about {shown_size(megabytes)}"


def _disk_lines(written: list[Written], work: Path, results: Path) -> tuple[list[str], bool]:
    """What is written where, and whether it fits."""
    lines = [
        f"  about {shown_size(megabytes)} of {name} in {folder}, where {shown_size(free_mb(folder))} are free"
        for name, folder, megabytes in needs(written, work, results)
    ]
    if one_file_system(work, results):
        lines.append(f"  the results in {results} are links to them, and take no room of their own")
    short = shortages(written, work, results)
    return [*lines, *(f"  {line}" for line in short)], not short


def _parameter_lines(resolved: Resolved) -> Iterator[str]:
    changed = differences(resolved.params)
    for dotted, (default, value) in changed.items():
        yield f"  {dotted}: {shown(default)} -> {shown(value)} ({resolved.origins[dotted]})"
    if not changed:
        yield "  none"
