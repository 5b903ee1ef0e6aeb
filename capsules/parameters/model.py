"""The base of the parameter models: how a section, a parameter and its short flags are declared.

A section is a pydantic model. It is the only home of its parameters' names, types, defaults, bounds, units, help
and flags; the schema, the default file, the command lines and `docs/parameters.md` are made from it.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic.fields import FieldInfo


class Section(BaseModel):
    """A group of parameters: unknown keys are rejected, and so is a value of another type."""

    model_config = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, validate_default=True, regex_engine="python-re"
    )

    choice_flags: ClassVar[dict[str, dict[str, dict[str, Any]]]] = {}
    """Flags that set several parameters at once: flag -> choice -> {dotted name: value}."""
    off_flags: ClassVar[dict[str, str]] = {}
    """Flags that set to null what they name: flag -> the section whose parts it takes, separated by commas."""
    replaced: ClassVar[dict[str, str]] = {}
    """Rejected names that users try here: name -> what to use instead."""

    @field_validator("*", mode="before")
    @classmethod
    def _accept_integral_floats(cls, value: Any, info: ValidationInfo) -> Any:
        """Accept 2.0 where an integer is needed, as JSON Schema does."""
        return _to_integers(value, cls.model_fields[str(info.field_name)].annotation)

    @field_validator("*")
    @classmethod
    def _check_fixed(cls, value: Any, info: ValidationInfo) -> Any:
        extra = _extra(cls.model_fields[str(info.field_name)])
        if "const" in extra and value != extra["const"]:
            raise ValueError(f"only {json.dumps(extra['const'])} is possible")
        return value


class OpenSection(Section):
    """A group of parameters that the pipeline passes to a library: it accepts the library's other settings too.

    Their names are checked against `pipeline/library_names.json`, by `capsules.resolve_params.names.library_names`.
    """

    model_config = ConfigDict(extra="allow")


MotionPreset = Literal[
    "dredge", "dredge_fast", "nonrigid_accurate", "nonrigid_fast_and_accurate", "rigid_fast", "kilosort_like"
]
"""SpikeInterface's presets of motion estimation."""


class JobKwargs(Section):
    """How the traces are cut into chunks for parallel work."""

    chunk_duration: str = Field(
        "1s",
        description="Length of a chunk of traces, a number with `s` or `ms`. Increase it to save time when there is "
        "memory; lower it when memory is short. The default is `1s`.",
        pattern=r"^(?![0.]+m?s)[0-9]+(\.[0-9]+)?m?s$(?!\n)",
    )
    progress_bar: bool = Field(
        False,
        description="Show a progress bar while the chunks are processed. Turn it on when you run a stage by hand. Off "
        "by default, because the log has the progress.",
    )


def param(
    default: Any,
    help: str,
    *,
    unit: str | None = None,
    flags: dict[str, Any] | None = None,
    fixed: bool = False,
    facts: dict[str, str] | None = None,
    **bounds: Any,
) -> Any:
    """Declare one parameter.

    Parameters
    ----------
    default : any
        The default value; a dict, list or section is copied for each use.
    help : str
        What it does, when to change it and in which direction, its default and why: at most three short sentences. The
        renderers add the unit.
    unit : str, optional
        Physical unit, e.g. "Hz".
    flags : dict, optional
        Short flags: flag -> the value it sets, or `...` when the flag takes a value.
    fixed : bool
        The library supports only the default: the name stays valid, any other value is rejected.
    facts : dict, optional
        Further entries of the schema, e.g. the parameter's name in the library's graphical interface.
    **bounds
        pydantic's `ge`, `gt`, `le`, `lt`, `min_length`, `max_length`, `pattern`.
    """
    # The extras become part of the JSON schema, which has no `...`: None means that the flag takes a value.
    stored = {flag: None if value is ... else value for flag, value in (flags or {}).items()}
    extra: dict[str, Any] = {key: value for key, value in (("unit", unit), ("flags", stored)) if value}
    extra |= (facts or {}) | ({"const": default} if fixed else {})
    if isinstance(default, (dict, list, Section)):
        extra |= {} if isinstance(default, Section) else {"default": default}
        return Field(default_factory=partial(deepcopy, default), description=help, json_schema_extra=extra, **bounds)
    return Field(default, description=help, json_schema_extra=extra, **bounds)


def section(model: type[Section]) -> Any:
    """Declare a section with its defaults; its docstring is its help."""
    return param(model(), model.__doc__ or "")


