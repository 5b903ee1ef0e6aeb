"""`spikerelay run`: start the workflow on a data folder."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import signal
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from capsules.commands.live import watch
from capsules.commands.live_records import Files, is_locked
from capsules.commands.setup import prepare
from capsules.common.contract import LOCK
from capsules.common.errors import Rejected, nearest, printable
from capsules.common.installation import ROOT, launcher_environment
from capsules.resolve_params.machine import cluster
from capsules.resolve_params.machine.folders import COMMAND_VARIABLE, VARIABLES, FolderNames
from capsules.resolve_params.options import SWITCHES, chosen_options
from capsules.resolve_params.resolve import Resolved
from capsules.resolve_params.stage import check_run

ARGUMENTS = FolderNames("DATA ", "RESULTS ")
LOCAL, SLURM = "nextflow_local.config", "nextflow_slurm.config"
SHELL_SIGNALS = 128
"""A shell's exit code of a process that a signal ended is this and the signal's number."""


def run(arguments: argparse.Namespace) -> int:
    options = chosen_options(arguments)
    folders = choose_folders(arguments.data, arguments.results, options.get("sessions"))
    config, profiles = choose_profiles(arguments.profile)
    if arguments.dry_run:
        return _print_plan(options, folders, arguments.work or Path("work"))
    check_options(options, folders, config, profiles)
    words = ["-w", str(arguments.work.absolute())] if arguments.work else []
    words += ["-profile", ",".join(profiles)] if profiles else []
    words += ["-resume"] if arguments.resume else []
    return launch(options, folders.data, folders.results, config, before=words, after=arguments.nextflow)


def launch(
    options: dict[str, Any],
    data: str | None,
    results: Path,
    config: Path,
    before: Sequence[str] = (),
    after: Sequence[str] = (),
) -> int:
    """Print the Nextflow command, run it, and return its exit code.

    Parameters
    ----------
    options : dict
        The workflow's options.
    data : str or None
        The data folder; None with a sheet.
    results, config : Path
        The results folder and the configuration file.
    before, after : sequence of str
        Nextflow's own options, before and after those of the workflow.
    """
    prepare()
    command = make_command(config, [*before, *_option_words(options), *after])
    variables = ({"DATA_PATH": data} if data else {}) | {"RESULTS_PATH": str(results)} | launcher_environment()
    line = " ".join([*(f"{name}={shlex.quote(value)}" for name, value in variables.items()), shlex.join(command)])
    print(printable(f"Results: {results}\nThe same as this command of Nextflow:\n{line}\n"), flush=True)
    script = f"#!/usr/bin/env bash\ncd {shlex.quote(str(Path.cwd()))}\n{line}\n"
    return start(command, os.environ | variables | {COMMAND_VARIABLE: script}, results)


def start(command: list[str], environment: dict[str, str], results: Path) -> int:
    """Run Nextflow to its end with a view of its progress, and return its exit code."""
    processes: list[subprocess.Popen[bytes]] = []
    ended = threading.Event()

    def end(*_: object) -> None:
        ended.set()
        for process in processes:
            process.terminate()

    # Before Nextflow starts, so that no signal is lost. The terminal sends Ctrl+C to Nextflow too, which then ends its
    # tasks. Not SIG_IGN, which Nextflow would inherit.
    before = signal.signal(signal.SIGINT, lambda *_: None), signal.signal(signal.SIGTERM, end)
    try:
        with tempfile.NamedTemporaryFile(prefix="nextflow_", suffix=".log") as log:
            # Nextflow rejects an option that is named twice.
            words = command if "-ansi-log" in command else [*command, "-ansi-log", "false"]
            processes.append(subprocess.Popen(words, env=environment, stdout=log, stderr=subprocess.STDOUT))
            if ended.is_set():
                end()
            watch(processes[0], results, Path(log.name))
        code = processes[0].wait()
    finally:
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])
    return code if code >= 0 else SHELL_SIGNALS - code


@dataclass(frozen=True)
class Folders:
    """The data folder (None with a sheet) and the results folder, as absolute paths, and where the user named them."""

    data: str | None
    results: Path
    names: FolderNames


def choose_folders(data: Path | None, results: Path | None, sheet: str | None) -> Folders:
    """The folders that the arguments or the variables of the environment name.

    Raises
    ------
    Rejected
        When the data folder is missing, or named together with a sheet.
    """
    names = ARGUMENTS
    if sheet is not None:
        if results is not None:
            raise Rejected([f"--sessions {sheet} names the data folders: leave out DATA ({data})"])
        data, results = None, data
    elif data is None:
        if not (variable := os.environ.get("DATA_PATH")):
            raise Rejected(["DATA is missing: spikerelay run DATA [RESULTS], or --sessions FILE"])
        data, names = Path(variable), replace(names, data=VARIABLES.data)
    if results is None and (variable := os.environ.get("RESULTS_PATH")):
        results, names = Path(variable), replace(names, results=VARIABLES.results)
    elif results is None:
        name = Path(sheet).stem if sheet is not None else Path(os.path.abspath(str(data))).name
        results = Path(f"{name}_results")
    return Folders(os.path.abspath(data) if data else None, Path(os.path.abspath(results)), names)


def choose_profiles(names: str | None) -> tuple[Path, list[str]]:
    """The configuration file, and the profiles in it, of `--profile`: `slurm` is a configuration, all others profiles.

    Raises
    ------
    Rejected
        When the configuration has no such profile.
    """
    chosen = [name for name in (names or "").split(",") if name]
    config = ROOT / (SLURM if "slurm" in chosen else LOCAL)
    profiles = [name for name in chosen if name != "slurm"]
    known = re.findall(r"^    (\w+) \{$", config.read_text().partition("\nprofiles {")[2], re.MULTILINE)
    if unknown := [name for name in profiles if name not in known]:
        listed = ", ".join(["slurm", *known])
        raise Rejected([f"--profile: must be of {listed}; got {unknown[0]!r}{nearest(unknown[0], ['slurm', *known])}"])
    return config, profiles


def check_options(options: dict[str, Any], folders: Folders, config: Path, profiles: list[str]) -> None:
    """Check all that the first process of the run checks, except what only the cluster knows.

    Raises
    ------
    Rejected
        With every problem.
    """

    def find_machine_problems(options: dict[str, Any], _: Resolved) -> list[str]:
        names = [name for name in cluster.OPTIONS if options.get(name) is not None]
        return [] if config.name == SLURM else [f"--{name}: needs --profile slurm" for name in names]

    engine = next((name.removesuffix("_all") for name in profiles), None)
    run = {"options": options, "launch_folder": str(Path.cwd()), "container_engine": engine}
    if is_locked(lock := folders.results / LOCK):
        run["results_held_by"] = json.dumps(Files().read_json(lock))
    check_run(run, folders.data, str(folders.results), find_machine_problems, folders.names)


def make_command(config: Path, words: list[str]) -> list[str]:
    """The command that runs the workflow with a configuration."""
    return [str(ROOT / "nextflow"), "-C", str(config), "run", str(ROOT / "main_multi_backend.nf"), *words]


def _option_words(options: dict[str, Any]) -> list[str]:
    # Joined by =, since a separate value may begin with a dash.
    return [f"--{name}" if name in SWITCHES else f"--{name}={value}" for name, value in options.items()]


def _print_plan(options: dict[str, Any], folders: Folders, work: Path) -> int:
    # It imports SpikeInterface, which a run needs in its tasks alone.
    from capsules.commands.layout import print_pages
    from capsules.commands.plan import plan_sessions

    pages = plan_sessions(options, folders.data, work.absolute(), folders.results, folders.names.data)
    print_pages(pages)
    return 1 if any(page.problems for page in pages) else 0
