"""Pulses from a CSV file that the user writes: `stream,time_s` or `stream,sample`, with `level` and `line` if any."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from capsules.common.errors import SpikeRelayError, nearest
from capsules.common.untrusted.small_files import read_small_csv

if TYPE_CHECKING:
    from capsules.common.sync.lines import LineSource, RawEdges

COLUMNS = {"stream", "time_s", "sample", "level", "line"}
LINE = "pulses"
"""The name of the line in a file without the column `line`."""

Row = tuple[str, str, float, int]
"""Stream, line, time in seconds or sample, level."""


def list_digital(source: LineSource, data: Path) -> list[str]:
    """The lines of the source's stream."""
    _, rows = read_pulses(data / source.paths[0][0])
    return list(dict.fromkeys(line for stream, line, _, _ in rows if stream == source.stream))


def list_analog(source: LineSource, data: Path) -> list[str]:
    """None."""
    return []


def read_edges(source: LineSource, data: Path, digital: list[str], thresholds_v: Mapping[str, float]) -> RawEdges:
    """The edges of some lines; without the column `level`, each row is a rising edge."""
    has_samples, rows = read_pulses(data / source.paths[0][0])
    edges_of: RawEdges = {}
    for name in digital:
        own = sorted((place, level) for stream, line, place, level in rows if (stream, line) == (source.stream, name))
        places = np.array([place for place, _ in own], dtype=float)
        levels = np.array([level for _, level in own], dtype=np.int8)
        samples = np.rint(places).astype(np.int64) if has_samples else np.arange(len(own), dtype=np.int64)
        first_level = 1 - int(levels[0]) if len(levels) else None
        edges_of[name] = (samples, levels, None if has_samples else places, first_level, [])
    return edges_of


def list_pulse_streams(file: Path) -> list[str]:
    """The streams that a file has pulses of; raises as `read_pulses` does."""
    return list(dict.fromkeys(stream for stream, *_ in read_pulses(file)[1]))


def read_pulses(file: Path) -> tuple[bool, list[Row]]:
    """Read a file of pulses.

    Returns
    -------
    bool
        Whether the pulses are given by samples of their stream, and not in seconds of its clock.
    list of (str, str, float, int)
        Stream, line, time or sample, level.

    Raises
    ------
    SpikeRelayError
        With the line that is wrong.
    """
    try:
        reader = read_small_csv(file)
        columns = list(reader.fieldnames or [])
        _check_columns(file, columns)
        place = "sample" if "sample" in columns else "time_s"
        return place == "sample", [_read_row(file, reader.line_num, row, place) for row in reader]
    except OSError:
        raise SpikeRelayError(f"no such file: {file}") from None
    except (ValueError, csv.Error) as error:
        raise SpikeRelayError(f"{file.name} cannot be read: {error}") from None


def _check_columns(file: Path, columns: list[str]) -> None:
    if unknown := [name for name in columns if name not in COLUMNS]:
        name = unknown[0]
        raise SpikeRelayError(f"{file.name}: unknown column {name!r}{nearest(name, sorted(COLUMNS))}")
    if "stream" not in columns or ("time_s" in columns) == ("sample" in columns):
        raise SpikeRelayError(f"{file.name}: give the columns stream and either time_s or sample, comma-separated")


def _read_row(file: Path, number: int, row: dict[str, str], place: str) -> Row:
    where = f"{file.name}, line {number}"
    try:
        value = float(row[place])
    except (TypeError, ValueError):
        raise SpikeRelayError(f"{where}: {place} is {row[place]!r}, not a number") from None
    if not np.isfinite(value) or (place == "sample" and (value < 0 or value != round(value))):
        raise SpikeRelayError(f"{where}: {place} is {row[place]}: give a finite number, and a sample from 0 on")
    level = row.get("level") or "1"
    if level not in ("0", "1"):
        raise SpikeRelayError(f"{where}: level is {level!r}: give 1 (rising) or 0 (falling)")
    if not row["stream"]:
        raise SpikeRelayError(f"{where}: the stream is missing")
    return row["stream"], row.get("line") or LINE, value, int(level)
