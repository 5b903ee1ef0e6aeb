"""What stages leave for others, as models: written into the `facts` of `stage.json`, and read through the same model.

A stage may record further facts for its users by `Task.fact`; nothing reads those but people.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from capsules.common.recordings.clock import Clock


class Facts(BaseModel):
    """What one stage leaves. A field that is None was unknown, or the stage ended before it was."""

    model_config = ConfigDict(extra="ignore")
    stage: ClassVar[str]


F = TypeVar("F", bound=Facts)


class JobDispatchFacts(Facts):
    """The recordings that were found, and the streams that are not sorted, with the reason."""

    stage: ClassVar[str] = "job_dispatch"

    recordings: list[str]
    not_sorted: list[str]


class Saturation(BaseModel):
    """Limits of the converter (counts), statistics of the channels that reach them, and periods left out (s)."""

    limits_counts: tuple[float, float]
    channels: dict[str, dict[str, Any]]
    excluded_s: list[tuple[float, float]]


class Artifacts(BaseModel):
    """Periods that were detected, and those that the user lists (s); what else preprocessing records is for people."""

    model_config = ConfigDict(extra="allow")

    detected_s: list[tuple[float, float]] = []
    listed_s: list[tuple[float, float]] = []


class MotionRange(BaseModel):
    """The range of the estimated motion (um), and its 95 % interval where there are enough peaks."""

    preset: str
    range_um: float
    range_interval_um: tuple[float, float] | None


class DetectedPeaks(BaseModel):
    """How many peaks were saved with the motion, and their settings (None: a selection of peaks was saved)."""

    count: int
    settings: dict[str, Any] | None


class EventLine(BaseModel):
    """A line of a stream: its name by the parameters, what the NWB file and the report call it, its CSV file.

    `rising` and `falling` count its edges, `first_s` and `last_s` are the first and the last of them on the reference
    clock. A line that never changes has a file without rows. `threshold_v` is that of an analog channel.
    """

    stream: str
    line: str
    name: str | None
    label: str
    kind: Literal["digital", "analog"]
    threshold_v: float | None = None
    file: str
    rising: int
    falling: int
    first_s: float | None
    last_s: float | None
    problems: list[str] = []


class EventsFacts(Facts):
    """The lines of a block, and the streams whose analog channels are written to the NWB file."""

    stage: ClassVar[str] = "events"

    lines: list[EventLine] = []
    analog_streams: list[str] = []


class PreprocessingFacts(Facts):
    """The written traces: their first sample (seconds after the recording's), their clock, what was done to them.

    `bad_channels` (label -> channel ids) and `bad_electrodes` (electrode's name in the NWB file -> label) list those
    that are not good. A skipped recording has the fields up to the step that skipped it.
    """

    stage: ClassVar[str] = "preprocessing"

    start_s: float | None = None
    clock: Clock | None = None
    traces_digest: str | None = None
    motion_applied: bool | None = None
    referenced: bool | None = None
    bad_channels: dict[str, list[str]] | None = None
    bad_electrodes: dict[str, str] | None = None
    saturation: Saturation | None = None
    artifacts: Artifacts | None = None
    motion: MotionRange | None = None
    peaks: DetectedPeaks | None = None


class SpikesortingFacts(Facts):
    """The sorter and its version."""

    stage: ClassVar[str] = "spikesorting"

    sorter: str
    sorter_version: str


class SortedUnits(Facts):
    """How many units a sorter detected, before duplicates are removed."""

    stage: ClassVar[str] = "spikesorting"

    units: int | None = None


class PostprocessingFacts(Facts):
    """What the NWB export, which has no traces, needs to know of them and of the sorter."""

    stage: ClassVar[str] = "postprocessing"

    start_s: float
    bad_electrodes: dict[str, str] | None = None
    sorter: str
    sorter_version: str


class CurationFacts(Facts):
    """Numbers of units by label."""

    stage: ClassVar[str] = "curation"

    good_units: int | None = None
    bad_units: int | None = None
    undetermined_units: int | None = None
    suspicious_units: int | None = None
    suspicious_good_units: int | None = None
    units: int | None = None


def facts_of(record: Mapping[str, Any] | None, model: type[F]) -> F:
    """What a stage left, from its `stage.json`; of a stage that left none, the model without values.

    Raises
    ------
    pydantic.ValidationError
        When the record is not one of that stage.
    """
    return model.model_validate((record or {}).get("facts", {}))
