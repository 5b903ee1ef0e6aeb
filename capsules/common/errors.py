"""The errors of a task or a command, and helpers for their messages."""

from __future__ import annotations

import difflib


class SpikeRelayError(Exception):
    """An error that the user can correct; its text says how, and appears without a traceback."""


class Rejected(SpikeRelayError):
    """Wrong parameters or command line: `problems` lists every mistake."""

    def __init__(self, problems: list[str]):
        super().__init__("\n".join(problems))
        self.problems = problems


class Skip(Exception):
    """The task skips this recording, for a reason that is not a failure."""


class RecordedFailure(Exception):
    """The stage failed, and the user asked that the run continues: recorded as failed, exit code 0."""


MOST_SHOWN = 20
"""The largest number of listed problems of a file."""


def and_more(count: int) -> list[str]:
    """The last line of a list of problems that is too long."""
    return [f"and {count - MOST_SHOWN} more problems"] if count > MOST_SHOWN else []


SHOWN_LENGTH = 300


def shorten(text: str) -> str:
    """Cut a long message: it may quote a whole file."""
    return text if len(text) <= SHOWN_LENGTH else f"{text[:SHOWN_LENGTH]}..."


def printable(text: str) -> str:
    """A text for a terminal: characters that steer it, reverse its direction or are not printable become escapes."""
    return "".join(
        letter if letter.isprintable() or letter in "\n\t" else letter.encode("unicode_escape").decode()
        for letter in text
    )


def is_text(name: str) -> bool:
    """Whether a name is valid text: Linux allows file names that are not UTF-8."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def nearest(name: str, known: list[str]) -> str:
    """`; did you mean ...?` for the known name nearest to `name`, or an empty text."""
    by_lower = {other.lower(): other for other in reversed(known)}
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6) or [
        by_lower[lower] for lower in difflib.get_close_matches(name.lower(), list(by_lower), n=1, cutoff=0.6)
    ]
    return f"; did you mean {close[0]!r}?" if close else ""
