"""Run one stage: its command line, its `stage.json`, and the rule that its output appears whole or not at all."""

from __future__ import annotations

import importlib
import json
import logging
import os
import platform
import shutil
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from capsules.common import cli, full_disk, resources, strict_json
from capsules.common.contract import RECORDING_STAGES, STAGES, Stage
from capsules.common.errors import RecordedFailure, Refused, Skip, SpikeRelayError, printable
from capsules.common.job import ID, Job, read_jobs
from capsules.common.orphan import end_with_nextflow
from capsules.common.params import JobKwargs, set_dotted
from capsules.common.patches import progress
from capsules.common.places import unused_name
from capsules.common.problems import problems_of
from capsules.common.versions import code_fingerprint, library_versions


class Task:
    """What a stage's `run` works with.

    Attributes
    ----------
    id : str
        The recording, the sorting of it, or the block, that this task is about. A sorting has the recording's id,
        and the sorter's name after it when several sorters run.
    jobs : list of Job
        One job, or all jobs of the block.
    params : pydantic model
        The stage's resolved section.
    inputs : Path
        Folder that holds the earlier stages' folders.
    data : Path or None
        The raw data folder.
    out : Path
        Folder to write the parts into; it gets its final name when everything is written.
    n_jobs : int
        Cores that the task may use.
    """

    def __init__(
        self,
        stage: Stage,
        id: str,
        jobs: list[Job],
        params: BaseModel | None,
        inputs: Path,
        data: Path | None,
        out: Path,
        n_jobs: int,
    ):
        self.stage, self.id, self.jobs, self.params = stage, id, jobs, params
        self.inputs, self.data, self.out, self.n_jobs = inputs, data, out, n_jobs
        self.log = logging.getLogger(f"spikerelay.{stage.name}")
        self.record: dict[str, Any] = {
            "stage": stage.name,
            "id": id,
            "recording": self.job.id if stage.level == "sorting" else None,
            "status": "ok",
            "reason": None,
            "params": None if params is None else params.model_dump(mode="json"),
            "changes": [],
            "warnings": [],
            "facts": {},
            "seeds": {},
            "device": "cpu",
            "n_jobs": n_jobs,
            "versions": library_versions(stage),
            "code": code_fingerprint(stage),
            "machine": platform.node(),
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
        }

    @property
    def job(self) -> Job:
        """The one job of a per-recording task."""
        (job,) = self.jobs
        return job

    def input(self, stage: str, part: str, id: str | None = None) -> Path:
        """The path of a part that an earlier stage gave for this recording or sorting (or for `id`)."""
        if id is None:
            id = self.job.id if STAGES[stage].level == "recording" else self.id
        return self.inputs / STAGES[stage].folder(id) / part

    def input_record(self, stage: str, id: str | None = None) -> dict[str, Any] | None:
        """An earlier stage's `stage.json`, or None when that stage left nothing."""
        file = self.input(stage, "stage.json", id)
        try:
            return json.loads(file.read_text()) if file.exists() else None
        except ValueError as error:
            raise damaged(file.parent, f"stage.json cannot be read, {error}") from None

    def change(self, text: str) -> None:
        """Record something that was done otherwise than the parameters say."""
        text = printable(text)
        self.record["changes"].append(text)
        self.log.info("changed: %s", text)

    def warn(self, text: str) -> None:
        """Record something that the user should know."""
        text = printable(text)
        self.record["warnings"].append(text)
        self.log.warning(text)

    def fact(self, **facts: Any) -> None:
        """Record what was found or made, e.g. the number of units."""
        self.record["facts"].update(facts)

    def use_spikeinterface(self, settings: JobKwargs) -> dict[str, Any]:
        """Set SpikeInterface up for this task: its compiled code cached, its `job_kwargs`, which are also returned."""
        resources.use_numba_cache()
        import spikeinterface

        job_kwargs = resources.job_kwargs(self.n_jobs, settings)
        spikeinterface.set_global_job_kwargs(**job_kwargs)
        progress.show_progress(settings.progress_bar, self.log)
        return job_kwargs


