"""A results folder in Python: all results of a run, in one call.

>>> from spikerelay import load
>>> session = load("/data/results")
>>> session.units
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from capsules.common.errors import Rejected, nearest

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    from spikeinterface import BaseRecording, BaseSorting, SortingAnalyzer

    from capsules.common.recordings.clock import Clock
    from capsules.common.sync.alignment import Alignment

# The libraries are imported where they are used: `import spikerelay` and Tab must not take seconds.

T = TypeVar("T")
SpikeTrains = dict[Any, "npt.NDArray[np.float64]"]
"""Unit id -> spike times in seconds."""
POSITION = ("x_um", "y_um", "z_um")


class Lazy(Mapping[str, T]):
    """A read-only dict that loads a value at its first use, and keeps it.

    A key that is a Python name is an attribute too: `session.curated.day_imec0_recording1`. Tab completes both.
    """

    def __init__(self, loaders: dict[str, Callable[[], T]]):
        self._loaders = loaders
        self._loaded: dict[str, T] = {}

    def __getitem__(self, id: str) -> T:
        if id not in self._loaders:
            raise self.make_key_error(id)
        if id not in self._loaded:
            self._loaded[id] = self._loaders[id]()
        return self._loaded[id]

    def __getattr__(self, name: str) -> T:
        # copy and pickle ask for names with underscores before there are any keys.
        if name.startswith("_") or name not in self._loaders:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)
        return self[name]

    def __contains__(self, id: object) -> bool:
        return id in self._loaders

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(id for id in self if id.isidentifier())]

    def _ipython_key_completions_(self) -> list[str]:
        return list(self)

    def make_key_error(self, id: str) -> KeyError:
        """The error for a key that is not here, with those that are."""
        return KeyError(f"{id}: not among {', '.join(self) or 'the results'}{nearest(str(id), list(self))}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaders)

    def __len__(self) -> int:
        return len(self._loaders)

    def __repr__(self) -> str:
        return f"<to be loaded: {', '.join(self) or 'nothing'}>"


@dataclass(frozen=True, repr=False)
class Session:
    """The content of a results folder. In a notebook it is shown as a table.

    Recordings, clocks and motion have the ids of recordings as keys. Sortings, spike trains and analyzers have the ids
    of sortings: the same ids, followed by the sorter's name when a run has several sorters.

    Attributes
    ----------
    folder : Path
        The results folder.
    data : Path or None
        The raw data folder; None when you pass none and the run's folder does not exist.
    status : dict
        `status.json`: `status["recordings"][id]` has status and reason of each sorting.
    recordings : Mapping of str to spikeinterface.BaseRecording
        Preprocessed traces (samples, channels), computed at first use; empty without `data`.
    clocks : dict of str to Clock
        The seconds of each recording's samples, with its gaps: `clocks[id].seconds(samples)`, and
        `clocks[id].samples_at(seconds)` back. They are on the reference clock where the stream was aligned. Recordings
        and sortings have these times too, in SpikeInterface's way:
        `curated[id].get_unit_spike_train(unit, return_times=True)`.
    own_clocks : dict of str to Clock
        The same as each instrument counts: the times before the alignment.
    alignments : dict of str to Alignment
        How each recording's stream was put on the reference clock, or why it was not (`alignments[id].problems`):
        `map(own_s)` and `unmap(reference_s)`, drift and residuals.
    motion : Mapping of str to dict
        `motion` (spikeinterface Motion; um), `peaks`, `peak_locations` and so on, as `load_motion_info` returns them.
    sortings, curated : Mapping of str to spikeinterface.BaseSorting
        Before curation, and after it with its labels as properties; curation removes no unit.
    spike_trains : Mapping of str to dict
        `spike_trains[id][unit]`: spike times of a curated unit (float64, seconds of `clocks[id]`).
    analyzers : Mapping of str to spikeinterface.SortingAnalyzer
        Without traces. An extension is read at first use (`analyzer.get_extension`).
    events : Mapping of str to Mapping of str to pandas.DataFrame
        `events[block][line]`: the edges of a line, by its name in `events.names` or as `nidq_XD1`. Columns: `time_s`
        (seconds of the reference clock, as of the spikes), `level` (1 rising, 0 falling), `duration_s` (until the next
        opposite edge), `sample` (of the stream, as recorded).
    nwb : dict of str to Path
        Block -> its NWB file, for `pynwb.read_nwb`.
    """

    folder: Path
    data: Path | None
    status: dict[str, Any]
    recordings: Lazy[BaseRecording]
    clocks: dict[str, Clock]
    own_clocks: dict[str, Clock]
    alignments: dict[str, Alignment]
    motion: Lazy[dict[str, Any]]
    sortings: Lazy[BaseSorting]
    curated: Lazy[BaseSorting]
    spike_trains: Lazy[SpikeTrains]
    analyzers: Lazy[SortingAnalyzer]
    events: Lazy[Lazy[pd.DataFrame]]
    nwb: dict[str, Path]

    @cached_property
    def units(self) -> pd.DataFrame:
        """All curated units of all recordings, a row each; the index is (sorting id, unit id).

        First `recording` and `sorter`; then the labels, with `default_qc_reason` (why a unit is bad or undetermined)
        and `suspicious_reason`; then the position on the probe (`x_um`, `y_um`, `z_um`); then all metrics.
        """
        import pandas as pd

        tables = {id: self._make_units(id) for id in self.curated}
        columns = ["recording", "sorter", "default_qc", "default_qc_reason"]
        index = pd.MultiIndex.from_arrays([[], []])
        # Tables without units have no types, which would change those of the others.
        filled = {id: table for id, table in tables.items() if len(table)}
        units = pd.concat(filled) if filled else pd.DataFrame(columns=columns, index=index)
        return units.rename_axis(["sorting", "unit"])

    @property
    def metrics(self) -> pd.DataFrame:
        """`units` without recording, sorter and position: labels and metrics alone."""
        return self.units.drop(columns=["recording", "sorter", *POSITION], errors="ignore")

    def to_pynapple(self, id: str) -> Any:  # pynapple is optional, so its types are unknown here.
        """The curated units of a sorting as a `pynapple.TsGroup`, with the columns of `units` as metadata.

        Its keys are the unit ids where all of them are integers, otherwise row numbers; the metadata `unit` are the
        ids. Its time support is the recording without its gaps.

        Raises
        ------
        ImportError
            When pynapple is not installed: `pip install 'spikerelay[pynapple]'`.
        """
        from capsules.results.hand_over import make_ts_group

        return make_ts_group(self.spike_trains[id], self._make_units(id), self._clock_of(id))

    def to_spikeinterface(self, id: str) -> SortingAnalyzer:
        """A sorting's analyzer with the labels, the times and, where `recordings` has them, the traces.

        The labels are properties of `analyzer.sorting`. Nothing is written to the results.
        """
        from capsules.common.recordings.times import register_clock
        from capsules.results.published import load_labelled_analyzer

        if id not in self.curated:
            raise self.curated.make_key_error(id)
        # Not one of `analyzers`: those stay as they were saved.
        analyzer = load_labelled_analyzer(self.folder, id, in_memory=False)
        if (clock := self._clock_of(id)) is not None:
            register_clock(analyzer.sorting, clock)
        recording = self._recording_of(id)
        if recording in self.recordings:
            analyzer.set_temporary_recording(self.recordings[recording], check_dtype=False)
        return analyzer

    def __repr__(self) -> str:
        from capsules.results.session_table import write_text

        return write_text(self.folder, self.status, self.clocks)

    def _repr_html_(self) -> str:
        from capsules.results.session_table import write_html

        return write_html(self.folder, self.status, self.clocks)

    def _recording_of(self, id: str) -> str:
        return str(self.status["recordings"][id]["recording"])

    def _clock_of(self, id: str) -> Clock | None:
        return self.clocks.get(self._recording_of(id))

    def _make_units(self, id: str) -> pd.DataFrame:
        """The rows of `units` of one sorting."""
        import pandas as pd

        from capsules.common.units.metrics import get_labels, get_metrics_table, make_units_table

        sorting = self.curated[id]
        origin = {"recording": self._recording_of(id), "sorter": self.status["recordings"][id].get("sorter")}
        labels, metrics = get_labels(sorting), pd.DataFrame(index=sorting.unit_ids)
        if id in self.analyzers:
            analyzer = self.analyzers[id]
            labels |= _get_position(analyzer)
            metrics = get_metrics_table(analyzer)
        table = make_units_table(labels, metrics)
        return pd.concat([pd.DataFrame(origin, index=table.index), table], axis=1)


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
    from capsules.results.published import alignment_of, data_of_run, own_clock_of, place, status_of

    results = Path(results).absolute()
    status = status_of(results)
    if data is not None and not os.path.isdir(data):
        raise Rejected([f"{data}: no such folder"])
    if data is not None:
        data = Path(data).absolute()
    elif (folder := data_of_run(results)) is not None and os.path.isdir(folder):
        data = folder
    ids = {id: entry["recording"] for id, entry in status["recordings"].items()}
    recordings = {id: id for id in ids.values()}
    own_clocks = {id: own_clock_of(results, id) for id in recordings}
    alignments = {id: alignment for id in recordings if (alignment := alignment_of(results, id)) is not None}
    clocks = {
        id: clock.align(alignments[id]) if clock is not None and id in alignments else clock
        for id, clock in own_clocks.items()
    }

    def published(stage: str, part: str, ids: dict[str, str], loader: Callable[[Path, Clock | None], T]) -> Lazy[T]:
        """The parts that exist; `ids` has the recording of each."""
        places = {id: place(results, stage, part, id) for id in ids}
        return Lazy({id: partial(loader, path, clocks[ids[id]]) for id, path in places.items() if path.exists()})

    curated = published("curation", "curated", ids, _load_sorting)
    return Session(
        folder=results,
        data=data,
        status=status,
        recordings=Lazy({})
        if data is None
        else published("preprocessing", "preprocessed.json", recordings, partial(_load_traces, data=data)),
        clocks={id: clock for id, clock in clocks.items() if clock is not None},
        own_clocks={id: clock for id, clock in own_clocks.items() if clock is not None},
        alignments=alignments,
        motion=published("preprocessing", "motion", recordings, _load_motion),
        sortings=published("spikesorting", "spikesorted", ids, _load_sorting),
        curated=curated,
        spike_trains=Lazy({id: partial(_compute_trains, curated, id, clocks[ids[id]]) for id in curated}),
        analyzers=published("postprocessing", "postprocessed.zarr", ids, _load_analyzer),
        events=Lazy(
            {file.parent.name: partial(_load_events, file) for file in sorted(results.glob("events/*/events.json"))}
        ),
        nwb={file.stem: file for file in sorted((results / "nwb").glob("*.nwb"))},
    )


def _load_traces(path: Path, clock: Clock | None, data: Path) -> BaseRecording:
    from capsules.common.recordings.times import set_clock
    from capsules.common.untrusted.distrust import load_preprocessed

    recording = load_preprocessed(path, data=data)
    return recording if clock is None else set_clock(recording, clock)


def _load_sorting(path: Path, clock: Clock | None) -> BaseSorting:
    from capsules.common.recordings.times import register_clock
    from capsules.common.untrusted.distrust import load_sorting

    sorting = load_sorting(path)
    if clock is not None:
        register_clock(sorting, clock)
    return sorting


def _load_analyzer(path: Path, _: Clock | None) -> SortingAnalyzer:
    from capsules.common.untrusted.distrust import load_analyzer

    return load_analyzer(path)


def _load_events(listing: Path) -> Lazy[pd.DataFrame]:
    """The lines of a block, by what they are called."""
    from capsules.common.facts import EventLine
    from capsules.common.sync.event_files import read_events
    from capsules.common.untrusted.distrust import report_unreadable
    from capsules.common.untrusted.small_files import read_small_json

    with report_unreadable(listing):
        lines = [EventLine.model_validate(entry) for entry in read_small_json(listing)]
    # The list may come from others: a file's name is not a path.
    return Lazy({line.label: partial(read_events, listing.parent / Path(line.file).name) for line in lines})


def _load_motion(path: Path, _: Clock | None) -> dict[str, Any]:
    from capsules.common.untrusted.distrust import load_motion

    return load_motion(path)


def _compute_trains(curated: Lazy[BaseSorting], id: str, clock: Clock | None) -> SpikeTrains:
    sorting = curated[id]
    samples = {unit: sorting.get_unit_spike_train(unit) for unit in sorting.unit_ids.tolist()}
    if clock is None:
        return {unit: train / sorting.sampling_frequency for unit, train in samples.items()}
    return {unit: clock.seconds(train) for unit, train in samples.items()}


def _get_position(analyzer: SortingAnalyzer) -> dict[str, npt.NDArray[np.float64]]:
    """The position of each unit on the probe, where postprocessing computed it."""
    if not analyzer.has_extension("unit_locations"):
        return {}
    positions = analyzer.get_extension("unit_locations").get_data().astype(float)
    return dict(zip(POSITION, positions.T, strict=False))
