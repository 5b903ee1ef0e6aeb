"""What the doctor's checks take and return. Only the standard library is imported, as in all of the doctor."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True)
class Finding:
    """One line of the report. `fix`: a run would fail; `note`: a run takes longer or has less output."""

    level: Literal["ok", "note", "fix"]
    text: str

    @property
    def line(self) -> str:
        return " ".join(self.text.split())


@dataclass(frozen=True)
class Places:
    """The folders of a run; None where the user named none."""

    data: Path | None
    results: Path | None
    launch: Path

    def written_folders(self) -> dict[str, Path]:
        """The folders that a run writes to: name -> folder, or the nearest existing folder above it."""
        folders = {"work folder": self.launch, "temporary folder": Path(tempfile.gettempdir())}
        if self.results is not None:
            folders["results folder"] = self.results
        return {name: nearest_folder(folder) for name, folder in folders.items()}


Check = Callable[[Places], Iterable[Finding]]


def nearest_folder(folder: Path) -> Path:
    """The folder, or the nearest existing folder above it."""
    return next(path for path in (folder, *folder.parents) if path.is_dir())


def run_python(code: str, timeout_s: float = 60) -> tuple[Any, str | None]:
    """Run Python code in a separate process; return what it prints as JSON, or why it failed, in one line.

    A library that was built for another processor kills the process that imports it.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        return None, f"it takes longer than {timeout_s:g} s"
    if done.returncode < 0:
        return None, f"signal {-done.returncode} kills it"
    if done.returncode:
        return None, (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    return json.loads(done.stdout.splitlines()[-1]), None


def pins(file: Path) -> Iterator[tuple[str, str]]:
    """The pinned versions of `capsule_versions.env`: package, written with -, and version."""
    for name, version in re.findall(r"^([A-Z0-9_]+)=([0-9]\S*)$", file.read_text(), re.MULTILINE):
        yield name.lower().replace("_", "-"), version
