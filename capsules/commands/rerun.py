"""`spikerelay rerun`: print the command that makes a run again."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

from capsules.common.contract import RUN_RECORD
from capsules.common.errors import Rejected, printable
from capsules.common.files import write_json
from capsules.common.installation import IS_CLONE, ROOT, launcher_environment
from capsules.resolve_params.options import MACHINE_OPTIONS
from capsules.results.published import read_record, status_of

PARAMS_FILE = "rerun_params.json"
STANDARD_PROFILE = "standard"
"""Nextflow's name for no profile."""


def run(arguments: argparse.Namespace) -> int:
    print(printable(rerun_command(arguments.results.absolute())))
    return 0


def rerun_command(results: Path) -> str:
    """The command, for a shell; its params file is written into the results folder.

    Raises
    ------
    Rejected
        When the folder lacks the records of a run, or cannot be written.
    """
    status_of(results)
    if missing := [name for name in ("params.json", RUN_RECORD) if not (results / name).exists()]:
        raise Rejected([f"{results} has no {' and no '.join(missing)}: the run cannot be reconstructed"])
    record, origin = read_record(results / "params.json"), read_record(results / RUN_RECORD)
    try:
        params, data = record["params"], str(origin["data"])
        options = {"params_file": results / PARAMS_FILE} | sorter_option(record) | machine_options(origin)
        script, launcher = (
            display_path(ROOT / "main_multi_backend.nf"),
            "./nextflow" if IS_CLONE else str(ROOT / "nextflow"),
        )
        words = [launcher, *configuration(origin), "run", script, *profile(origin)]
    except (KeyError, TypeError, AttributeError):
        raise Rejected([f"{results}: params.json or {RUN_RECORD} is not the record of a run"]) from None
    try:
        write_json(results / PARAMS_FILE, params)
    except OSError as error:
        raise Rejected([f"{results / PARAMS_FILE} cannot be written: {error.strerror}"]) from None
    # Joined by =, since a separate value may begin with a dash.
    words += [f"--{name}={value}" for name, value in options.items()]
    values = {"DATA_PATH": data, "RESULTS_PATH": unused_folder(results)} | launcher_environment()
    variables = " ".join(f"{name}={shlex.quote(str(value))}" for name, value in values.items())
    # Nothing is written among installed packages: there, the command starts in the current folder.
    place = f"cd {shlex.quote(str(ROOT))} && " if IS_CLONE else ""
    return f"{place}{variables} {shlex.join(words)}"


def display_path(file: Path) -> str:
    """A file of the clone by its path in it; any other by its whole path."""
    return str(file.relative_to(ROOT) if IS_CLONE and file.is_relative_to(ROOT) else file)


def sorter_option(record: dict[str, Any]) -> dict[str, str]:
    """`--sorter` with several sorters: the params file then names none."""
    names = [sorter["name"] for sorter in record["sorters"]]
    return {"sorter": ",".join(names)} if len(names) > 1 else {}


def configuration(origin: dict[str, Any]) -> list[str]:
    """`-C` with each configuration file of the run; files of this clone by their path in it."""
    files = [Path(file) for file in origin.get("config_files") or [ROOT / "nextflow_local.config"]]
    return [word for file in files for word in ("-C", display_path(file))]


def profile(origin: dict[str, Any]) -> list[str]:
    """`-profile` unless the run had Nextflow's standard profile."""
    name = origin.get("profile") or STANDARD_PROFILE
    return [] if name == STANDARD_PROFILE else ["-profile", str(name)]


def machine_options(origin: dict[str, Any]) -> dict[str, Any]:
    """The options about the machine that the run recorded."""
    options = origin.get("options", {})
    return {name: options[name] for name in MACHINE_OPTIONS if options.get(name) is not None}


def unused_folder(results: Path) -> Path:
    """A folder next to the results folder that does not exist."""
    number = 2
    while (folder := results.with_name(f"{results.name}_{number}")).exists():
        number += 1
    return folder
