"""One set of parameters from the defaults, the params file, `--runmode`, `--<step>_args` and `--set`, in this order.

Every problem of the options, the file and the arguments is reported at once.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from capsules.common.contract import SECTION_OF_STAGE
from capsules.common.errors import Rejected, nearest
from capsules.job_dispatch.formats import HAS_FORMAT, find_formats, guess_format, hint_compressed
from capsules.parameters import flags, strict_json
from capsules.parameters.assignments import parse_assignment
from capsules.parameters.model import Section, get_dotted, set_dotted
from capsules.parameters.problems import Problem, problems_of
from capsules.resolve_params.options import RUNMODES, option_problems
from capsules.resolve_params.params import PipelineParams
from capsules.resolve_params.params_file import differences, dump, locate, read_params_file, whole_file_problems
from capsules.spikesorting.sorters import SORTERS

INPUT = "job_dispatch.input"
SORTER = "spikesorting.sorter"
NO_SORTER = f"no sorter chosen: give --sorter, or set spikesorting.sorter; one of {', '.join(SORTERS)}"
_ABSENT = object()
Value = TypeVar("Value")


@dataclass
class Resolved:
    """The checked parameters, and where each value that is not a default comes from.

    With several sorters `spikesorting.sorter` is null, and each sorter has a separate section.
    """

    params: PipelineParams
    sorters: list[str]
    origins: dict[str, str] = field(default_factory=dict)
    input_is_set: bool = True
    """Whether the user set the format of the data."""
    notes: list[str] = field(default_factory=list)

    def section(self, stage: str) -> dict[str, Any]:
        """A stage's section as JSON-ready data."""
        section: Any = self.params
        for name in SECTION_OF_STAGE[stage]:
            section = getattr(section, name)
        assert isinstance(section, Section)
        return section.model_dump(mode="json")

    def sortings(self) -> list[dict[str, Any]]:
        """For each sorter its `name`, whether it uses a `gpu`, its `section`, and the `suffix` of its sortings' ids.

        A single sorter has no suffix.
        """
        spikesorting = self.params.spikesorting
        return [
            {
                "name": name,
                "suffix": f"_{name}" if len(self.sorters) > 1 else "",
                "gpu": SORTERS[name].uses_gpu(getattr(spikesorting, name)),
                "section": spikesorting.model_dump(mode="json", include={name}) | {"sorter": name},
            }
            for name in self.sorters
        ]

    def gpu_sorters(self) -> list[str]:
        return [sorting["name"] for sorting in self.sortings() if sorting["gpu"]]

    def document(self, sorter: str | None = None) -> dict[str, Any]:
        """All parameters, as in a params file, with one of the sorters chosen."""
        document = dump(self.params)
        document["spikesorting"]["sorter"] = sorter or self.params.spikesorting.sorter
        return document


@dataclass(frozen=True)
class Override:
    """A value that replaces the params file's, and where it comes from."""

    dotted: str
    value: Any
    origin: str
    flag: str = ""

    @property
    def where(self) -> str:
        return f"{self.origin}: {self.flag}" if self.flag else self.origin


def resolve(options: dict[str, Any], launch_folder: Path, container_engine: str | None = None) -> Resolved:
    """Resolve the options of a run.

    Parameters
    ----------
    options : dict
        Nextflow's params: option -> value.
    launch_folder : Path
        Relative paths in the options start here.
    container_engine : str, optional
        What runs container images, e.g. docker. A sorter that has an image need not be installed then.

    Raises
    ------
    Rejected
        With every problem of the options, the file and the arguments.
    """
    problems = option_problems(options)
    name = options.get("params_file")
    file = strict_json.Document({})
    if name is not None:
        file = _collect(problems, lambda: read_params_file(launch_folder / str(name), str(name)), file)
    overrides = _runmode_overrides(options) + _sorter_override(options, file.value)
    assignments: list[Override] = _collect(problems, lambda: _assignments(options.get("set")), [])
    problems += _override_problems(assignments)
    sorters: list[str] = _collect(problems, lambda: _chosen_sorters(options, file.value, assignments), [])
    for stage in SECTION_OF_STAGE:
        if stage == "spikesorting" and not sorters:
            # The meaning of its arguments depends on the sorter.
            problems += [] if problems else [NO_SORTER]
            continue
        overrides += _collect(problems, partial(_step_overrides, stage, options.get(f"{stage}_args"), sorters), [])
    problems += _override_problems(overrides)
    if problems:
        raise Rejected(list(dict.fromkeys(problems)))
    overrides += assignments
    document = deepcopy(file.value)
    for override in overrides:
        set_dotted(document, override.dotted, override.value)
    params = PipelineParams.model_validate(document)
    input_is_set = get_dotted(document, INPUT, _ABSENT) is not _ABSENT
    resolved = Resolved(params, sorters, _origins(params, overrides), input_is_set)
    in_image = [sorter for sorter in sorters if container_engine and SORTERS[sorter].has_image]
    if problems := [_locate(problem, name, file, overrides) for problem in _whole_problems(resolved, in_image)]:
        raise Rejected(list(dict.fromkeys(problems)))
    if (sorter := options.get("sorter")) not in (None, ",".join(sorters)):
        resolved.notes.append(f"--sorter {sorter} has no effect: the parameters name {', '.join(sorters)}")
    if len(sorters) > 1:
        resolved.notes.append(f"each recording is sorted {len(sorters)} times, by {' and '.join(sorters)}")
    for sorter in in_image:
        resolved.notes.append(
            f"{sorter} runs in its container image, by {container_engine}: not checked on this machine"
        )
    return resolved


