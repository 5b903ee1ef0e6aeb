"""`--set a.b.c=VALUE`: any parameter, by its path in the params file."""

from __future__ import annotations

import difflib
from typing import Any

from capsules.common.errors import Rejected
from capsules.parameters import strict_json
from capsules.parameters.flags import parse_value
from capsules.parameters.model import TURN_ON, Leaf, OpenSection, Section, leaves, section_of, sections

EXAMPLE = "preprocessing.motion_correction.preset=dredge"


def parse_assignment(model: type[Section], text: str) -> dict[str, Any]:
    """The values that `path=value` sets: dotted name -> value.

    The value of a parameter is text or JSON, by the parameter's type. A section takes a JSON object, which overrides
    the settings that it names, or null, which turns it off.

    Raises
    ------
    ValueError
        When the text has no `=`, the path is unknown, or the value cannot be read.
    """
    dotted, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"must be like {EXAMPLE}; got {text!r}")
    target = _find_target(model, dotted)
    try:
        if isinstance(target, Leaf):
            return {dotted: parse_value(target, value)}
        if target is None:
            return {dotted: _parse_free(value)}
        return _assign_section(target, dotted, _parse_section(value))
    except ValueError as error:
        raise ValueError(f"{dotted}: {error}") from None


def _find_target(model: type[Section], dotted: str) -> Leaf | type[Section] | None:
    """The parameter or section at a path, or None for a further setting of a library.

    Raises
    ------
    ValueError
        When there is none.
    """
    names = dotted.split(".")
    section = model
    for index, name in enumerate(names):
        field = section.model_fields.get(name)
        if field is None or field.alias:
            if issubclass(section, OpenSection) and all(names[index:]):
                return None
            raise ValueError(_explain_unknown(model, section, dotted, name))
        nested = section_of(field.annotation)
        if nested is None:
            leaf = Leaf(tuple(names[: index + 1]), field.annotation, field)
            if index < len(names) - 1:
                raise ValueError(f"{dotted}: set {leaf.dotted} as a whole ({leaf.type_name})")
            return leaf
        section = nested
    return section


def _explain_unknown(model: type[Section], section: type[Section], dotted: str, name: str) -> str:
    if name in section.replaced:
        return f"{dotted}: is not set here: {section.replaced[name]}"
    known = [leaf.dotted for leaf in leaves(model) if not leaf.field.alias]
    known += [".".join(path) for path, _ in sections(model) if path]
    # The end of a path is what users remember of it, then its beginning.
    beginning, _, last = dotted.rpartition(".")
    close = (
        [path for path in known if path.endswith(f".{dotted}")]
        or [path for path in known if path.startswith(f"{beginning}.") and path.endswith(f".{last}")]
        or difflib.get_close_matches(dotted, known, n=1)
        or [path for path in known if path.endswith(f".{last}")]
    )
    if "subject" in dotted.lower().split("."):
        return f"{dotted}: unknown parameter; write the subject's data to nwb_metadata.yaml in the data folder"
    return f"{dotted}: unknown parameter" + (f"; did you mean {close[0]!r}?" if close else "")


def _parse_section(text: str) -> dict[str, Any] | None:
    try:
        document = strict_json.read(text).value
    except Rejected as error:
        raise ValueError(f"needs a JSON object or null; got {text!r} ({error})") from None
    if document is not None and not isinstance(document, dict):
        raise ValueError(f"needs a JSON object or null; got {text!r}")
    return document


def _assign_section(section: type[Section], dotted: str, document: dict[str, Any] | None) -> dict[str, Any]:
    if document is None:
        return {dotted: None}
    values: dict[str, Any] = {dotted: TURN_ON}
    for name, value in document.items():
        field = section.model_fields.get(name)
        nested = section_of(field.annotation) if field else None
        if nested is not None and isinstance(value, dict):
            values |= _assign_section(nested, f"{dotted}.{name}", value)
        else:
            values[f"{dotted}.{name}"] = value
    return values


def _parse_free(text: str) -> Any:
    """A value of a setting whose type only the library knows: JSON, or else text."""
    try:
        return strict_json.read(text).value
    except Rejected:
        return text
