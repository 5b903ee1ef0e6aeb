"""Start a stage: read its jobs, make its output folder, import its code."""

from __future__ import annotations

import argparse
import importlib
import shutil
import sys

from capsules.common.contract import RECORDING_STAGES, Stage
from capsules.common.errors import printable
from capsules.common.recordings.job import ID, read_jobs
from capsules.common.tasks import resources
from capsules.common.tasks.perform import perform, write_stub
from capsules.common.tasks.task import Task
from capsules.parameters.model import Section


def start(stage: Stage, section: Section | None, arguments: argparse.Namespace) -> int:
    """Run a stage by its command line. Returns the exit code, as `command_line.main`."""
    try:
        jobs = read_jobs(arguments.job) if arguments.job else []
    except OSError as error:
        print(f"{stage.name}: cannot read {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    id = arguments.id or (jobs[0].id if stage.name in RECORDING_STAGES else jobs[0].block if jobs else stage.name)
    if not ID.fullmatch(id):
        print(f"{stage.name}: invalid id {printable(id)}: use letters, digits, `.`, `_` and `-`", file=sys.stderr)
        return 2
    out = arguments.output / f".{stage.folder(id)}.partial"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    task = Task(stage, id, jobs, section, arguments.inputs, arguments.data, out, arguments.n_jobs)
    if arguments.stub_run:
        return perform(task, write_stub, arguments.output, arguments.publish)
    if "numba" in stage.libraries:
        # Before the import of SpikeInterface, which passes its functions to numba then.
        resources.use_numba_cache(task.warn)
    run = importlib.import_module(f"capsules.{stage.name}.stage").run
    return perform(task, run, arguments.output, arguments.publish)
