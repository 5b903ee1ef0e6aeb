"""A task, as a stage sees it: its inputs, its parameters, and the record that becomes its `stage.json`."""

from __future__ import annotations

import json
import logging
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, Literal, NotRequired, TypedDict, TypeVar, cast

from pydantic import BaseModel

from capsules.common.contract import STAGES, Stage
from capsules.common.errors import SpikeRelayError, printable
from capsules.common.facts import F, Facts, facts_of
from capsules.common.recordings.job import Job
from capsules.common.tasks.versions import compute_code_fingerprint, read_library_versions


class Record(TypedDict):
    """The content of `stage.json`."""

    stage: str
    id: str
    recording: str | None
    status: Literal["ok", "skipped", "failed"]
    reason: str | None
    params: dict[str, Any] | None
    changes: list[str]
    warnings: list[str]
    facts: dict[str, Any]
    seeds: dict[str, int]
    device: str
    n_jobs: int
    versions: dict[str, str]
    code: str
    machine: str
    started: str
    ended: NotRequired[str]
    seconds: NotRequired[float]
    peak_memory_mb: NotRequired[float]


P = TypeVar("P")


class Task(Generic[P]):
    """The argument of a stage's `run`; `Task[PreprocessingParams]` has those parameters.

    Attributes
    ----------
    id : str
        The recording, sorting or block of this task. A sorting has the recording's id, followed by the sorter's name
        when several sorters run.
    jobs : list of Job
        One job, or all jobs of the block.
    params : pydantic model
        The stage's resolved section; None for a stage without parameters.
    inputs : Path
        Folder with the earlier stages' folders.
    data : Path
        The raw data folder.
    out : Path
        Folder for the parts; it gets its final name when all are written.
    n_jobs : int
        Cores that the task may use.
    """

    def __init__(
        self, stage: Stage, id: str, jobs: list[Job], params: P, inputs: Path, data: Path | None, out: Path, n_jobs: int
    ):
        self.stage, self.id, self.jobs, self.params = stage, id, jobs, params
        self.inputs, self.out, self.n_jobs = inputs, out, n_jobs
        self._data = data
        self.log = logging.getLogger(f"spikerelay.{stage.name}")
        self.record: Record = {
            "stage": stage.name,
            "id": id,
            "recording": self.job.id if stage.level == "sorting" else None,
            "status": "ok",
            "reason": None,
            "params": params.model_dump(mode="json") if isinstance(params, BaseModel) else None,
            "changes": [],
            "warnings": [],
            "facts": {},
            "seeds": {},
            "device": "cpu",
            "n_jobs": n_jobs,
            "versions": read_library_versions(stage),
            "code": compute_code_fingerprint(stage),
            "machine": platform.node(),
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
        }

    @property
    def data(self) -> Path:
        """The raw data folder.

        Raises
        ------
        SpikeRelayError
            When the command line has none.
        """
        if self._data is None:
            raise SpikeRelayError(f"{self.stage.name} reads raw data: add --data DIR")
        return self._data

    @property
    def lost_data(self) -> Path | None:
        """The raw data folder of the command line if it does not exist any more."""
        return self._data if self._data is not None and not self._data.exists() else None

    @property
    def job(self) -> Job:
        """The one job of a per-recording task."""
        (job,) = self.jobs
        return job

    def input(self, stage: str, part: str, id: str | None = None) -> Path:
        """The path of a part that an earlier stage wrote for this recording or sorting (or for `id`)."""
        if id is None:
            id = self.job.id if STAGES[stage].level == "recording" else self.id
        return self.inputs / STAGES[stage].folder(id) / part

    def input_record(self, stage: str, id: str | None = None) -> Record | None:
        """An earlier stage's `stage.json`, or None when that stage wrote nothing."""
        file = self.input(stage, "stage.json", id)
        try:
            return cast(Record, json.loads(file.read_text())) if file.exists() else None
        except ValueError as error:
            raise describe_damage(file.parent, f"stage.json cannot be read, {error}") from None

    def input_facts(self, model: type[F], id: str | None = None) -> F:
        """An earlier stage's facts; without values when that stage wrote nothing."""
        return facts_of(self.input_record(model.stage, id), model)

    def change(self, text: str) -> None:
        """Record an automatic adjustment to the parameters."""
        text = printable(text)
        self.record["changes"].append(text)
        self.log.info("changed: %s", text)

    def warn(self, text: str) -> None:
        """Record a warning for the user."""
        text = printable(text)
        self.record["warnings"].append(text)
        self.log.warning(text)

    def fact(self, **facts: Any) -> None:
        """Record facts that only people read."""
        self.record["facts"].update(facts)

    def leave(self, facts: Facts) -> None:
        """Record facts that other stages read: the fields that are set in the model."""
        if facts.stage != self.stage.name:
            raise TypeError(f"{type(facts).__name__} are not the facts of {self.stage.name}")
        self.record["facts"].update(facts.model_dump(mode="json", exclude_unset=True))


def describe_damage(folder: Path, what: str) -> SpikeRelayError:
    """The error for a stage's folder that changed after the stage wrote it: Nextflow does not check the content."""
    return SpikeRelayError(
        f"a work file was changed after it was written ({what}): remove {folder.resolve().parent} and run the same "
        "command with -resume"
    )
