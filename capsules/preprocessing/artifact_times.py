"""Times of artifacts that the user lists in a CSV file, such as those of stimuli.

`capsules.resolve_params` checks the file before the run, so this module imports no scientific library.
"""

from __future__ import annotations

import csv
import hashlib
import math
from pathlib import Path

from capsules.common.errors import MOST_SHOWN, Rejected, and_more
from capsules.common.untrusted.small_files import read_small_csv

COLUMNS = ("start_s", "stop_s")

Periods = list[tuple[float, float]]
"""Start and end in seconds."""


def read_artifact_times(file: Path) -> Periods:
    """Read the periods of a CSV file; without the column `stop_s` each one ends where it starts.

    Raises
    ------
    Rejected
        With every problem: the file is unreadable, the column `start_s` is missing, a value is not a time.
    """
    try:
        reader = read_small_csv(file)
        names = [name.strip() for name in reader.fieldnames or []]
        if "start_s" not in names or set(names) - set(COLUMNS):
            columns = ", ".join(names[:5]) or "none"
            raise Rejected([f"{file}: must have the column start_s, optionally stop_s, and no other; it has {columns}"])
        reader.fieldnames = names
        rows = [(reader.line_num, row) for row in reader]
    except (OSError, ValueError, csv.Error) as error:
        raise Rejected([f"{file} cannot be read: {error}"]) from None
    periods, problems = [], []
    for line, row in rows:
        period = _read_period(row)
        if period is None:
            problems.append(f"{file}, line {line}: start_s must be in seconds, and stop_s not before it")
        else:
            periods.append(period)
    if problems:
        raise Rejected(problems[:MOST_SHOWN] + and_more(len(problems)))
    if not periods:
        raise Rejected([f"{file} has no times: add one per line, in seconds"])
    return periods


def _read_period(row: dict[str, str]) -> tuple[float, float] | None:
    try:
        start_s = float(row["start_s"])
        stop_s = float(row["stop_s"]) if row.get("stop_s") else start_s
    except (TypeError, ValueError):
        return None
    valid = math.isfinite(start_s) and math.isfinite(stop_s) and stop_s >= start_s and None not in row
    return (start_s, stop_s) if valid else None


def find_times_file(data: Path, session: str, name: str) -> Path:
    """The path of the file in the session's folder, or in the data folder when the session has none.

    Raises
    ------
    Rejected
        When it is outside the data folder: containers see nothing else.
    """
    file = next((file for file in (data / session / name, data / name) if file.exists()), data / name)
    if not file.resolve().is_relative_to(data.resolve()):
        raise Rejected([f"preprocessing.artifacts.times: {name} is not in the data folder: put the file there"])
    return file


def digest_times_files(data: Path, name: str | None) -> str:
    """Check the files of times of a data folder and its sessions, and digest them; empty when `name` is None.

    Raises
    ------
    Rejected
        When there is no such file, or one is invalid.
    """
    if name is None:
        return ""
    files = {find_times_file(data, folder.name, name) for folder in data.iterdir() if folder.is_dir()}
    files = {file for file in files | {find_times_file(data, "", name)} if file.exists()}
    if not files:
        raise Rejected([f"preprocessing.artifacts.times: no file {name} in {data}"])
    for file in files:
        read_artifact_times(file)
    return hashlib.sha256(b"".join(file.read_bytes() for file in sorted(files))).hexdigest()[:16]
