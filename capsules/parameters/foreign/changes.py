"""What a translation of another program's parameters changes: one entry for each key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from capsules.parameters.model import get_dotted, set_dotted
from capsules.parameters.problems import quote

Kind = Literal["renamed", "set", "left out", "differs"]
ABSENT = object()


@dataclass(frozen=True)
class Change:
    """One change: `renamed` keys keep their meaning, `set` values replace another program's defaults, keys that are
    `left out` have a reason, and `differs` says what our pipeline does in another way."""

    kind: Kind
    text: str


@dataclass
class Translation:
    """A document that becomes a params file.

    Attributes
    ----------
    source : dict
        What is left of the other program's parameters; the translation moves and removes keys.
    params : dict
        Our parameters so far.
    changes : list of Change
    """

    source: dict[str, Any]
    params: dict[str, Any] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)

    def note(self, kind: Kind, text: str) -> None:
        self.changes.append(Change(kind, text))

    def take(self, dotted: str) -> Any:
        """Remove a key from the source and return its value, or `ABSENT`."""
        *parents, last = dotted.split(".")
        holder = get_dotted(self.source, ".".join(parents)) if parents else self.source
        return holder.pop(last) if isinstance(holder, dict) and last in holder else ABSENT

    def set(self, dotted: str, value: Any) -> None:
        set_dotted(self.params, dotted, value)

    def rename(self, old: str, new: str, convert: Callable[[Any], Any] = lambda value: value) -> None:
        """Move a key of the source to a parameter of another name."""
        value = self.take(old)
        if value is ABSENT:
            return
        converted = convert(value)
        self.set(new, converted)
        shown = "" if converted == value else f" ({quote(value)} becomes {quote(converted)})"
        self.note("renamed", f"{old} -> {new}{shown}")

    def drop(self, dotted: str, reason: str) -> None:
        """Leave a key out, if the source has it."""
        value = self.take(dotted)
        if value is not ABSENT:
            self.note("left out", f"{dotted} = {quote(value)}: {reason}")
