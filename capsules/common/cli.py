"""Command lines made from parameter models: a dotted flag for every parameter, and the declared short ones."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

from capsules.common.errors import Refused
from capsules.common.params import Leaf, Section, leaves, sections


class Parser(argparse.ArgumentParser):
    """An argument parser that raises `Refused` instead of ending the program."""

    def __init__(self, **kwargs: Any):
        super().__init__(allow_abbrev=False, formatter_class=_HelpFormatter, **kwargs)

    def error(self, message: str) -> None:
        raise Refused([f"{self.prog}: {message}"])


class _HelpFormatter(argparse.HelpFormatter):
    def __init__(self, prog: str):
        super().__init__(prog, max_help_position=32, width=110)


class _Override(argparse.Action):
    """Collect `dotted name -> value` pairs: `sets` as they are, or the flag's value for each of `leaves`."""

    def __init__(
        self, option_strings: list[str], dest: str, sets: Any = None, leaves: Sequence[Leaf] = (), **kwargs: Any
    ):
        super().__init__(option_strings, argparse.SUPPRESS, **kwargs)
        self.sets, self.leaves = sets, leaves

    def __call__(self, parser, namespace, value, option_string=None):
        values = self.sets[value] if self.choices else self.sets
        namespace.overrides.update(values or {leaf.dotted: parse_value(leaf, value) for leaf in self.leaves})


def add_params(parser: argparse.ArgumentParser, model: type[Section]) -> None:
    """Add the flags of every parameter of `model`; the parsed values gather in `namespace.overrides`."""
    parser.set_defaults(overrides={})
    group = parser.add_argument_group("parameters", description=(model.__doc__ or "").strip())
    short: dict[str, list[tuple[Leaf, Any]]] = {}
    for leaf in leaves(model):
        _add_dotted(group, leaf)
        for flag, value in leaf.flags.items():
            if flag != f"--{leaf.dotted}":
                short.setdefault(flag, []).append((leaf, value))
    for flag, targets in short.items():
        _add_short(group, flag, targets)
    for path, section in sections(model):
        for flag, choices in section.choice_flags.items():
            _add_choice(group, flag, path, choices)


def _add_dotted(group: Any, leaf: Leaf) -> None:
    text = leaf_help(leaf).replace("%", "%%")
    if leaf.is_boolean:
        group.add_argument(f"--{leaf.dotted}", action=_Override, nargs=0, sets={leaf.dotted: True}, help=text)
        off = f"set {leaf.dotted} to false"
        group.add_argument(f"--no-{leaf.dotted}", action=_Override, nargs=0, sets={leaf.dotted: False}, help=off)
    else:
        group.add_argument(f"--{leaf.dotted}", action=_Override, leaves=[leaf], metavar=_metavar(leaf), help=text)


def _add_short(group: Any, flag: str, targets: list[tuple[Leaf, Any]]) -> None:
    """A short flag sets every parameter that declares it, e.g. the same setting of all sorters."""
    leaf, value = targets[0]
    names = " and ".join(target.dotted for target, _ in targets)
    if value is ...:
        chosen = [target for target, _ in targets]
        group.add_argument(flag, action=_Override, leaves=chosen, metavar=_metavar(leaf), help=f"the same as {names}")
    else:
        sets = {target.dotted: constant for target, constant in targets}
        group.add_argument(flag, action=_Override, nargs=0, sets=sets, help=f"set {names} to {json.dumps(value)}")


def _add_choice(group: Any, flag: str, path: tuple[str, ...], choices: dict[str, dict[str, Any]]) -> None:
    sets = {
        choice: {".".join((*path, name)): value for name, value in values.items()} for choice, values in choices.items()
    }
    meaning = "; ".join(
        f"{choice}: {', '.join(f'{name}={json.dumps(value)}' for name, value in values.items())}"
        for choice, values in sets.items()
    )
    group.add_argument(flag, action=_Override, choices=list(sets), sets=sets, help=meaning)


def _metavar(leaf: Leaf) -> str:
    return leaf.type_name.upper().replace(" ", "_")


def leaf_help(leaf: Leaf) -> str:
    """Meaning, unit, allowed values and default of one parameter, in one line."""
    facts = [f"unit: {leaf.unit}"] if leaf.unit else []
    if leaf.choices:
        facts.append("one of " + ", ".join(map(str, leaf.choices)))
    if leaf.bounds:
        facts.append(leaf.bounds)
    facts.append(f"default: {json.dumps(leaf.default)}")
    return f"{leaf.field.description} [{'; '.join(facts)}]"


def parse_value(leaf: Leaf, text: str) -> Any:
    """Read a flag's value by the parameter's type: text stays text, the rest is JSON.

    Raises
    ------
    Refused
        When the text is not of the parameter's type.
    """
    if leaf.nullable and text == "null":
        return None
    if leaf.choices or leaf.type_name in ("text", "text or null"):
        return text
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        if "text" in leaf.type_name:
            return text
        raise Refused([f"--{leaf.dotted}: not a valid {leaf.type_name}: {text!r}"]) from None
