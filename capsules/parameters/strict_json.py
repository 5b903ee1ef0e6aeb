"""Strict JSON: the place of each value in the text, and a message for every mistake."""

from __future__ import annotations

import json
import math
import pathlib
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from capsules.common.errors import MOST_SHOWN, Rejected, and_more

Path = tuple[str | int, ...]

TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|-?[A-Za-z]+|[^\s{}\[\],:"]+', re.DOTALL)
WORDS = {"True": "true", "False": "false", "None": "null", "undefined": "null", "nil": "null"}
MAX_DEPTH = 100
TRAILING_COMMA = re.compile(r",\s*[}\]]")
MAX_BYTES = 50_000_000
MAX_BRACKETS = 500_000
"""Python needs about 90 bytes for each; a status.json of 10,000 recordings has about 300,000."""
TWICE = "is given twice in one object"
SUSPECT = re.compile(r"\\u(?:0000|[dD][89a-fA-F])|\d{300}")
"""May be a NUL, half of a surrogate pair, or too large a number."""
NOT_NUMBERS = ("NaN", "Infinity", "-Infinity")


@dataclass(frozen=True)
class Document:
    """A JSON text and its value. `place` searches the text: a table of all places is large, and few are needed."""

    value: Any
    text: str = ""

    def holds(self, path: Path) -> bool:
        """Whether the text has this part."""
        return any(part == list(path) for part, _ in _parts(self.text))

    def place(self, path: Path) -> str:
        """`line 3, column 5` of a path of keys and indices (of its key or item), or of the nearest part around it."""
        nearest, length = 0, -1
        for part, offset in _parts(self.text):
            if length < len(part) <= len(path) and part == list(path[: len(part)]):
                nearest, length = offset, len(part)
                if length == len(path):
                    break
        return _at(self.text, nearest)


def read_file(file: pathlib.Path, name: str | None = None) -> Document:
    """Read a JSON file; messages call it `name`.

    Raises
    ------
    OSError
        When it cannot be opened.
    Rejected
        When it is not UTF-8, or too large, or when `read` rejects its text.
    """
    name = name or str(file)
    try:
        with file.open("rb") as stream:
            # Never the whole file: /dev/zero has no end.
            content = stream.read(MAX_BYTES + 1)
    except ValueError:
        raise Rejected([f"{name}: no file can have this name"]) from None
    if len(content) > MAX_BYTES:
        raise Rejected([f"{name}: too large (limit: {MAX_BYTES / 1e6:g} MB)"])
    try:
        return read(content.decode())
    except UnicodeDecodeError:
        raise Rejected([f"{name}: not a UTF-8 text file"]) from None
    except Rejected as error:
        raise Rejected([f"{name}, {problem}" for problem in error.problems]) from None


def read(text: str) -> Document:
    """Read a JSON text.

    Raises
    ------
    Rejected
        With line, column and reason of each problem: the text is not JSON, an object has a key twice, or a number or
        text cannot be stored.
    """
    if text.startswith("\ufeff"):
        raise Rejected(["line 1, column 1: the file begins with a byte order mark; save it as UTF-8 without BOM"])
    if (brackets := text.count("[") + text.count("{")) > MAX_BRACKETS:
        raise Rejected([f"the JSON text has {brackets} brackets (limit: {MAX_BRACKETS})"])
    suspect = bool(SUSPECT.search(text))

    def mark(_: Any = None) -> None:
        nonlocal suspect
        suspect = True

    def number(token: str) -> float:
        if not math.isfinite(value := float(token)):
            mark()
        return value

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(value := dict(pairs)) < len(pairs):
            mark()
        return value

    try:
        value = json.loads(text, object_pairs_hook=unique, parse_float=number, parse_constant=mark)
    except json.JSONDecodeError as error:
        raise Rejected([_describe(text, error)]) from None
    except RecursionError:
        raise Rejected(["the JSON text is nested too deeply"]) from None
    except ValueError as error:
        raise Rejected([f"the JSON text holds a number that cannot be read: {error}"]) from None
    # Python's own reader is fast; `_walk` is slow, and runs only when something is wrong.
    if (suspect or _too_deep(value)) and (problems := _problems(text)):
        raise Rejected(problems)
    return Document(value, text)


def _too_deep(value: Any) -> bool:
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(MAX_DEPTH):
        level = [
            item
            for holder in level
            for item in (holder.values() if isinstance(holder, dict) else holder)
            if isinstance(item, (dict, list))
        ]
    return bool(level)


def _describe(text: str, error: json.JSONDecodeError) -> str:
    """The mistake, and its place: a comma's own, where Python 3.13's reader stops and earlier ones stop after it."""
    before = text[: error.pos].rstrip()
    for place in (error.pos, len(before) - 1):
        if place >= 0 and TRAILING_COMMA.match(text, place):
            return f"{_at(text, place)}: a comma before the closing bracket: take it out"
    return f"{_at(text, error.pos)}: {_hint(text[error.pos :].lstrip(), before, error)}"


def _hint(rest: str, before: str, error: json.JSONDecodeError) -> str:
    """The mistake at the place where Python's reader stopped, by the text after and before it."""
    word = re.match(r"[A-Za-z]+", rest)
    if rest.startswith(("//", "/*", "#")):
        return "a comment; JSON has none: take it out"
    if rest.startswith("'"):
        return "text in single quotes; JSON has double quotes"
    if word and word[0] in WORDS:
        return f"{word[0]} is not JSON; write {WORDS[word[0]]}"
    if not rest:
        return "the JSON text ends too early: a bracket or a quote is not closed" if before else "the file is empty"
    return error.msg[0].lower() + error.msg[1:]


def _problems(text: str) -> list[str]:
    """The problems of a readable text: the first ones with their place, and the number of the others."""
    lines = _LineFinder(text)
    shown, count = [], 0
    for offset, path, problem in _walk(text):
        if problem is not None:
            count += 1
            if count <= MOST_SHOWN:
                line, column = lines.place(offset)
                where = f"{_dotted(path)} " if problem == TWICE else f"{_dotted(path)}: " if path else ""
                shown.append(f"line {line}, column {column}: {where}{problem}")
    return shown + and_more(count)


def _parts(text: str) -> Iterator[tuple[list[str | int], int]]:
    """Path and offset of each part of a readable text. The path is one list that the walk changes."""
    return ((path, offset) for offset, path, problem in _walk(text) if problem is None)


def _walk(text: str) -> Iterator[tuple[int, list[str | int], str | None]]:
    """Offset and path of each part of a readable text, after each problem of the part.

    The path is one list that the walk changes.
    """
    path: list[str | int] = []
    # For each open bracket the keys of its object so far, or None for a list.
    keys: list[set[str] | None] = []
    key_comes = after_key = False
    for match in TOKEN.finditer(text):
        token, offset = match[0], match.start()
        if token in "]}":
            keys.pop()
            path.pop()
            after_key = False
        elif token in ",:":
            key_comes, after_key = token == "," and keys[-1] is not None, token == ":"
            if token == "," and keys[-1] is None:
                path[-1] = int(path[-1]) + 1
        elif key_comes:
            path[-1] = key = json.loads(token)
            if problem := _unusable(token):
                yield offset, [], problem
            known = keys[-1]
            assert known is not None  # a key comes in objects only
            if key in known:
                yield offset, path, TWICE
            known.add(key)
            yield offset, path, None
        else:
            if not after_key:
                yield offset, path, None
            after_key = False
            if token in "[{":
                if len(keys) == MAX_DEPTH:
                    yield offset, [*path[:5], "..."], f"more than {MAX_DEPTH} brackets within each other"
                keys.append(set() if token == "{" else None)
                path.append("" if token == "{" else 0)
                key_comes = token == "{"
            elif problem := _unusable(token):
                yield offset, path, problem


def _unusable(token: str) -> str | None:
    """The reason why JSON cannot hold a value that Python reads, or None."""
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

    def place(self, offset: int) -> tuple[int, int]:
        line = bisect_right(self.starts, offset)
        return line, offset - self.starts[line - 1] + 1
