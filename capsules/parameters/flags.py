"""Command lines made from parameter models: a dotted flag for every parameter, and the declared short ones."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, cast

from capsules.common.errors import Rejected, nearest
from capsules.parameters import strict_json
from capsules.parameters.model import TURN_ON, Leaf, OpenSection, Section, leaves, section_of, sections

Group = argparse._ArgumentGroup


class Parser(argparse.ArgumentParser):
    """An argument parser that raises `Rejected` instead of ending the program."""

    def __init__(self, **kwargs: Any):
        super().__init__(allow_abbrev=False, formatter_class=_HelpFormatter, **kwargs)
        # argparse interprets -2e2 as a flag otherwise.
        self._negative_number_matcher = re.compile(r"^-(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$")

    def error(self, message: str) -> NoReturn:
        raise Rejected([f"{self.prog}: {message}"])


class _HelpFormatter(argparse.HelpFormatter):
    def __init__(self, prog: str):
        super().__init__(prog, max_help_position=32, width=110)


@dataclass(frozen=True)
class FlagValue:
    """A value from the command line, and the flag that gave it."""

    value: Any
    flag: str


class _Override(argparse.Action):
    """Collect `dotted name -> FlagValue`: `values` makes the pairs of a flag's text."""

    def __init__(self, option_strings: list[str], dest: str, values: Callable[[Any], dict[str, Any]], **kwargs: Any):
        super().__init__(option_strings, argparse.SUPPRESS, **kwargs)
        self.values = values

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        value: Any,
        option_string: str | None = None,
    ) -> None:
        try:
            pairs = self.values(value)
        except ValueError as error:
            namespace.problems.append(f"{option_string}: {error}")
        else:
            for dotted, override in pairs.items():
                # The last flag wins, also over an earlier one for a part of the same section.
                namespace.overrides.pop(dotted, None)
                namespace.overrides[dotted] = FlagValue(override, str(option_string))


def add_params(
    parser: argparse.ArgumentParser,
    model: type[Section],
    prefix: tuple[str, ...] = (),
    keep: Callable[[tuple[str, ...]], bool] = bool,
    short: bool = True,
) -> None:
    """Add the flags of the parameters of `model`.

    Parsing collects the values in `namespace.overrides` (dotted name -> `FlagValue`), and the problems of single values
    in `namespace.problems`.

    Parameters
    ----------
    parser : argparse.ArgumentParser
    model : section class
    prefix : tuple of str
        Added before the dotted names, but not before the flags.
    keep : callable
        Receives the path of a parameter or section, and returns whether it gets flags.
    short : bool
        Whether the declared short flags are added as well.
    """
    parser.set_defaults(overrides={}, problems=[])
    group = parser.add_argument_group("parameters", description=(model.__doc__ or "").strip())
    targets: dict[str, list[tuple[Leaf, Any]]] = {}
    for leaf in (leaf for leaf in leaves(model) if keep(leaf.path)):
        _add_dotted(group, leaf, prefix)
        for flag, value in leaf.flags.items():
            if flag != f"--{leaf.dotted}":
                targets.setdefault(flag, []).append((leaf, value))
    for path, section in sections(model):
        if path and keep(path) and issubclass(section, OpenSection):
            _add_whole(group, path, section, prefix)
    if not short:
        return
    for flag, chosen in targets.items():
        _add_short(group, flag, chosen, prefix)
    for path, section in sections(model):
        for flag, choices in section.choice_flags.items():
            _add_choice(group, flag, (*prefix, *path), choices)
        for flag, name in section.off_flags.items():
            if (target := section_of(section.model_fields[name].annotation)) is not None:
                _add_off(group, flag, (*prefix, *path, name), target)


def parse(parser: Parser, words: Sequence[str]) -> dict[str, FlagValue]:
    """The parameters that `words` set.

    Raises
    ------
    Rejected
        With every flag that is unknown or whose value cannot be read.
    """
    return cast(dict[str, FlagValue], parse_all(parser, words).overrides)


