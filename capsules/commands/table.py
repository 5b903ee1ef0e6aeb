"""The commands of `spikerelay`, in the order of its help: what each does, its arguments and its module.

Nothing but the standard library is imported here: `spikerelay doctor` must run where the other commands cannot.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capsules.common.errors import nearest


@dataclass(frozen=True)
class Command:
    """A command; `module` of `capsules.commands` is imported when the command is chosen.

    Attributes
    ----------
    group : str
        The heading in the help below which the command is listed, one of `GROUPS`.
    help : str
    usage : str
        The command's line in the help; `{}` is its name.
    add_arguments : callable
    module, function : str
        The function takes the parsed arguments and returns the exit code.
    uses_libraries : bool
        Whether the module imports SpikeInterface, whose compiled code is then cached.
    parse : callable
        Parses the words after the command.
    examples : tuple of str
        Lines of a shell, shown by the command's `--help`.
    more_help : callable, optional
        What the command's `--help` shows after the examples.
    """

    group: str
    help: str
    usage: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    module: str
    function: str = "run"
    uses_libraries: bool = True
    parse: Callable[[argparse.ArgumentParser, Sequence[str]], argparse.Namespace] = argparse.ArgumentParser.parse_args
    examples: tuple[str, ...] = ()
    more_help: Callable[[], str] | None = None


CLUSTER = "cluster, with --profile slurm"
OPTION_GROUPS: dict[str, tuple[str, ...]] = {
    "what is sorted, and how": ("sorter", "set", "params_file", "runmode", "sessions"),
    "the results": ("overwrite", "release_intermediates", "skip_disk_check"),
    "cores, memory, time": ("n_jobs", "n_gpus", "max_cpus", "max_memory", "max_time"),
    CLUSTER: (),
}
"""Heading in the help of a run -> the workflow's options below it; those of the cluster begin with `slurm`."""
LAST_GROUP = "parameters of a stage by its flags, in quotes; --set is simpler"
METAVARS = {"sorter": "NAME", "runmode": "MODE", "params_file": "FILE", "sessions": "FILE"}


GROUPS = ("before a run", "a run", "after a run", "parameters", "this machine")
"""In the order of the help; a group without commands is not listed."""


def _doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, metavar="DIR", help="the data folder [default: $DATA_PATH]")
    parser.add_argument("--results", type=Path, metavar="DIR", help="the results folder [default: $RESULTS_PATH]")


def _params_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path)


def _params_show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help="dotted name, as in a params file [default: list the sections]")


def _params_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="params file of AIND's pipeline, Kilosort4's settings, or its ops.npy")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="the params file to write [default: print it; changes go to stderr]"
    )


def _completion(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=["bash", "zsh"])


def _pipeline_options(parser: argparse.ArgumentParser) -> None:
    # pydantic, which a broken installation may lack, is imported with the options.
    from capsules.resolve_params.options import HELP, LEAST, SWITCHES

    groups = {title: parser.add_argument_group(title) for title in (*OPTION_GROUPS, LAST_GROUP)}
    listed = [name for names in OPTION_GROUPS.values() for name in names]
    title_of = {name: title for title, names in OPTION_GROUPS.items() for name in names}
    for name in [*listed, *(name for name in HELP if name not in listed)]:
        kind: dict[str, Any] = {"metavar": METAVARS.get(name, "VALUE")}
        if name in LEAST:
            kind = {"type": int, "metavar": "N"}
        if name in SWITCHES:
            kind = {"action": "store_true"}
        elif name == "set":
            kind = {"action": "append", "metavar": "PATH=VALUE"}
        first, *others = dict.fromkeys(
            ["--params"] * (name == "params_file") + [f"--{name.replace('_', '-')}", f"--{name}"]
        )
        group = groups[title_of.get(name, CLUSTER if name.startswith("slurm_") else LAST_GROUP)]
        text = HELP[name].removeprefix("cluster: ").replace("%", "%%")
        group.add_argument(first, dest=name, **kind, default=None, help=text)
        if others:
            # The spellings of the workflow's options work too; the help would be twice as long with them.
            parser.add_argument(*others, dest=name, **kind, default=None, help=argparse.SUPPRESS)


