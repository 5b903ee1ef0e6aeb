"""A digest of a results folder's content, equal for equal results: without times, paths and random ids."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pynwb import read_nwb

from capsules.common.facts import PreprocessingFacts, facts_of
from capsules.common.units.metrics import get_labels
from capsules.common.untrusted.distrust import distrust_files, load_sorting, report_unreadable
from capsules.results.published import read_record, status_of

SIGNIFICANT_DIGITS = 6
"""Metrics are rounded to these, since sums over threads differ in the last digits."""


def content_digests(results: Path) -> dict[str, str]:
    """One digest per piece of content: traces, spikes, labels, metrics, electrodes, LFP, statuses.

    Parameters
    ----------
    results : Path
        A results folder of the pipeline.

    Returns
    -------
    dict
        Name of the piece -> digest, sorted by name.
    """
    status = status_of(results)
    digests = {"statuses": _digest(_statuses(status))}
    for id, entry in status["recordings"].items():
        record = results / "logs" / entry["recording"] / "preprocessing.json"
        if record.exists():
            with report_unreadable(record):
                traces = facts_of(read_record(record), PreprocessingFacts).traces_digest
            digests[f"traces {entry['recording']}"] = _digest(traces)
        if (results / "curated" / id).exists():
            digests |= {f"{name} {id}": value for name, value in _sorting(results / "curated" / id).items()}
        metrics = results / "quality_control" / id / "metrics.csv"
        if metrics.exists():
            with report_unreadable(metrics):
                digests[f"metrics {id}"] = _digest(_rounded_table(metrics))
    for block in status["blocks"]:
        file = results / "nwb" / f"{block}.nwb"
        if file.exists():
            with report_unreadable(file):
                digests |= {f"{name} {block}": value for name, value in _nwb(file).items()}
    return dict(sorted(digests.items()))


def total(digests: dict[str, str]) -> str:
    """One digest over all pieces."""
    return _digest(digests)


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _statuses(status: dict[str, Any]) -> dict[str, Any]:
    return {
        kind: {
            id: {name: stage.get("status") for name, stage in entry.get("stages", {}).items()}
            for id, entry in entries.items()
        }
        for kind, entries in status.items()
        if kind in ("recordings", "blocks")
    }


def _sorting(folder: Path) -> dict[str, str]:
    sorting = load_sorting(folder)
    spikes = hashlib.sha256(np.asarray(sorting.to_spike_vector()).tobytes()).hexdigest()
    labels = {name: [str(value) for value in values] for name, values in get_labels(sorting).items()}
    return {"spikes": _digest([[str(unit) for unit in sorting.unit_ids], spikes]), "labels": _digest(labels)}


def _rounded_table(file: Path) -> list[list[str]]:
    table = pd.read_csv(file, index_col="unit")
    rounded = [
        [f"{value:.{SIGNIFICANT_DIGITS}g}" if isinstance(value, float) else str(value) for value in row]
        for row in table.itertuples()
    ]
    return [list(table.columns), *rounded]


def _nwb(file: Path) -> dict[str, str]:
    distrust_files()
    nwbfile = read_nwb(file)
    table = nwbfile.electrodes.to_dataframe().drop(columns="group")
    # NeuroConv writes the columns in the order of a set, which differs from process to process.
    electrodes = table[sorted(table.columns)]
    units = [] if nwbfile.units is None else [list(map(float, times)) for times in nwbfile.units["spike_times"][:]]
    processing = nwbfile.processing.get("ecephys")
    series = {} if processing is None else processing["LFP"].electrical_series
    lfp = {name: hashlib.sha256(item.data[:].tobytes()).hexdigest() for name, item in sorted(series.items())}
    return {
        "electrodes": _digest([list(electrodes.columns), electrodes.astype(str).to_numpy().tolist()]),
        "nwb units": _digest(units),
        "lfp": _digest(lfp),
    }
