"""The note in the results folder that a task was killed or failed, and why."""

from __future__ import annotations

import os
from pathlib import Path

from capsules.common.files import write_json
from capsules.common.tasks.task import Task


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
