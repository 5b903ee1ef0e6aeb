"""A sheet of sessions: a CSV file with a row for each data folder, all sorted in one run."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capsules.common.errors import Rejected, nearest

COLUMNS = ("data", "session", "params_file")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""A valid name of a session, which is used as a folder and in commands."""
MAX_LENGTH = 10_000_000
RESERVED = ("nextflow", "sessions.json", "sessions.html")
"""Other files and folders of the results folder."""


@dataclass(frozen=True)
class Session:
    """A data folder to be sorted; `source` is what messages write before its path: where the user named it.

    The name is "" when the run has no sheet, and `params_file` None when there is none.
    """

    name: str
    data: str | None
    params_file: str | None
    source: str

    @property
    def data_folder(self) -> Path:
        """The data folder, once `data_problems` has accepted it."""
        assert self.data is not None
        return Path(self.data)

    def results(self, results: Path) -> Path:
        """The session's folder in the results folder of the run."""
        return results / self.name


def sessions_of(
    options: dict[str, Any], launch_folder: Path, data: str | None, source: str = "DATA_PATH="
) -> list[Session]:
    """The sessions of the sheet, or the one in the data folder, before whose path messages write `source`.

    Raises
    ------
    Rejected
        With every problem of the sheet.
    """
    sheet, params_file = options.get("sessions"), options.get("params_file")
    if sheet is None:
        return [Session("", data, params_file, source)]
    return read_sheet(launch_folder / str(sheet), str(sheet), params_file)


def read_sheet(file: Path, shown: str, params_file: str | None) -> list[Session]:
    """The sessions of a sheet.

    Columns: `data`, a folder; `session`, its name (default: the folder's); `params_file` (default: the run's).
    Relative paths start at the sheet's folder.

    Parameters
    ----------
    file : Path
    shown : str
        The file as the user wrote it.
    params_file : str or None
        The run's.

    Raises
    ------
    Rejected
        With every problem of the sheet, each with its line.
    """
    rows = _rows(file, shown)
    sessions: list[Session] = []
    lines: dict[str, list[str]] = {}
    problems = []
    for line, row in rows:
        source = f"{shown}, line {line}"
        if not row["data"]:
            problems.append(f"{source}: the data folder is missing")
            continue
        data = file.parent.absolute() / row["data"]
        own = str(file.parent.absolute() / row["params_file"]) if row["params_file"] else params_file
        session = Session(row["session"] or data.name, str(data), own, f"{source}: data ")
        sessions.append(session)
        problems += [f"{source}: {problem}" for problem in _name_problems(session.name)]
        # The workflow passes the path to the tasks as one line.
        if "\n" in str(data) or "\r" in str(data):
            problems.append(f"{source}: data: the path has a line break: rename the folder")
        # Some file systems do not distinguish upper from lower case.
        lines.setdefault(session.name.lower(), []).append(str(line))
    problems += [
        f"{shown}, lines {', '.join(where)}: session {name!r} is listed more than once: set the column `session`"
        for name, where in lines.items()
        if len(where) > 1
    ]
    if not sessions and not problems:
        problems.append(f"{shown}: lists no session; the columns are {', '.join(COLUMNS)}")
    if problems:
        raise Rejected(problems)
    return sessions


def _rows(file: Path, shown: str) -> list[tuple[int, dict[str, str]]]:
    """(line, column -> value) of each row that is not blank.

    Raises
    ------
    Rejected
        When the file is not such a table.
    """
    rows, problems = [], []
    try:
        # Spreadsheet programs write a byte order mark.
        with file.open(encoding="utf-8-sig", newline="") as stream:
            # The read is limited: /dev/zero has no end.
            text = stream.read(MAX_LENGTH + 1)
        if len(text) > MAX_LENGTH:
            raise Rejected([f"--sessions {shown}: too large (limit: {MAX_LENGTH} characters)"])
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = [name.strip() for name in next(reader, [])]
        if problem := _header_problem(header):
            raise Rejected([f"{shown}, line 1: {problem}"])
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                problems.append(f"{shown}, line {reader.line_num}: has {len(cells)} cells for {len(header)} columns")
                continue
            row = dict.fromkeys(COLUMNS, "") | dict(zip(header, map(str.strip, cells), strict=True))
            if any("\0" in cell for cell in cells):
                problems.append(f"{shown}, line {reader.line_num}: has a NUL character: remove it")
                continue
            rows.append((reader.line_num, row))
    except OSError as error:
        raise Rejected([f"--sessions {shown}: cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise Rejected([f"--sessions {shown}: not a text file in UTF-8: save the sheet as CSV, UTF-8"]) from None
    except csv.Error as error:
        raise Rejected([f"{shown}: not a CSV file with commas: {error}"]) from None
    except ValueError:
        raise Rejected([f"--sessions {shown}: invalid file name"]) from None
    if problems:
        raise Rejected(problems)
    return rows


def _header_problem(header: list[str]) -> str | None:
    unknown = [name for name in header if name not in COLUMNS]
    wanted = f"the columns are {','.join(COLUMNS)}"
    if unknown:
        return f"unknown column {unknown[0]!r}{nearest(unknown[0], list(COLUMNS))}; {wanted}"
    if "data" not in header:
        return f"the column `data` is missing; {wanted}"
    return "a column is listed twice" if len(set(header)) < len(header) else None


def _name_problems(name: str) -> list[str]:
    if name.lower() in RESERVED:
        return [f"session: {name} is reserved in the results folder: choose another name"]
    if not NAME.fullmatch(name):
        return [f"session: invalid name {name!r}: use letters, digits, `.`, `_` and `-`, with a letter or digit first"]
    return []
