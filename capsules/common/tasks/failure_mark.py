"""The note in the results folder that a task was killed or failed, with the reason."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from capsules.common.contract import FAILURES
from capsules.common.files import write_json
from capsules.common.tasks.task import Task


class FailureMark:
    """The note in `RESULTS_PATH/nextflow/failed/` that exists while a task runs, and stays when it fails.

    Its `folder` has the log of the task, where the live view reads the progress.
    """

    def __init__(self, task: Task[Any]):
        results = find_results_folder()
        self.task = task
        self.file = results / FAILURES / f"{task.stage.folder(task.id)}.json" if results else None

    def write(self, kind: str, reason: str, log: Path | None = None) -> None:
        if self.file is None:
            return
        self.file.parent.mkdir(parents=True, exist_ok=True)
        tail = log.read_text(errors="replace").splitlines()[-40:] if log else []
        record = {"stage": self.task.stage.name, "id": self.task.id, "kind": kind, "reason": reason, "log": tail}
        record["folder"] = str(self.task.out.absolute())
        write_json(self.file, record | {"record": self.task.record})

    def remove(self) -> None:
        if self.file is not None:
            self.file.unlink(missing_ok=True)


def find_results_folder() -> Path | None:
    """The run's results folder, when Nextflow runs this task."""
    results = os.environ.get("RESULTS_PATH")
    return Path(results) if results and "NXF_TASK_WORKDIR" in os.environ else None
