"""A results folder in Python: all results of a run, in one call.

>>> from capsules.load import load
>>> session = load("/data/results")
>>> session.analyzers["day_imec0_recording1"]
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from spikeinterface import BaseRecording, BaseSorting, SortingAnalyzer

from capsules.common.contract import RUN_RECORD
from capsules.common.errors import Rejected
from capsules.common.recordings.clock import Clock
from capsules.common.recordings.times import register_clock, set_clock
from capsules.common.units.metrics import get_labels, get_metrics_table, make_units_table
from capsules.common.untrusted.distrust import load_analyzer, load_motion, load_preprocessed, load_sorting
from capsules.results.published import clock_of, place, read_record, status_of

T = TypeVar("T")
S = TypeVar("S", bound=BaseSorting)


class Lazy(Mapping[str, T]):
    """A read-only dict that loads a value at its first use, and keeps it."""

    def __init__(self, loaders: dict[str, Callable[[], T]]):
        self._loaders = loaders
        self._loaded: dict[str, T] = {}

    def __getitem__(self, id: str) -> T:
        if id not in self._loaded:
            self._loaded[id] = self._loaders[id]()
        return self._loaded[id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaders)

    def __len__(self) -> int:
        return len(self._loaders)

    def __repr__(self) -> str:
        return f"<to be loaded: {', '.join(self) or 'nothing'}>"


@dataclass(frozen=True)
class Session:
    """The content of a results folder.

    The keys of traces and motion are ids of recordings. The keys of all about units are ids of sortings: the same,
    followed by the sorter's name when a run has several sorters.

    Attributes
    ----------
    folder : Path
    data : Path or None
        The raw data folder; None when you pass none and the run's folder does not exist.
    status : dict
        `status.json`: `status["recordings"][id]` has status and reason of each sorting.
    recordings : Mapping of str to spikeinterface.BaseRecording
        Preprocessed traces (samples, channels), computed at first use; empty without `data`.
    clocks : dict of str to Clock
        The seconds of each recording's samples, with its gaps: `clocks[id].seconds(samples)`, and
        `clocks[id].samples_at(seconds)` back. Recordings and sortings have these times too, in SpikeInterface's way:
        `curated[id].get_unit_spike_train(unit, return_times=True)`.
    motion : Mapping of str to dict
        `motion` (spikeinterface Motion; um), `peaks`, `peak_locations` and so on, as `load_motion_info` returns them.
    sortings, curated : Mapping of str to spikeinterface.BaseSorting
        Before curation, and after it with its labels as properties; curation removes no unit.
    analyzers : Mapping of str to spikeinterface.SortingAnalyzer
        Without traces. An extension is read at first use (`analyzer.get_extension`).
    nwb : dict of str to Path
        Block -> its NWB file, for `pynwb.read_nwb`.
    """

    folder: Path
    data: Path | None
    status: dict[str, Any]
    recordings: Mapping[str, BaseRecording]
    clocks: dict[str, Clock]
    motion: Mapping[str, dict[str, Any]]
    sortings: Mapping[str, BaseSorting]
    curated: Mapping[str, BaseSorting]
    analyzers: Mapping[str, SortingAnalyzer]
    nwb: dict[str, Path]

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """Labels and metrics of all units, a row each; the index is (sorting id, unit id)."""
        tables = {}
        for id in self.curated:
            tables[id] = make_units_table(get_labels(self.curated[id]), get_metrics_table(self.analyzers[id]))
        return pd.concat(tables, names=["sorting", "unit"]) if tables else pd.DataFrame()


def load(results: str | Path, data: str | Path | None = None) -> Session:
    """Load a run's results folder, wherever it is.

    Parameters
    ----------
    results : path
        The run's `RESULTS_PATH`.
    data : path, optional
        The raw data folder. Default: the folder of the run, if it still exists.

    Returns
    -------
    Session
        Arrays are read at first use.

    Raises
    ------
    Rejected
        When `results` is not the results folder of a finished run, or `data` not a folder.
    """
    results = Path(results).absolute()
    status = status_of(results)
    if data is not None and not os.path.isdir(data):
        raise Rejected([f"{data}: no such folder"])
    data = _data_of_run(results) if data is None else Path(data).absolute()
    ids = list(status["recordings"])
    recordings = list(dict.fromkeys(entry["recording"] for entry in status["recordings"].values()))

    clocks = {id: clock_of(results, id) for id in recordings}

    def published(stage: str, part: str, ids: list[str], loader: Callable[[Path], T]) -> Lazy[T]:
        places = {id: place(results, stage, part, id) for id in ids}
        return Lazy({id: partial(loader, path) for id, path in places.items() if path.exists()})

    def timed_by_clock(loaded: Lazy[T], set_times: Callable[[T, Clock], T]) -> Lazy[T]:
        def load_timed(id: str) -> T:
            entry = status["recordings"].get(id)
            clock = clocks[id if entry is None else entry["recording"]]
            return loaded[id] if clock is None else set_times(loaded[id], clock)

        return Lazy({id: partial(load_timed, id) for id in loaded})

    traces: Lazy[BaseRecording] = Lazy({})
    if data is not None:
        traces = published("preprocessing", "preprocessed.json", recordings, partial(load_preprocessed, data=data))
    return Session(
        folder=results,
        data=data,
        status=status,
        recordings=timed_by_clock(traces, set_clock),
        clocks={id: clock for id, clock in clocks.items() if clock is not None},
        motion=published("preprocessing", "motion", recordings, load_motion),
        sortings=timed_by_clock(published("spikesorting", "spikesorted", ids, load_sorting), _timed_sorting),
        curated=timed_by_clock(published("curation", "curated", ids, load_sorting), _timed_sorting),
        analyzers=published("postprocessing", "postprocessed.zarr", ids, load_analyzer),
        nwb={file.stem: file for file in sorted((results / "nwb").glob("*.nwb"))},
    )


def _data_of_run(results: Path) -> Path | None:
    """The data folder of the run, if it still exists."""
    record = results / RUN_RECORD
    data = read_record(record).get("data") if record.exists() else None
    return Path(data) if isinstance(data, str) and os.path.isdir(data) else None


def _timed_sorting(sorting: S, clock: Clock) -> S:
    register_clock(sorting, clock)
    return sorting
