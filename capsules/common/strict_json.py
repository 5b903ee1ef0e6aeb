"""JSON as the standard has it: where each value stands in the text, and a name for every way of not being JSON."""

from __future__ import annotations

import json
import math
import pathlib
import re
from dataclasses import dataclass
from typing import Any

from capsules.common.errors import Refused

Path = tuple[str | int, ...]

TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|-?[A-Za-z]+|[^\s{}\[\],:"]+', re.DOTALL)
WORDS = {"True": "true", "False": "false", "None": "null", "undefined": "null", "nil": "null"}
MAX_DEPTH = 100
MAX_BYTES = 50_000_000
NOT_NUMBERS = ("NaN", "Infinity", "-Infinity")


@dataclass(frozen=True)
class Document:
    """A JSON text's value, and where each part of it stands."""

    value: Any
    places: dict[Path, tuple[int, int]]
    """Path of keys and indices -> line and column of the key (or of the item), counted from 1."""

    def holds(self, path: Path) -> bool:
        """Whether the text has this part."""
        return tuple(path) in self.places

    def place(self, path: Path) -> str:
        """`line 3, column 5` of a path, or of the nearest part around it."""
        while path not in self.places:
            path = path[:-1]
        line, column = self.places[path]
        return f"line {line}, column {column}"


def read_file(file: pathlib.Path, name: str | None = None) -> Document:
    """Read a JSON file; `name` is what the messages call it.

    Raises
    ------
    OSError
        When it cannot be opened.
    Refused
        When it is not UTF-8, or too large, or for each reason of `read`.
    """
    name = name or str(file)
    try:
        with file.open("rb") as stream:
            # No more than is taken: /dev/zero has no end.
            content = stream.read(MAX_BYTES + 1)
    except ValueError:
        raise Refused([f"{name}: no file can have this name"]) from None
    if len(content) > MAX_BYTES:
        raise Refused([f"{name}: larger than {MAX_BYTES / 1e6:g} MB, as no such file is"])
    try:
        return read(content.decode())
    except UnicodeDecodeError:
        raise Refused([f"{name}: not a UTF-8 text file"]) from None
    except Refused as refusal:
        raise Refused([f"{name}, {problem}" for problem in refusal.problems]) from None


def read(text: str) -> Document:
    """Read a JSON text.

    Raises
    ------
    Refused
        When it is not JSON, with line, column and what it is instead; when a key is given twice in one object, or a
        number or text is one that cannot be kept: each of these.
    """
    if text.startswith("\ufeff"):
        raise Refused(["line 1, column 1: the file begins with a byte order mark; save it as UTF-8 without BOM"])
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise Refused([f"{_at(text, error.pos)}: {_hint(text, error)}"]) from None
    except RecursionError:
        raise Refused(["the JSON text is nested too deeply"]) from None
    except ValueError as error:
        raise Refused([f"the JSON text holds a number that cannot be read: {error}"]) from None
    places, problems = _walk(text)
    if problems:
        raise Refused([f"{_at(text, offset)}: {problem}" for offset, problem in problems])
    lines = _LineFinder(text)
    return Document(value, {path: lines.place(offset) for path, offset in places.items()})


def _hint(text: str, error: json.JSONDecodeError) -> str:
    """What the text has where JSON was expected."""
    rest, before = text[error.pos :].lstrip(), text[: error.pos].rstrip()
    word = re.match(r"[A-Za-z]+", rest)
    if rest.startswith(("//", "/*", "#")):
        return "a comment; JSON has none: take it out"
    if (rest[:1] in ("}", "]") and before.endswith(",")) or re.match(r",\s*[}\]]", rest):
        return "a comma before the closing bracket: take it out"
    if rest.startswith("'"):
        return "text in single quotes; JSON has double quotes"
    if word and word[0] in WORDS:
        return f"{word[0]} is not JSON; write {WORDS[word[0]]}"
    if not rest:
        return "the JSON text ends too early: a bracket or a quote is not closed" if before else "the file is empty"
    return error.msg[0].lower() + error.msg[1:]


def _walk(text: str) -> tuple[dict[Path, int], list[tuple[int, str]]]:
    """Where each part of a readable text stands, and what cannot be taken in it."""
    places: dict[Path, int] = {}
    problems: list[tuple[int, str]] = []
    path: list[str | int] = []
    # For each open bracket the keys of its object so far, or None for a list.
    keys: list[set[str] | None] = []
    key_comes = False
    for match in TOKEN.finditer(text):
        token, offset = match[0], match.start()
        if token in "]}":
            keys.pop()
            path.pop()
        elif token == ",":
            key_comes = keys[-1] is not None
            if keys[-1] is None:
                path[-1] += 1
        elif token == ":":
            key_comes = False
        elif key_comes:
            path[-1] = json.loads(token)
            if problem := _unusable(token):
                problems.append((offset, problem))
            if path[-1] in keys[-1]:
                problems.append((offset, f"{_dotted(path)} is given twice in one object"))
            keys[-1].add(path[-1])
            places[tuple(path)] = offset
        else:
            places.setdefault(tuple(path), offset)
            if token in "[{" and len(keys) == MAX_DEPTH:
                problems.append((offset, f"{_dotted(path[:5])}...: more than {MAX_DEPTH} brackets within each other"))
            if token in "[{":
                keys.append(set() if token == "{" else None)
                path.append("" if token == "{" else 0)
                key_comes = token == "{"
            elif problem := _unusable(token):
                problems.append((offset, f"{_dotted(path)}: {problem}"))
    return places, problems


def _unusable(token: str) -> str | None:
    """Why a value that Python reads is none that JSON can hold."""
    if token in NOT_NUMBERS:
        return f"{token} is not JSON; use null, or leave the parameter out"
    if token.startswith('"'):
        value = json.loads(token)
        if any("\ud800" <= character <= "\udfff" for character in value):
            return "the text holds half of a surrogate pair"
        return "the text holds a NUL character" if "\0" in value else None
    if token[0] in "-0123456789" and not _finite(token):
        return f"{token[:20]}{'...' if len(token) > 20 else ''} is too large a number"
    return None


def _finite(token: str) -> bool:
    try:
        return math.isfinite(float(token))
    except OverflowError:
        return False


def _dotted(path: list[str | int]) -> str:
    return ".".join(map(str, path)) or "the document"


def _at(text: str, offset: int) -> str:
    line, column = _LineFinder(text).place(offset)
    return f"line {line}, column {column}"


class _LineFinder:
    """Line and column of an offset into a text."""

    def __init__(self, text: str):
        self.starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def holds(self, path: Path) -> bool:
        """Whether the text has this part."""
        return tuple(path) in self.places

    def place(self, offset: int) -> tuple[int, int]:
        from bisect import bisect_right

        line = bisect_right(self.starts, offset)
        return line, offset - self.starts[line - 1] + 1
