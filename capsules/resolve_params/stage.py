"""The first process of a run: check everything that the user wrote and every folder, then pass on the sections.

It always exits 0 and writes `resolved.json`. The workflow stops with the problems in it, so that the user reads them
and not a process error.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

from capsules.common.contract import RUN_RECORD, SECTION_OF_STAGE, STAGES
from capsules.common.errors import Rejected, printable
from capsules.common.files import write_json
from capsules.common.tasks.versions import compute_code_fingerprint
from capsules.preprocessing.artifact_times import digest_times_files
from capsules.resolve_params.machine import cluster
from capsules.resolve_params.machine.classifiers import prepare_models
from capsules.resolve_params.machine.folders import (
    VARIABLES,
    FolderNames,
    data_problems,
    move_aside,
    prepare_results,
    record_command,
    results_problems,
)
from capsules.resolve_params.options import convert_texts
from capsules.resolve_params.params_file import differences
from capsules.resolve_params.resolve import Resolved, find_format_problems, guess_input, resolve
from capsules.resolve_params.sheet import Session, sessions_of

ResolvedOf = dict[str | None, Resolved]
"""Params file (None: there is none) -> the parameters resolved with it."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m capsules.resolve_params", description=__doc__)
    parser.add_argument(
        "--run",
        type=Path,
        required=True,
        metavar="FILE",
        help="JSON file: `options` holds Nextflow's params, relative paths in them start at `launch_folder`; "
        "`container_engine`, `config_files`, `profile` and `resumed` are Nextflow's, the rest is hold_results.groovy's",
    )
    parser.add_argument("--output", type=Path, default=Path("resolved.json"), metavar="FILE", help="the file to write")
    arguments = parser.parse_args()
    run = json.loads(arguments.run.read_text())
    try:
        resolved = resolve_run(run)
        write_json(arguments.output, resolved)
    except Rejected as refusal:
        write_json(arguments.output, {"problems": list(map(printable, refusal.problems))})
    return 0


def resolve_run(run: dict[str, Any]) -> dict[str, Any]:
    """Check a whole run, prepare its results folder, and return the sections of every session.

    Parameters
    ----------
    run : dict
        `options`, `launch_folder` and the workflow's further entries, as for `--run`.

    Returns
    -------
    dict
        `problems` (empty), `notes` on the run as a whole, and `sessions`; see `_session_document`.

    Raises
    ------
    Rejected
        With every problem of the run.
    """
    run = run | {"options": convert_texts(run["options"])}
    options, launch_folder = run["options"], Path(run["launch_folder"])
    owner = json.loads(run.get("results_held_by") or "null")
    sessions, resolved_of = check_run(
        run, os.environ.get("DATA_PATH"), os.environ.get("RESULTS_PATH"), machine_problems
    )
    results = Path(os.environ["RESULTS_PATH"])
    times_of = {file: resolved.params.preprocessing.artifacts.times for file, resolved in resolved_of.items()}
    digests = {
        session.name: digest_times_files(session.data_folder, times_of[session.params_file]) for session in sessions
    }
    model_digests = {file: prepare_models(resolved, launch_folder) for file, resolved in resolved_of.items()}
    moved = [run["moved_aside"]] if run.get("moved_aside") else []
    moved += move_aside(results, sessions) if options.get("overwrite") else []
    for resolved in resolved_of.values():
        resolved.notes = [*moved, *machine_notes(options, resolved), *_lock_notes(owner), *resolved.notes]
    code = {stage.name: compute_code_fingerprint(stage) for stage in STAGES.values()}
    reject_shortage = not run.get("resumed") and not options.get("skip_disk_check")
    own_options = {name: value for name, value in options.items() if name != "sessions"}
    documents = []
    for session in sessions:
        resolved = deepcopy(resolved_of[session.params_file])
        guess_input(resolved, session.data_folder)
        prepare_results(
            session.results(results), session.data_folder, run, own_options | {"params_file": session.params_file}
        )
        # A model or a file of times that appeared or changed makes its stage new, as a change of the code does.
        own_code = code | {"curation": code["curation"] + model_digests[session.params_file]}
        own_code["preprocessing"] += digests[session.name]
        documents.append(_session_document(session, resolved, own_code, reject_shortage))
    if sheet := options.get("sessions"):
        (results / RUN_RECORD).parent.mkdir(exist_ok=True)
        record = {"data": str((launch_folder / sheet).resolve()), "options": options}
        write_json(results / RUN_RECORD, record | {"nextflow_session": run.get("nextflow_session")})
    record_command(results)
    return {"problems": [], "notes": sheet_notes(options, sessions), "sessions": documents}


