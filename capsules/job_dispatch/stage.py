"""Job dispatch: open every stream, cut it into segments and groups, write one job for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from capsules.common.errors import SpikeRelayError, nearest, printable
from capsules.common.facts import JobDispatchFacts
from capsules.common.files import write_json
from capsules.common.recordings.electrode_locations import NAME
from capsules.common.recordings.job import Job, electrode_group, probe_name
from capsules.common.tasks.task import Task
from capsules.job_dispatch.formats import HAS_FORMAT, find_links
from capsules.job_dispatch.jobs import jobs_of_stream, number_equal_ids
from capsules.job_dispatch.loaders import LOADERS
from capsules.job_dispatch.loaders.streams import AnyStream, BrokenStream, LeftOutStream, relative_to_data
from capsules.job_dispatch.params import JobDispatchParams
from capsules.job_dispatch.synchronisation import synchronise


def run(task: Task[JobDispatchParams]) -> None:
    jobs: list[Job] = []
    left_out: list[str] = []
    for session in session_folders(task.data, task.params):
        recorded: list[tuple[str, Job]] = []
        for stream in list_session_streams(session, task):
            if isinstance(stream, LeftOutStream):
                left_out.append(printable(f"{stream.dataset} {stream.name}: {stream.reason}"))
            else:
                own = jobs_of_stream(stream, session, task.data, task.params)
                recorded += [(stream.dataset, job) for job in own]
        synchronise(session, recorded, task)
        jobs += [job for _, job in recorded]
    if not jobs:
        reasons = "".join(f"; left out: {line}" for line in left_out)
        raise SpikeRelayError(
            f"nothing to sort in {task.data}: --input {task.params.input} detects no neural stream{reasons}"
        )
    number_equal_ids(jobs)
    for warning in (*unused_location_files(jobs, task), *unread_links(task)):
        task.warn(warning)
    write_json(task.out / "jobs.json", [job.model_dump(mode="json") for job in jobs])
    task.leave(JobDispatchFacts(recordings=[job.id for job in jobs], not_sorted=left_out))


def session_folders(data: Path, params: JobDispatchParams) -> list[Path]:
    """The folders of the sessions: the data folder, or its sub-folders."""
    return sorted(path for path in data.iterdir() if path.is_dir()) if params.multi_session else [data]


def list_session_streams(session: Path, task: Task[JobDispatchParams]) -> Iterator[AnyStream]:
    """The streams of a session; with several sessions, a session that cannot be read does not fail the others."""
    name, list_streams = task.params.input, LOADERS[task.params.input]
    if not task.params.multi_session:
        yield from list_streams(session, task.params)
        return
    if name in HAS_FORMAT and not HAS_FORMAT[name](session):
        task.warn(f"{session.name} is left out: it has no {name} recording")
        return
    try:
        yield from list_streams(session, task.params)
    except SpikeRelayError as error:
        yield BrokenStream("", "session", str(error))


def unread_links(task: Task[JobDispatchParams]) -> Iterator[str]:
    """A warning for each link to a folder that is not read."""
    for session in session_folders(task.data, task.params):
        for link in find_links(session):
            name = printable(relative_to_data(link, task.data))
            yield f"{name} is a link to a folder, and recordings in it are not read: move or copy the folder"


def unused_location_files(jobs: list[Job], task: Task[JobDispatchParams]) -> Iterator[str]:
    """A warning for each file of electrode locations next to the raw files whose name has no probe of this run."""
    raw_folders = {(task.data / path).parent for job in jobs for path, *_ in job.files}
    folders = {task.data, *session_folders(task.data, task.params), *raw_folders}
    used = {job.locations_file for job in jobs}
    probes = sorted({name for job in jobs for name in (probe_name(job), electrode_group(job))})
    for file in sorted({file for folder in folders for file in folder.glob(f"*{NAME}.*")}):
        name = relative_to_data(file, task.data)
        if file.suffix in (".csv", ".json") and name not in used:
            probe = file.stem.removesuffix(NAME).rstrip("_")
            yield (
                f"{printable(name)} is not read: its name has no probe of this run ({', '.join(probes)})"
                f"{nearest(probe, probes)}"
            )
