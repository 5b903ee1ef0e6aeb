"""The data and results folders of a run: check them, and prepare the results folder."""

from __future__ import annotations

import json
import os
import platform
import secrets
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from capsules.common.contract import COMMAND_RECORD, FAILURES, LOCK, RUN_RECORD
from capsules.common.errors import is_text
from capsules.common.files import write_json, write_text
from capsules.common.untrusted.places import (
    explain_overlap,
    find_foreign_names,
    find_links_out,
    is_inside,
    make_unused_name,
)
from capsules.resolve_params.sheet import Session

COMMAND_VARIABLE = "SPIKERELAY_COMMAND"
"""Set by `spikerelay run`: the script that does the same as the command."""


@dataclass(frozen=True)
class FolderNames:
    """What messages write before the path of a folder: where the user named it."""

    data: str
    results: str


VARIABLES = FolderNames("DATA_PATH=", "RESULTS_PATH=")


def data_problems(data: str | None, source: str = VARIABLES.data) -> list[str]:
    """What is wrong with a data folder; `source` is what messages write before its path."""
    if not data:
        return ["DATA_PATH is not set: put DATA_PATH=<the folder with the recordings> before the command"]
    if problem := _path_problem(data, source):
        return [problem]
    folder = Path(data)
    try:
        if not folder.is_dir():
            is_file = folder.exists()
            return [f"{source}{data}: {'is a file: name the folder that contains it' if is_file else 'no such folder'}"]
        return [] if any(folder.iterdir()) else [f"{source}{data}: the folder is empty"]
    except OSError as error:
        denied = isinstance(error, PermissionError)
        return [f"{source}{data}: {'no permission to read this folder' if denied else error.strerror}"]


def results_problems(
    results: str | None,
    sessions: list[Session],
    overwrite: bool,
    owner: dict[str, Any] | None = None,
    source: str = VARIABLES.results,
) -> list[str]:
    """What is wrong with the results folder: not writable, in use by another run, or with results of other data."""
    if not results:
        return ["RESULTS_PATH is not set: put RESULTS_PATH=<a folder for the results> before the command"]
    folder = Path(results)
    problem = _path_problem(results, source)
    if problems := [problem] if problem else _foreign_problems(folder, sessions, overwrite, source):
        return problems
    if reason := _write_problem(folder):
        return [f"{source}{results}: cannot be written: {reason}"]
    if owner is not None and "no_locks" not in owner:
        return [f"{source}{results} {_describe_owner(owner, folder)}"]
    if overwrite:
        return []
    return [problem for session in sessions for problem in _other_data_problems(session, folder, source)]


def _path_problem(path: str, source: str) -> str | None:
    """What is wrong with the path of a folder."""
    if not Path(path).is_absolute():
        return f"{source}{path} is relative: give the absolute path"
    return None if is_text(path) else f"{source}{path}: the name is not UTF-8 text: rename the folder"


def _write_problem(folder: Path) -> str | None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = make_unused_name(folder / "writable")
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        return error.strerror
    return None


def _foreign_problems(results: Path, sessions: list[Session], overwrite: bool, source: str) -> list[str]:
    """Why a run could change files that it did not write: other folders, raw data, the user's files."""
    problems = []
    for folder in _folders(results, sessions):
        shown = f"{source}{folder}"
        links = find_links_out(folder) if is_inside(folder, results) else [folder]
        if links:
            more = f" and {len(links) - 1} more" if len(links) > 1 else ""
            problems.append(f"{shown}: the link {links[0]}{more} leads out of the results folder: remove the link")
        sources = {session.data for session in sessions if session.data and Path(session.data).is_absolute()}
        reasons = [reason for data in sorted(sources) if (reason := explain_overlap(folder, Path(data)))]
        problems += [f"{shown} {reason}: choose another folder" for reason in reasons]
        if not (links or reasons or overwrite) and (names := find_foreign_names(folder)):
            problems.append(
                f"{shown} is not a results folder and holds files that the run would replace ({', '.join(names)}): "
                "choose another folder, or give --overwrite, which moves them aside"
            )
    return problems


def _folders(results: Path, sessions: list[Session]) -> list[Path]:
    return list(dict.fromkeys([results, *(session.results(results) for session in sessions)]))


def move_aside(results: Path, sessions: list[Session]) -> list[str]:
    """Move the user's files out of the way of a run with `--overwrite`; a note for each folder names the new place."""
    notes = []
    for folder in _folders(results, sessions):
        if names := find_foreign_names(folder):
            aside = folder / f"before_{datetime.now(UTC):%Y%m%dT%H%M%S}_{secrets.token_hex(2)}"
            aside.mkdir()
            for name in names:
                (folder / name).rename(aside / name)
            notes.append(f"--overwrite: {', '.join(names)} moved to {aside}: no run wrote them")
    return notes


def _other_data_problems(session: Session, results: Path, source: str) -> list[str]:
    folder = session.results(results)
    record = folder / RUN_RECORD
    if not session.data or not record.exists():
        return []
    try:
        other = json.loads(record.read_text())["data"]
        is_same = Path(session.data).resolve() == Path(other)
    except (ValueError, KeyError, TypeError):
        return [f"{record} is broken: choose another folder or give --overwrite"]
    if is_same:
        return []
    return [f"{source}{folder} holds the results of {other}: choose another folder or give --overwrite"]


def _describe_owner(owner: dict[str, Any], folder: Path) -> str:
    """Which run writes into the results folder, and what to do."""
    if not owner:
        return "is being written by another run: wait for it, or choose another folder"
    here = owner["host"] == platform.node()
    lost = "" if here else f"; if that machine is gone, remove {folder / LOCK}"
    return (
        f"is being written by another run, process {owner['pid']} on {owner['host']} since {owner['since']}: "
        f"wait for it, or choose another folder{lost}"
    )


def prepare_results(results: Path, data: Path, run: dict[str, Any], options: dict[str, Any]) -> None:
    """Record a session's data, options and configuration for `spikerelay rerun`, and remove older failure notes."""
    (results / RUN_RECORD).parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(results / FAILURES, ignore_errors=True)
    record: dict[str, Any] = {"data": str(data.resolve()), "options": options}
    record |= {name: run.get(name) for name in ("config_files", "profile", "nextflow_session")}
    write_json(results / RUN_RECORD, record)


def record_command(results: Path) -> None:
    """Write the script of `spikerelay run` into the results folder; a run that was started otherwise has none."""
    file = results / COMMAND_RECORD
    if script := os.environ.get(COMMAND_VARIABLE):
        write_text(file, script)
    else:
        file.unlink(missing_ok=True)