def check_run(
    run: dict[str, Any],
    data: str | None,
    results: str | None,
    find_machine_problems: Callable[[dict[str, Any], Resolved], list[str]],
    names: FolderNames = VARIABLES,
) -> tuple[list[Session], ResolvedOf]:
    """Check the sheet, every params file with the options, and all folders; nothing is written.

    Parameters
    ----------
    run : dict
        As for `resolve_run`.
    data, results : str or None
        The folders as the user named them.
    find_machine_problems : callable
        What is wrong with the options about the machine or the cluster.
    names : FolderNames
        Where the user named the folders.

    Raises
    ------
    Rejected
        With every problem.
    """
    options, launch_folder = run["options"], Path(run["launch_folder"])
    owner = json.loads(run.get("results_held_by") or "null")
    problems, sessions = [], []
    try:
        sessions = sessions_of(options, launch_folder, data, names.data)
    except Rejected as refusal:
        problems += refusal.problems
    resolved_of: ResolvedOf = {}
    for file in dict.fromkeys(session.params_file for session in sessions) or [options.get("params_file")]:
        try:
            resolved_of[file] = resolve(options | {"params_file": file}, launch_folder, run.get("container_engine"))
            problems += find_machine_problems(options, resolved_of[file])
        except Rejected as refusal:
            problems += refusal.problems
    for session in sessions:
        own = data_problems(session.data, session.source)
        # In a sheet, the other sessions are sorted all the same.
        if not own and not session.name and (resolved := resolved_of.get(session.params_file)):
            own = find_format_problems(resolved, session.data_folder, session.source)
        problems += own
    problems += results_problems(results, sessions, bool(options.get("overwrite")), owner, names.results)
    if problems:
        raise Rejected(list(dict.fromkeys(problems)))
    return sessions, resolved_of


def sheet_notes(options: dict[str, Any], sessions: list[Session]) -> list[str]:
    """Settings that have no effect together with a sheet."""
    if options.get("sessions") is None:
        return []
    notes = []
    if os.environ.get("DATA_PATH"):
        notes.append("DATA_PATH has no effect: the sheet names the data folders")
    if (file := options.get("params_file")) and all(session.params_file != file for session in sessions):
        notes.append(f"--params_file {file} has no effect: every row of the sheet names another file")
    return notes


def _session_document(
    session: Session, resolved: Resolved, code: dict[str, str], reject_shortage: bool
) -> dict[str, Any]:
    """What the workflow needs for a session.

    `session` and `data` (both "" for the session in DATA_PATH), `sections` and `code` by stage (JSON text and
    fingerprint), `lists_times` (whether the user lists the times of artifacts), how many `stages` work on a recording,
    a sorting or a block, `sorters` with a section each, `disk`, from which the forecast is made, and `params`, which is
    published with the session's results: parameters, sorters, origins and notes.
    """
    sections = {stage: json.dumps(resolved.section(stage)) for stage in SECTION_OF_STAGE if stage != "spikesorting"}
    sortings = resolved.sortings()
    disk = {"params": resolved.document(), "sorters": resolved.sorters, "refuse": reject_shortage}
    return {
        "session": session.name,
        "data": session.data if session.name else "",
        "disk": json.dumps(disk),
        "sections": {stage: sections.get(stage, "{}") for stage in STAGES},
        "sorters": [sorting | {"section": json.dumps(sorting["section"])} for sorting in sortings],
        "code": code,
        "lists_times": resolved.params.preprocessing.artifacts.times is not None,
        "stages": Counter(stage.level for stage in STAGES.values()),
        "params": json.dumps(
            {
                "params": resolved.document(),
                "sorters": [{"name": sorting["name"], "suffix": sorting["suffix"]} for sorting in sortings],
                "origins": resolved.origins,
                "differences": differences(resolved.params),
                "notes": resolved.notes,
            }
        ),
    }


def machine_problems(options: dict[str, Any], resolved: Resolved) -> list[str]:
    """Options for a cluster without a cluster, or why the cluster would reject the run's jobs."""
    if cluster.CLUSTER_VARIABLE in os.environ:
        return cluster.cluster_problems(options, resolved.gpu_sorters())
    names = [name for name in cluster.OPTIONS if options.get(name) is not None]
    return [f"--{name}: needs -C nextflow_slurm.config" for name in names]


def machine_notes(options: dict[str, Any], resolved: Resolved) -> list[str]:
    """Automatic adjustments to the options about the machine."""
    if cluster.CLUSTER_VARIABLE in os.environ:
        return cluster.cluster_notes(options, resolved.gpu_sorters())
    n_jobs, cores = options.get("n_jobs"), os.cpu_count() or 1
    if n_jobs is None or n_jobs <= cores:
        return []
    return [f"--n_jobs {n_jobs}: this machine has {cores} cores; the run uses {cores}"]


def _lock_notes(owner: dict[str, Any] | None) -> list[str]:
    if owner is None:
        return []
    return [f"the file system of the results has no locks ({owner['no_locks']}): start no second run into them"]