@dataclass(frozen=True)
class Leaf:
    """One parameter as the command line, the docs and the checks see it."""

    path: tuple[str, ...]
    annotation: Any
    field: FieldInfo

    @property
    def dotted(self) -> str:
        return ".".join(self.path)

    @property
    def default(self) -> Any:
        value = self.field.get_default(call_default_factory=True)
        return value.model_dump(mode="json") if isinstance(value, BaseModel) else value

    @property
    def unit(self) -> str | None:
        unit: str | None = _extra(self.field).get("unit")
        return unit

    @property
    def flags(self) -> dict[str, Any]:
        """Short flags: flag -> the value it sets, or `...` when it takes one."""
        return {flag: ... if value is None else value for flag, value in _extra(self.field).get("flags", {}).items()}

    @property
    def choices(self) -> list[Any] | None:
        for option in _union_options(self.annotation):
            if typing.get_origin(option) is typing.Literal:
                return list(typing.get_args(option))
        return None

    @property
    def is_boolean(self) -> bool:
        return bool in _union_options(self.annotation)

    @property
    def nullable(self) -> bool:
        return nullable(self.annotation)

    @property
    def is_union(self) -> bool:
        """Whether it may be of several types, null not counted."""
        return len([option for option in _union_options(self.annotation) if option is not type(None)]) > 1

    @property
    def section(self) -> type[Section] | None:
        """The section that is one of the types it may be."""
        return next(filter(None, map(section_of, _union_options(self.annotation))), None)

    @property
    def pattern(self) -> bool:
        return any(getattr(rule, "pattern", None) for rule in self.field.metadata)

    @property
    def item_choices(self) -> list[Any] | None:
        """The allowed items of a list, when they are listed."""
        for option in _union_options(self.annotation):
            if typing.get_origin(option) is list and typing.get_origin(item := typing.get_args(option)[0]):
                return list(typing.get_args(item)) if typing.get_origin(item) is typing.Literal else None
        return None

    @property
    def is_text_list(self) -> bool:
        """Whether it is a list of texts, choices included."""
        lists = [option for option in _union_options(self.annotation) if typing.get_origin(option) is list]
        return any(self.item_choices or typing.get_args(option)[0] is str for option in lists)

    @property
    def bounds(self) -> str:
        """The allowed range in words, e.g. `>= 0, < 1`; empty when any value of the type will do."""
        signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<", "min_length": "at least", "max_length": "at most"}
        return ", ".join(
            f"{sign} {getattr(rule, name):g}"
            for rule in self.field.metadata
            for name, sign in signs.items()
            if getattr(rule, name, None) is not None
        )

    @property
    def type_name(self) -> str:
        return " or ".join(dict.fromkeys(_type_name(option) for option in _union_options(self.annotation)))


def _extra(field: FieldInfo) -> dict[str, Any]:
    extra = field.json_schema_extra
    return extra if isinstance(extra, dict) else {}


def leaves(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[Leaf]:
    """Walk every parameter of a section, nested sections included, in the order of declaration."""
    for name, field in model.model_fields.items():
        nested = section_of(field.annotation)
        if nested is None:
            yield Leaf((*path, name), field.annotation, field)
        else:
            yield from leaves(nested, (*path, name))


def sections(model: type[Section], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], type[Section]]]:
    """Walk the section and its nested sections."""
    yield path, model
    for name, field in model.model_fields.items():
        nested = section_of(field.annotation)
        if nested is not None:
            yield from sections(nested, (*path, name))


def open_sections(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """Walk the open sections within a section, with the fields that declare them."""
    for name, field in model.model_fields.items():
        nested = section_of(field.annotation)
        if nested is not None and issubclass(nested, OpenSection):
            yield (*path, name), field
        if nested is not None:
            yield from open_sections(nested, (*path, name))


def section_of(annotation: Any) -> type[Section] | None:
    """The section class that an annotation holds, nullable or not, or None for a plain parameter."""
    options = [option for option in _union_options(annotation) if option is not type(None)]
    plain = len(options) == 1 and isinstance(options[0], type) and issubclass(options[0], Section)
    return options[0] if plain else None


def nullable(annotation: Any) -> bool:
    return type(None) in _union_options(annotation)


TURN_ON = object()
"""The value that turns on a section that is null, and leaves any other section unchanged."""


def set_dotted(document: dict[str, Any], dotted: str, value: Any) -> None:
    """Set `document["a"]["b"] = value` for the dotted name `a.b`; a null on the way becomes an object."""
    *parents, last = dotted.split(".")
    for key in parents:
        if document.get(key) is None:
            document[key] = {}
        document = document[key]
    if value is not TURN_ON:
        document[last] = value
    elif document.get(last) is None:
        document[last] = {}


def get_dotted(document: Any, dotted: str, absent: Any = None) -> Any:
    """`document["a"]["b"]` for the dotted name `a.b`, or `absent` when the document has no such key."""
    for key in dotted.split("."):
        if not isinstance(document, dict) or key not in document:
            return absent
        document = document[key]
    return document


def _to_integers(value: Any, annotation: Any) -> Any:
    options = _union_options(annotation)
    if isinstance(value, float) and value.is_integer() and int in options and float not in options:
        return int(value)
    if isinstance(value, list):
        items = [typing.get_args(option)[0] for option in options if typing.get_origin(option) is list]
        return [_to_integers(item, items[0]) for item in value] if items else value
    return value


def _union_options(annotation: Any) -> list[Any]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [option for part in typing.get_args(annotation) for option in _union_options(part)]
    if typing.get_origin(annotation) is typing.Annotated:
        return _union_options(typing.get_args(annotation)[0])
    return [annotation]


def _type_name(option: Any) -> str:
    if option is type(None):
        return "null"
    origin = typing.get_origin(option)
    if origin is typing.Literal:
        return "choice"
    if isinstance(option, type) and issubclass(option, Section):
        return "object"
    names = {str: "text", int: "integer", float: "number", bool: "boolean", list: "list", dict: "object"}
    return names.get(origin or option, "value")
