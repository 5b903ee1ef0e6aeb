"""The CSV file of a line's events: a row for each edge."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd

from capsules.common.sync.edges import Line

EVENT_COLUMNS = ("time_s", "level", "duration_s", "sample")
DIGITS = 7
"""Times have tenths of microseconds: 1/300 of a sample at 30 kHz."""


def write_events(file: Path, line: Line) -> None:
    """Write the edges of a line: time, level from the edge on, time until the next opposite edge (s), sample."""
    with file.open("w", newline="") as opened:
        writer = csv.writer(opened, lineterminator="\n")
        writer.writerow(EVENT_COLUMNS)
        columns = (line.seconds, line.levels, line.durations(), line.samples)
        for second, level, duration_s, sample in zip(*(column.tolist() for column in columns), strict=True):
            lasting = "" if np.isnan(duration_s) else f"{duration_s:.{DIGITS}f}"
            writer.writerow([f"{second:.{DIGITS}f}", level, lasting, sample])


def read_events(file: Path) -> pd.DataFrame:
    """Read the edges of a line.

    Returns
    -------
    pandas.DataFrame
        `time_s` (on the reference clock), `level` (1 rising, 0 falling), `duration_s` (until the next opposite edge;
        NaN where none follows), `sample` (of the stream).

    Raises
    ------
    ValueError
        When the file has other columns.
    """
    types = {"time_s": "float64", "level": "int8", "duration_s": "float64", "sample": "int64"}
    events = pd.read_csv(file, dtype=types)
    if tuple(events.columns) != EVENT_COLUMNS:
        raise ValueError(
            f"{file.name} has the columns {', '.join(events.columns)} instead of {', '.join(EVENT_COLUMNS)}"
        )
    return events


def pulses_of(events: pd.DataFrame) -> pd.DataFrame:
    """The rising edges of `read_events`: the start and the duration of each pulse."""
    return events.loc[events["level"] == 1, ["time_s", "duration_s"]].reset_index(drop=True)
