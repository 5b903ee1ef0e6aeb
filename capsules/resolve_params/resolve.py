"""One set of parameters from the defaults, the params file, `--runmode` and `--<step>_args`, in this order.

Everything that the user said is checked here, and every mistake is told at once.
"""

from __future__ import annotations

import re
import shlex
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from capsules.common.contract import SECTION_OF_STAGE
from capsules.common.errors import Rejected, nearest
from capsules.job_dispatch.loaders import guess_format
from capsules.parameters import flags as cli
from capsules.parameters import strict_json
from capsules.parameters.model import get_dotted, set_dotted
from capsules.parameters.problems import Problem, problems_of
from capsules.resolve_params.machine import cluster
from capsules.resolve_params.params import PipelineParams
from capsules.resolve_params.params_file import differences, dump, placed, read_params_file, whole_file_problems
from capsules.spikesorting.sorters import SORTERS

RUNMODES: dict[str, dict[str, Any]] = {
    "full": {},
    "fast": {
        "preprocessing.motion_correction.compute": False,
        "preprocessing.motion_correction.apply": False,
        "postprocessing.extensions.spike_locations": None,
        "postprocessing.extensions.principal_components": None,
        "nwb.ecephys.write_lfp": False,
    },
}
"""Run mode -> the single parameters that it sets."""

STEP_ARGS = [f"{stage}_args" for stage in SECTION_OF_STAGE]
SWITCHES = ["overwrite", "release_intermediates", "skip_disk_check"]
"""Options without a value."""
MACHINE_OPTIONS = ["n_jobs", "n_gpus", "max_cpus", "max_memory", "max_time", *cluster.OPTIONS]
"""Options on the machine or the cluster, which change no result."""
OPTIONS = ["runmode", "sorter", "params_file", "sessions", *SWITCHES, *MACHINE_OPTIONS, *STEP_ARGS]
"""The pipeline's own options on Nextflow's command line."""
FORMS = {
    "max_memory": r"\d+(\.\d+)?[ .]?[KMGT]?B?",
    "max_time": r"(\d+(\.\d+)?[ .]?(ms|milli|millis|s|sec|seconds?|m|min|minutes?|h|hours?|d|days?) ?)+",
}
"""What Nextflow takes as a size and as a time."""
EXAMPLES = {"max_memory": "'16 GB'", "max_time": "'12 h'"}

INPUT = "job_dispatch.input"
_ABSENT = object()
NO_SORTER = f"no sorter chosen: give --sorter, or set spikesorting.sorter; one of {', '.join(SORTERS)}"
LEAST = {"n_jobs": 1, "n_gpus": 0, "max_cpus": 1} | cluster.COUNTS
"""Options that are counts -> the smallest one."""


@dataclass
class Resolved:
    """The checked parameters, and where each value that is not a default comes from.

    With several sorters `spikesorting.sorter` is null, and each has a section of its own.
    """

    params: PipelineParams
    sorters: list[str]
    origins: dict[str, str] = field(default_factory=dict)
    input_given: bool = True
    """Whether the user said which format the data have."""
    notes: list[str] = field(default_factory=list)

    def section(self, stage: str) -> dict[str, Any]:
        """A stage's section as JSON-ready data."""
        section: Any = self.params
        for name in SECTION_OF_STAGE[stage]:
            section = getattr(section, name)
        return section.model_dump(mode="json")

    def sortings(self) -> list[dict[str, Any]]:
        """For each sorter its `name`, whether it works on a `gpu`, its `section`, and what its recordings' ids end in.

        A single sorter leaves the ids as they are.
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

    def document(self, sorter: str | None = None) -> dict[str, Any]:
        """All parameters, as a params file holds them, with one of the sorters chosen."""
        document = dump(self.params)
        document["spikesorting"]["sorter"] = sorter or self.params.spikesorting.sorter
        return document


@dataclass(frozen=True)
class Override:
    """A value that goes over the params file, and where it comes from."""

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
        What runs container images, e.g. docker; a sorter with an image of its own need not be installed then.

    Raises
    ------
    Rejected
        With every problem of the options, the file and the arguments.
    """
    problems = _option_problems(options)
    name = options.get("params_file")
    file = strict_json.Document({})
    if name is not None:
        try:
            file = read_params_file(launch_folder / str(name), str(name))
        except Rejected as refusal:
            problems += refusal.problems
    overrides = _runmode_overrides(options) + _sorter_override(options, file.value)
    sorters: list[str] = []
    try:
        sorters = _chosen_sorters(options, file.value)
    except Rejected as refusal:
        problems += refusal.problems
    for stage in SECTION_OF_STAGE:
        if stage == "spikesorting" and not sorters:
            # What its arguments mean depends on the sorter; that there is none is told instead.
            problems += [] if problems else [NO_SORTER]
            continue
        try:
            overrides += _arguments(stage, options.get(f"{stage}_args"), sorters)
        except Rejected as refusal:
            problems += refusal.problems
    problems += _override_problems(overrides)
    if problems:
        raise Rejected(list(dict.fromkeys(problems)))
    document = deepcopy(file.value)
    for override in overrides:
        set_dotted(document, override.dotted, override.value)
    params = PipelineParams.model_validate(document)
    given = get_dotted(file.value, INPUT, _ABSENT) is not _ABSENT or any(one.dotted == INPUT for one in overrides)
    resolved = Resolved(params, sorters, _origins(params, file.value, overrides), given)
    in_image = [name for name in sorters if container_engine and SORTERS[name].has_image]
    if problems := [_placed(problem, name, file, overrides) for problem in _whole_problems(resolved, in_image)]:
        raise Rejected(list(dict.fromkeys(problems)))
    if (asked := options.get("sorter")) not in (None, ",".join(sorters)):
        resolved.notes.append(f"--sorter {asked} has no effect: the parameters name {', '.join(sorters)}")
    if len(sorters) > 1:
        resolved.notes.append(f"each recording is sorted {len(sorters)} times, by {' and '.join(sorters)}")
    for sorter in in_image:
        resolved.notes.append(f"{sorter} runs in its container image, by {container_engine}: not looked for here")
    return resolved


