"""The lines of a session: where the digital and analog inputs of each stream are."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from capsules.common.recordings.clock import Clock
from capsules.common.sync.alignment import Alignment


class LineSource(BaseModel):
    """A stream whose lines are read: its files, its own clock and how that relates to the reference clock.

    `paths` are relative to the data folder. `clock` is the stream's own, over the segments of the block, counted like
    a job's. `sync_line` is the line that the header names as the sync signal's.
    """

    model_config = ConfigDict(extra="forbid")

    stream: str
    format: Literal["spikeglx", "openephys", "nwb", "csv"]
    paths: list[str]
    options: dict[str, Any] = {}
    sampling_frequency_hz: float | None = None
    clock: Clock | None = None
    alignment: Alignment | None = None
    sync_line: str | None = None
    sync_period_s: float | None = None
