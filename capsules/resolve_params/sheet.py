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
"""What a session's name may be: it is a folder of the results, and stands in commands."""
MAX_LENGTH = 10_000_000
RESERVED = ("nextflow", "sessions.json", "sessions.html")
"""What the results folder holds beside the sessions' folders."""


@dataclass(frozen=True)
class Session:
    """A data folder to be sorted; `said` tells the user where it was named.

    The name is "" when the run has no sheet, and `params_file` None when nobody named one.
    """

    name: str
    data: str | None
    params_file: str | None
    said: str

    def results(self, results: Path) -> Path:
        """Its folder in the results folder of the run."""
        return results / self.name


def sessions_of(options: dict[str, Any], launch_folder: Path, data: str | None) -> list[Session]:
    """The sessions of the sheet, or the one in the data folder.

    Raises
    ------
    Rejected
        With every problem of the sheet.
    """
    sheet, params_file = options.get("sessions"), options.get("params_file")
    if sheet is None:
        return [Session("", data, params_file, "DATA_PATH")]
    return read_sheet(launch_folder / str(sheet), str(sheet), params_file)


def read_sheet(file: Path, shown: str, params_file: str | None) -> list[Session]:
    """The sessions of a sheet.

    Columns: `data`, a folder; `session`, its name (left out: the folder's); `params_file` (left out: the run's own).
    Relative paths start at the sheet's folder.

    Parameters
    ----------
    file : Path
    shown : str
        What the user calls it.
    params_file : str or None
        The run's own.

    Raises
    ------
    Rejected
        With every problem of the sheet, and its line.
    """
    rows = _rows(file, shown)
    sessions, problems = [], []
    for line, row in rows:
        said = f"{shown}, line {line}"
        if not row["data"]:
            problems.append(f"{said}: no data folder")
            continue
        data = file.parent.absolute() / row["data"]
        own = str(file.parent.absolute() / row["params_file"]) if row["params_file"] else params_file
        session = Session(row["session"] or data.name, str(data), own, said)
        sessions.append(session)
        problems += [f"{said}: {problem}" for problem in _name_problems(session.name)]
        # The path goes to the tasks as a line of its own.
        if "\n" in session.data or "\r" in session.data:
            problems.append(f"{said}: data: a path over several lines is not read")
    lines: dict[str, list[str]] = {}
    for session in sessions:
        # Some file systems do not tell upper from lower case.
        lines.setdefault(session.name.lower(), []).append(session.said.rpartition(" ")[2])
    problems += [
        f"{shown}, lines {', '.join(where)}: session {name!r} stands more than once: name them in the column `session`"
        for name, where in lines.items()
        if len(where) > 1
    ]
    if not sessions and not problems:
        problems.append(f"{shown}: no session in it; its columns are {', '.join(COLUMNS)}")
    if problems:
        raise Rejected(problems)
    return sessions


def _rows(file: Path, shown: str) -> list[tuple[int, dict[str, str]]]:
    """(line, column -> value) of each row that is not blank.

    Raises
    ------
    Rejected
        When the file is no such table.
    """
    rows, problems = [], []
    try:
        # Spreadsheet programs put a mark before UTF-8.
        with file.open(encoding="utf-8-sig", newline="") as stream:
            # No more than is taken: /dev/zero has no end.
            text = stream.read(MAX_LENGTH + 1)
        if len(text) > MAX_LENGTH:
            raise Rejected([f"--sessions {shown}: longer than {MAX_LENGTH} letters, as no sheet is"])
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = [name.strip() for name in next(reader, [])]
        if problem := _header_problem(header):
            raise Rejected([f"{shown}, line 1: {problem}"])
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                problems.append(f"{shown}, line {reader.line_num}: {len(cells)} cells, {len(header)} columns")
                continue
            row = dict.fromkeys(COLUMNS, "") | dict(zip(header, map(str.strip, cells), strict=True))
            if any("\0" in cell for cell in cells):
                problems.append(f"{shown}, line {reader.line_num}: a NUL character")
                continue
            rows.append((reader.line_num, row))
    except OSError as error:
        raise Rejected([f"--sessions {shown}: cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise Rejected([f"--sessions {shown}: not a text file in UTF-8: save the sheet as CSV, UTF-8"]) from None
    except csv.Error as error:
        raise Rejected([f"{shown}: not a CSV file with commas: {error}"]) from None
    except ValueError:
        raise Rejected([f"--sessions {shown}: no file can have this name"]) from None
    if problems:
        raise Rejected(problems)
    return rows


def _header_problem(header: list[str]) -> str | None:
    unknown = [name for name in header if name not in COLUMNS]
    wanted = f"with commas between: {','.join(COLUMNS)}"
    if unknown:
        return f"unknown column {unknown[0]!r}{nearest(unknown[0], list(COLUMNS))}; {wanted}"
    if "data" not in header:
        return f"no column `data`; {wanted}"
    return "a column stands twice" if len(set(header)) < len(header) else None


def _name_problems(name: str) -> list[str]:
    if name.lower() in RESERVED:
        return [f"session: {name} is a name that the results folder has for something else"]
    if not NAME.fullmatch(name):
        return [f"session: letters, digits, '.', '_' and '-' make a name, the first a letter or digit; got {name!r}"]
    return []
