"""One sorting's units in a copy of an NWB file replaced by others that are made of the same spikes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from capsules.common.untrusted.distrust import distrust_files, one_line
from capsules.nwb_units.columns import Column, SortedUnits, collect_units, label_columns
from capsules.nwb_units.stage import copy_file, open_io
from capsules.nwb_units.table import join_units, read_units, write_units
from capsules.results.published import place, status_of

ABOUT = ("recording", "electrode_group", "sorter", "sorter_version")
"""Columns in which all units of a sorting have the same."""


def block_of(results: Path, id: str) -> Path | None:
    """The published NWB file that holds a sorting's units, or None.

    Raises
    ------
    SpikeRelayError
        When one of the run's files cannot be read.
    """
    from pynwb import read_nwb

    distrust_files()
    files = [place(results, "nwb_units", "file.nwb", block) for block in status_of(results)["blocks"]]
    for file in filter(Path.exists, files):
        with one_line(file):
            table = read_nwb(file).units
            if table is not None and rows_of(table, results, id):
                return file
    return None


def names_in(file: Path | None) -> set[str]:
    """The names that no further column of a file's units can have; none without a file."""
    if file is None:
        return set()
    from pynwb import read_nwb
    from pynwb.misc import Units

    columns = {column.name for column in read_nwb(file).units.columns} | {one["name"] for one in Units.__columns__}
    return columns | set(dir(Units))


def rows_of(table: Any, results: Path, id: str) -> list[int]:
    """The rows of a sorting's units: those of its recording and its sorter."""
    entry = status_of(results)["recordings"][id]
    pairs = zip(table["recording"].data[:], table["sorter"].data[:], strict=True)
    return [row for row, pair in enumerate(pairs) if tuple(map(_plain, pair)) == (entry["recording"], entry["sorter"])]


def replace_units(
    source: Path, target: Path, results: Path, id: str, before: Any, after: Any, labels: list[str]
) -> None:
    """Copy an NWB file and write its units anew: those of a sorting from its edited analyzer, the others as they are.

    Every spike of the edited units is one that the file has: its time, by the file's clock, is looked up there.

    Parameters
    ----------
    source, target : Path
        The published file, which stays as it is, and its copy.
    results : Path
    id : str
        The sorting.
    before, after : SortingAnalyzer
        Its units as the run left them, and as they were edited.
    labels : list of str
        The properties of the edited units that were set by hand.
    """
    from pynwb import read_nwb

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
    """Take the units table out of an NWB file that is our own copy."""
    if file.is_file():
        import h5py

        with h5py.File(file, "r+") as content:
            del content["units"]
        return
    import zarr

    shutil.rmtree(file / "units")
    if (file / ".zmetadata").exists():
        (file / ".zmetadata").unlink()
        zarr.consolidate_metadata(str(file))


def edited_units(id: str, before: Any, after: Any, labels: dict[str, Column], published: SortedUnits) -> SortedUnits:
    """The units of the edited analyzer, with the times and the electrodes that the file has for those before."""
    import numpy as np

    had = published.columns
    row_of = {str(unit): row for row, unit in enumerate(had["sorting_unit_id"].values)}
    rows = [row_of[str(unit)] for unit in before.unit_ids]
    trains = [before.sorting.get_unit_spike_train(unit) for unit in before.unit_ids]
    samples, first = np.unique(np.concatenate(trains), return_index=True)
    times = np.concatenate([had["spike_times"].values[row] for row in rows])[first]
    channels = before.sparsity.unit_id_to_channel_indices
    electrode_of = {
        channel: electrode
        for unit, row in zip(before.unit_ids, rows, strict=True)
        for channel, electrode in zip(channels[unit], had["electrodes"].values[row], strict=True)
    }
    edited = [after.sorting.get_unit_spike_train(unit) for unit in after.unit_ids]
    return collect_units(
        after,
        labels,
        {"id": id} | {name: str(had[name].values[0]) for name in ABOUT},
        spike_times=[times[np.searchsorted(samples, train)] for train in edited],
        observed=had["obs_intervals"].values[0],
        electrode_of=electrode_of,
    )


def _plain(value: Any) -> str:
    """A cell as text: hdf5 gives some as bytes."""
    return value.decode() if isinstance(value, bytes) else str(value)
