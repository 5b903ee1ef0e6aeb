"""What the metadata are made from: the records, statuses, checks and figures of a results folder."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, field_validator

from capsules.common.contract import STAGES


class TaskRecord(BaseModel):
    """A task's `stage.json`."""

    stage: str
    id: str
    recording: str | None = None
    status: Literal["ok", "skipped", "failed"]
    reason: str | None = None
    params: dict[str, Any] | None = None
    changes: list[str] = []
    warnings: list[str] = []
    facts: dict[str, Any] = {}
    seeds: dict[str, int] = {}
    device: str
    n_jobs: int
    versions: dict[str, str]
    started: AwareDatetime
    ended: AwareDatetime
    seconds: float | None = None
    peak_memory_mb: float | None = None

    @field_validator("stage")
    @classmethod
    def check_stage(cls, stage: str) -> str:
        """Check that this version has the stage."""
        if stage not in STAGES:
            raise ValueError("unknown stage")
        return stage

    @property
    def name(self) -> str:
        """The name of its process, which no other has."""
        return STAGES[self.stage].folder(self.id)


class CheckResult(BaseModel):
    """A check of a recording, from `checks.json`."""

    name: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    meaning: str
    value: float
    within: bool


class RecordingEntry(BaseModel):
    """A recording by one sorter, from `status.json`; `block` is absent in the results of older versions."""

    recording: str
    sorter: str
    block: str | None = None
    status: Literal["ok", "skipped", "failed"]
    reason: str | None = None
    sorted_units: int | None = None
    units: int | None = None
    good_units: int | None = None


class RunResults(BaseModel):
    """The parts of a results folder that the metadata describe. The keys are ids of sortings."""

    records: list[TaskRecord]
    recordings: dict[str, RecordingEntry]
    checks: dict[str, list[CheckResult]] = {}
    figures: dict[str, list[str]] = {}

    @property
    def ended(self) -> datetime:
        """When the last task ended, which is when the data were created."""
        return max((record.ended for record in self.records), default=datetime.now(UTC)).astimezone(UTC)

    @property
    def several_sorters(self) -> bool:
        return len({entry.sorter for entry in self.recordings.values()}) > 1
