"""The help of the workflow: its options, and the main settings of each stage (`pipeline/help.txt`)."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator

from capsules.common.contract import SECTION_OF_STAGE
from capsules.common.installation import ROOT
from capsules.parameters.model import Leaf, Section, leaves, section_of, sections
from capsules.parameters.problems import quote
from capsules.resolve_params.options import HELP, LEAST, STEP_ARGS, SWITCHES
from capsules.resolve_params.params import PipelineParams

WIDTH, COLUMN = 110, 34
SETTING_COLUMN = 46
"""Where the meaning of a parameter begins: most paths are shorter."""
INTRODUCTION = """\
SpikeRelay: raw extracellular recordings in; curated units, figures and NWB files out.

usage:
  DATA_PATH=/data/session RESULTS_PATH=/data/results \\
  ./nextflow -C nextflow_local.config run main_multi_backend.nf --sorter kilosort4 [OPTIONS] [-resume]

On a SLURM cluster: -C nextflow_slurm.config. With -resume a run continues: only what changed is computed again.
"""
EXAMPLE = """\
example, the first 120 s of each recording, without LFP:
  --job_dispatch_args="--input spikeglx --debug --debug-duration 120" --nwb_ecephys_args="--skip-lfp"

Every parameter, e.g. --preprocessing_args="--bandpass_filter.freq_min 400": docs/parameters.md, or on the terminal
  spikerelay params show preprocessing.bandpass_filter
"""


def workflow_help() -> str:
    """What `--help` of the workflow prints."""
    options = [name for name in HELP if name not in STEP_ARGS]
    lines = ["options:", *(line for name in options for line in _row(_option(name), HELP[name]))]
    lines += ["", "main settings of the stages, which have defaults:"]
    for stage, path in SECTION_OF_STAGE.items():
        lines += ["", f'  --{stage}_args="..."', *_stage_lines(path)]
    return "\n".join([INTRODUCTION, *lines, "", EXAMPLE])


def main_settings() -> str:
    """The parameters of the editor's first screen and those with a short flag, by their paths as `--set` takes them."""
    groups = json.loads((ROOT / "params_app" / "essentials.json").read_text())["essentials"]
    essential = {path for group in groups for path in group["paths"]}
    lines = ["main settings (--set PATH=VALUE):"]
    rows: dict[str, str] = {}
    for leaf in leaves(PipelineParams):
        if leaf.flags or leaf.dotted in essential:
            # Several sorters have the same one.
            section, *inner = leaf.path
            is_sorters = section == "spikesorting" and len(inner) > 1
            path = f"spikesorting.SORTER.{'.'.join(inner[1:])}" if is_sorters else leaf.dotted
            default = " ".join([quote(leaf.default), *([leaf.unit] if leaf.unit else [])])
            rows.setdefault(path, f"{_shorten(leaf)} [{default}]")
    for path, text in rows.items():
        lines += _row(path, text, column=SETTING_COLUMN)
    return "\n".join([*lines, "", "`spikerelay params show PATH` explains one; without PATH it lists the sections."])


def describe_flag(flag: str) -> str:
    """How a run takes a stage's short flag, as the end of a message; empty for an unknown flag."""
    of_flag = [leaf for leaf in leaves(PipelineParams) if flag in leaf.flags]
    # A flag of several sorters has several paths.
    if len(of_flag) != 1:
        return ""
    value = of_flag[0].flags[flag]
    text = "VALUE" if value is ... else json.dumps(value)
    return f"; it is a stage's flag: write --set {of_flag[0].dotted}={text}"


def _option(name: str) -> str:
    if name in SWITCHES:
        return f"--{name}"
    return f"--{name} {'N' if name in LEAST else 'VALUE'}"


def _stage_lines(path: tuple[str, ...]) -> Iterator[str]:
    """The short flags of a stage, with their meaning; a flag of several sorters once."""
    model: type[Section] = PipelineParams
    for name in path:
        model = section_of(model.model_fields[name].annotation) or model
    for _, section in sections(model):
        for flag, choices in section.choice_flags.items():
            yield from _row(f"{flag} {'|'.join(choices)}", "sets several parameters at once", indent=4)
        for flag, name in section.off_flags.items():
            yield from _row(f"{flag} NAMES", f"turn off these of {name}, separated by commas", indent=4)
    rows: dict[str, str] = {}
    for leaf in leaves(model):
        for flag, value in leaf.flags.items():
            meaning = _shorten(leaf)
            if value is not ...:
                rows.setdefault(flag, f"{leaf.path[-1]} = {quote(value)}: {meaning}")
                continue
            default = [quote(leaf.default), *([leaf.unit] if leaf.unit else [])]
            rows.setdefault(f"{flag} VALUE", meaning if leaf.default is None else f"{meaning} [{' '.join(default)}]")
    for flag, text in rows.items():
        yield from _row(flag, text, indent=4)


def _shorten(leaf: Leaf) -> str:
    """The first sentence of a description; the others advise, and `spikerelay params show` has them."""
    return re.split(r"(?<=[.])\s", leaf.field.description or "")[0]


def _row(name: str, text: str, indent: int = 2, column: int = COLUMN) -> list[str]:
    """A name and its meaning in two columns."""
    wrapped = textwrap.wrap(text, WIDTH - column) or [""]
    start = f"{' ' * indent}{name}"
    first = [f"{start:<{column}}{wrapped[0]}"] if len(start) < column else [start, " " * column + wrapped[0]]
    return first + [" " * column + line for line in wrapped[1:]]
