"""Perform a task: its output appears whole or not at all, with a `stage.json` that says how it ended."""

from __future__ import annotations

import logging
import shutil
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from capsules.common.contract import RECORDING_STAGES
from capsules.common.errors import RecordedFailure, Skip, SpikeRelayError, printable
from capsules.common.files import write_json
from capsules.common.tasks import full_disk, resources
from capsules.common.tasks.failure_mark import FailureMark, find_results_folder
from capsules.common.tasks.orphan import end_with_nextflow
from capsules.common.tasks.publishing import link_published
from capsules.common.tasks.task import Task

Run = Callable[[Task[Any]], None]
"""The `run` of a stage."""


def perform(task: Task[Any], run: Run, output: Path, publish: Path | None = None) -> int:
    """Run a task, write its `stage.json` and give its folder the final name; return the exit code.

    While the task runs, its note in `RESULTS_PATH/nextflow/failed/` says that it was killed. When it fails, it writes
    the real cause there; when it ends well, it removes the note. So a killed task leaves its note too.
    """
    end_with_nextflow()
    mark = FailureMark(task)
    try:
        return _perform(task, run, output, publish, mark)
    except OSError as error:
        # The record has the errors of the stage; this one prevents writing the record or the note.
        if full_disk.is_full(error):
            reason = full_disk.describe_full_disk(error, task.out, find_results_folder())
        else:
            reason = f"cannot write: {error}: correct this and run the same command with -resume"
        remove_parts(task.out)
        print(reason, file=sys.stderr)
        with suppress(OSError):
            mark.write("failed", reason)
        return 1


def _perform(task: Task[Any], run: Run, output: Path, publish: Path | None, mark: FailureMark) -> int:
    _start_log(task)
    mark.write(
        "killed",
        "the task was stopped from outside while it ran: out of memory or time, or cancelled; its exit code in "
        "nextflow/trace.txt says which",
    )
    start = time.monotonic()
    code = 0
    try:
        _pass_on_skips(task)
        run(task)
        _check_parts(task)
    except Skip as skip:
        _set_status(task, "skipped", str(skip))
    except RecordedFailure as failure:
        _set_status(task, "failed", str(failure))
    except Exception as error:  # noqa: BLE001  every failure is recorded with its cause, and makes the exit code 1
        code = 1
        shown = str(error) if isinstance(error, SpikeRelayError) else f"{type(error).__name__}: {error}"
        if lost := task.lost_data:
            shown = f"{lost} is missing: mount or restore it and run the same command with -resume"
        if full_disk.is_full(error):
            shown = full_disk.describe_full_disk(error, task.out, find_results_folder())
            # Make room for the record.
            remove_parts(task.out)
        _set_status(task, "failed", shown)
        if not isinstance(error, SpikeRelayError):
            task.log.error(traceback.format_exc())
    task.record["ended"] = datetime.now(UTC).isoformat(timespec="seconds")
    task.record["seconds"] = round(time.monotonic() - start, 1)
    task.record["peak_memory_mb"] = resources.peak_memory_mb()
    task.log.info("%s %s: %s %s", task.stage.name, task.id, task.record["status"], task.record["reason"] or "")
    write_json(task.out / "stage.json", task.record)
    _end_log()
    if code:
        mark.write("failed", task.record["reason"] or "", task.out / "log.txt")
        # Job dispatch and the results end the run when they fail; their record is read for the reason.
        if task.stage.level != "run":
            return code
    final = output / task.stage.folder(task.id)
    shutil.rmtree(final, ignore_errors=True)
    task.out.rename(final)
    if code == 0:
        if publish is not None:
            link_published(task.stage, task.id, final, publish)
        mark.remove()
    return code


def _set_status(task: Task[Any], status: Literal["skipped", "failed"], reason: str) -> None:
    task.record["status"], task.record["reason"] = status, printable(reason)


def remove_parts(folder: Path) -> None:
    """Remove all that a task has written except its log; do nothing when the folder has its final name already."""
    for path in folder.iterdir() if folder.exists() else ():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != "log.txt":
            path.unlink()


def write_stub(task: Task[Any]) -> None:
    """Write an empty output with all parts, for `-stub-run`."""
    for part in task.stage.gives:
        (task.out / part.name).write_text("{}\n")


def _start_log(task: Task[Any]) -> None:
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr), logging.FileHandler(task.out / "log.txt")]
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", handlers=handlers, force=True
    )
    logging.captureWarnings(True)


def _end_log() -> None:
    """Close the log: its folder is renamed or abandoned."""
    logging.captureWarnings(False)
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, logging.FileHandler):
            root.removeHandler(handler)
            handler.close()


def _pass_on_skips(task: Task[Any]) -> None:
    """Skip a recording whose earlier stage was skipped or failed, for the same reason.

    A stage that reports up to the last completed step skips only recordings that cannot be read.

    Raises
    ------
    SpikeRelayError
        When an input folder is missing.
    """
    if task.stage.name not in RECORDING_STAGES:
        return
    if task.job.failure:
        raise Skip(task.job.failure) if task.stage.may_take else SpikeRelayError(task.job.failure)
    if task.job.skip and not task.stage.may_take:
        raise Skip(task.job.skip)
    for name in task.stage.takes:
        record = task.input_record(name)
        if record is None:
            raise SpikeRelayError(f"no {task.input(name, 'stage.json')}: run capsules.{name} first, or add --inputs")
        if record["status"] != "ok":
            raise Skip(f"{name} {record['status']}: {record['reason']}")


def _check_parts(task: Task[Any]) -> None:
    missing = [part.name for part in task.stage.gives if not part.optional and not (task.out / part.name).exists()]
    if missing:
        raise RuntimeError(f"{task.stage.name} did not write {', '.join(missing)}")
