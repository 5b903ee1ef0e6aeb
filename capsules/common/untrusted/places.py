"""The places in a results folder that a run writes: they stay inside of it, and nobody else's files are in them.

A results folder may come from somebody else, with links that lead elsewhere, or be a folder of the user's own.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from capsules.common.contract import LOCK, RUN_RECORD, STAGES
from capsules.common.errors import Rejected

OVERVIEW = ("sessions.json", "sessions.html")
"""What a run over a sheet of sessions publishes next to the sessions' folders."""
TOPS = sorted(
    {Path(part.published).parts[0] for stage in STAGES.values() for part in stage.parts if part.published}
    | {Path(RUN_RECORD).parts[0], *OVERVIEW}
)
"""The files and folders at the top of a results folder that a run writes, replaces or removes."""


def is_inside(path: Path, folder: Path) -> bool:
    """Whether a path, with all links followed, is a folder or lies in it."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def check_inside(results: Path, path: Path) -> Path:
    """A path in the results folder that is to be written or removed.

    Raises
    ------
    Rejected
        When a link leads it out of the folder.
    """
    if not is_inside(path.parent, results):
        raise Rejected([f"{path}: a link leads out of the results folder: remove the link"])
    return path


def find_links_out(results: Path) -> list[Path]:
    """The links at a run's places that lead out of the results folder."""
    return [link for name in TOPS for link in _links(results / name) if not is_inside(link, results)]


def _links(path: Path) -> Iterator[Path]:
    if path.is_symlink():
        yield path
    elif path.is_dir():
        folders = [path]
        while folders:
            for entry in os.scandir(folders.pop()):
                if entry.is_symlink():
                    yield Path(entry.path)
                elif entry.is_dir():
                    folders.append(Path(entry.path))


def find_foreign_names(results: Path) -> list[str]:
    """What stands at a run's places in a folder that is not a run's: the user's own files."""
    if (results / RUN_RECORD).exists():
        return []
    # Nextflow's records alone are what a run leaves that was rejected for its parameters.
    own = {Path(LOCK).parts[0]} if (results / LOCK).exists() else set()
    return [name for name in TOPS if name not in own and os.path.lexists(results / name)]


def explain_overlap(results: Path, data: Path) -> str | None:
    """Why a run into `results` would write among the raw data, or None."""
    if os.path.realpath(results) == os.path.realpath(data):
        return "is the data folder"
    if is_inside(results, data):
        return f"is inside the data folder {data}"
    within = [name for name in TOPS if is_inside(data, results / name)]
    return f"would be written among the raw data: the data folder is inside {results / within[0]}" if within else None


def make_unused_name(path: Path) -> Path:
    """A hidden name next to a path that nobody can have prepared."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
