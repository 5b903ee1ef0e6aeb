"""The names of lines: what the user calls them, and what files and NWB tables are called."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from capsules.common.sync.line_names import LineId, find_lines, short_streams, spell_lines, suggest_line
from capsules.common.sync.lines import LineSource

V = TypeVar("V")


def clean(name: str) -> str:
    """A name as a part of a file's name: other characters than letters, digits, `.`, `_` and `-` become `-`."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", name)


def match_lines(
    settings: Mapping[str, V], parameter: str, lines: Mapping[LineId, LineSource], warn: Callable[[str], None]
) -> dict[LineId, V]:
    """Find the lines that the keys of a parameter name, with or without their stream.

    Parameters
    ----------
    settings : mapping
        `XD1` or `nidq:XD1` -> value.
    parameter : str
        Its name, for the messages.
    lines : mapping
        The lines that exist.
    warn : callable
        Receives a line for each key that names no line, or several.
    """
    chosen: dict[LineId, V] = {}
    for key, value in settings.items():
        own = find_lines(key, lines)
        if len(own) == 1:
            chosen[own[0]] = value
        elif own:
            choices = ", ".join(spell_lines(own))
            warn(f"{parameter}.{key}: several streams have this line; not used. Write one of {choices}")
        else:
            listed = ", ".join(dict.fromkeys(line for _, line in lines)) or "none"
            warn(f"{parameter}.{key}: no such line{suggest_line(key, lines)}; not used. The lines: {listed}")
    return chosen


def label_lines(lines: list[LineId], names: Mapping[LineId, str]) -> dict[LineId, str]:
    """Line -> what it is called: the user's name, else its stream and line; names that repeat get their stream."""
    short = short_streams(dict.fromkeys(stream for stream, _ in lines))
    labels = {id: names.get(id, f"{short[id[0]]}_{id[1]}") for id in lines}
    counts = list(labels.values())
    return {
        id: label if counts.count(label) == 1 else f"{short[id[0]]}_{id[1]}_{label}" for id, label in labels.items()
    }
