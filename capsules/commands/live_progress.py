"""The progress of a run: the state of each recording in each stage, from the files that the run writes.

Nextflow's trace has the tasks that ended; a task that runs has a note in `nextflow/failed/`, and its log says how much
of a step is done; `jobs.json` of job dispatch, in its work folder, lists the recordings. A file that is missing or
unreadable makes the progress shorter: `problems` names it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from capsules.commands.live_records import Files, TraceRow, is_locked
from capsules.common.contract import (
    BLOCK_STAGES,
    FAILURES,
    LOCK,
    RECORDING_STAGES,
    RUN_RECORD,
    STAGES,
    TRACE,
    list_needed_stages,
)
from capsules.common.tasks.progress_line import Step, read_step

State = Literal["waiting", "running", "done", "skipped", "stopped", "failed", "not reached"]
STATES: dict[str, State] = {"ok": "done", "skipped": "skipped", "failed": "failed", "not reached": "not reached"}
"""Status in a record -> state."""
LOG_TAIL = 8192
"""Bytes at the end of a log in which the progress is searched."""
NO_CODE = "no exit code: killed for its memory, or its node is gone"
KILLED_EXITS = {
    "137": "exit code 137: out of memory",
    "140": "exit code 140: out of time",
    "143": "exit code 143: out of time, or cancelled",
    "-": NO_CODE,
    "2147483647": NO_CODE,
}
"""Exit code of a task that is repeated, as the trace writes it -> what it means."""
RETRIES = 2
"""`pipeline/base.config`: a task that ended so is tried again, so often."""
NOT_BEGUN = "no run has begun"
STOPPED = "stopped before its end"
"""Of a run whose Nextflow no longer lives."""
INTERRUPTED_EXIT = "130"
"""Of a task that Ctrl-C reached before Nextflow ended it."""


@dataclass(frozen=True)
class StageProgress:
    """A stage of a recording or an NWB file; `seconds` since it began, or that it took."""

    state: State
    seconds: float | None = None
    step: Step | None = None
    reason: str | None = None
    is_cached: bool = False


@dataclass(frozen=True)
class Row:
    """A recording (by one sorter) or an NWB file. In a sheet, its id begins with the session."""

    id: str
    stages: dict[str, StageProgress]
    megabytes: float = 0

    @property
    def state(self) -> State:
        """Failed, stopped or skipped with the first stage that is; else running, waiting or done."""
        states = [stage.state for stage in self.stages.values()]
        for state in ("failed", "stopped", "skipped"):
            if state in states:
                return state
        if all(state == "done" for state in states):
            return "done"
        return "running" if {"running", "done"} & set(states) else "waiting"


@dataclass(frozen=True)
class RunProgress:
    """The progress of a run; `activity` is what it does as a whole, `problems` names what could not be read."""

    activity: str
    is_live: bool
    recordings: list[Row] = field(default_factory=list)
    blocks: list[Row] = field(default_factory=list)
    seconds: float = 0
    rejected: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def rows(self) -> list[Row]:
        return [*self.recordings, *self.blocks]


STARTING = RunProgress("starting Nextflow", True)


def read_progress(results: Path, is_live: bool | None = None) -> RunProgress:
    """Read the progress of the run that has this results folder.

    Parameters
    ----------
    results : Path
        Need not exist.
    is_live : bool, optional
        Whether the run's Nextflow lives; by default, whether it locks the folder. Without locks, a run is one that
        has no results yet.
    """
    return _Reader(results, is_locked(results / LOCK) if is_live is None else is_live).read()


class _Reader:
    """One reading of a results folder."""

    def __init__(self, results: Path, is_live: bool | None):
        self.results, self.files = results, Files()
        self.trace = self.files.read_trace(results / TRACE)
        self.is_live = not any(stage == "results" for stage, _ in self.trace) if is_live is None else is_live
        self.now = datetime.now(UTC)

    def read(self) -> RunProgress:
        sessions = {tag: self._session(tag) for stage, tag in self.trace if stage == "job_dispatch"}
        rejected = {session: reason for tag, session in sessions.items() if (reason := self._rejection(tag, session))}
        recordings: list[Row] = []
        blocks: list[Row] = []
        for tag, session in sessions.items():
            if not self.is_live and ("results", tag) in self.trace:
                status = self.files.read_json(self.results / session / "status.json")
                recordings += list(self._rows_of_status(session, status.get("recordings", {})))
                blocks += list(self._rows_of_status(session, status.get("blocks", {})))
            else:
                recordings += list(self._recordings(tag, session))
                blocks += list(self._blocks(tag, session))
        return RunProgress(
            self._activity({tag for tag, session in sessions.items() if session not in rejected}, bool(sessions)),
            self.is_live,
            recordings,
            blocks,
            self._seconds(),
            [f"{session}: {reason}" for session, reason in rejected.items()],
            list(dict.fromkeys(self.files.problems)),
        )

    def _session(self, tag: str) -> str:
        """The session's folder in the results; without a sheet there is none."""
        return tag if (self.results / tag / RUN_RECORD).is_file() else ""

    def _activity(self, sessions: set[str], is_dispatched: bool) -> str:
        """What the run does as a whole; `sessions` are the tags of those that have recordings."""
        if not self.trace and not self.is_live:
            return NOT_BEGUN
        if not self.is_live:
            complete = is_dispatched and all(("results", tag) in self.trace for tag in sessions)
            return "ended" if complete else STOPPED
        if ("resolve_params", "-") not in self.trace:
            return "checking the parameters"
        return "running" if is_dispatched else "listing the recordings"

    def _seconds(self) -> float:
        """Since the run began, or that it took; 0 when it stopped: the trace lacks the tasks that ran then."""
        try:
            if self.is_live:
                return max(0.0, self.now.timestamp() - (self.results / LOCK).stat().st_mtime)
        except OSError:
            return 0
        if not any(stage == "results" for stage, _ in self.trace):
            return 0
        times = [time for row in self.trace.values() if row.status != "CACHED" for time in row.times]
        return (max(times) - min(times)).total_seconds() if times else 0

    def _rejection(self, tag: str, session: str) -> str | None:
        """Why a session of a sheet has no recordings."""
        if not session:
            return None
        folder = self.trace["job_dispatch", tag].folder / STAGES["job_dispatch"].folder("run")
        record = self.files.read_json(folder / "stage.json")
        rejected = self.files.read_json(folder / "disk.json").get("rejected")
        reason = record.get("reason") if record.get("status") == "failed" else rejected
        return str(reason) if reason else None

    def _jobs(self, tag: str) -> list[dict[str, Any]]:
        file = self.trace["job_dispatch", tag].folder / STAGES["job_dispatch"].folder("run") / "jobs.json"
        jobs = self.files.read_json_list(file)
        has_failed = self.files.read_json(file.with_name("stage.json")).get("status") == "failed"
        if not jobs and not file.exists() and not self._session(tag) and not has_failed:
            self.files.problems.append(f"{file} is missing: the view lists no recordings")
        return [job for job in jobs if isinstance(job.get("id"), str) and isinstance(job.get("block"), str)]

    def _suffixes(self, session: str) -> list[str]:
        """What the ids of a recording's sortings end with, by sorter."""
        row = self.trace.get(("resolve_params", "-"))
        resolved = self.files.read_json(row.folder / "resolved.json") if row else {}
        for entry in resolved.get("sessions", []):
            if isinstance(entry, dict) and entry.get("session") == session:
                return [str(sorter.get("suffix", "")) for sorter in entry.get("sorters", [])] or [""]
        return [""]

    def _recordings(self, tag: str, session: str) -> Iterator[Row]:
        suffixes = self._suffixes(session)
        for job in self._jobs(tag):
            for suffix in suffixes:
                ids = {
                    stage: job["id"] + ("" if STAGES[stage].level == "recording" else suffix)
                    for stage in RECORDING_STAGES
                }
                yield self._row(session, job["id"] + suffix, ids, float(job.get("megabytes") or 0))

    def _blocks(self, tag: str, session: str) -> Iterator[Row]:
        sizes: dict[str, float] = {}
        for job in self._jobs(tag):
            sizes[job["block"]] = sizes.get(job["block"], 0) + float(job.get("megabytes") or 0)
        for block, megabytes in sizes.items():
            yield self._row(session, block, dict.fromkeys(BLOCK_STAGES, block), megabytes)

    def _row(self, session: str, id: str, ids: dict[str, str], megabytes: float) -> Row:
        stages: dict[str, StageProgress] = {}
        for stage, own in ids.items():
            shown = self._stage(session, stage, own)
            needed = [stages[name].state for name in list_needed_stages(stage)]
            if shown.state == "waiting" and (not self.is_live or {"failed", "not reached"} & set(needed)):
                shown = replace(shown, state="not reached")
            stages[stage] = shown
        return Row(f"{session}/{id}" if session else id, stages, megabytes)

    def _rows_of_status(self, session: str, entries: Any) -> Iterator[Row]:
        """The rows of a run that has ended, whose work folder may be gone."""
        for id, entry in entries.items() if isinstance(entries, dict) else ():
            stages = entry.get("stages", {}) if isinstance(entry, dict) else {}
            shown = {
                str(stage): self._stage_of_status(session, str(stage), (str(entry.get("recording")), str(id)), details)
                for stage, details in stages.items()
                if isinstance(details, dict)
            }
            yield Row(f"{session}/{id}" if session else str(id), shown)

    def _stage_of_status(
        self, session: str, stage: str, ids: tuple[str, ...], details: dict[str, Any]
    ) -> StageProgress:
        """A stage of a run that has ended, with the time of its task, as it was shown while the run lived."""
        tags = [f"{session}/{id}" if session else id for id in ids]
        row = next((self.trace[stage, tag] for tag in tags if (stage, tag) in self.trace), None)
        return StageProgress(
            STATES.get(str(details.get("status")), "waiting"),
            row.seconds if row and row.seconds else details.get("seconds"),
            reason=details.get("reason"),
            is_cached=row is not None and row.status == "CACHED",
        )

    def _stage(self, session: str, stage: str, id: str) -> StageProgress:
        folder = self.results / session
        row = self.trace.get((stage, f"{session}/{id}" if session else id))
        note = self.files.read_json(folder / FAILURES / f"{STAGES[stage].folder(id)}.json")
        if note and (row is None or not Path(str(note.get("folder"))).is_relative_to(row.folder)):
            # The note is that of a later attempt than the trace's.
            return self._unfinished(note)
        if row is None:
            return StageProgress("waiting")
        if row.status in ("COMPLETED", "CACHED"):
            record = self._record(folder, row, stage, id)
            state = STATES.get(record.get("status", "ok"), "done")
            return StageProgress(state, row.seconds, None, record.get("reason"), row.status == "CACHED")
        if row.status == "ABORTED" or row.exit == INTERRUPTED_EXIT:
            return StageProgress("stopped", row.seconds)
        if self.is_live and row.exit in KILLED_EXITS and row.attempt <= RETRIES:
            reason = (
                f"attempt {row.attempt} was killed ({KILLED_EXITS[row.exit]}): repeated with more memory and time, "
                "up to --max_memory and --max_time"
            )
            return StageProgress("waiting", reason=reason)
        return StageProgress("failed", row.seconds, reason=self._failure(row, note))

    def _unfinished(self, note: dict[str, Any]) -> StageProgress:
        """A task that runs, has failed before the trace has it, or was stopped with the run."""
        if note.get("kind") == "failed":
            return StageProgress("failed", reason=str(note.get("reason")))
        if not self.is_live:
            return StageProgress("stopped")
        record = note.get("record")
        try:
            started = datetime.fromisoformat(record["started"]) if isinstance(record, dict) else self.now
            seconds = max(0.0, (self.now - started).total_seconds())
        except (KeyError, ValueError, TypeError):
            seconds = 0
        log = self.files.read_tail(Path(str(note.get("folder"))) / "log.txt", LOG_TAIL)
        return StageProgress("running", seconds, read_step(log))

    def _record(self, folder: Path, row: TraceRow, stage: str, id: str) -> dict[str, Any]:
        """The stage's record, in the work folder (Nextflow may not have published it yet) or in the results."""
        record = self.files.read_json(row.folder / STAGES[stage].folder(id) / "stage.json")
        (place,) = (part.place(stage, id) for part in STAGES[stage].parts if part.name == "stage.json")
        return record or self.files.read_json(folder / str(place))

    def _failure(self, row: TraceRow, note: dict[str, Any]) -> str:
        """The line that says why a task failed: the stage's reason, else the last line that the task printed."""
        if note.get("kind") == "failed":
            return str(note.get("reason"))
        if row.exit in KILLED_EXITS:
            return f"attempt {row.attempt} was killed ({KILLED_EXITS[row.exit]}): increase --max_memory or --max_time"
        printed = self.files.read_tail(row.folder / ".command.err", LOG_TAIL).split("\n")
        last = next((line.strip() for line in reversed(printed) if line.strip()), "it printed nothing")
        return f"exit code {row.exit}: {last} ({row.folder})"
