"""`spikerelay doctor`: whether this machine and this installation can run the pipeline, and what to do where not.

Each check is a function of its own that gives `Finding`s. It imports nothing but the standard library here: what is
broken is tried in a process of its own, or reported when its import fails.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from capsules.commands.doctor_checks import BROKEN, CHECKS
from capsules.commands.findings import Check, Finding, Places


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, metavar="DIR", help="the data folder [default: $DATA_PATH]")
    parser.add_argument("--results", type=Path, metavar="DIR", help="the results folder [default: $RESULTS_PATH]")
    parser.set_defaults(run=run)


def main(words: list[str]) -> int:
    """The command by itself, without the others, which a broken installation may not be able to import."""
    parser = argparse.ArgumentParser(prog="spikerelay doctor", description=__doc__)
    add_arguments(parser)
    return run(parser.parse_args(words))


def run(arguments: argparse.Namespace) -> int:
    findings = examine(
        Places(
            data=_folder(arguments.data, "DATA_PATH"),
            results=_folder(arguments.results, "RESULTS_PATH"),
            launch=Path.cwd(),
        )
    )
    print(*findings, sep="\n")
    fixes = sum(finding.level == "fix" for finding in findings)
    print(f"\n{fixes} to fix" if fixes else "\nnothing to fix")
    return 1 if fixes else 0


def examine(places: Places) -> list[Finding]:
    """Everything that the checks find, in their order; they run side by side, since most of them wait."""
    with ThreadPoolExecutor(max_workers=len(CHECKS)) as pool:
        return [finding for found in pool.map(lambda check: performed(check, places), CHECKS) for finding in found]


def performed(check: Check, places: Places) -> list[Finding]:
    """What a check finds; that it cannot be done is a finding too."""
    name = check.__name__.replace("_", " ")
    try:
        return list(check(places))
    except BROKEN as error:
        return [Finding("fix", f"{name}: cannot be checked ({type(error).__name__}: {error}); run `make setup`")]


def _folder(given: Path | None, variable: str) -> Path | None:
    text = given or os.environ.get(variable)
    return Path(text).absolute() if text else None
