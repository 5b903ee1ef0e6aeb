"""The pipeline's own options on Nextflow's command line: their names, and what their values may be."""

from __future__ import annotations

import argparse
import re
import shlex
from typing import Any

from capsules.common.contract import SECTION_OF_STAGE
from capsules.common.errors import nearest
from capsules.resolve_params.machine import cluster
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
"""Options about the machine or the cluster, which change no result."""
OPTIONS = ["runmode", "sorter", "params_file", "sessions", *SWITCHES, *MACHINE_OPTIONS, *STEP_ARGS, "set"]
HELP = {
    "runmode": "full, or fast: without motion, LFP, spike locations and principal components",
    "sorter": "the sorter, or several separated by commas; has no effect when the params file names one",
    "params_file": "the params file",
    "sessions": "a sheet of sessions (CSV), in place of a data folder",
    "overwrite": "replace the results of other data, and move files that no run wrote aside",
    "release_intermediates": "remove the work files at the end of the run",
    "skip_disk_check": "run even if the disks seem too small",
    "n_jobs": "the cores that the run uses [default: all]",
    "n_gpus": "the GPUs that the sorting shares [default: all]",
    "set": "a parameter by its path, e.g. preprocessing.motion_correction.preset=dredge; may be repeated",
} | {f"{stage}_args": f"flags of {stage}, as one text" for stage in SECTION_OF_STAGE}
"""The meaning of the options in the help of a command."""
LEAST = {"n_jobs": 1, "n_gpus": 0, "max_cpus": 1} | cluster.COUNTS
"""Options that are counts -> the smallest valid count."""
FORMS = {
    "max_memory": r"\d+(\.\d+)?[ .]?[KMGT]?B?",
    "max_time": r"(\d+(\.\d+)?[ .]?(ms|milli|millis|s|sec|seconds?|m|min|minutes?|h|hours?|d|days?) ?)+",
}
"""Sizes and times as Nextflow reads them."""
EXAMPLES = {"max_memory": "'16 GB'", "max_time": "'12 h'"}


def chosen_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The pipeline's options on a command line, as Nextflow passes them on."""
    options = {name: value for name in OPTIONS if (value := getattr(arguments, name)) is not None}
    # On Nextflow's command line no option is repeated.
    return options | ({"set": shlex.join(options["set"])} if "set" in options else {})


def option_problems(options: dict[str, Any]) -> list[str]:
    """What is wrong with each option."""
    problems = []
    for name in options:
        # Nextflow offers `--some-thing` as someThing too; the user typed only one of them.
        if name not in OPTIONS and not any(other != name and _camel_case(other) == name for other in options):
            problems.append(f"--{name}: unknown option{nearest(name, OPTIONS)}")
    for name, least in LEAST.items():
        value = options.get(name)
        if value is not None and not (isinstance(value, int) and not isinstance(value, bool) and value >= least):
            problems.append(f"--{name}: must be an integer of at least {least}; got {value!r}")
    for name, form in FORMS.items():
        value = options.get(name)
        if value is not None and not re.fullmatch(form, str(value), re.IGNORECASE):
            problems.append(f"--{name}: must be like {EXAMPLES[name]}; got {value!r}")
    for name in SWITCHES:
        if not isinstance(value := options.get(name) or False, bool):
            problems.append(f"--{name}: takes no value; got {value!r}")
    mode = options.get("runmode")
    if mode is not None and str(mode) not in RUNMODES:
        known = list(RUNMODES)
        problems.append(f"--runmode: must be one of {', '.join(known)}; got {mode!r}{nearest(str(mode), known)}")
    return problems + cluster.option_problems(options) + _sorter_problems(options.get("sorter"))


def _sorter_problems(text: Any) -> list[str]:
    """What is wrong with `--sorter`: the name of a sorter, or several names separated by commas."""
    known = list(SORTERS)
    names = [] if text is None else str(text).split(",")
    problems = [
        f"--sorter: must be one of {', '.join(known)}, or several separated by commas; got {name!r}"
        f"{nearest(name, known)}"
        for name in names
        if name not in known
    ]
    return problems + [f"--sorter: {name} is named twice" for name in dict.fromkeys(names) if names.count(name) > 1]


def _camel_case(name: str) -> str:
    first, *rest = name.split("-")
    return first + "".join(part.capitalize() for part in rest)
