"""What the doctor's checks are told and what they answer; the standard library only, as in all of it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


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
        folders = {"work folder": self.launch, "temporary folder": Path(tempfile.gettempdir())}
        if self.results is not None:
            folders["results folder"] = self.results
        return {name: nearest_folder(folder) for name, folder in folders.items()}


Check = Callable[[Places], Iterable[Finding]]


def nearest_folder(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that is there."""
    return next(path for path in (folder, *folder.parents) if path.is_dir())


def asked(code: str, timeout_s: float = 60) -> tuple[object, str | None]:
    """What a piece of Python prints as JSON in a process of its own, or why it ended badly, in one line.

    A library that was built for another processor ends the process that imports it.
    """
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
