"""One set of parameters from the defaults, the params file, `--runmode` and `--<step>_args`, in this order.

Everything that the user said is checked here, and every mistake is told at once.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from capsules.common import cli
from capsules.common.errors import Refused, describe, nearest
from capsules.common.params import leaves, set_dotted
from capsules.curation.query import QueryError, parse
from capsules.resolve_params.params import SECTION_OF_STAGE, PipelineParams
from capsules.spikesorting.sorters import SORTERS

RUNMODES: dict[str, dict[str, Any]] = {
    "full": {},
    "fast": {
        "preprocessing.motion_correction.compute": False,
        "preprocessing.motion_correction.apply": False,
        "nwb.ecephys.write_lfp": False,
    },
}
"""Run mode -> the single parameters that it sets."""
SLOW_EXTENSIONS = ("spike_locations", "principal_components")
"""Extensions that `--runmode fast` leaves out."""

STEP_ARGS = [f"{stage}_args" for stage in SECTION_OF_STAGE]
OPTIONS = ["n_jobs", "runmode", "sorter", "params_file", "overwrite", "max_memory", "max_time", *STEP_ARGS]
"""The pipeline's own options on Nextflow's command line."""


@dataclass
class Resolved:
    """The checked parameters, and where each value that is not a default comes from."""

    params: PipelineParams
    origins: dict[str, str] = field(default_factory=dict)

    def section(self, stage: str) -> dict[str, Any]:
        """A stage's section as JSON-ready data; of the sorters' sections only the chosen one's."""
        section: Any = self.params
        for name in SECTION_OF_STAGE[stage]:
            section = getattr(section, name)
        if stage == "spikesorting":
            return section.model_dump(mode="json", include={"sorter", section.sorter})
        return section.model_dump(mode="json")


def resolve(options: dict[str, Any], launch_folder: Path) -> Resolved:
    """Resolve the options of a run.

    Parameters
    ----------
    options : dict
        Nextflow's params: option -> value.
    launch_folder : Path
        Relative paths in the options start here.

    Raises
    ------
    Refused
        With every problem of the options, the file and the arguments.
    """
    problems = _unknown_options(options)
    document, origins = {}, {}
    try:
        document = _read_file(options.get("params_file"), launch_folder)
        origins = dict.fromkeys(_given(document), "params file")
    except Refused as refusal:
        problems += refusal.problems
    overrides: list[tuple[str, str, Any]] = []
    for step in (_runmode_overrides, _sorter_override, _argument_overrides):
        try:
            overrides += step(options, document)
        except Refused as refusal:
            problems += refusal.problems
    try:
        # The file by itself first: arguments can be laid only over sections that are sections.
        PipelineParams.model_validate(document)
        for origin, dotted, value in overrides:
            set_dotted(document, dotted, value)
            origins[dotted] = origin
        params = PipelineParams.model_validate(document)
    except ValidationError as error:
        problems += describe(error, "", PipelineParams)
    if problems:
        raise Refused(list(dict.fromkeys(problems)))
    _check_across(params)
    return Resolved(params, origins)


def read_params_file(file: Path) -> PipelineParams:
    """Read and check a params file on its own.

    Raises
    ------
    Refused
        With every problem of the file.
    """
    try:
        return PipelineParams.model_validate(_read_file(file, Path()))
    except ValidationError as error:
        raise Refused(describe(error, "", PipelineParams)) from None


def _unknown_options(options: dict[str, Any]) -> list[str]:
    problems = []
    for name in options:
        # Nextflow offers `--some-thing` as someThing too; the user typed only one of them.
        if name not in OPTIONS and not any(other != name and _camel(other) == name for other in options):
            problems.append(f"--{name}: unknown option{nearest(name, OPTIONS)}")
    jobs = options.get("n_jobs")
    if jobs is not None and not (isinstance(jobs, int) and not isinstance(jobs, bool) and jobs >= 1):
        problems.append(f"--n_jobs: a whole number of at least 1 is needed; got {jobs!r}")
    return problems


