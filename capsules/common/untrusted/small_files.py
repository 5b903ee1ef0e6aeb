"""Files that tell about recordings: read whole, so they have to be small, and what they hold plain."""

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
    """The text of a file; letters that are no UTF-8 are replaced.

    Raises
    ------
    OSError
        When it cannot be opened.
    ValueError
        When it is no regular file (a pipe would be waited for), or larger than it should be.
    """
    if file.exists() and not file.is_file():
        raise ValueError("it is no regular file")
    if (size := file.stat().st_size) > most:
        raise ValueError(f"it has {size / 1e6:.0f} MB, more than the {most / 1e6:g} MB that such a file may have")
    return file.read_text(errors="replace")


def read_small_json(file: Path, most: int = MAX_BYTES) -> Any:
    """What a JSON file holds; raises as `read_small` does, and ValueError when it is no JSON."""
    try:
        return json.loads(read_small(file, most))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_small_csv(file: Path) -> csv.DictReader[str]:
    """The rows of a CSV file, by the names in its first line; raises as `read_small` does, and csv.Error while read."""
    # Spreadsheets begin their text with a byte order mark.
    return csv.DictReader(io.StringIO(read_small(file).removeprefix("\ufeff")), strict=True)


def check_plain(document: Any) -> None:
    """Hold that a document can be written again: no text that is none, no part that repeats itself without end.

    Raises
    ------
    ValueError
        A few lines of YAML can say a part so often, by aliases, that no memory holds it.
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
