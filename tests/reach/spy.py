"""Watch what a stage hands to its libraries: every call's arguments, by the function's name."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from capsules.common.contract import STAGES
from capsules.common.recordings.job import Job, Reader
from capsules.common.tasks.task import Task
from capsules.parameters.model import Section, get_dotted, leaves, set_dotted
from tests.leaf_values import LEAVES, is_fixed, other_value


class Spy:
    """Calls seen so far: function name -> the arguments of each call, by name."""

    def __init__(self, monkeypatch: Any):
        self.monkeypatch = monkeypatch
        self.calls: dict[str, list[dict[str, Any]]] = {}

    def watch(self, owner: Any, name: str, instead: Callable | None = None) -> None:
        """Record the calls of `owner.name`, which then runs as usual, or `instead` of it."""
        real = getattr(owner, name)
        signature = inspect.signature(real)

        @functools.wraps(real)
        def spied(*args: Any, **kwargs: Any) -> Any:
            try:
                bound = signature.bind(*args, **kwargs).arguments
                given = {**{key: value for key, value in bound.items() if key != "kwargs"}, **bound.get("kwargs", {})}
            except TypeError:
                given = kwargs
            self.calls.setdefault(name, []).append({**given, **kwargs})
            return (instead or real)(*args, **kwargs)

        self.monkeypatch.setattr(owner, name, spied)

    def saw(self, function: str, path: str, value: Any) -> bool:
        """Whether a call of `function` had `value` at the argument, or at a dotted place within it."""
        return any(_equal(get_dotted(call, path, _MISSING), value) for call in self.calls.get(function, []))


_MISSING = object()


def _equal(found: Any, value: Any) -> bool:
    if isinstance(found, (list, tuple)) and isinstance(value, (list, tuple)):
        return list(found) == list(value)
    return found is not _MISSING and type(found) in (type(value), int, float) and found == value


def changed_section(model: type[Section], prefix: str, **overrides: Any) -> Section:
    """The section with every parameter changed from its default, but for `overrides` (dotted, `__` for dots)."""
    document: dict[str, Any] = {}
    for leaf in leaves(model):
        whole = LEAVES[f"{prefix}.{leaf.dotted}"]
        if not is_fixed(whole):
            set_dotted(document, leaf.dotted, other_value(whole))
    for name, value in overrides.items():
        set_dotted(document, name.replace("__", "."), value)
    return model.model_validate(document)


def stage_leaves(prefix: str) -> list[str]:
    """The parameters of a section that can be changed, named within the section."""
    start = prefix + "."
    return [name.removeprefix(start) for name, leaf in LEAVES.items() if name.startswith(start) and not is_fixed(leaf)]


def task_for(stage: str, params: Section, folder: Any, data: Any = None, **facts: Any) -> Task:
    """A task of a stage on the recording `rec` below `data`."""
    out = folder / f"{stage}_out"
    out.mkdir(parents=True, exist_ok=True)
    reader = Reader(
        name="spikeinterface", kwargs={"file_or_folder_path": "rec"}, path_arguments=["file_or_folder_path"]
    )
    settings = {
        "id": "r", "session": "s", "block": "b", "stream": "imec0.ap", "segments": [0], "reader": reader,
        "sampling_frequency_hz": 30000.0, "num_channels": 16, "duration_s": 4.0, "dtype": "int16", "megabytes": 4.0,
    }  # fmt: skip
    job = Job(**(settings | facts))
    return Task(STAGES[stage], "b" if STAGES[stage].level == "block" else "r", [job], params, folder, data, out, 1)