def _read_file(name: Any, launch_folder: Path) -> dict[str, Any]:
    if name is None:
        return {}
    file = launch_folder / str(name)
    try:
        document = json.loads(file.read_text(), object_pairs_hook=_refuse_duplicates, parse_constant=_refuse_constant)
    except OSError as error:
        raise Refused([f"--params_file {name}: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise Refused([f"--params_file {name}: not a UTF-8 text file"]) from None
    except json.JSONDecodeError as error:
        raise Refused([f"{name}, line {error.lineno} column {error.colno}: {error.msg}"]) from None
    if not isinstance(document, dict):
        raise Refused([f"{name}: a JSON object is needed, with one section per stage"])
    return document


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise Refused([f"params file: {', '.join(twice)} given twice in one object"])
    return document


def _refuse_constant(text: str) -> None:
    raise Refused([f"params file: {text} is not JSON; leave the parameter out or use null"])


def _runmode_overrides(options: dict[str, Any], document: dict) -> list[tuple[str, str, Any]]:
    mode = options.get("runmode") or "full"
    if mode not in RUNMODES:
        raise Refused([f"--runmode: one of {', '.join(RUNMODES)}; got {mode!r}"])
    overrides = [(f"--runmode {mode}", dotted, value) for dotted, value in RUNMODES[mode].items()]
    if mode == "fast":
        section = document.get("postprocessing")
        given = section.get("extensions") if isinstance(section, dict) else None
        extensions = PipelineParams().postprocessing.extensions if given is None else given
        if isinstance(extensions, dict):
            kept = {name: value for name, value in extensions.items() if name not in SLOW_EXTENSIONS}
            overrides.append((f"--runmode {mode}", "postprocessing.extensions", kept))
    return overrides


def _sorter_override(options: dict[str, Any], document: dict) -> list[tuple[str, str, Any]]:
    """`--sorter` counts where the file's `spikesorting.sorter` is absent or null."""
    given = options.get("sorter")
    if given is not None and given not in SORTERS:
        known = ", ".join(SORTERS)
        raise Refused([f"--sorter: one of {known}; got {given!r}{nearest(str(given), list(SORTERS))}"])
    section = document.get("spikesorting")
    in_file = section.get("sorter") if isinstance(section, dict) else None
    return [("--sorter", "spikesorting.sorter", given)] if given is not None and in_file is None else []


def _argument_overrides(options: dict[str, Any], document: dict) -> list[tuple[str, str, Any]]:
    overrides, problems = [], []
    for stage, path in SECTION_OF_STAGE.items():
        text = options.get(f"{stage}_args")
        if text in (None, ""):
            continue
        try:
            values = _parse_arguments(stage, str(text))
            overrides += [(f"--{stage}_args", ".".join((*path, dotted)), value) for dotted, value in values.items()]
        except Refused as refusal:
            problems += refusal.problems
    if problems:
        raise Refused(problems)
    return overrides


def _parse_arguments(stage: str, text: str) -> dict[str, Any]:
    model: Any = PipelineParams
    for name in SECTION_OF_STAGE[stage]:
        model = model.model_fields[name].annotation
    parser = cli.Parser(prog=f"--{stage}_args", add_help=False)
    cli.add_params(parser, model)
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise Refused([f"--{stage}_args: {error}: {text!r}"]) from None
    known, unknown = parser.parse_known_args(words)
    if unknown:
        flags = [flag for action in parser._actions for flag in action.option_strings]
        raise Refused([f"--{stage}_args: unknown argument {word!r}{nearest(word, flags)}" for word in unknown])
    return known.overrides


def _check_across(params: PipelineParams) -> None:
    """What can only be told from several parameters together."""
    problems = []
    sorter = params.spikesorting.sorter
    if sorter is None:
        problems.append(f"no sorter chosen: give --sorter, or set spikesorting.sorter; one of {', '.join(SORTERS)}")
    elif reason := SORTERS[sorter].unavailable():
        problems.append(reason)
    band = params.preprocessing.bandpass_filter
    if band.freq_min >= band.freq_max:
        problems.append("preprocessing.bandpass_filter: freq_min must be below freq_max")
    lfp = params.nwb.ecephys.lfp.filter
    if lfp.freq_min >= lfp.freq_max:
        problems.append("nwb.ecephys.lfp.filter: freq_min must be below freq_max")
    if params.job_dispatch.input == "spikeinterface" and params.job_dispatch.spikeinterface_info is None:
        problems.append("job_dispatch.spikeinterface_info is needed when input is spikeinterface")
    if params.curation.query:
        try:
            parse(params.curation.query)
        except QueryError as error:
            problems.append(str(error))
    if problems:
        raise Refused(problems)


_ABSENT = object()


def _given(document: dict[str, Any]) -> list[str]:
    """The dotted names of the parameters that a document sets."""
    given = []
    for leaf in leaves(PipelineParams):
        value: Any = document
        for key in leaf.path:
            value = value.get(key, _ABSENT) if isinstance(value, dict) else _ABSENT
        if value is not _ABSENT:
            given.append(leaf.dotted)
    return given


def _camel(name: str) -> str:
    first, *rest = name.split("-")
    return first + "".join(part.capitalize() for part in rest)
