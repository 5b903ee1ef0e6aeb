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
STEP_HELP = {f"{stage}_args": f"parameters of {stage}, in quotes" for stage in SECTION_OF_STAGE}
HELP = {
    "sorter": f"the sorter: {', '.join(SORTERS)}; several names, separated by commas, sort each recording with each",
    "params_file": "JSON file of parameters",
    "sessions": "CSV file with one data folder per row, instead of DATA_PATH",
    "runmode": "full, or fast: no motion, no LFP, no spike locations, no principal components",
    "n_jobs": "cores that the run uses; on a cluster, cores of each job",
    "n_gpus": "GPUs that the run uses; on a cluster, GPU jobs at a time",
    "max_cpus": "most cores of one task",
    "max_memory": "most memory of one task, and on one machine of all tasks together, e.g. '16 GB'",
    "max_time": "longest time of one task, e.g. '12 h'",
    "slurm_queue": "cluster: the partition",
    "slurm_account": "cluster: the account",
    "slurm_options": "cluster: further sbatch options, e.g. '--qos=high'",
    "slurm_gpu_queue": "cluster: the partition of jobs that use a GPU",
    "slurm_gpu_options": "cluster: sbatch options of jobs that use a GPU, e.g. '--gres=gpu:1'",
    "slurm_scratch": "cluster: a folder on each node, e.g. '$TMPDIR', in which jobs work",
    "slurm_jobs": "cluster: most jobs in the queue at a time",
    "overwrite": "replace results of other data in the results folder",
    "release_intermediates": "remove the work files after a run without failures",
    "skip_disk_check": "start also when the results may not fit on the disk",
    **STEP_HELP,
    "set": "a parameter by its path, e.g. preprocessing.motion_correction.preset=dredge; may be repeated",
}
"""Option -> what it does, in the order of the help."""
OPTIONS = list(HELP)
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


def convert_texts(options: dict[str, Any]) -> dict[str, Any]:
    """The options with counts and switches as values.

    Nextflow 26.04 leaves what was typed as text, and so do earlier ones with NXF_DISABLE_PARAMS_TYPE_DETECTION.
    """
    converted = dict(options)
    for name, value in options.items():
        if name in LEAST and isinstance(value, str) and re.fullmatch("[0-9]{1,9}", value):
            converted[name] = int(value)
        elif name in (*SWITCHES, "slurm_scratch") and str(value).lower() in ("true", "false"):
            converted[name] = str(value).lower() == "true"
    return converted


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
