"""The layout that `plan`, `inspect`, `doctor` and `validate` share: a heading, problems first, notes last.

Only the standard library is imported: `spikerelay doctor` must run where the other commands cannot.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TextIO

from capsules.common.errors import printable

Style = Literal["bold", "problem", "note"]
CODES: dict[Style, str] = {"bold": "1", "problem": "1;31", "note": "33"}
"""Bold, bold red, yellow, as a terminal's escape sequences name them."""


@dataclass
class Page:
    """What a command prints. An entry of several lines is indented as a whole.

    Attributes
    ----------
    heading : str
        What the command looked into, and how it is.
    problems : list of str
        What has to be corrected.
    parts : dict
        Title -> lines.
    notes : list of str
        What is good to know, and needs no correction.
    """

    heading: str
    problems: list[str] = field(default_factory=list)
    parts: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def lines(self, colour: bool = False) -> Iterator[str]:
        """The lines of the page."""
        yield paint(printable(self.heading), "problem" if self.problems else "bold", colour)
        groups: list[tuple[str, Style, list[str]]] = [("problems", "problem", self.problems)]
        groups += [(title, "bold", lines) for title, lines in self.parts.items()]
        groups.append(("notes", "note", self.notes))
        for title, style, entries in groups:
            if entries:
                yield ""
                yield paint(f"{printable(title)}:", style, colour)
                yield from (f"  {line}" for entry in entries for line in printable(entry).split("\n"))


def paint(text: str, style: Style, colour: bool) -> str:
    """The text with the escape sequences of a style, or unchanged without colour."""
    return f"\x1b[{CODES[style]}m{text}\x1b[0m" if colour else text


def has_colour(stream: TextIO) -> bool:
    """Whether the stream is a terminal whose user has not turned colours off (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def print_pages(pages: list[Page], stream: TextIO | None = None) -> None:
    """Print pages with an empty line between them, in colour on a terminal."""
    stream = stream or sys.stdout
    colour = has_colour(stream)
    print("\n\n".join("\n".join(page.lines(colour)) for page in pages), file=stream)