def _plan(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, metavar="DIR", help="the data folder [default: $DATA_PATH]")
    _pipeline_options(parser)
    parser.add_argument("-w", "--work", type=Path, default=Path("work"), metavar="DIR", help="as Nextflow's -w")
    parser.add_argument("--results", type=Path, metavar="DIR", help="the results folder [default: $RESULTS_PATH]")


def _run(parser: argparse.ArgumentParser) -> None:
    parser.allow_abbrev = False
    parser.usage = f"{parser.prog} DATA [RESULTS] [OPTIONS] [-- NEXTFLOW OPTIONS]"
    parser.add_argument(
        "data",
        type=Path,
        nargs="?",
        metavar="DATA",
        help="the data folder; left out with --sessions [default: $DATA_PATH]",
    )
    parser.add_argument(
        "results",
        type=Path,
        nargs="?",
        metavar="RESULTS",
        help="the results folder [default: $RESULTS_PATH, or a folder here that is named after the data]",
    )
    parser.add_argument(
        "--profile",
        metavar="NAMES",
        help="slurm: tasks are jobs of a cluster; docker, apptainer, ...: tasks run in containers; separated by commas",
    )
    parser.add_argument("--resume", action="store_true", help="do only what the last run here into RESULTS did not do")
    # Messages that both commands share name Nextflow's spelling.
    parser.add_argument("-resume", dest="resume", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--dry-run", action="store_true", help="print the plan, as `spikerelay plan` does; run nothing")
    parser.add_argument("-w", "--work", type=Path, metavar="DIR", help="as Nextflow's -w [default: work]")
    _pipeline_options(parser)


def _describe_main_settings() -> str:
    from capsules.resolve_params.usage import main_settings

    return main_settings()


def _parse_run(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.Namespace:
    """DATA and RESULTS may have options between them; what follows `--` is Nextflow's."""
    own = list(words[: words.index("--")] if "--" in words else words)
    arguments, unknown = parser.parse_known_intermixed_args(own)
    if unknown:
        from capsules.resolve_params.usage import describe_flag

        known = [flag for action in parser._actions for flag in action.option_strings]
        flag = unknown[0].split("=")[0]
        parser.error(f"unknown argument {unknown[0]!r}{describe_flag(flag) or nearest(flag, known)}")
    arguments.nextflow = list(words[len(own) + 1 :])
    return arguments


def _demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        default=Path("spikerelay_demo"),
        metavar="FOLDER",
        help="where the session and its results are written [default: spikerelay_demo]",
    )
    parser.add_argument("--no-run", action="store_true", help="write the session only, and sort nothing")


def _setup(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "releases",
        nargs="*",
        metavar="RELEASE",
        help="further releases of Nextflow, e.g. 25.04.4 [default: the pinned one]",
    )


def _editor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("port", type=int, nargs="?", metavar="PORT", help="[default: 8765, or the next free one]")
    parser.add_argument("--no-browser", action="store_true", help="print the address, and open no browser")


def _inspect(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", type=Path)
    parser.add_argument(
        "arguments",
        nargs=argparse.REMAINDER,
        help="as in --job_dispatch_args [default: the format is detected from the files]",
    )


def _sync(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--params", type=Path, metavar="FILE", help="the params file [default: the default parameters]")
    parser.add_argument(
        "--set",
        action="append",
        metavar="PATH=VALUE",
        help="set a parameter, e.g. job_dispatch.sync.reference=imec0.ap",
    )
    parser.add_argument("--figure", type=Path, metavar="FILE", help="plot the residuals over time (.png, .svg, .pdf)")
    parser.usage = f"{parser.prog} DATA [--params FILE] [--set PATH=VALUE] [--figure FILE] [as in --job_dispatch_args]"


def _parse_sync(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.Namespace:
    """What is not an argument of the command is one of job dispatch."""
    parser.allow_abbrev = False
    arguments, arguments_of_dispatch = parser.parse_known_args(words)
    arguments.arguments = arguments_of_dispatch
    return arguments


def _fetch_models(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--params", type=Path, metavar="FILE", help="the params file [default: the default parameters]")


def _probe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="manufacturer and probe, e.g. cambridgeneurotech/ASSY-156-P-1")
    parser.add_argument(
        "--wiring",
        required=True,
        metavar="NAME",
        help="how the contacts are connected to the channels: a wiring of probeinterface, e.g. ASSY-156>RHD2164, "
        "or in-order: channel i is contact i. A wrong name lists those that fit",
    )
    parser.add_argument("--output", type=Path, default=Path("probe.json"), metavar="FILE", help="[default: probe.json]")


def _results(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("results", type=Path)


def _status(parser: argparse.ArgumentParser) -> None:
    _results(parser)
    parser.add_argument("--watch", action="store_true", help="update the view until the run ends")


def _load(parser: argparse.ArgumentParser) -> None:
    _results(parser)
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="the raw data, for the traces [default: the data folder of the run]"
    )


def _recording(parser: argparse.ArgumentParser) -> None:
    _results(parser)
    parser.add_argument("--recording", metavar="ID", help="needed when several recordings have units")


def _export(parser: argparse.ArgumentParser) -> None:
    _recording(parser)
    parser.add_argument("--to", required=True, choices=["phy", "aind"], help="the units, or AIND's metadata")
    parser.add_argument("--output", type=Path, metavar="DIR", help="[default: RESULTS/phy/ID or RESULTS/aind_metadata]")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="the raw data. phy: the traces are then written as well; "
        "aind: the session's data_description.json is read there [default: the data folder of the run]",
    )
    parser.add_argument("--n_jobs", type=int, default=os.cpu_count(), metavar="N", help="phy: cores [default: all]")


def _curate(parser: argparse.ArgumentParser) -> None:
    _recording(parser)
    parser.add_argument("--apply", type=Path, required=True, metavar="FILE", help="your edited curation.json")
    parser.add_argument("--output", type=Path, metavar="DIR", help="[default: RESULTS/hand_curated/ID]")


COMMANDS = {
    "run": Command(
        "a run",
        "sort a data folder",
        "{} DATA [RESULTS]",
        _run,
        "run",
        uses_libraries=False,
        parse=_parse_run,
        more_help=_describe_main_settings,
        examples=(
            "spikerelay run /data/session /data/results --sorter kilosort4 --n-jobs 16",
            "spikerelay run /data/session --params my.json --set preprocessing.motion_correction.preset=dredge",
        ),
    ),
    "demo": Command(
        "a run",
        "sort a made-up session with two probes and stimuli, and compare the units with the true ones",
        "{} [FOLDER]",
        _demo,
        "demo",
        examples=("spikerelay demo", "spikerelay demo --no-run"),
    ),
    "status": Command(
        "a run",
        "show the progress of a run, also one of another terminal or machine",
        "{} RESULTS",
        _status,
        "status",
        uses_libraries=False,
        examples=("spikerelay status /data/results", "spikerelay status /data/results --watch"),
    ),
    "inspect": Command(
        "before a run",
        "list the recordings in a data folder, and what would not be sorted",
        "{} DATA",
        _inspect,
        "inspect",
        examples=("spikerelay inspect /data/session", "spikerelay inspect /data/session --input spikeglx"),
    ),
    "sync": Command(
        "before a run",
        "list the streams, lines and pulses of a data folder, and how well the clocks are aligned",
        "{} DATA",
        _sync,
        "sync",
        parse=_parse_sync,
        examples=(
            "spikerelay sync /data/session --figure residuals.png",
            "spikerelay sync /data/session --params my.json --set job_dispatch.sync.reference=imec0.ap",
        ),
    ),
    "probe": Command(
        "before a run",
        "write the channel positions of a probe, from probeinterface's library, to a file",
        "{} PROBE",
        _probe,
        "probe",
        examples=("spikerelay probe cambridgeneurotech/ASSY-156-P-1 --wiring 'ASSY-156>RHD2164'",),
    ),
    "plan": Command(
        "before a run",
        "list what a run with these options would do, and how long it would take: as `run --dry-run`",
        "{} [OPTIONS]",
        _plan,
        "plan",
        examples=(
            "spikerelay plan --data /data/session --sorter kilosort4 --n_jobs 16",
            'spikerelay plan --data /data/session --params_file my.json --nwb_ecephys_args="--skip-lfp"',
        ),
    ),
    "fetch-models": Command(
        "before a run",
        "download the classifiers' models",
        "{}",
        _fetch_models,
        "fetch_models",
        uses_libraries=False,
        examples=("spikerelay fetch-models --params my.json",),
    ),
    "load": Command(
        "after a run",
        "list the content of a results folder as Python that loads it",
        "{} RESULTS",
        _load,
        "load",
        examples=("spikerelay load /data/results",),
    ),
    "export": Command(
        "after a run",
        "write the units of a recording for Phy, or metadata in AIND's form",
        "{} RESULTS",
        _export,
        "export",
        examples=(
            "spikerelay export /data/results --to phy --recording day_imec0_recording1 --data /data/session",
            "spikerelay export /data/results --to aind --output /data/asset_metadata",
        ),
    ),
    "curate": Command(
        "after a run",
        "apply your edited curation, and write new files",
        "{} RESULTS",
        _curate,
        "curate",
        examples=("spikerelay curate /data/results --apply curation.json --recording day_imec0_recording1",),
    ),
    "rerun": Command(
        "after a run",
        "print the command that makes a run again",
        "{} RESULTS",
        _results,
        "rerun",
        examples=("spikerelay rerun /data/results",),
    ),
    "hash": Command(
        "after a run",
        "compute digests of the content of a results folder: equal content has equal digests",
        "{} RESULTS",
        _results,
        "digests",
        examples=("spikerelay hash /data/results",),
    ),
    "validate": Command(
        "parameters",
        "check a params file",
        "{} FILE",
        _params_file,
        "params_file",
        "validate",
        uses_libraries=False,
        examples=("spikerelay validate my.json",),
    ),
    "params show": Command(
        "parameters",
        "explain a parameter or a section: default, range, unit, meaning, flag",
        "{} [NAME]",
        _params_show,
        "params_show",
        uses_libraries=False,
        examples=(
            "spikerelay params show preprocessing.motion_correction",
            "spikerelay params show nwb.ecephys.write_lfp",
        ),
    ),
    "params diff": Command(
        "parameters",
        "list the parameters of a params file that differ from the defaults",
        "{} FILE",
        _params_file,
        "params_file",
        "show_differences",
        uses_libraries=False,
        examples=("spikerelay params diff my.json",),
    ),
    "params import": Command(
        "parameters",
        "turn a params file of AIND's pipeline, or Kilosort4's settings, into ours, and list every change",
        "{} FILE",
        _params_import,
        "params_import",
        uses_libraries=False,
        examples=(
            "spikerelay params import aind.json --output params.json",
            "spikerelay params import /data/kilosort4/ops.npy --output params.json",
        ),
    ),
    "editor": Command(
        "parameters",
        "edit a params file in the browser",
        "{}",
        _editor,
        "editor",
        uses_libraries=False,
        examples=("spikerelay editor",),
    ),
    "setup": Command(
        "this machine",
        "fetch Nextflow and compile code, once; the first run does it too",
        "{}",
        _setup,
        "setup",
        uses_libraries=False,
        examples=("spikerelay setup",),
    ),
    "doctor": Command(
        "this machine",
        "check whether this machine and this installation can run the pipeline, and what to do",
        "{}",
        _doctor,
        "doctor",
        uses_libraries=False,
        examples=("spikerelay doctor --data /data/session --results /data/results",),
    ),
    "completion": Command(
        "this machine",
        "print a script with which the Tab key of your shell completes commands, options and parameters",
        "{} SHELL",
        _completion,
        "completion",
        uses_libraries=False,
        examples=(
            "spikerelay completion bash > ~/.local/share/bash-completion/completions/spikerelay",
            'eval "$(spikerelay completion zsh)"',
        ),
    ),
}
"""Words of the command -> the command."""
