"""`spikerelay doctor`: whether this machine and this installation can run the pipeline, and what to do where not.

Each check is a function of its own that gives `Finding`s. It imports nothing but the standard library here: what is
broken is tried in a process of its own, or reported when its import fails.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

BROKEN = (ImportError, OSError, AttributeError, RuntimeError, ValueError, TypeError, SystemError)
"""What importing or asking a half-installed library may end in."""


@dataclass(frozen=True)
class Finding:
    """One line of the report. `fix` would stop a run or spoil it; `note` costs time, or leaves something out."""

    level: Literal["ok", "note", "fix"]
    text: str

    def __str__(self) -> str:
        return f"{self.level:<5} {' '.join(self.text.split())}"


@dataclass(frozen=True)
class Places:
    """The folders of the run that is asked about: None where the user has not said."""

    data: Path | None
    results: Path | None
    launch: Path

    def written(self) -> dict[str, Path]:
        """What a run writes to: name -> folder, or the nearest folder above it that is there."""
        import tempfile

        folders = {"work folder": self.launch, "temporary folder": Path(tempfile.gettempdir())}
        if self.results is not None:
            folders["results folder"] = self.results
        return {name: nearest_folder(folder) for name, folder in folders.items()}


Check = Callable[[Places], Iterable[Finding]]


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
    from capsules.commands.doctor_checks import CHECKS

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


def nearest_folder(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that is there."""
    return next(path for path in (folder, *folder.parents) if path.is_dir())


def asked(code: str, timeout_s: float = 60) -> tuple[object, str | None]:
    """What a piece of Python prints as JSON in a process of its own, or why it ended badly, in one line.

    A library that was built for another processor ends the process that imports it.
    """
    import json
    import subprocess

    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        return None, f"it takes longer than {timeout_s:g} s"
    if done.returncode < 0:
        return None, f"it is ended by signal {-done.returncode}"
    if done.returncode:
        return None, (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    return json.loads(done.stdout.splitlines()[-1]), None


def pins(file: Path) -> Iterator[tuple[str, str]]:
    """The pinned versions of `capsule_versions.env`: package, written with -, and version."""
    for name, version in re.findall(r"^([A-Z0-9_]+)=([0-9]\S*)$", file.read_text(), re.MULTILINE):
        yield name.lower().replace("_", "-"), version
