"""Replace one sorting's units in a copy of an NWB file by edited units, which consist of the same spikes."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import zarr
from pynwb import read_nwb
from pynwb.misc import Units
from spikeinterface import SortingAnalyzer

from capsules.common.untrusted.distrust import distrust_files, report_unreadable
from capsules.nwb_units.columns import Column, SortedUnits, collect_units, label_columns
from capsules.nwb_units.stage import copy_file, open_io
from capsules.nwb_units.table import join_units, read_units, write_units
from capsules.results.published import place, status_of

ABOUT = ("recording", "electrode_group", "sorter", "sorter_version")
"""Columns with the same value for all units of a sorting."""


def block_of(results: Path, id: str) -> Path | None:
    """The published NWB file with a sorting's units, or None.

    Raises
    ------
    SpikeRelayError
        When one of the run's files cannot be read.
    """
    distrust_files()
    files = [place(results, "nwb_units", "file.nwb", block) for block in status_of(results)["blocks"]]
    for file in filter(Path.exists, files):
        with report_unreadable(file):
            table = read_nwb(file).units
            if table is not None and rows_of(table, results, id):
                return file
    return None


def column_names(file: Path | None) -> set[str]:
    """The names that a further column of a file's units cannot have; none without a file."""
    if file is None:
        return set()
    columns = {column.name for column in read_nwb(file).units.columns} | {
        column["name"] for column in Units.__columns__
    }
    return columns | set(dir(Units))


def rows_of(table: Units, results: Path, id: str) -> list[int]:
    """The rows of a sorting's units: those of its recording and its sorter."""
    entry = status_of(results)["recordings"][id]
    pairs = zip(table["recording"].data[:], table["sorter"].data[:], strict=True)
    return [row for row, pair in enumerate(pairs) if tuple(map(_decode, pair)) == (entry["recording"], entry["sorter"])]


def replace_units(
    source: Path,
    target: Path,
    results: Path,
    id: str,
    before: SortingAnalyzer,
    after: SortingAnalyzer,
    labels: list[str],
) -> None:
    """Copy an NWB file and rewrite its units: those of a sorting from its edited analyzer, the others unchanged.

    The file has every spike of the edited units: their times, by the file's clock, are read from it.

    Parameters
    ----------
    source, target : Path
        The published file, which is not changed, and its copy.
    results : Path
    id : str
        The sorting.
    before, after : SortingAnalyzer
        Its units before and after the edits.
    labels : list of str
        The properties of the edited units that the user set.
    """
    table = read_nwb(source).units
    replaced = rows_of(table, results, id)
    kept = [row for row in range(len(table)) if row not in replaced]
    by_hand = {name: Column(f"{name}: label set by hand", after.sorting.get_property(name)) for name in labels}
    edited = edited_units(id, before, after, label_columns(after.sorting) | by_hand, read_units(table, replaced))
    sortings = [read_units(table, kept), edited] if kept else [edited]
    copy_file(source, target)
    drop_units(target)
    if not any(map(len, sortings)):
        return
    with open_io(target) as io:
        nwbfile = io.read()
        write_units(nwbfile, join_units(sortings), [])
        io.write(nwbfile)


def drop_units(file: Path) -> None:
    """Remove the units table from a copied NWB file."""
    if file.is_file():
        with h5py.File(file, "r+") as content:
            del content["units"]
        return
    shutil.rmtree(file / "units")
    if (file / ".zmetadata").exists():
        (file / ".zmetadata").unlink()
        zarr.consolidate_metadata(zarr.DirectoryStore(str(file)))


def edited_units(
    id: str, before: SortingAnalyzer, after: SortingAnalyzer, labels: dict[str, Column], published: SortedUnits
) -> SortedUnits:
    """The units of the edited analyzer, with the times and the electrodes of the published units."""
    columns = published.columns
    row_of = {str(unit): row for row, unit in enumerate(columns["sorting_unit_id"].values)}
    rows = [row_of[str(unit)] for unit in before.unit_ids]
    trains = [before.sorting.get_unit_spike_train(unit) for unit in before.unit_ids]
    samples, first = np.unique(np.concatenate(trains), return_index=True)
    times = np.concatenate([columns["spike_times"].values[row] for row in rows])[first]
    assert before.sparsity is not None
    channels = before.sparsity.unit_id_to_channel_indices
    electrode_of = {
        channel: electrode
        for unit, row in zip(before.unit_ids, rows, strict=True)
        for channel, electrode in zip(channels[unit], columns["electrodes"].values[row], strict=True)
    }
    edited = [after.sorting.get_unit_spike_train(unit) for unit in after.unit_ids]
    return collect_units(
        after,
        labels,
        {"id": id} | {name: str(columns[name].values[0]) for name in ABOUT},
        spike_times=[times[np.searchsorted(samples, train)] for train in edited],
        observed=columns["obs_intervals"].values[0],
        electrode_of=electrode_of,
    )


def _decode(value: bytes | str) -> str:
    """A cell as text: hdf5 returns some as bytes."""
    return value.decode() if isinstance(value, bytes) else str(value)
