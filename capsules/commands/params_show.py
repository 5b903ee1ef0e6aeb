"""`spikerelay params show`: what a parameter or a section does, and how it is set."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from capsules.common.contract import SECTION_OF_STAGE
from capsules.common.errors import Rejected, nearest, printable
from capsules.parameters.model import Leaf, OpenSection, Section, leaves, section_of, sections
from capsules.parameters.problems import quote
from capsules.parameters.rules import rules
from capsules.resolve_params.names.library_names import read_names
from capsules.resolve_params.params import PipelineParams
from capsules.spikesorting.sorters import SORTERS

WIDTH = 100
MOST_SUGGESTED = 5


def run(arguments: argparse.Namespace) -> int:
    print(*explain(arguments.name), sep="\n")
    return 0


@cache
def parameter_names() -> dict[str, Leaf | type[Section]]:
    """Dotted name -> the parameter or the section, in the order of the params file."""
    named: dict[str, Leaf | type[Section]] = {}
    own_leaves = {leaf.dotted: leaf for leaf in leaves(PipelineParams) if leaf.dotted != "schema_"}
    for path, model in sections(PipelineParams):
        dotted = ".".join(path)
        named |= {dotted: model} if path else {}
        inside = {".".join((*path, name)) for name in model.model_fields}
        named |= {name: leaf for name, leaf in own_leaves.items() if name in inside}
    return named


def explain(name: str | None) -> Iterator[str]:
    """The lines on a parameter or a section; without a name, on the sections of a params file.

    Raises
    ------
    Rejected
        When the parameter is unknown; the message suggests similar names.
    """
    if name is None:
        yield from _section_lines((), PipelineParams)
        return
    subject = parameter_names().get(name)
    section, _, last = name.rpartition(".")
    settings = _library_settings(section)
    if subject is None and last in settings:
        yield name
        yield "  A setting of the library, passed on unchanged."
        yield from ("", *_table([("default", quote(settings[last]))]))
        return
    if subject is None:
        raise Rejected([f"no parameter or section {printable(name)!r}{_suggest(name)}"])
    if isinstance(subject, Leaf):
        yield from _leaf_lines(subject)
    else:
        yield from _section_lines(tuple(name.split(".")), subject)


def _suggest(name: str) -> str:
    """The names that end in `name`, then those that contain it in their last word, or the nearest name."""
    known = list(parameter_names())
    ending = [dotted for dotted in known if f".{dotted}".endswith(f".{name}")]
    ending += [dotted for dotted in known if name in dotted.rpartition(".")[2] and dotted not in ending]
    if ending:
        more = ", ..." if len(ending) > MOST_SUGGESTED else ""
        return f"; did you mean {', '.join(ending[:MOST_SUGGESTED])}{more}?"
    last = name.rpartition(".")[2]
    same_end = [dotted for dotted in known if dotted.rpartition(".")[2] == last]
    return nearest(name, same_end or known) or "; `spikerelay params show` lists the sections"


def _leaf_lines(leaf: Leaf) -> Iterator[str]:
    yield leaf.dotted
    yield from _wrap(leaf.field.description or "")
    yield ""
    yield from _table(
        [
            ("default", quote(leaf.default)),
            ("type", leaf.type_name),
            ("choices", ", ".join(map(str, leaf.choices or leaf.item_choices or []))),
            ("range", leaf.bounds),
            ("unit", leaf.unit or ""),
            ("set", f"--set {leaf.dotted}=VALUE"),
            *(("flag", flag) for flag in flags_of(leaf)),
            *(("rule", text) for text in _rule_texts(leaf.dotted)),
        ]
    )


def _section_lines(path: tuple[str, ...], model: type[Section]) -> Iterator[str]:
    """The section and what it contains, one line each."""
    yield ".".join(path) or "sections of a params file"
    yield from _wrap(_about(path, model))
    yield ""
    for name, field in model.model_fields.items():
        inner = section_of(field.annotation)
        if inner is not None:
            state = (
                "section, off (null) by default" if field.get_default(call_default_factory=True) is None else "section"
            )
            yield f"  {name}: {state}"
            yield from _wrap(_about((*path, name), inner), indent=6)
        elif name != "schema_":
            yield f"  {name} = {_describe_value(Leaf((*path, name), field.annotation, field))}"
            yield from _wrap(field.description or "", indent=6)
    settings = _library_settings(".".join(path)).items()
    if issubclass(model, OpenSection):
        yield "  further settings, passed on to the library unchanged:"
        yield from (f"      {name} = {quote(value)}" for name, value in settings if name not in model.model_fields)
    yield from _table([("flag", flag) for flag in _flags_of_several(path)])
    yield ""
    yield f"`spikerelay params show {'.'.join((*path, 'NAME'))}` explains one of them."


def _describe_value(leaf: Leaf) -> str:
    """The default with its unit, and the choices or the range."""
    choices = ", ".join(map(str, leaf.choices or leaf.item_choices or []))
    inside = "; ".join(text for text in (choices, leaf.bounds) if text)
    return " ".join([quote(leaf.default), *([leaf.unit] if leaf.unit else []), *([f"({inside})"] if inside else [])])


def _library_settings(dotted: str) -> dict[str, Any]:
    """The library's settings that an open section accepts, with their defaults."""
    settings = read_names().get(dotted)
    return settings if isinstance(settings, dict) else {}