def guess_input(resolved: Resolved, data: Path) -> None:
    """Take the one format that the data folder holds, when the user named none, and say so."""
    params = resolved.params.job_dispatch
    if resolved.input_given:
        return
    folders = [path for path in data.iterdir() if path.is_dir()] if params.multi_session else [data]
    found = {guess_format(folder) for folder in folders} - {None}
    if len(found) == 1 and (name := found.pop()) != params.input:
        params.input = name
        resolved.origins[INPUT] = "found in the data folder"
        resolved.notes.append(f"--input {name}: no input was named, and this is the one format in the data folder")


def _option_problems(options: dict[str, Any]) -> list[str]:
    problems = []
    for name in options:
        # Nextflow offers `--some-thing` as someThing too; the user typed only one of them.
        if name not in OPTIONS and not any(other != name and _camel(other) == name for other in options):
            problems.append(f"--{name}: unknown option{nearest(name, OPTIONS)}")
    for name, least in LEAST.items():
        given = options.get(name)
        if given is not None and not (isinstance(given, int) and not isinstance(given, bool) and given >= least):
            problems.append(f"--{name}: a whole number of at least {least} is needed; got {given!r}")
    for name, form in FORMS.items():
        given = options.get(name)
        if given is not None and not re.fullmatch(form, str(given), re.IGNORECASE):
            problems.append(f"--{name}: must be like {EXAMPLES[name]}; got {given!r}")
    for name in SWITCHES:
        if not isinstance(given := options.get(name) or False, bool):
            problems.append(f"--{name}: is given without a value; got {given!r}")
    known = list(RUNMODES)
    mode = options.get("runmode")
    if mode is not None and mode not in known:
        problems.append(f"--runmode: one of {', '.join(known)}; got {mode!r}{nearest(str(mode), known)}")
    return problems + cluster.option_problems(options) + _sorter_problems(options.get("sorter"))


def _sorter_problems(given: Any) -> list[str]:
    """What is wrong with `--sorter`: one name, or several separated by commas."""
    known = list(SORTERS)
    names = [] if given is None else str(given).split(",")
    problems = [
        f"--sorter: one of {', '.join(known)}, or several with commas between; got {name!r}{nearest(name, known)}"
        for name in names
        if name not in known
    ]
    return problems + [f"--sorter: {name} is named twice" for name in dict.fromkeys(names) if names.count(name) > 1]


def _runmode_overrides(options: dict[str, Any]) -> list[Override]:
    mode = str(options.get("runmode") or "full")
    return [Override(dotted, value, f"--runmode {mode}") for dotted, value in RUNMODES.get(mode, {}).items()]


def _sorter_override(options: dict[str, Any], document: dict[str, Any]) -> list[Override]:
    """`--sorter` counts where the file's `spikesorting.sorter` is absent or null."""
    given = options.get("sorter")
    if given not in list(SORTERS) or get_dotted(document, "spikesorting.sorter") is not None:
        return []
    return [Override("spikesorting.sorter", given, "--sorter")]