def _collect(problems: list[str], compute: Callable[[], Value], instead: Value) -> Value:
    """What `compute` returns; where it is rejected, its problems are added to the others."""
    try:
        return compute()
    except Rejected as refusal:
        problems += refusal.problems
        return instead


def guess_input(resolved: Resolved, data: Path) -> None:
    """Set the format to the only one in the data folder where the user set none, and note it."""
    params = resolved.params.job_dispatch
    if resolved.input_is_set:
        return
    folders = [path for path in data.iterdir() if path.is_dir()] if params.multi_session else [data]
    formats = {name for folder in folders if (name := guess_format(folder)) is not None}
    if len(formats) == 1 and (only := formats.pop()) != params.input:
        params.input = only
        resolved.origins[INPUT] = "detected in the data folder"
        resolved.notes.append(f"--input {only}: the only format in the data folder; the parameters name none")
    elif len(several := {name for folder in folders for name in find_formats(folder)}) > 1:
        resolved.notes.append(
            f"the data folder has several formats, {' and '.join(sorted(several))}: it is read as {params.input}; "
            "--set job_dispatch.input names another"
        )


def find_format_problems(resolved: Resolved, data: Path, source: str) -> list[str]:
    """Why the format of a data folder must be named, or that it has none; `source` is written before its path."""
    params = resolved.params.job_dispatch
    if resolved.input_is_set or params.multi_session:
        return []
    formats = find_formats(data)
    if not formats:
        known = ", ".join(HAS_FORMAT)
        return [
            f"{source}{data}: no recording of a known format ({known}): name the folder with the recordings, or the "
            "format with --set job_dispatch.input=spikeinterface and job_dispatch.spikeinterface_info"
            f"{hint_compressed(data)}"
        ]
    if len(formats) > 1 and params.input not in formats:
        listed = " and ".join(sorted(formats))
        return [f"{source}{data} has several formats, {listed}: name one, as --set job_dispatch.input={min(formats)}"]
    return []


def _runmode_overrides(options: dict[str, Any]) -> list[Override]:
    mode = str(options.get("runmode") or "full")
    return [Override(dotted, value, f"--runmode {mode}") for dotted, value in RUNMODES.get(mode, {}).items()]


def _sorter_override(options: dict[str, Any], document: dict[str, Any]) -> list[Override]:
    """`--sorter` has an effect where the file's `spikesorting.sorter` is absent or null."""
    sorter = options.get("sorter")
    if sorter not in list(SORTERS) or get_dotted(document, SORTER) is not None:
        return []
    return [Override(SORTER, sorter, "--sorter")]


def _assignments(text: Any) -> list[Override]:
    """The values that `--set` sets.

    Raises
    ------
    Rejected
        With every assignment that cannot be read.
    """
    overrides, problems = [], []
    for word in _split("--set", str(text or "")):
        try:
            pairs = parse_assignment(PipelineParams, word)
        except ValueError as error:
            problems.append(f"--set: {error}")
        else:
            overrides += [Override(path, value, "--set") for path, value in pairs.items()]
    if problems:
        raise Rejected(problems)
    return overrides


