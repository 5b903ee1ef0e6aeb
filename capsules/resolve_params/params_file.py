"""A params file: read, checked in its structure and as a whole, and compared with the defaults."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

from capsules.common.errors import MOST_SHOWN, Rejected, and_more
from capsules.job_dispatch.params import SpikeInterfaceInfo
from capsules.parameters import strict_json
from capsules.parameters.model import leaves
from capsules.parameters.problems import Problem, problems_of
from capsules.parameters.rules import rule_problems
from capsules.resolve_params.names.library_names import name_problems
from capsules.resolve_params.names.query_names import query_problems
from capsules.resolve_params.params import PipelineParams

MAX_PARTS = 20_000
"""Of a params file: pydantic needs a kilobyte or more for each that it does not know."""
_LEAF_NAMES = {leaf.dotted for leaf in leaves(PipelineParams)}


def dump(params: PipelineParams) -> dict[str, Any]:
    """All parameters as JSON-ready data, as in a params file."""
    return params.model_dump(mode="json", by_alias=True, exclude={"schema_"})


def read_params_file(file: Path, name: str) -> strict_json.Document:
    """Read a params file and check its structure; `name` is what the messages call it.

    Raises
    ------
    Rejected
        With every problem of the file, each with line and column.
    """
    try:
        document = strict_json.read_file(file, name)
    except OSError as error:
        raise Rejected([f"{name}: {error.strerror}"]) from None
    if not isinstance(document.value, dict):
        raise Rejected([f"{name}: a JSON object is needed, with one section per stage"])
    if (parts := _count_parts(document.value)) > MAX_PARTS:
        raise Rejected([f"{name}: has {parts} keys and values (limit: {MAX_PARTS})"])
    if problems := problems_of(PipelineParams, document.value):
        if more := and_more(len(problems)):
            listed = [f"{name}, {document.place(problem.path)}: {problem}" for problem in problems[:MOST_SHOWN]]
            raise Rejected([*listed, f"{name}: {more[0]}"])
        # The valid parameters are checked against the rules as well, so that all mistakes are reported at once.
        rest = PipelineParams.model_validate(_remove_invalid(document.value, problems))
        broken = [problem for problem in whole_file_problems(rest) if document.holds(problem.path)]
        raise Rejected([f"{name}, {document.place(problem.path)}: {problem}" for problem in problems + broken])
    return document


def _count_parts(value: Any) -> int:
    """The number of keys and values at all depths."""
    holders, count = [value], 0
    while holders:
        holder = holders.pop()
        items = list(holder.values()) if isinstance(holder, dict) else holder
        count += len(items)
        holders += [item for item in items if isinstance(item, (dict, list))]
    return count


def _remove_invalid(document: dict[str, Any], problems: list[Problem]) -> dict[str, Any]:
    """The document without the parameters that have problems."""
    document = deepcopy(document)
    for problem in problems:
        holder: Any = document
        for index, key in enumerate(problem.path):
            leaf = ".".join(map(str, problem.path[: index + 1])) in _LEAF_NAMES
            if not isinstance(holder, dict) or key not in holder:
                break
            if leaf or index == len(problem.path) - 1:
                del holder[key]
                break
            holder = holder[key]
    return document


def validate_file(file: Path) -> PipelineParams:
    """Check a params file without the options of a run.

    Raises
    ------
    Rejected
        With every problem of the file.
    """
    document = read_params_file(file, str(file))
    params = PipelineParams.model_validate(document.value)
    if problems := whole_file_problems(params):
        raise Rejected([locate(problem, str(file), document) for problem in problems])
    return params


def whole_file_problems(params: PipelineParams) -> list[Problem]:
    """Rules that valid parameters break together."""
    document = dump(params)
    return rule_problems(document) + name_problems(document) + _text_problems(params)


def differences(params: PipelineParams) -> dict[str, tuple[Any, Any]]:
    """Dotted name -> (default, value) of every parameter that is not the default.

    A section that is null on one side is listed as one value; so is a setting that has no parameter model.
    """
    return dict(_differences(dump(PipelineParams()), dump(params), ()))


def _differences(default: Any, value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, tuple[Any, Any]]]:
    whole = ".".join(path) in _LEAF_NAMES
    if isinstance(default, dict) and isinstance(value, dict) and not whole:
        for name in dict.fromkeys([*default, *value]):
            yield from _differences(default.get(name), value.get(name), (*path, name))
    elif default != value:
        yield ".".join(path), (default, value)


def locate(problem: Problem, name: str, file: strict_json.Document) -> str:
    """A problem with its place in the file, or the nearest place; without place where the file lacks its section."""
    if problem.path and file.holds(problem.path[:1]):
        return f"{name}, {file.place(problem.path)}: {problem}"
    return str(problem)


def _text_problems(params: PipelineParams) -> list[Problem]:
    """What is wrong within parameters that are texts in another language: queries and JSON."""
    problems = query_problems(params)
    info = params.job_dispatch.spikeinterface_info
    if isinstance(info, str) and info.lstrip().startswith("{"):
        path = ("job_dispatch", "spikeinterface_info")
        try:
            document = strict_json.read(info).value
            problems += [
                Problem((*path, *problem.path), problem.text) for problem in problems_of(SpikeInterfaceInfo, document)
            ]
        except Rejected as refusal:
            problems.append(Problem(path, f"not JSON: {refusal}"))
    return problems
