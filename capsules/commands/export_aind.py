"""`spikerelay export --to aind`: write the metadata of a results folder in AIND's form."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from capsules.common.errors import Rejected, printable, shorten
from capsules.common.untrusted.places import check_inside
from capsules.parameters import strict_json
from capsules.results.aind.run_results import RunResults
from capsules.results.aind.schema import FOLDER
from capsules.results.aind.write import write_metadata
from capsules.results.published import data_of_run, read_record, reject_existing, status_of, whole_folder


def run(arguments: argparse.Namespace) -> int:
    results: Path = arguments.results
    if arguments.recording is not None:
        raise Rejected(["--recording: AIND's metadata describe all recordings of a session; remove it"])
    content = read_results(results)
    output = arguments.output or check_inside(results, results / FOLDER)
    reject_existing(output)
    data = find_data(results, arguments.data)
    with whole_folder(output) as folder:
        warnings = write_metadata(content, data, folder)
        names = sorted(file.name for file in folder.iterdir())
    print(printable(f"{output}: {', '.join(names)}"))
    for warning in warnings:
        print(printable(warning))
    return 0


def find_data(results: Path, data: Path | None) -> Path | None:
    """The folder that `--data` names, or that of the run; None where the record of the run names none."""
    if data is not None:
        if not data.is_dir():
            raise Rejected([f"--data {data}: no such folder"])
        return data
    return data_of_run(results)


def read_results(results: Path) -> RunResults:
    """The records, statuses, checks and figures of a results folder.

    Raises
    ------
    Rejected
        When a file is missing, or is not what a run leaves.
    """
    status = status_of(results)
    records, figures = results / "processing.json", results / "visualization_output.json"
    if not records.is_file():
        raise Rejected([f"{results} is not what a run leaves: it has no processing.json"])
    content = {
        "records": read_record(records).get("stages"),
        "recordings": status["recordings"],
        "checks": {id: checks for id in status["recordings"] if (checks := read_checks(results, id)) is not None},
        "figures": read_record(figures) if figures.is_file() else {},
    }
    try:
        return RunResults.model_validate(content)
    except ValidationError as error:
        problem = error.errors()[0]
        where = shorten(" ".join(".".join(map(str, problem["loc"])).split()))
        raise Rejected([f"{results} is not what a run leaves: {where}: {problem['msg']}"]) from None


def read_checks(results: Path, id: str) -> Any:
    """The checks of a recording; None where it has none."""
    file = results / "quality_control" / id / "checks.json"
    return strict_json.read_file(file).value if file.is_file() else None
