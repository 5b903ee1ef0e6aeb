"""What a run leaves on disk while it runs: Nextflow's trace and lock, and JSON files; all of it may be missing."""

from __future__ import annotations

import csv
import fcntl
import io
import struct
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from capsules.common.untrusted.small_files import read_small, read_small_json

MAX_BYTES = 100_000_000
"""Of a file: a trace of 10,000 recordings has 20 MB."""
FLOCK = "hhqqi4x"
"""Linux's `struct flock`: type, whence, start, length, process."""
UNREADABLE = (OSError, ValueError)


@dataclass(frozen=True)
class TraceRow:
    """A task that ended: its last attempt.

    `times` are those of its start and end, as far as it has them, in the time zone of Nextflow's machine; `folder` is
    its work folder.
    """

    status: str
    exit: str
    attempt: int
    times: tuple[datetime, ...]
    folder: Path

    @property
    def seconds(self) -> float:
        return (self.times[-1] - self.times[0]).total_seconds() if self.times else 0


Trace = dict[tuple[str, str], TraceRow]
"""(stage, tag) -> its last attempt. A tag is the id, after `session/` in a sheet of sessions."""


class Files:
    """Reads files; `problems` has a line for each that exists and cannot be read."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def read_json(self, file: Path) -> dict[str, Any]:
        """A JSON object; empty when the file is missing or unreadable."""
        content = self._read(file)
        return content if isinstance(content, dict) else {}

    def read_json_list(self, file: Path) -> list[dict[str, Any]]:
        """The objects in a JSON list; empty when the file is missing or unreadable."""
        content = self._read(file)
        return [entry for entry in content if isinstance(entry, dict)] if isinstance(content, list) else []

    def read_trace(self, file: Path) -> Trace:
        """Nextflow's trace; its last line may be incomplete, since Nextflow is writing it."""
        try:
            text = read_small(file, MAX_BYTES) if file.exists() else ""
            rows = csv.DictReader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE)
            return dict(entry for row in rows if (entry := _read_row(row)) is not None)
        except (*UNREADABLE, csv.Error) as error:
            self._report(file, error)
            return {}

    def read_tail(self, file: Path, most: int) -> str:
        """The end of a text file; empty when it is missing or unreadable."""
        try:
            if not file.is_file():
                return ""
            with file.open("rb") as stream:
                stream.seek(max(0, file.stat().st_size - most))
                return stream.read(most).decode(errors="replace")
        except OSError as error:
            self._report(file, error)
            return ""

    def _read(self, file: Path) -> Any:
        try:
            return _read_version(file, file.stat().st_mtime_ns)
        except FileNotFoundError:
            return None
        except UNREADABLE as error:
            self._report(file, error)
            return None

    def _report(self, file: Path, error: Exception) -> None:
        reason = getattr(error, "strerror", None) or str(error)
        self.problems.append(f"{file} cannot be read ({reason}): the view shows less")


@lru_cache(maxsize=8192)
def _read_version(file: Path, mtime_ns: int) -> Any:
    """The content of a JSON file of this time: the view reads all files every second."""
    return read_small_json(file, MAX_BYTES)


def _read_row(row: dict[str, str]) -> tuple[tuple[str, str], TraceRow] | None:
    """A row of the trace; None for an incomplete line."""
    try:
        stage = row["process"].rpartition(":")[2].lower().removesuffix("_gpu")
        # A task that never began has no times: Nextflow writes a dash.
        times = [datetime.fromisoformat(row[name]) for name in ("start", "complete") if row[name] != "-"]
        attempt, folder = int(row["attempt"]), Path(row["workdir"])
        return (stage, row["tag"]), TraceRow(row["status"], row["exit"], attempt, tuple(times), folder)
    except (KeyError, ValueError, TypeError, AttributeError):
        return None


def is_locked(file: Path) -> bool | None:
    """Whether a process has locked a file, as Nextflow locks the results folder for as long as it lives.

    None on a file system without locks. The lock is only queried: a Nextflow that starts at that moment must be able to
    lock the file.
    """
    if not file.is_file():
        return False
    try:
        with file.open("rb") as stream:
            answer = fcntl.fcntl(stream, fcntl.F_GETLK, struct.pack(FLOCK, fcntl.F_WRLCK, 0, 0, 0, 0))
    except OSError:
        return None
    return bool(struct.unpack(FLOCK, answer)[0] != fcntl.F_UNLCK)