def _chosen_sorters(options: dict[str, Any], document: dict[str, Any], assignments: list[Override]) -> list[str]:
    """The sorters that run, for which `--spikesorting_args` is parsed; empty without a valid name.

    Raises
    ------
    Rejected
        When the arguments name an unknown sorter, or cannot be split into words.
    """
    option = "--spikesorting_args"
    parser = flags.Parser(prog=option, add_help=False)
    parser.add_argument("--sorter")
    name = parser.parse_known_args(_split(option, str(options.get("spikesorting_args") or "")))[0].sorter
    if name is not None and name not in SORTERS:
        known = list(SORTERS)
        text = f"--sorter: must be one of {', '.join(known)}; got {name!r}{nearest(name, known)}"
        raise Rejected([f"{option}: {text}"])
    assigned = next((override.value for override in reversed(assignments) if override.dotted == SORTER), None)
    names = str(assigned or name or get_dotted(document, SORTER) or options.get("sorter") or "").split(",")
    return names if all(name in SORTERS for name in names) else []


def _step_overrides(stage: str, text: Any, sorters: list[str]) -> list[Override]:
    """The values that `--<stage>_args` sets.

    Raises
    ------
    Rejected
        With every argument that cannot be read.
    """
    if text in (None, ""):
        return []
    origin, path = f"--{stage}_args", SECTION_OF_STAGE[stage]
    values = flags.parse(_parser(stage, sorters), _split(origin, str(text)))
    return [Override(".".join((*path, dotted)), value.value, origin, value.flag) for dotted, value in values.items()]


def _split(option: str, text: str) -> list[str]:
    """The words of an option's text, as a shell splits them."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise Rejected([f"{option}: {error}: {text!r}"]) from None


def _parser(stage: str, sorters: list[str]) -> flags.Parser:
    """The parser of `--<stage>_args`.

    Sorting has the flags of the chosen sorters only; those of a single sorter also work without its name.
    """
    model: Any = PipelineParams
    for name in SECTION_OF_STAGE[stage]:
        model = model.model_fields[name].annotation
    parser = flags.Parser(prog=f"--{stage}_args", add_help=False)
    if stage != "spikesorting":
        flags.add_params(parser, model)
        return parser
    others = [name for name in SORTERS if name not in sorters]
    flags.add_params(parser, model, keep=lambda path: path[0] not in others, short=False)
    if len(sorters) == 1:
        flags.add_params(parser, SORTERS[sorters[0]].params, prefix=(sorters[0],))
    return parser


def _override_problems(overrides: list[Override]) -> list[str]:
    """What is wrong with the structure of each value from the options."""
    problems = []
    for override in overrides:
        document: dict[str, Any] = {}
        set_dotted(document, override.dotted, override.value)
        for problem in problems_of(PipelineParams, document):
            # A flag already says which parameter it sets.
            path = problem.path[len(override.dotted.split(".")) :] if override.flag else problem.path
            problems.append(f"{override.where}: {Problem(path, problem.text)}")
    return problems


def _whole_problems(resolved: Resolved, in_image: list[str]) -> list[Problem]:
    """Rules that several parameters break together, with each of the sorters, and sorters that cannot run here.

    A sorter that runs in an image need not be installed.
    """
    problems = []
    for name in resolved.sorters:
        spikesorting = resolved.params.spikesorting.model_copy(update={"sorter": name})
        chosen = resolved.params.model_copy(update={"spikesorting": spikesorting})
        problems += whole_file_problems(chosen)
        if name not in in_image and (reason := SORTERS[name].unavailable()):
            problems.append(Problem((), reason))
    return problems


def _locate(problem: Problem, name: str | None, file: strict_json.Document, overrides: list[Override]) -> str:
    """A problem with its origin: its last override, or its place in the file."""
    dotted = ".".join(map(str, problem.path))
    for override in reversed(overrides):
        if problem.path and (dotted + ".").startswith(override.dotted + "."):
            return f"{override.where}: {problem}"
    return str(problem) if name is None else locate(problem, name, file)


def _origins(params: PipelineParams, overrides: list[Override]) -> dict[str, str]:
    """Dotted name -> where its value comes from, for every value that is not the default."""
    origins = {}
    for dotted in differences(params):
        origins[dotted] = "params file"
        for override in overrides:
            if (dotted + ".").startswith(override.dotted + ".") or override.dotted.startswith(dotted + "."):
                origins[dotted] = override.origin
    return origins
