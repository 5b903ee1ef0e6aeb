"""Events in NWB files as lines: pynwb's `EventsTable`, and the types of the extension ndx-events.

An event is a rising edge; with a duration it has a falling one too. The times are those of the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pynwb import read_nwb

from capsules.common.errors import SpikeRelayError
from capsules.common.untrusted.distrust import distrust_files
from capsules.common.untrusted.outer_files import check_outer_files

if TYPE_CHECKING:
    from capsules.common.sync.lines import LineSource, RawEdges

TYPES = ("EventsTable", "Events", "LabeledEvents", "TTLs", "AnnotatedEventsTable")
MOST_LABELS = 200
"""A column with more values has no lines, but a value for each event."""

Times = npt.NDArray[np.float64]


def list_digital(source: LineSource, data: Path) -> list[str]:
    """The kinds of events of a table: the values of its `event_type` or its labels; `events` where it has one kind."""
    with _table(source, data) as table:
        return list(_kinds(table))


def list_analog(source: LineSource, data: Path) -> list[str]:
    """None: an NWB file has events, or traces."""
    return []


def read_edges(source: LineSource, data: Path, digital: list[str], thresholds_v: Mapping[str, float]) -> RawEdges:
    """The edges of some kinds of events; a segment's paths are the file and the place of the table in it."""
    edges_of: RawEdges = {}
    with _table(source, data) as table:
        kinds = _kinds(table)
    for name in digital:
        starts_s, durations_s = kinds[name]
        has_end = np.isfinite(durations_s) & (durations_s > 0)
        seconds = np.concatenate([starts_s, starts_s[has_end] + durations_s[has_end]])
        levels = np.concatenate([np.ones(len(starts_s), np.int8), np.zeros(int(has_end.sum()), np.int8)])
        order = np.argsort(seconds, kind="stable")
        # An NWB file has no samples of its events: they are numbered.
        samples = np.arange(len(seconds), dtype=np.int64)
        edges_of[name] = (samples, levels[order], seconds[order], 0, [])
    return edges_of


def find_tables(file: Path, data: Path) -> dict[str, str]:
    """Place in the file -> name, of each table of events.

    Raises
    ------
    SpikeRelayError
        When the file refers to files outside of the data folder.
    """
    distrust_files()
    check_outer_files(file, data)
    nwbfile = read_nwb(file)
    try:
        return {place: table.name for place, table in _tables(nwbfile)}
    finally:
        nwbfile.read_io.close()


def _tables(nwbfile: Any) -> Iterator[tuple[str, Any]]:
    for table in (getattr(nwbfile, "events", None) or {}).values():
        yield f"events/{table.name}", table
    places = {"acquisition": nwbfile.acquisition}
    places |= {f"processing/{name}": module.data_interfaces for name, module in nwbfile.processing.items()}
    for place, containers in places.items():
        for container in containers.values():
            if container.neurodata_type in TYPES:
                yield f"{place}/{container.name}", container


@contextmanager
def _table(source: LineSource, data: Path) -> Iterator[Any]:
    path, place = source.paths[0]
    distrust_files()
    check_outer_files(data / path, data)
    nwbfile = read_nwb(data / path)
    try:
        table = dict(_tables(nwbfile)).get(place)
        if table is None:
            raise SpikeRelayError(f"{path} has no events in {place}")
        yield table
    finally:
        nwbfile.read_io.close()


def _kinds(table: Any) -> dict[str, tuple[Times, Times]]:
    """The times and durations (NaN: none) of each kind of events of a table."""
    if table.neurodata_type == "EventsTable":
        return _by_label(table, _column(table, "timestamp"), _column(table, "duration"), _labels(table))
    if table.neurodata_type == "AnnotatedEventsTable":
        return {
            str(label): _sorted(np.asarray(times, dtype=float), None)
            for label, times in zip(table["label"][:], table["event_times"][:], strict=True)
        }
    times = np.asarray(table.timestamps[:], dtype=float)
    if table.neurodata_type == "Events":
        return {"events": _sorted(times, None)}
    names, codes = [str(name) for name in table.labels[:]], np.asarray(table.data[:])
    return {name: _sorted(times[codes == code], None) for code, name in enumerate(names) if (codes == code).any()}


def _column(table: Any, name: str) -> Times | None:
    return np.asarray(table[name][:], dtype=float) if name in table.colnames else None


def _labels(table: Any) -> list[str] | None:
    if "event_type" not in table.colnames:
        return None
    labels = [str(label) for label in table["event_type"][:]]
    return labels if len(set(labels)) <= MOST_LABELS else None


def _by_label(
    table: Any, times: Times | None, durations_s: Times | None, labels: list[str] | None
) -> dict[str, tuple[Times, Times]]:
    if times is None:
        raise SpikeRelayError(f"the table {table.name} has no timestamps")
    if labels is None:
        return {"events": _sorted(times, durations_s)}
    own = {label: np.array([other == label for other in labels]) for label in dict.fromkeys(labels)}
    return {
        label: _sorted(times[kept], None if durations_s is None else durations_s[kept]) for label, kept in own.items()
    }


def _sorted(times: Times, durations_s: Times | None) -> tuple[Times, Times]:
    """Finite times in order, with their durations."""
    durations_s = np.full(len(times), np.nan) if durations_s is None else durations_s
    order = np.argsort(times, kind="stable")
    order = order[np.isfinite(times[order])]
    return times[order], durations_s[order]