def _chosen_sorters(options: dict[str, Any], document: dict[str, Any]) -> list[str]:
    """The sorters that run, which `--spikesorting_args` is about; none when nobody named one that there is.

    Raises
    ------
    Rejected
        When the arguments name one that there is not, or cannot be split into words.
    """
    parser = cli.Parser(prog="--spikesorting_args", add_help=False)
    parser.add_argument("--sorter")
    named = parser.parse_known_args(_split("spikesorting", str(options.get("spikesorting_args") or "")))[0].sorter
    if named is not None and named not in SORTERS:
        known = list(SORTERS)
        text = f"--sorter: must be one of {', '.join(known)}; got {named!r}{nearest(named, known)}"
        raise Rejected([f"--spikesorting_args: {text}"])
    chosen = named or get_dotted(document, "spikesorting.sorter") or options.get("sorter") or ""
    names = str(chosen).split(",")
    return names if all(name in SORTERS for name in names) else []


def _arguments(stage: str, text: Any, sorters: list[str]) -> list[Override]:
    """What `--<stage>_args` sets.

    Raises
    ------
    Rejected
        With every argument that cannot be read.
    """
    if text in (None, ""):
        return []
    origin, path = f"--{stage}_args", SECTION_OF_STAGE[stage]
    given = cli.parse(_parser(stage, sorters), _split(stage, str(text)))
    return [Override(".".join((*path, dotted)), one.value, origin, one.flag) for dotted, one in given.items()]


def _split(stage: str, text: str) -> list[str]:
    """The words of an argument text, as a shell splits them."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise Rejected([f"--{stage}_args: {error}: {text!r}"]) from None


def _parser(stage: str, sorters: list[str]) -> cli.Parser:
    """The parser of `--<stage>_args`; sorting's knows the chosen sorters alone, a single one without its name too."""
    model: Any = PipelineParams
    for name in SECTION_OF_STAGE[stage]:
        model = model.model_fields[name].annotation
    parser = cli.Parser(prog=f"--{stage}_args", add_help=False)
    if stage != "spikesorting":
        cli.add_params(parser, model)
        return parser
    others = [name for name in SORTERS if name not in sorters]
    cli.add_params(parser, model, keep=lambda path: path[0] not in others, short=False)
    if len(sorters) == 1:
        cli.add_params(parser, SORTERS[sorters[0]].params, prefix=(sorters[0],))
    return parser


def _override_problems(overrides: list[Override]) -> list[str]:
    """What is wrong with the structure of what the options say, by itself."""
    problems = []
    for override in overrides:
        document: dict[str, Any] = {}
        set_dotted(document, override.dotted, override.value)
        for problem in problems_of(PipelineParams, document):
            inner = ".".join(map(str, problem.path[len(override.dotted.split(".")) :]))
            problems.append(": ".join(part for part in (override.where, inner, problem.text) if part))
    return problems


def _whole_problems(resolved: Resolved, in_image: list[str]) -> list[Problem]:
    """What the parameters break together, with each of the sorters, and which sorters cannot run here.

    Those that run in an image are not looked for on this machine.
    """
    problems = []
    for name in resolved.sorters:
        chosen = resolved.params.model_copy(deep=True)
        chosen.spikesorting.sorter = name
        problems += whole_file_problems(chosen)
        if name not in in_image and (reason := SORTERS[name].unavailable()):
            problems.append(Problem((), reason))
    return problems


def _placed(problem: Problem, name: str | None, file: strict_json.Document, overrides: list[Override]) -> str:
    """A problem with where it comes from: the last override of it, or its place in the file."""
    dotted = ".".join(map(str, problem.path))
    for override in reversed(overrides):
        if problem.path and (dotted + ".").startswith(override.dotted + "."):
            return f"{override.where}: {problem}"
    return str(problem) if name is None else placed(problem, name, file)


def _origins(params: PipelineParams, document: dict[str, Any], overrides: list[Override]) -> dict[str, str]:
    """Dotted name -> where its value comes from, for every value that is not the default."""
    origins = {}
    for dotted in differences(params):
        origins[dotted] = "params file"
        for override in overrides:
            if (dotted + ".").startswith(override.dotted + ".") or override.dotted.startswith(dotted + "."):
                origins[dotted] = override.origin
    return origins


def _camel(name: str) -> str:
    first, *rest = name.split("-")
    return first + "".join(part.capitalize() for part in rest)
