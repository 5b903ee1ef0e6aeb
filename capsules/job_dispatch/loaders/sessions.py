"""Sessions whose data sets have the same name, below one data folder: they get their folder's name, and stay apart.

Streams of one data set share a clock and an NWB file; `run_g0` of Monday and `run_g0` of Tuesday must not.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

SAME_SESSION_S = 60.0
"""The streams of one session, which may be on several disks, begin within this time of each other."""


def name_datasets(places: Iterable[tuple[str, Path, str | None]], data: Path) -> dict[tuple[str, Path], str]:
    """The names of data sets; those of several sessions begin with the session's folder.

    Parameters
    ----------
    places : iterable
        Data set, folder of its session, and when it began (ISO text; None: unknown, its folder is a session).
    data : Path
        The data folder.

    Returns
    -------
    dict
        (data set, folder) -> name.
    """
    by_dataset: dict[str, dict[Path, str | None]] = {}
    for dataset, folder, began in places:
        known = by_dataset.setdefault(dataset, {})
        known[folder] = min(filter(None, (known.get(folder), began)), default=None)
    names: dict[tuple[str, Path], str] = {}
    for dataset, folders in by_dataset.items():
        sessions = _group_by_time(folders)
        for session in sessions:
            place = session[0].relative_to(data) if session[0].is_relative_to(data) else Path(session[0].name)
            label = "" if len(sessions) == 1 else "_".join(place.parts)
            names |= {(dataset, folder): f"{label}_{dataset}" if label else dataset for folder in session}
    return names


def _group_by_time(folders: dict[Path, str | None]) -> list[list[Path]]:
    """The folders of each session."""
    groups: list[tuple[datetime | None, list[Path]]] = []
    for folder in sorted(folders):
        began = _parse(folders[folder])
        own = next((group for first, group in groups if _are_near(first, began)), None)
        if own is None:
            groups.append((began, [folder]))
        else:
            own.append(folder)
    return [group for _, group in groups]


def _parse(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None) if text else None
    except ValueError:
        return None


def _are_near(first: datetime | None, second: datetime | None) -> bool:
    return first is not None and second is not None and abs((first - second).total_seconds()) <= SAME_SESSION_S
