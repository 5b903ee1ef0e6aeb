"""The names of lines: what the user calls them, and what files and NWB tables are called."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from capsules.common.errors import nearest
from capsules.common.sync.lines import LineSource

V = TypeVar("V")
LineId = tuple[str, str]
"""Stream and line."""


def short_streams(streams: Iterable[str]) -> dict[str, str]:
    """Stream -> its name without record node, processor and band, where that is still unique among the streams."""
    short = {stream: shorten_stream(stream) for stream in streams}
    counts = list(short.values())
    return {stream: name if counts.count(name) == 1 else stream for stream, name in short.items()}


def shorten_stream(stream: str) -> str:
    """`Record Node 101#NI-DAQmx-102.PXI-6133` is `PXI-6133`, `imec0.ap` is `imec0`."""
    name = stream.rsplit("#", 1)[-1].removesuffix(".ap").removesuffix("-AP")
    return name.partition(".")[2] or name


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
    known = [line for _, line in lines]
    for key, value in settings.items():
        stream, colon, line = key.rpartition(":")
        own = [id for id in lines if id[1] == line and (not colon or stream in (id[0], shorten_stream(id[0])))]
        if len(own) == 1:
            chosen[own[0]] = value
        elif own:
            choices = ", ".join(f"{shorten_stream(own_stream)}:{line}" for own_stream, _ in own)
            warn(f"{parameter}.{key}: several streams have this line; not used. Write one of {choices}")
        else:
            listed = ", ".join(dict.fromkeys(known)) or "none"
            warn(f"{parameter}.{key}: no such line{nearest(line, known)}; not used. The lines: {listed}")
    return chosen


def label_lines(lines: list[LineId], names: Mapping[LineId, str]) -> dict[LineId, str]:
    """Line -> what it is called: the user's name, else its stream and line; names that repeat get their stream."""
    short = short_streams(dict.fromkeys(stream for stream, _ in lines))
    labels = {id: names.get(id, f"{short[id[0]]}_{id[1]}") for id in lines}
    counts = list(labels.values())
    return {
        id: label if counts.count(label) == 1 else f"{short[id[0]]}_{id[1]}_{label}" for id, label in labels.items()
    }