def main(stage_name: str, run: Callable[[Task], None], params: type[BaseModel] | None = None) -> int:
    """The command line of a stage. Returns the exit code: 0 done or skipped, 1 failed, 2 refused."""
    stage = STAGES[stage_name]
    try:
        arguments = cli.parse_all(_parser(stage, params))
        jobs = read_jobs(arguments.job) if arguments.job else []
        section = None if params is None else read_section(params, arguments.params, arguments.overrides, stage.name)
    except Refused as refusal:
        print(*map(printable, refusal.problems), sep="\n", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{stage.name}: cannot read {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    id = arguments.id or (jobs[0].id if stage.name in RECORDING_STAGES else jobs[0].block if jobs else stage.name)
    if not ID.fullmatch(id):
        print(f"{stage.name}: {printable(id)} is no id: letters, digits and . _ - are", file=sys.stderr)
        return 2
    out = arguments.output / f".{stage.folder(id)}.partial"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    task = Task(stage, id, jobs, section, arguments.inputs, arguments.data, out, arguments.n_jobs)
    return perform(task, stub if arguments.stub_run else run, arguments.output, arguments.publish)


def link_published(stage: Stage, id: str, folder: Path, target: Path) -> None:
    """Hard-link a stage's published parts into `target`, each named for its place in the results with % for /.

    Nextflow moves them to the results folder from there: it does not publish parts of a folder that is an output.
    """
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for part in stage.parts:
        place, source = part.place(stage.name, id), folder / part.name
        if place is None or not source.exists():
            continue
        linked = target / place.replace("/", "%")
        if source.is_dir():
            shutil.copytree(source, linked, copy_function=link_or_copy)
        else:
            link_or_copy(source, linked)


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """A hard link, or a copy where the file system has none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def perform(task: Task, run: Callable[[Task], None], output: Path, publish: Path | None = None) -> int:
    """Run a task, write its `stage.json` and give its folder the final name; return the exit code.

    While it runs, `RESULTS_PATH/nextflow/failed/` says that the task was killed; the task puts the real cause there
    when it fails, and removes the note when it ends well. So a task that is killed leaves its mark too.
    """
    end_with_nextflow()
    mark = FailureMark(task)
    try:
        return _perform(task, run, output, publish, mark)
    except OSError as error:
        # The stage's own errors are in its record; here the record cannot be written, or the mark.
        if full_disk.is_full(error):
            reason = full_disk.told(error, task.out, results_folder())
        else:
            reason = f"cannot write: {error}: put that right and run the same command with -resume"
        remove_parts(task.out)
        print(reason, file=sys.stderr)
        with suppress(OSError):
            mark.write("failed", reason)
        return 1


def _perform(task: Task, run: Callable[[Task], None], output: Path, publish: Path | None, mark: FailureMark) -> int:
    _start_log(task)
    mark.write("killed", "the task was stopped from outside while it ran; nextflow/trace.txt has its exit code")
    start = time.monotonic()
    code = 0
    try:
        _pass_on_skips(task)
        resources.limit_threads(task.n_jobs)
        run(task)
        _check_parts(task)
    except Skip as skip:
        task.record.update(status="skipped", reason=printable(str(skip)))
    except RecordedFailure as failure:
        task.record.update(status="failed", reason=printable(str(failure)))
    except Exception as error:  # noqa: BLE001  every failure is recorded with its cause, and makes the exit code 1
        code = 1
        shown = str(error) if isinstance(error, SpikeRelayError) else f"{type(error).__name__}: {error}"
        if task.data is not None and not task.data.exists():
            shown = f"{task.data} is gone, or its disk is: bring it back and run the same command with -resume"
        if full_disk.is_full(error):
            shown = full_disk.told(error, task.out, results_folder())
            # So that there is room for the record.
            remove_parts(task.out)
        task.record.update(status="failed", reason=printable(shown))
        if not isinstance(error, SpikeRelayError):
            task.log.error(traceback.format_exc())
    task.record.update(
        ended=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - start, 1),
        peak_memory_mb=resources.peak_memory_mb(),
    )
    task.log.info("%s %s: %s %s", task.stage.name, task.id, task.record["status"], task.record["reason"] or "")
    write_json(task.out / "stage.json", task.record)
    _end_log()
    if code:
        mark.write("failed", task.record["reason"], task.out / "log.txt")
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


def damaged(folder: Path, what: str) -> SpikeRelayError:
    """A stage's folder that is not as the stage left it: Nextflow does not look into it."""
    return SpikeRelayError(
        f"a work file was changed after it was written ({what}): remove {folder.resolve().parent} and run the same "
        "command with -resume"
    )


def remove_parts(folder: Path) -> None:
    """Remove all that a task has written but its log; nothing where the folder has its final name already."""
    for path in folder.iterdir() if folder.exists() else ():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != "log.txt":
            path.unlink()


class FailureMark:
    """The note in `RESULTS_PATH/nextflow/failed/` that stands while a task runs and stays when it fails."""

    def __init__(self, task: Task):
        results = results_folder()
        self.task = task
        self.folder = results / "nextflow" / "failed" if results else None
        self.file = self.folder / f"{task.stage.folder(task.id)}.json" if self.folder else None

    def write(self, kind: str, reason: str, log: Path | None = None) -> None:
        if self.file is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        tail = log.read_text(errors="replace").splitlines()[-40:] if log else []
        record = {"stage": self.task.stage.name, "id": self.task.id, "kind": kind, "reason": reason, "log": tail}
        write_json(self.file, record | {"record": self.task.record})

    def remove(self) -> None:
        if self.file is not None:
            self.file.unlink(missing_ok=True)


def results_folder() -> Path | None:
    """The run's results folder, when it is Nextflow that runs this task."""
    results = os.environ.get("RESULTS_PATH")
    return Path(results) if results and "NXF_TASK_WORKDIR" in os.environ else None


def read_section(model: type[BaseModel], file: Path | None, overrides: dict[str, cli.Given], where: str) -> BaseModel:
    """The resolved section: defaults, then the JSON file, then the flags.

    Raises
    ------
    Refused
        With every problem of the file and the flags.
    """
    document = {}
    if file is not None:
        document = strict_json.read_file(file).value
        if not isinstance(document, dict):
            raise Refused([f"{file}: a JSON object is needed, with the parameters of {where}"])
    for dotted, given in overrides.items():
        set_dotted(document, dotted, given.value)
    if problems := problems_of(model, document):
        raise Refused([f"{where}.{problem}" for problem in problems])
    return model.model_validate(document)


def write_json(file: Path, content: Any) -> None:
    """Write JSON in one step: the file is whole or absent. A link in its place is replaced, not followed."""
    partial = unused_name(file)
    with partial.open("x") as stream:
        stream.write(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    partial.rename(file)


def stub(task: Task) -> None:
    """Write an empty output of the right shape, for `-stub-run`."""
    for part in task.stage.gives:
        (task.out / part.name).write_text("{}\n")


def _parser(stage: Stage, params: type[BaseModel] | None) -> cli.Parser:
    module = importlib.import_module(f"capsules.{stage.name}")
    parser = cli.Parser(prog=f"python -m capsules.{stage.name}", description=module.__doc__)
    takes = ", ".join(f"{name}_<id>" for name in stage.takes) or "none"
    parser.add_argument("--job", type=Path, metavar="FILE", help="JSON file with the job, or a list of jobs")
    parser.add_argument("--id", help="what the output is named for; default: the job's id")
    parser.add_argument("--data", type=Path, metavar="DIR", help="the raw data folder")
    parser.add_argument(
        "--inputs",
        type=Path,
        default=Path(),
        metavar="DIR",
        help=f"holds the earlier stages' folders (needed: {takes})",
    )
    parser.add_argument("--output", type=Path, default=Path(), metavar="DIR", help=f"{stage.name}_<id> is written here")
    parser.add_argument("--publish", type=Path, metavar="DIR", help="hard-link the parts that users see here as well")
    parser.add_argument(
        "--params", type=Path, metavar="FILE", help="JSON file with this stage's section; default: none"
    )
    parser.add_argument("--n-jobs", type=int, default=1, metavar="N", help="cores to use [default: 1]")
    parser.add_argument("--stub-run", action="store_true", help="write an empty output of the right shape, do no work")
    if params is None:
        parser.set_defaults(overrides={}, problems=[])
    else:
        cli.add_params(parser, params)
    return parser


def _start_log(task: Task) -> None:
    handlers = [logging.StreamHandler(sys.stderr), logging.FileHandler(task.out / "log.txt")]
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", handlers=handlers, force=True
    )
    logging.captureWarnings(True)


def _end_log() -> None:
    """Close the log: its folder is renamed or left behind."""
    logging.captureWarnings(False)
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, logging.FileHandler):
            root.removeHandler(handler)
            handler.close()


def _pass_on_skips(task: Task) -> None:
    """A recording whose earlier stage was skipped or failed is skipped here for the same reason.

    A stage that shows how far a recording came skips only what cannot be read at all.

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
            raise SpikeRelayError(
                f"no {task.input(name, 'stage.json')}: run capsules.{name} first, or give its --inputs"
            )
        if record["status"] != "ok":
            raise Skip(f"{name} {record['status']}: {record['reason']}")


def _check_parts(task: Task) -> None:
    missing = [part.name for part in task.stage.gives if not part.optional and not (task.out / part.name).exists()]
    if missing:
        raise RuntimeError(f"{task.stage.name} did not write {', '.join(missing)}")
