"""How users name streams and lines, the same in every parameter: `XD1`, or `nidq:XD1` with its stream."""

from __future__ import annotations

from collections.abc import Iterable

from capsules.common.errors import nearest

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


def match_stream(asked: str, streams: Iterable[str]) -> str | None:
    """The stream of this name, or of this short name; None where there is none, or several."""
    streams = list(streams)
    if asked in streams:
        return asked
    own = [stream for stream in streams if shorten_stream(stream) == asked]
    return own[0] if len(own) == 1 else None


def find_lines(asked: str, lines: Iterable[LineId]) -> list[LineId]:
    """The lines that a name means, `line` or `stream:line`; several where streams have lines of one name."""
    stream, colon, line = asked.rpartition(":")
    return [
        id
        for id in lines
        # The line of an NWB file may have a colon in its name.
        if asked == id[1] or (colon and line == id[1] and stream in (id[0], shorten_stream(id[0])))
    ]


def spell_lines(lines: Iterable[LineId]) -> list[str]:
    """The lines as `stream:line`."""
    ids = list(lines)
    short = short_streams(dict.fromkeys(stream for stream, _ in ids))
    return [f"{short[stream]}:{line}" for stream, line in ids]


def suggest_line(asked: str, lines: Iterable[LineId]) -> str:
    """`; did you mean 'nidq:XD1'?` for the line with the nearest name, or an empty text."""
    ids = list(lines)
    return nearest(asked, [*(line for _, line in ids), *spell_lines(ids)])