def parse_all(parser: Parser, words: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse a whole command line (default: the program's own).

    Raises
    ------
    Rejected
        With every flag that is unknown or whose value cannot be read.
    """
    namespace, unknown = parser.parse_known_args(words)
    flags = [flag for action in parser._actions for flag in action.option_strings]
    problems = [f"unknown argument {word!r}{nearest(word.split('=')[0], flags)}" for word in unknown]
    if problems + namespace.problems:
        raise Rejected([f"{parser.prog}: {problem}" for problem in problems + namespace.problems])
    return namespace


def _name(prefix: tuple[str, ...], leaf: Leaf) -> str:
    return ".".join((*prefix, leaf.dotted))


def _add_dotted(group: Group, leaf: Leaf, prefix: tuple[str, ...]) -> None:
    text, name = leaf_help(leaf).replace("%", "%%"), _name(prefix, leaf)
    if not leaf.is_boolean:
        _add(group, f"--{leaf.dotted}", lambda value: {name: parse_value(leaf, value)}, text, metavar=_metavar(leaf))
        return
    _add(group, f"--{leaf.dotted}", lambda _: {name: True}, text, nargs=0)
    _add(group, f"--no-{leaf.dotted}", lambda _: {name: False}, f"set {leaf.dotted} to false", nargs=0)
    if leaf.type_name != "boolean":
        text = f"set {leaf.dotted} to any of its values, as JSON"
        _add(group, f"--set-{leaf.dotted}", lambda value: {name: parse_value(leaf, value)}, text, metavar="JSON")


def _add_short(group: Group, flag: str, targets: list[tuple[Leaf, Any]], prefix: tuple[str, ...]) -> None:
    """A short flag sets every parameter that declares it, e.g. the same setting of all sorters."""
    leaf, value = targets[0]
    names = " and ".join(target.dotted for target, _ in targets)
    if value is ...:
        chosen = [target for target, _ in targets]

        def values(text: str) -> dict[str, Any]:
            return {_name(prefix, target): parse_value(target, text) for target in chosen}

        _add(group, flag, values, f"the same as {names}", metavar=_metavar(leaf))
    else:
        sets = {_name(prefix, target): constant for target, constant in targets}
        _add(group, flag, lambda _: sets, f"set {names} to {json.dumps(value)}", nargs=0)


def _add_whole(group: Group, path: tuple[str, ...], section: type[Section], prefix: tuple[str, ...]) -> None:
    """A flag for a whole section: a JSON object overrides its settings, null turns it off."""

    def values(text: str) -> dict[str, Any]:
        document = _json(text, "a JSON object or null")
        if document is None:
            return {".".join((*prefix, *path)): None}
        if not isinstance(document, dict):
            raise ValueError(f"needs a JSON object or null; got {text}")
        whole = {".".join((*prefix, *path)): TURN_ON}
        return whole | {".".join((*prefix, *path, name)): value for name, value in document.items()}

    text = f"settings of {path[-1]} as a JSON object, with the library's other settings; null turns off an optional one"
    _add(group, f"--{'.'.join(path)}", values, text, metavar="OBJECT")


def _add_choice(group: Group, flag: str, path: tuple[str, ...], choices: dict[str, dict[str, Any]]) -> None:
    sets = {
        choice: {".".join((*path, name)): value for name, value in values.items()} for choice, values in choices.items()
    }
    meaning = "; ".join(
        f"{choice}: {', '.join(f'{name}={json.dumps(value)}' for name, value in values.items())}"
        for choice, values in sets.items()
    )

    def values(text: str) -> dict[str, Any]:
        if text not in sets:
            raise ValueError(f"must be one of {', '.join(sets)}; got {text!r}{nearest(text, list(sets))}")
        return sets[text]

    _add(group, flag, values, meaning, metavar="{" + ",".join(sets) + "}")


def _add_off(group: Group, flag: str, path: tuple[str, ...], section: type[Section]) -> None:
    known = list(section.model_fields)

    def values(text: str) -> dict[str, Any]:
        names = [name.strip() for name in text.split(",")]
        unknown = [f"no {name!r} in {path[-1]}{nearest(name, known)}" for name in names if name not in known]
        if unknown:
            raise ValueError("; ".join(unknown))
        return {".".join((*path, name)): None for name in names}

    _add(group, flag, values, f"set these of {path[-1]}, separated by commas, to null", metavar="NAMES")


def _add(group: Group, flag: str, values: Callable[[str], dict[str, Any]], help: str, **kwargs: Any) -> None:
    group.add_argument(flag, action=_Override, values=values, help=help, **kwargs)


def _metavar(leaf: Leaf) -> str:
    return leaf.type_name.upper().replace(" ", "_")


def leaf_help(leaf: Leaf) -> str:
    """Meaning, unit, allowed values and default of one parameter, in one line."""
    facts = [f"unit: {leaf.unit}"] if leaf.unit else []
    if choices := leaf.choices or leaf.item_choices:
        facts.append(("one of " if leaf.choices else "of ") + ", ".join(map(str, choices)))
    if leaf.bounds:
        facts.append(leaf.bounds)
    facts.append(f"default: {json.dumps(leaf.default)}")
    return f"{leaf.field.description} [{'; '.join(facts)}]"


def parse_value(leaf: Leaf, text: str) -> Any:
    """Read a flag's value by the parameter's type: text stays text, all else is JSON.

    A list of texts may be JSON, or the texts separated by commas.

    Raises
    ------
    ValueError
        When the text is not of the parameter's type.
    """
    if leaf.nullable and text == "null":
        return None
    if leaf.choices or leaf.type_name in ("text", "text or null"):
        return text
    if leaf.is_boolean and text in ("true", "false"):
        return text == "true"
    if leaf.is_text_list and not text.lstrip().startswith("["):
        return [part.strip() for part in text.split(",")]
    if "text" in leaf.type_name and not text.lstrip().startswith(("{", "[")):
        return text
    return _json(text, leaf.type_name)


def _json(text: str, wanted: str) -> Any:
    try:
        return strict_json.read(text).value
    except Rejected as error:
        raise ValueError(f"needs {wanted}; got {text!r} ({error})") from None