def _table(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Name and value on a line each; a name that repeats is left out, and so is an empty value."""
    shown = ""
    for name, value in rows:
        if value:
            yield f"  {'' if name == shown else name:<8} {value}"
            shown = name


def _about(path: tuple[str, ...], model: type[Section]) -> str:
    """The description of a section where it is declared, or its docstring."""
    holder: type[Section] = PipelineParams
    text = ""
    for name in path:
        field = holder.model_fields[name]
        text, holder = field.description or "", section_of(field.annotation) or holder
    return text or (model.__doc__ or "" if "__doc__" in vars(model) else "")


def flags_of(leaf: Leaf) -> list[str]:
    """The options of a run that set a parameter, the short ones first."""
    stage, inner = _stage_of(leaf.path)
    short = [flag if value is not ... else f"{flag} VALUE" for flag, value in leaf.flags.items()]
    # The flags of a single sorter also work without its name.
    dotted = ".".join(inner[1:] if stage == "spikesorting" and inner[0] in SORTERS else inner)
    long = [f"--{dotted}", f"--no-{dotted}"] if leaf.is_boolean else [f"--{dotted} VALUE"]
    flags = [f'--{stage}_args="{flag}"' for flag in dict.fromkeys([*short, *long])]
    return ["--sorter NAME"] * (leaf.path == ("spikesorting", "sorter")) + _flags_of_several(leaf.path) + flags


def _flags_of_several(path: tuple[str, ...]) -> list[str]:
    """The options that set several parameters at once, of which one is at `path` or within it."""
    flags = []
    for holder, model in sections(PipelineParams):
        for flag, choices in model.choice_flags.items():
            targets = {(*holder, *dotted.split(".")) for values in choices.values() for dotted in values}
            if any(target[: len(path)] == path for target in targets):
                flags.append(f'--{_stage_of(holder)[0]}_args="{flag} {"|".join(choices)}"')
        for flag, name in model.off_flags.items():
            if path[: len(holder) + 1] in (holder, (*holder, name)) and len(path) <= len(holder) + 2:
                part = path[-1] if len(path) == len(holder) + 2 else "NAMES"
                flags.append(f'--{_stage_of(holder)[0]}_args="{flag} {part}"')
    return flags if path else []


def _stage_of(path: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The stage whose `--<stage>_args` sets a parameter, and the parameter's path in its section."""
    return next(
        (stage, path[len(section) :]) for stage, section in SECTION_OF_STAGE.items() if path[: len(section)] == section
    )


def _rule_texts(dotted: str) -> Iterator[str]:
    """The rules of `pipeline/params_rules.json` about one parameter, in words."""
    for rule in rules():
        low, high, other = rule.get("low"), rule.get("high"), rule.get("other")
        when = " and ".join(f"{path} is {quote(value)}" for path, value in rule.get("when", {}).items())
        if dotted == low:
            yield f"below {high}"
        elif dotted == high:
            yield f"above {low}"
        elif dotted in rule.get("paths", ()):
            yield f"the same as {', '.join(path for path in rule['paths'] if path != dotted)}"
        elif dotted == rule.get("path"):
            texts = {
                "below_half_rate": "below half the sampling rate",
                "odd": "odd",
                "needs": f"needed when {when}",
                "only_when": f"has an effect only when {when}",
                "excludes": f"has an effect only when {other} is null",
                "requires": f"needs {other}",
            }
            yield from (texts[rule["kind"]],) if rule["kind"] in texts else ()


def _wrap(text: str, indent: int = 2) -> list[str]:
    return textwrap.wrap(" ".join(text.split()), WIDTH, initial_indent=" " * indent, subsequent_indent=" " * indent)
