"""The ways in which work ends other than well, and how a refusal is worded."""

from __future__ import annotations

import difflib


class SpikeRelayError(Exception):
    """Something that the user can put right; its text says how, and is shown without a traceback."""


class Rejected(SpikeRelayError):
    """Bad parameters or command line: `problems` holds every one of them."""

    def __init__(self, problems: list[str]):
        super().__init__("\n".join(problems))
        self.problems = problems


class Skip(Exception):
    """This recording is not to be worked on, for a reason that is no failure."""


class RecordedFailure(Exception):
    """The stage failed, and the user asked that the run goes on: recorded as failed, exit code 0."""


MOST_SHOWN = 20
"""Problems of one file that are listed."""


def and_more(count: int) -> list[str]:
    """The last line of a list of problems that is cut."""
    return [f"and {count - MOST_SHOWN} more problems"] if count > MOST_SHOWN else []


SHOWN_LENGTH = 300


def shorten(text: str) -> str:
    """A message that quotes what was given, cut where it is long."""
    return text if len(text) <= SHOWN_LENGTH else f"{text[:SHOWN_LENGTH]}..."


def printable(text: str) -> str:
    """A text for a terminal: what would steer it, turn its direction or cannot be shown stands there escaped."""
    return "".join(
        letter if letter.isprintable() or letter in "\n\t" else letter.encode("unicode_escape").decode()
        for letter in text
    )


def is_text(name: str) -> bool:
    """Whether a name can be written down: Linux allows names of files that are no UTF-8."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def nearest(name: str, known: list[str]) -> str:
    """`; did you mean ...?` for the known name nearest to `name`, or nothing."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""
