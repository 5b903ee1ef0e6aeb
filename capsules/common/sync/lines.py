"""Where a stream's lines are (`LineSource`, small enough for a job), and reading their edges in bounded memory."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Literal, Protocol, cast

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from capsules.common.errors import SpikeRelayError, nearest
from capsules.common.recordings.clock import Clock, concatenate_clocks
from capsules.common.sync.alignment import Alignment
from capsules.common.sync.edges import Levels, Line, Samples

LineFormat = Literal["spikeglx", "openephys", "openephys_older", "nwb", "csv"]

__all__ = ["Line", "LineFormat", "LineSource", "list_analog_lines", "list_lines", "read_line", "read_lines"]


class LineSource(BaseModel):
    """The lines of one stream of a data set, over some of its segments.

    `segments` are the instrument's names of the segments (`g0_t0`, `recording1`), equal in all streams; `paths` has the
    files or folders of each, relative to the data folder, in the order that the format's reader expects, and is empty
    for a segment that the stream lacks. `clocks` map the samples of each segment to the stream's own seconds; a stream
    without them has its times in its files.

    `sync_line` is the line that the header names as the synchronisation signal, `sync_period_s` its period;
    `sync_threshold_v` applies to an analog one. `alignment` maps the stream's own seconds to the reference's. `files`
    are as in `Job`. `failure` is the reason why the stream cannot be read.
    """

    model_config = ConfigDict(extra="forbid")

    dataset: str
    stream: str
    format: LineFormat
    segments: list[str]
    paths: list[list[str]]
    clocks: list[Clock] = []
    sampling_frequency_hz: float | None = None
    sync_line: str | None = None
    sync_period_s: float | None = None
    sync_threshold_v: float | None = None
    alignment: Alignment | None = None
    files: list[tuple[str, int, int]] = []
    failure: str | None = None

    @property
    def clock(self) -> Clock | None:
        """The clock of the segments, concatenated; None where the times are in the files."""
        return concatenate_clocks(self.clocks) if self.clocks else None

    def select(self, segments: list[str]) -> LineSource:
        """The source with the segments of these names alone; those that it lacks have no files, and no clock."""
        known = {name: index for index, name in enumerate(self.segments)}
        indices = [known[name] for name in segments if name in known]
        changes = {
            "segments": [self.segments[index] for index in indices],
            "paths": [self.paths[index] for index in indices],
            "clocks": [self.clocks[index] for index in indices] if self.clocks else [],
        }
        return self.model_copy(update=changes)


RawEdges = dict[str, tuple[Samples, Levels, npt.NDArray[np.float64] | None, int | None, list[str]]]
"""Line -> samples, levels, own seconds (None: by the source's clock), level before the first edge, problems."""


class Reading(Protocol):
    """What the module of a format has."""

    def list_digital(self, source: LineSource, data: Path) -> list[str]:
        """The digital lines."""

    def list_analog(self, source: LineSource, data: Path) -> list[str]:
        """The analog channels that become lines with a threshold."""

    def read_edges(
        self, source: LineSource, data: Path, digital: list[str], thresholds_v: Mapping[str, float]
    ) -> RawEdges:
        """The edges of some digital lines, and of some analog channels."""


def list_lines(source: LineSource, data: Path) -> list[str]:
    """The digital lines of a stream.

    Raises
    ------
    SpikeRelayError
        When the stream cannot be read.
    """
    return _reading(source).list_digital(source, data)


def list_analog_lines(source: LineSource, data: Path) -> list[str]:
    """The analog channels of a stream, which become lines with a threshold; raises as `list_lines` does."""
    return _reading(source).list_analog(source, data)


def read_line(source: LineSource, data: Path, name: str, threshold_v: float | None = None) -> Line:
    """Read the edges of one line; an analog channel needs a threshold in volts. Raises as `list_lines` does."""
    if threshold_v is None:
        return read_lines(source, data, [name])[0]
    return read_lines(source, data, [], {name: threshold_v})[0]


def read_lines(
    source: LineSource, data: Path, names: list[str] | None = None, thresholds_v: Mapping[str, float] | None = None
) -> list[Line]:
    """Read the edges of lines in one pass over the files.

    Parameters
    ----------
    source : LineSource
    data : Path
        The data folder.
    names : list of str, optional
        Digital lines; None reads all.
    thresholds_v : mapping, optional
        Analog channel -> threshold in volts; its line is high above.

    Returns
    -------
    list of Line
        The digital lines, then the analog ones.

    Raises
    ------
    SpikeRelayError
        When the stream cannot be read, or has no such line.
    """
    reading, thresholds_v = _reading(source), thresholds_v or {}
    digital = reading.list_digital(source, data)
    chosen = digital if names is None else names
    _check_known(source, [name for name in chosen if name not in digital], digital)
    if thresholds_v:
        analog = reading.list_analog(source, data)
        _check_known(source, [name for name in thresholds_v if name not in analog], analog)
    edges_of = reading.read_edges(source, data, chosen, thresholds_v)
    clock = source.clock
    lines = []
    for name in [*chosen, *thresholds_v]:
        samples, levels, seconds, first_level, problems = edges_of[name]
        if seconds is None:
            if clock is None:
                raise SpikeRelayError(f"{source.stream}: its samples have no clock: run job dispatch again")
            seconds = clock.seconds(samples)
        lines.append(Line(name, source.stream, samples, levels, seconds, first_level, problems))
    return lines


def _check_known(source: LineSource, unknown: list[str], known: list[str]) -> None:
    for name in unknown:
        listed = ", ".join(known) or "none"
        raise SpikeRelayError(f"{source.stream} has no line {name!r}{nearest(name, known)}; its lines: {listed}")


def _reading(source: LineSource) -> Reading:
    """The module that reads the source's format; imported when needed, since some need pynwb."""
    if source.failure is not None:
        raise SpikeRelayError(f"{source.stream}: {source.failure}")
    module = {"openephys_older": "openephys", "csv": "pulses_file"}.get(source.format, source.format)
    return cast(Reading, import_module(f"capsules.common.sync.{module}"))
