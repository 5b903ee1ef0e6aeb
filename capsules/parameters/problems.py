"""What is wrong with a document of parameters, in words: where, what was given, what is allowed, the nearest name."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from capsules.common.errors import nearest
from capsules.parameters.model import Leaf, Section, section_of

SHOWN_LENGTH = 80


@dataclass(frozen=True)
class Problem:
    """One mistake: the path of the part that is wrong, and what is wrong with it."""

    path: tuple[str | int, ...]
    text: str

    def __str__(self) -> str:
        return ": ".join(part for part in (".".join(map(str, self.path)), self.text) if part)


def problems_of(model: type[Section], document: Any) -> list[Problem]:
    """Every structural mistake of a document, in the order of the document."""
    try:
        model.model_validate(document)
    except ValidationError as error:
        located = [(*_locate(model, item["loc"]), item) for item in error.errors()]
        # Of the ways in which a union was missed, the one that got furthest is what was meant.
        deepest: dict[tuple, int] = {}
        for _, leaf, path, rest, _ in located:
            if leaf is not None:
                deepest[path] = max(deepest.get(path, 0), len(rest))
        problems = [
            _word(*place)
            for place in located
            if place[1] is None or not place[1].is_union or len(place[3]) == deepest[place[2]]
        ]
        return list(dict.fromkeys(problems))
    return []


def _locate(model: type[Section], loc: tuple) -> tuple[type[Section], Leaf | None, tuple, tuple]:
    """The section, the parameter if it is one, its path, and what of pydantic's `loc` lies within the parameter."""
    section = model
    for index, part in enumerate(loc):
        field = section.model_fields.get(part)
        if field is None:
            return section, None, loc, ()
        nested = section_of(field.annotation)
        if nested is None:
            path = loc[: index + 1]
            return section, Leaf(path, field.annotation, field), path, loc[index + 1 :]
        section = nested
    return section, None, loc, ()


def _word(section: type[Section], leaf: Leaf | None, path: tuple, rest: tuple, item: dict[str, Any]) -> Problem:
    """pydantic's record of a mistake as a `Problem`."""
    if leaf is not None and leaf.is_union:
        # The first part of `rest` names the member of the union that was tried.
        section, rest = leaf.section or section, rest[1:]
    path += rest
    if item["type"] == "missing":
        return Problem(path, "is missing")
    if item["type"] == "extra_forbidden":
        return Problem(path, _unknown(section, str(path[-1])))
    return Problem(path, f"{_rule(leaf, rest, item)}; got {shown(item['input'])}{_nearest_choice(leaf, rest, item)}")


def _rule(leaf: Leaf | None, rest: tuple, item: dict[str, Any]) -> str:
    """What the value would have to be."""
    if leaf is None:
        return "must be an object"
    if item["type"] == "value_error":
        return str(item["ctx"]["error"])
    if not rest:
        return f"must be {allowed(leaf)}"
    if leaf.item_choices and item["type"] == "literal_error":
        return f"must be one of {', '.join(map(str, leaf.item_choices))}"
    return item["msg"][0].lower() + item["msg"][1:]


def _nearest_choice(leaf: Leaf | None, rest: tuple, item: dict[str, Any]) -> str:
    choices = leaf and (leaf.item_choices if rest else leaf.choices)
    return nearest(str(item["input"]), [str(choice) for choice in choices or []])


def _unknown(section: type[Section], name: str) -> str:
    if name in section.replaced:
        return f"is not set here: {section.replaced[name]}"
    return f"unknown parameter{nearest(name, list(section.model_fields))}"


def allowed(leaf: Leaf) -> str:
    """What a parameter may be, e.g. `one of a, b or null` or `a number > 0 (Hz)`."""
    if leaf.choices:
        return "one of " + ", ".join(map(str, leaf.choices)) + (" or null" if leaf.nullable else "")
    words = " ".join(part for part in (leaf.type_name, leaf.bounds, f"({leaf.unit})" if leaf.unit else "") if part)
    return words + (f" ({leaf.field.description})" if leaf.pattern else "")


def shown(value: Any) -> str:
    """A value as JSON, cut when it is long."""
    text = json.dumps(value, default=str)
    return text if len(text) <= SHOWN_LENGTH else text[:SHOWN_LENGTH] + "..."
