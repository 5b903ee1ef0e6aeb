"""Small files with information about recordings: read whole, with a limit of size and plain content."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from capsules.common.errors import is_text

MAX_BYTES = 10_000_000
MAX_PARTS = 100_000


def read_small(file: Path, most: int = MAX_BYTES) -> str:
    """The text of a file; bytes that are not UTF-8 are replaced.

    Raises
    ------
    OSError
        When it cannot be opened.
    ValueError
        When it is not a regular file (reading a pipe would wait), or too large.
    """
    if file.exists() and not file.is_file():
        raise ValueError("it is not a regular file")
    if (size := file.stat().st_size) > most:
        raise ValueError(f"it is too large: {size / 1e6:.0f} MB (limit: {most / 1e6:g} MB)")
    return file.read_text(errors="replace")


def read_small_json(file: Path, most: int = MAX_BYTES) -> Any:
    """The content of a JSON file; raises as `read_small` does, and ValueError when it is not JSON."""
    try:
        return json.loads(read_small(file, most))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_small_csv(file: Path) -> csv.DictReader[str]:
    """The rows of a CSV file, by the names in its first line; raises as `read_small` does, and csv.Error while read."""
    # Spreadsheets begin their text with a byte order mark.
    return csv.DictReader(io.StringIO(read_small(file).removeprefix("\ufeff")), strict=True)


def check_plain(document: Any) -> None:
    """Check that a document can be written: all texts are valid, and its size is limited.

    Raises
    ------
    ValueError
        With the reason. A few lines of YAML with aliases can expand beyond any memory.
    """
    parts, seen = [document], 0
    while parts:
        part, seen = parts.pop(), seen + 1
        if seen > MAX_PARTS:
            raise ValueError(f"it has more than {MAX_PARTS} parts; are there aliases in it?")
        if isinstance(part, dict):
            parts += [*part, *part.values()]
        elif isinstance(part, (list, tuple, set)):
            parts += part
        elif isinstance(part, str) and ("\0" in part or not is_text(part)):
            raise ValueError("it holds a NUL character, or half of a surrogate pair")
