"""The places in a results folder that a run writes: all are inside the folder, and none has files of others.

A results folder may come from others, with links to other places, or be a folder with the user's files.
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
    """Whether a path, with all links followed, is a folder or is inside it."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def check_inside(results: Path, path: Path) -> Path:
    """Check a path in the results folder before it is written or removed, and return it.

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
    """The user's files at a run's places, in a folder that is not a results folder."""
    if (results / RUN_RECORD).exists():
        return []
    # A run that was rejected for its parameters leaves only Nextflow's records.
    own = {Path(LOCK).parts[0]} if (results / LOCK).exists() else set()
    return [name for name in TOPS if name not in own and os.path.lexists(results / name)]


def explain_overlap(results: Path, data: Path) -> str | None:
    """The reason why a run into `results` would write into the raw data, or None."""
    if os.path.realpath(results) == os.path.realpath(data):
        return "is the data folder"
    if is_inside(results, data):
        return f"is inside the data folder {data}"
    within = [name for name in TOPS if is_inside(data, results / name)]
    return f"would be written among the raw data: the data folder is inside {results / within[0]}" if within else None


def make_unused_name(path: Path) -> Path:
    """A hidden, random name next to a path: nobody can prepare a link there."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
