"""The data and results folders of a run: whether they can be used, and the results folder made ready."""

from __future__ import annotations

import json
import platform
import shutil
from pathlib import Path
from typing import Any

from capsules.common.contract import LOCK, RUN_RECORD
from capsules.common.errors import is_text
from capsules.common.task import write_json
from capsules.resolve_params.sheet import Session


def data_problems(data: str | None, said: str = "DATA_PATH") -> list[str]:
    """What is wrong with a data folder; `said` is where the user named it."""
    if not data:
        return ["DATA_PATH is not set: put DATA_PATH=<the folder with the recordings> before the command"]
    if problem := _path_problem(data, said):
        return [problem]
    folder = Path(data)
    try:
        if not folder.is_dir():
            return [f"{said}={data}: no such folder"]
        return [] if any(folder.iterdir()) else [f"{said}={data}: the folder is empty"]
    except OSError as error:
        denied = isinstance(error, PermissionError)
        return [f"{said}={data}: {'no permission to read this folder' if denied else error.strerror}"]


def results_problems(
    results: str | None, sessions: list[Session], overwrite: bool, owner: dict[str, Any] | None = None
) -> list[str]:
    """What is wrong with the results folder: not writable, another run writes it, or it holds those of other data."""
    if not results:
        return ["RESULTS_PATH is not set: put RESULTS_PATH=<a folder for the results> before the command"]
    if problem := _path_problem(results, "RESULTS_PATH"):
        return [problem]
    folder = Path(results)
    if reason := _not_writable(folder):
        return [f"RESULTS_PATH={results}: cannot be written: {reason}"]
    if owner is not None and "no_locks" not in owner:
        return [f"RESULTS_PATH={results} {held(owner, folder)}"]
    return [] if overwrite else [problem for session in sessions for problem in _other_data(session, folder)]


def _path_problem(path: str, said: str) -> str | None:
    """What is wrong with how a folder is named."""
    if not Path(path).is_absolute():
        return f"{said}={path} is relative: give the whole path"
    return None if is_text(path) else f"{said}={path}: the name is no UTF-8 text: rename it"


def _not_writable(folder: Path) -> str | None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        return error.strerror
    return None


def _other_data(session: Session, results: Path) -> list[str]:
    folder = session.results(results)
    record = folder / RUN_RECORD
    if not session.data or not record.exists():
        return []
    try:
        other = json.loads(record.read_text())["data"]
    except ValueError:
        return [f"{record} is broken: remove it, or choose another folder"]
    if Path(session.data).resolve() == Path(other):
        return []
    return [f"RESULTS_PATH={folder} holds the results of {other}: choose another folder or give --overwrite"]


def held(owner: dict[str, Any], folder: Path) -> str:
    """What to do about a results folder that another run holds."""
    if not owner:
        return "is being written by another run: wait for it, or choose another folder"
    here = owner["host"] == platform.node()
    lost = "" if here else f"; if that machine is gone, remove {folder / LOCK}"
    return (
        f"is being written by another run, process {owner['pid']} on {owner['host']} since {owner['since']}: "
        f"wait for it, or choose another folder{lost}"
    )


def make_ready(results: Path, data: str, run: dict[str, Any], options: dict[str, Any]) -> None:
    """Note a session's data, options and configuration for `spikerelay rerun`, and forget an earlier run's failures."""
    (results / RUN_RECORD).parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(results / "nextflow" / "failed", ignore_errors=True)
    told = {"options": options} | {name: run.get(name) for name in ("config_files", "profile", "nextflow_session")}
    write_json(results / RUN_RECORD, {"data": str(Path(data).resolve())} | told)
