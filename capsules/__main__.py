"""The `spikerelay` command: what one does around a run.

spikerelay doctor              whether this machine and installation can run the pipeline, and what to do where not
spikerelay validate FILE       check a params file
spikerelay params diff FILE    what a params file changes from the defaults
spikerelay plan [OPTIONS]      what a run with these options would do; takes the pipeline's own options
spikerelay inspect DATA        what a data folder holds, what would be sorted and what not
spikerelay fetch-models        bring the classifiers' models onto this machine, ahead of a run
spikerelay hash RESULTS        digests of what a results folder says, the same for the same content
spikerelay load RESULTS        what a results folder holds, with the Python line that loads it
spikerelay export RESULTS      a recording's units for Phy
spikerelay curate RESULTS      a hand-edited curation applied, to new files beside the run's own
spikerelay rerun RESULTS       the command that makes this run again

Exit codes: 0 good; 1 the data or the results have a problem; 2 refused: a mistake in the command or the params file.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from capsules.commands import doctor
from capsules.common.errors import Rejected, SpikeRelayError, printable


def main() -> int:
    if sys.argv[1:2] == ["doctor"]:
        # It has to work where the libraries of the others cannot be imported.
        return doctor.main(sys.argv[2:])
    from capsules.commands import curate, export, load, rerun

    parser = argparse.ArgumentParser(
        prog="spikerelay", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    doctor.add_arguments(commands.add_parser("doctor", help="whether this machine can run the pipeline"))
    validate = commands.add_parser("validate", help="check a params file")
    validate.add_argument("file", type=Path)
    validate.set_defaults(run=_validate)
    params = commands.add_parser("params", help="about params files").add_subparsers(required=True, metavar="COMMAND")
    diff = params.add_parser("diff", help="what a params file changes from the defaults")
    diff.add_argument("file", type=Path)
    diff.set_defaults(run=_diff)
    _add_plan(commands.add_parser("plan", help="what a run would do"))
    inspect = commands.add_parser("inspect", help="what a data folder holds")
    inspect.add_argument("data", type=Path)
    inspect.add_argument("arguments", nargs=argparse.REMAINDER, help="as in --job_dispatch_args; default: guessed")
    inspect.set_defaults(run=_inspect)
    fetch = commands.add_parser("fetch-models", help="bring the classifiers' models onto this machine")
    fetch.add_argument(
        "--params", type=Path, metavar="FILE", help="the params file that names them [default: defaults]"
    )
    fetch.set_defaults(run=_fetch_models)
    digest = commands.add_parser("hash", help="digests of what a results folder says")
    digest.add_argument("results", type=Path)
    digest.set_defaults(run=_hash)
    load.add_arguments(commands.add_parser("load", help="what a results folder holds, and how to load it"))
    export.add_arguments(commands.add_parser("export", help="a recording's units for Phy"))
    curate.add_arguments(commands.add_parser("curate", help="apply a hand-edited curation, to new files"))
    rerun.add_arguments(commands.add_parser("rerun", help="the command that makes this run again"))
    arguments = parser.parse_args()
    try:
        return arguments.run(arguments)
    except Rejected as refusal:
        _show(refusal.problems, sys.stderr)
        return 2
    except SpikeRelayError as error:
        _show([str(error)], sys.stderr)
        return 1
    except OSError as error:
        # Such as a place where nothing can be written.
        _show([f"{error.filename}: {error.strerror}" if error.filename else str(error)], sys.stderr)
        return 1


def _show(lines: Iterable[str], stream: TextIO | None = None) -> None:
    """Print lines that may hold names from the data."""
    print(*map(printable, lines), sep="\n", file=stream)


def _add_plan(parser: argparse.ArgumentParser) -> None:
    from capsules.resolve_params.resolve import LEAST, OPTIONS, SWITCHES

    parser.add_argument("--data", type=Path, metavar="DIR", help="the data folder [default: $DATA_PATH]")
    for name in OPTIONS:
        kind = {"type": int} if name in LEAST else {"action": "store_true"} if name in SWITCHES else {}
        parser.add_argument(f"--{name}", **kind, default=None, help="as on Nextflow's command line")
    parser.add_argument("-w", "--work", type=Path, default=Path("work"), metavar="DIR", help="as Nextflow's -w")
    parser.add_argument("--results", type=Path, metavar="DIR", help="the results folder [default: $RESULTS_PATH]")
    parser.set_defaults(run=_plan)


def _validate(arguments: argparse.Namespace) -> int:
    from capsules.resolve_params.params_file import validate_file

    validate_file(arguments.file)
    print(f"{arguments.file}: good")
    return 0


def _diff(arguments: argparse.Namespace) -> int:
    from capsules.resolve_params.params_file import differences, validate_file

    for dotted, (default, value) in differences(validate_file(arguments.file)).items():
        print(f"{dotted}: {json.dumps(default)} -> {json.dumps(value)}")
    return 0


def _plan(arguments: argparse.Namespace) -> int:
    from capsules.commands.plan import plan_sessions
    from capsules.resolve_params.resolve import OPTIONS

    options = {name: value for name in OPTIONS if (value := getattr(arguments, name)) is not None}
    data = str(arguments.data.absolute()) if arguments.data else os.environ.get("DATA_PATH")
    results = arguments.results or Path(os.environ.get("RESULTS_PATH") or "results")
    lines, good = plan_sessions(options, data, arguments.work.absolute(), results.absolute())
    _show(lines)
    return 0 if good else 1


def _inspect(arguments: argparse.Namespace) -> int:
    from capsules.commands.plan import inspect
    from capsules.common.tasks.command_line import read_section
    from capsules.job_dispatch.params import PARAMS
    from capsules.parameters import flags as cli
    from capsules.resolve_params.machine.folders import data_problems

    data = arguments.data.absolute()
    if problems := data_problems(str(data)):
        raise Rejected(problems)
    parser = cli.Parser(prog="spikerelay inspect", add_help=False)
    cli.add_params(parser, PARAMS)
    given = cli.parse(parser, arguments.arguments)
    params = read_section(PARAMS, None, given, "job_dispatch") if given else None
    lines, good = inspect(data, params)
    _show(lines)
    return 0 if good else 1


def _fetch_models(arguments: argparse.Namespace) -> int:
    from capsules.commands.fetch_models import fetch_models

    lines, good = fetch_models(arguments.params)
    _show(lines)
    return 0 if good else 1


def _hash(arguments: argparse.Namespace) -> int:
    from capsules.results.content import content_digests, total

    digests = content_digests(arguments.results)
    for name, value in digests.items():
        print(f"{value}  {name}")
    print(f"{total(digests)}  total")
    return 0


if __name__ == "__main__":
    sys.exit(main())
