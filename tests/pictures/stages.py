"""The stages that the pictures of recordings and units are made from, each run once for a data folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np

from tests.bench.memory import NO_MINIMUM
from tests.bench.report import write_run_files
from tests.pictures.hybrid import RATE_HZ
from tests.truth import chain

Trains = dict[int, np.ndarray]


def run_stages(
    data: Path,
    name: str,
    trains: Trains,
    preprocessing: tuple[str, ...],
    postprocessing: tuple[str, ...],
    curation: tuple[str, ...] = (),
) -> Path:
    """The folder with the report of a recording whose units are `trains`; computed when it is not in the cache.

    Parameters
    ----------
    data : Path
        As `tests.pictures.hybrid` writes it.
    name : str
        Of the folder, next to the data.
    trains : dict
        Unit id -> spikes in samples, in place of a sorter's units; without any, the later stages are skipped.
    preprocessing, postprocessing, curation : tuple of str
        Options of these stages.
    """
    folder = data.parent / name
    folder.mkdir(parents=True, exist_ok=True)
    job = next(folder.glob("*recording1.json"), None) or chain.dispatch(data, folder)[0]
    words = {"preprocessing": (*NO_MINIMUM, *preprocessing), "postprocessing": postprocessing, "curation": curation}
    words["visualization"] = ("--n-jobs", "2", "--drift.figsize", "[7, 5]")
    if trains and not (folder / f"spikesorting_{job.stem}").exists():
        _write_units(folder / f"spikesorting_{job.stem}", job.stem, trains)
    for stage in words if trains else ("preprocessing", "visualization"):
        _run_once(stage, folder, job.stem, "--job", job, "--data", data, "--inputs", folder, *words[stage])
    write_run_files(folder)
    _run_once("results", folder, "run", "--id", "run", "--job", job, "--inputs", folder)
    return folder


def _run_once(name: str, folder: Path, id: str, *words: str | Path) -> None:
    """Run a stage unless its result is in the cache."""
    record = folder / f"{name}_{id}" / "stage.json"
    if record.exists() and json.loads(record.read_text())["status"] == "ok":
        return
    # A failed one leaves its folder.
    shutil.rmtree(record.parent, ignore_errors=True)
    ended = chain.stage(name, folder, id, *words)
    if ended.status != "ok":
        raise RuntimeError(f"{name}_{id}: {ended.status}: {ended.reason}\n{ended.output[-2000:]}")


def _write_units(folder: Path, id: str, trains: Trains) -> None:
    """Write units where a sorter's would be."""
    import spikeinterface as si

    sorted_trains = {unit: np.sort(train) for unit, train in trains.items()}
    si.NumpySorting.from_unit_dict([sorted_trains], RATE_HZ).save(folder=folder / "spikesorted")
    facts = {"sorter": "spykingcircus2", "sorter_version": "1"}
    record = {"stage": "spikesorting", "id": id, "status": "ok", "reason": None, "versions": {}, "facts": facts}
    (folder / "stage.json").write_text(json.dumps(record))
