"""Messages about wrong parameters: where, what is allowed, the value, the nearest valid name."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from capsules.common.errors import nearest
from capsules.parameters.model import Leaf, Section, section_of

SHOWN_LENGTH = 80
Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Problem:
    """One mistake: the path of the wrong part, and what is wrong with it."""

    path: Path
    text: str

    def __str__(self) -> str:
        return ": ".join(part for part in (".".join(map(str, self.path)), self.text) if part)


def problems_of(model: type[Section], document: Any) -> list[Problem]:
    """Every structural mistake of a document, in the order of the document."""
    try:
        model.model_validate(document)
    except ValidationError as error:
        located = [(*_locate(model, item["loc"]), item) for item in error.errors()]
        # A value that fits no member of a union has mistakes for each: report those of the member that it fits best.
        deepest: dict[Path, int] = {}
        for _, leaf, path, rest, _ in located:
            if leaf is not None:
                deepest[path] = max(deepest.get(path, 0), len(rest))
        problems = [
            _describe(*place)
            for place in located
            if place[1] is None or not place[1].is_union or len(place[3]) == deepest[place[2]]
        ]
        return list(dict.fromkeys(problems))
    return []


def _locate(model: type[Section], loc: Path) -> tuple[type[Section], Leaf | None, Path, Path]:
    """The section, the parameter if it is one, its path, and the part of pydantic's `loc` within the parameter."""
    section = model
    for index, part in enumerate(loc):
        field = section.model_fields.get(str(part))
        if field is None:
            return section, None, loc, ()
        nested = section_of(field.annotation)
        if nested is None:
            path = loc[: index + 1]
            return section, Leaf(tuple(map(str, path)), field.annotation, field), path, loc[index + 1 :]
        section = nested
    return section, None, loc, ()


def _describe(section: type[Section], leaf: Leaf | None, path: Path, rest: Path, item: ErrorDetails) -> Problem:
    """Turn pydantic's record of a mistake into a `Problem`."""
    if leaf is not None and leaf.is_union:
        # The first part of `rest` names the member of the union that was tried.
        section, rest = leaf.section or section, rest[1:]
    path += rest
    if item["type"] == "missing":
        return Problem(path, "is missing")
    if item["type"] == "extra_forbidden":
        return Problem(path, _unknown(section, str(path[-1])))
    return Problem(path, f"{_rule(leaf, rest, item)}; got {quote(item['input'])}{_nearest_choice(leaf, rest, item)}")


def _rule(leaf: Leaf | None, rest: Path, item: ErrorDetails) -> str:
    """The rule that the value breaks."""
    if leaf is None:
        return "must be an object"
    if item["type"] == "value_error":
        return str(item["ctx"]["error"])
    if not rest:
        return f"must be {describe_allowed(leaf)}"
    if leaf.item_choices and item["type"] == "literal_error":
        return f"must be one of {', '.join(map(str, leaf.item_choices))}"
    message = item["msg"]
    return message[0].lower() + message[1:]


def _nearest_choice(leaf: Leaf | None, rest: Path, item: ErrorDetails) -> str:
    choices = (leaf.item_choices if rest else leaf.choices) if leaf else None
    return nearest(str(item["input"]), list(map(str, choices or [])))


def _unknown(section: type[Section], name: str) -> str:
    if name in section.replaced:
        return f"is not set here: {section.replaced[name]}"
    return f"unknown parameter{nearest(name, list(section.model_fields))}"


def describe_allowed(leaf: Leaf) -> str:
    """The allowed values of a parameter, e.g. `one of a, b or null` or `a number > 0 (Hz)`."""
    if leaf.choices:
        return "one of " + ", ".join(map(str, leaf.choices)) + (" or null" if leaf.nullable else "")
    words = " ".join(part for part in (leaf.type_name, leaf.bounds, f"({leaf.unit})" if leaf.unit else "") if part)
    return words + (f" ({leaf.field.description})" if leaf.pattern else "")


def quote(value: Any) -> str:
    """A value as JSON, cut when it is long."""
    text = json.dumps(value, default=str)
    return text if len(text) <= SHOWN_LENGTH else text[:SHOWN_LENGTH] + "..."
