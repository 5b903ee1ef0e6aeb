"""Checks of several parameters together: `pipeline/params_rules.json` lists the rules, this module applies them.

The kinds of rule:

- `below`: the number at `low` is less than the one at `high`; null on either side passes.
- `needs`: `path` is set (neither null, nor false, nor empty) `when` other parameters have the listed values.
- `only_when`: `path` is not set, unless other parameters have the listed values.
- `same`: the parameters at `paths` have one value; those within a section that is null are not compared.
- `excludes`: `path` is set only when `other` is null.
- `requires`: `path` is set only when `other` is not null.
- `odd`: the number at `path` is odd.
- `depends`: of the parts of the section at `path`, one that is not null needs the others named.
- `json_object`: the text at `path` is empty, or a JSON object whose values have the type `values`.
- `below_half_rate`: the frequency at `path` is below half the sampling rate. The rate is unknown when a run resolves
  its parameters: `rate_problems` checks this rule for each recording.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import BaseModel

from capsules.common.errors import Rejected, SpikeRelayError
from capsules.common.installation import ROOT
from capsules.parameters import strict_json
from capsules.parameters.model import get_dotted
from capsules.parameters.problems import Problem, quote

FILE = ROOT / "pipeline" / "params_rules.json"


def rules(kind: str | None = None) -> list[dict[str, Any]]:
    """The rules, or those of one kind."""
    return [rule for rule in json.loads(FILE.read_text())["rules"] if kind in (None, rule["kind"])]


def rule_problems(document: dict[str, Any]) -> list[Problem]:
    """The rules that a whole document of valid parameters breaks."""
    checks: dict[str, Callable[[dict[str, Any], dict[str, Any]], Iterator[Problem]]] = {
        "below": _below,
        "needs": _needs,
        "only_when": _only_when,
        "same": _same,
        "excludes": _excludes,
        "requires": _requires,
        "odd": _odd,
        "depends": _depends,
        "json_object": _json_object,
        "below_half_rate": lambda document, rule: iter(()),
    }
    return [problem for rule in rules() for problem in checks[rule["kind"]](document, rule)]


def rate_problems(document: dict[str, Any], sampling_frequency_hz: float) -> list[Problem]:
    """The rules that the parameters break for a recording with this sampling rate."""
    half = sampling_frequency_hz / 2
    return [
        Problem(_path(rule["path"]), f"must be below half the sampling rate, {half:g} Hz; got {frequency:g}")
        for rule in rules("below_half_rate")
        if _met(document, rule["when"]) and (frequency := get_dotted(document, rule["path"])) >= half
    ]


def check_rate(section: str, params: BaseModel, sampling_frequency_hz: float) -> None:
    """Check a stage's frequencies for a recording with this sampling rate.

    Raises
    ------
    SpikeRelayError
        With every frequency that is too high.
    """
    problems = rate_problems({section: params.model_dump(mode="json")}, sampling_frequency_hz)
    if problems:
        raise SpikeRelayError("; ".join(map(str, problems)))


def _path(dotted: str) -> tuple[str, ...]:
    return tuple(dotted.split("."))


def _met(document: dict[str, Any], when: dict[str, Any]) -> bool:
    return all(get_dotted(document, path) == value for path, value in when.items())


def _condition(when: dict[str, Any]) -> str:
    return " and ".join(f"{path} is {json.dumps(value)}" for path, value in when.items())


def _below(document: dict[str, Any], rule: dict[str, Any]) -> Iterator[Problem]:
    low, high = get_dotted(document, rule["low"]), get_dotted(document, rule["high"])
    if low is not None and high is not None and low >= high:
        yield Problem(_path(rule["low"]), f"must be below {rule['high']}; got {low:g} and {high:g}")


def _needs(document: dict[str, Any], rule: dict[str, Any]) -> Iterator[Problem]:
    if _met(document, rule["when"]) and not get_dotted(document, rule["path"]):
        yield Problem(_path(rule["path"]), f"is needed when {_condition(rule['when'])}")


def _only_when(document: dict[str, Any], rule: dict[str, Any]) -> Iterator[Problem]:
    if get_dotted(document, rule["path"]) and not _met(document, rule["when"]):
        yield Problem(_path(rule["path"]), f"has an effect only when {_condition(rule['when'])}")


def _excludes(document: dict[str, Any], rule: dict[str, Any]) -> Iterator[Problem]:
    if get_dotted(document, rule["path"]) is not None and get_dotted(document, rule["other"]) is not None:
        yield Problem(_path(rule["path"]), f"has an effect only when {rule['other']} is null")


def _requires(document: dict[str, Any], rule: dict[str, Any]) -> Iterator[Problem]:
    if get_dotted(document, rule["path"]) and get_dotted(document, rule["other"]) is None:
        yield Problem(_path(rule["path"]), f"needs {rule['other']}, which is off (null)")


def _odd(document: dict[str, Any], rule: dict[str, Any]) -> Iterator[Problem]:
    value = get_dotted(document, rule["path"])
    if value is not None and value % 2 == 0:
        yield Problem(_path(rule["path"]), f"must be odd; got {value}")


def _same(document: dict[str, Any], rule: dict[str, Any]) -> Iterator[Problem]:
    values = {path: value for path in rule["paths"] if (value := get_dotted(document, path)) is not None}
    if len(set(values.values())) > 1:
        values_text = ", ".join(f"{path} = {json.dumps(value)}" for path, value in values.items())
        yield Problem(_path(rule["paths"][0]), f"must be the same in all of these: {values_text}")


def _depends(document: dict[str, Any], rule: dict[str, Any]) -> Iterator[Problem]:
    parts = get_dotted(document, rule["path"])
    for name, needed in rule["on"].items():
        missing = [other for other in needed if parts.get(other) is None]
        if parts.get(name) is not None and missing:
            text = f"needs {' and '.join(missing)}, which is off (null); turn it on, or set {name} to null as well"
            yield Problem((*_path(rule["path"]), name), text)


def _json_object(document: dict[str, Any], rule: dict[str, Any]) -> Iterator[Problem]:
    text = get_dotted(document, rule["path"])
    if not text.strip():
        return
    try:
        value = strict_json.read(text).value
    except Rejected as refusal:
        yield Problem(_path(rule["path"]), f"must be empty or a JSON object; {refusal}")
        return
    types = {"integer": int}
    good = isinstance(value, dict) and all(type(item) is types[rule["values"]] for item in value.values())
    if not good:
        yield Problem(_path(rule["path"]), f"must be a JSON object with {rule['values']} values; got {quote(text)}")
