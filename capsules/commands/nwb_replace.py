"""One sorting's units in a copy of an NWB file replaced by others that are made of the same spikes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from capsules.commands.published import status_of
from capsules.nwb_units.stage import copy_file, open_io, unit_columns, waveform_facts, write_units

PREDEFINED = ("spike_times", "electrodes", "waveform_mean", "waveform_sd")


def block_of(results: Path, id: str) -> Path | None:
    """The published NWB file that holds a sorting's units, or None."""
    from pynwb import read_nwb

    for file in sorted((results / "nwb").glob("*.nwb")):
        table = read_nwb(file).units
        if table is not None and rows_of(table, results, id):
            return file
    return None


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
    kept = [row_values(table, row) for row in range(len(table)) if row not in replaced]
    published = {str(values["unit_name"]): values for values in (row_values(table, row) for row in replaced)}
    entry = status_of(results)["recordings"][id]
    columns = unit_columns(after, after.sorting, entry["recording"], entry["sorter"])
    columns |= label_columns(after.sorting, [name for name in labels if name not in columns])
    rows = kept + edited_rows(before, after, columns, published)
    descriptions = {name: table[name].description for name in table.colnames if name not in PREDEFINED}
    descriptions |= {name: description for name, (description, _) in columns.items()}
    copy_file(source, target)
    drop_units(target)
    with open_io(target) as io:
        nwbfile = io.read()
        write_units(nwbfile, waveform_facts(after), descriptions, rows)
        io.write(nwbfile)


def row_values(table: Any, row: int) -> dict[str, Any]:
    """A unit's values by column; its electrodes as rows of the electrodes table."""
    values = {name: table[name][row] for name in table.colnames if name != "electrodes"}
    ends = table["electrodes"].data
    first = 0 if row == 0 else int(ends[row - 1])
    electrodes = table["electrodes"].target.data[first : int(ends[row])]
    return {name: _plain(value) for name, value in values.items()} | {"electrodes": [int(one) for one in electrodes]}


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


def label_columns(sorting: Any, names: list[str]) -> dict[str, tuple[str, list]]:
    """The units table's columns for labels that were set by hand: texts, or whether a unit has the label."""
    return {name: (f"{name}: label set by hand", sorting.get_property(name).tolist()) for name in names}


def edited_rows(
    before: Any, after: Any, columns: dict[str, tuple[str, list]], published: dict[str, dict]
) -> list[dict]:
    """The units table's rows of the edited analyzer; `published` holds the file's rows by the units' names."""
    import numpy as np

    trains = [before.sorting.get_unit_spike_train(unit) for unit in before.unit_ids]
    samples, first = np.unique(np.concatenate(trains), return_index=True)
    times = np.concatenate([published[str(unit)]["spike_times"] for unit in before.unit_ids])[first]
    electrode_of = electrodes_of_channels(before, published)
    templates = after.get_extension("templates")
    means, deviations = templates.get_templates(operator="average"), templates.get_templates(operator="std")
    rows = []
    for index, unit in enumerate(after.unit_ids):
        train = after.sorting.get_unit_spike_train(unit)
        peak = int(np.ptp(means[index], axis=0).argmax())
        rows.append(
            {name: values[index] for name, (_, values) in columns.items()}
            | {
                "spike_times": times[np.searchsorted(samples, train)],
                "electrodes": [electrode_of[channel] for channel in after.sparsity.unit_id_to_channel_indices[unit]],
                "waveform_mean": means[index][:, peak],
                "waveform_sd": deviations[index][:, peak],
            }
        )
    return rows


def electrodes_of_channels(analyzer: Any, published: dict[str, dict]) -> dict[int, int]:
    """Channel of the analyzer -> row of the electrodes table, told from the electrodes of the published units."""
    channels = analyzer.sparsity.unit_id_to_channel_indices
    return {
        channel: electrode
        for unit in analyzer.unit_ids
        for channel, electrode in zip(channels[unit], published[str(unit)]["electrodes"], strict=True)
    }


def _plain(value: Any) -> Any:
    """A cell as Python's own text, truth or number; arrays stay."""
    if isinstance(value, bytes):
        return value.decode()
    return value.item() if hasattr(value, "item") and not getattr(value, "shape", ()) else value
