"""How much of a step is done, as a line of a log: written there, and read from there."""

from __future__ import annotations

import re
from dataclasses import dataclass

LINE = re.compile(r" INFO (?P<name>.+?)(?: \([^()]*\))?: (?P<done>\d+) of (?P<total>\d+) chunks$", re.MULTILINE)


@dataclass(frozen=True)
class Step:
    """A pass over a recording within a stage."""

    name: str
    done: int
    total: int

    def __str__(self) -> str:
        return f"{self.name}: {self.done} of {self.total} chunks"


def read_step(log: str) -> Step | None:
    """The last step in the text of a log; None when it has none, or when that step is complete."""
    lines = list(LINE.finditer(log))
    if not lines:
        return None
    step = Step(lines[-1]["name"], int(lines[-1]["done"]), int(lines[-1]["total"]))
    return step if step.done < step.total else None
