"""The units table of an NWB file: several sortings' units as one table, written and read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from capsules.nwb_units.columns import Column, SortedUnits, Waveforms

REGIONS = ("electrodes", "max_electrode")
"""Columns whose values are rows of the electrodes table; NeuroConv and SpikeInterface know both by these names."""
RATE_TOLERANCE = 1e-3
"""Probes of one kind have rates that differ by less, from their calibration."""


@dataclass(frozen=True)
class UnitsTable:
    """What `write_units` writes: columns, attributes of pynwb's `Units`, and which columns had no value at all."""

    columns: dict[str, Column]
    attributes: dict[str, Any]
    left_out: list[str]


def joined(sortings: list[SortedUnits]) -> UnitsTable:
    """One table of the units of several sortings.

    A unit has a blank where its sorting lacks a column: "", False, NaN (which makes a column of integers one of
    floats) or no entry. Columns in which no unit has a value are left out.
    """
    import numpy as np

    names = dict.fromkeys(name for units in sortings for name in units.columns)
    columns = {name: _joined_column(name, sortings) for name in names}
    left_out = [name for name, column in columns.items() if _is_blank(column)]
    columns = {name: column for name, column in columns.items() if name not in left_out}
    attributes: dict[str, Any] = {"resolution": 1 / max(units.rate_hz for units in sortings)}
    waveforms = [units.waveforms for units in sortings]
    if all(waveforms):
        rates = np.array([one.rate_hz for one in waveforms])
        if np.ptp(rates) <= RATE_TOLERANCE * rates[0]:
            columns |= _joined_waveforms(waveforms)
            attributes |= {
                "waveform_rate": float(rates[0]),
                "waveform_unit": " or ".join(sorted({one.unit for one in waveforms})),
                "waveform_time_before_peak_in_ms": float(1000 * max(one.before for one in waveforms) / rates[0]),
            }
        else:
            # The table has one rate for all waveforms.
            left_out += ["waveform_mean", "waveform_sd"]
    return UnitsTable(columns, attributes, left_out)


def _joined_column(name: str, sortings: list[SortedUnits]) -> Column:
    import numpy as np

    given = [units.columns.get(name) for units in sortings]
    known = [column for column in given if column is not None]
    if isinstance(known[0].values, list):
        empty = known[0].values[0][:0]
        parts = [
            column.values if column else [empty] * len(units) for column, units in zip(given, sortings, strict=True)
        ]
        return replace(known[0], values=[values for part in parts for values in part])
    kinds = {column.values.dtype.kind for column in known}
    blank = "" if "U" in kinds else False if kinds == {"b"} else np.nan
    parts = [
        column.values.astype(str if "U" in kinds else column.values.dtype) if column else np.full(len(units), blank)
        for column, units in zip(given, sortings, strict=True)
    ]
    return replace(known[0], values=np.concatenate(parts))


def _is_blank(column: Column) -> bool:
    import numpy as np

    if isinstance(column.values, list):
        return False
    return bool((column.values == "").all() if column.values.dtype.kind == "U" else np.isnan(column.values).all())


def _joined_waveforms(waveforms: list[Waveforms]) -> dict[str, Column]:
    """Mean and standard deviation, aligned at the spike: NaN where a unit has fewer samples or electrodes."""
    before = max(one.before for one in waveforms)
    after = max(len(mean) - one.before for one in waveforms for mean in one.mean)
    electrodes = max(mean.shape[1] for one in waveforms for mean in one.mean)

    def padded(parts: list[tuple[list[Any], int]]) -> Any:
        import numpy as np

        whole = np.full((sum(len(values) for values, _ in parts), before + after, electrodes), np.nan, "float32")
        rows = iter(whole)
        for values, own_before in parts:
            for value in values:
                start = before - own_before
                next(rows)[start : start + len(value), : value.shape[1]] = value
        return whole

    columns = {"waveform_mean": Column("mean waveform", padded([(one.mean, one.before) for one in waveforms]))}
    if all(one.sd is not None for one in waveforms):
        spread = padded([(one.sd, one.before) for one in waveforms])
        columns["waveform_sd"] = Column("standard deviation of the waveform", spread)
    return columns


def write_units(nwbfile: Any, table: UnitsTable, remarks: list[str]) -> None:
    """Give an NWB file (without units) its units table; `remarks` are added to the table's description."""
    from pynwb.misc import Units

    said = [
        "Curated units of every probe; spike times in seconds, by the clock of this file's traces. Waveforms are on "
        "the unit's electrodes, in their order; NaN fills up for units with fewer electrodes or samples than others.",
        *remarks,
    ]
    nwbfile.units = Units(
        name="units",
        description="\n".join(said),
        id=list(range(len(table.columns["spike_times"].values))),
        columns=[part for name, column in table.columns.items() for part in _hdmf_columns(nwbfile, name, column)],
        colnames=list(table.columns),
        electrode_table=nwbfile.electrodes,
        **table.attributes,
    )


def _hdmf_columns(nwbfile: Any, name: str, column: Column) -> list[Any]:
    """A column as the table holds it: its data, after their index where each unit has its own number of them."""
    import numpy as np
    from hdmf.common import DynamicTableRegion, VectorData, VectorIndex

    values, ragged = column.values, isinstance(column.values, list)
    if ragged:
        ends = np.cumsum([len(own) for own in values]).tolist()
        values = np.concatenate(values)
    elif name == "electrode_group":
        values = [nwbfile.electrode_groups[group] for group in values]
    elif values.dtype.kind == "U":
        values = values.tolist()
    told = {"name": name, "description": column.description, "data": values}
    data = DynamicTableRegion(**told, table=nwbfile.electrodes) if name in REGIONS else VectorData(**told)
    return [VectorIndex(name=f"{name}_index", data=ends, target=data), data] if ragged else [data]


def read_units(table: Any, rows: list[int]) -> SortedUnits:
    """Some rows of a units table that `write_units` wrote (pynwb.misc.Units), at least one."""
    columns = {name: Column(table[name].description, _read(table[name], rows)) for name in table.colnames}
    mean, sd = columns.pop("waveform_mean", None), columns.pop("waveform_sd", None)
    waveforms = None
    if mean is not None:
        waveforms = Waveforms(
            mean=list(mean.values),
            sd=None if sd is None else list(sd.values),
            rate_hz=float(table.waveform_rate),
            before=round(float(table.waveform_time_before_peak_in_ms) * float(table.waveform_rate) / 1000),
            unit=str(table.waveform_unit),
        )
    return SortedUnits(columns, waveforms, 1 / float(table.resolution))


def _read(column: Any, rows: list[int]) -> Any:
    """A column's values in some rows, as in `Column`."""
    import numpy as np

    if hasattr(column, "target"):
        ends = np.asarray(column.data[:], dtype=int)
        starts = np.concatenate([[0], ends[:-1]])
        data = np.asarray(column.target.data[:])
        return [data[starts[row] : ends[row]] for row in rows]
    if column.name == "electrode_group":
        return np.array([column[row].name for row in rows])
    values = np.asarray(column.data[:])[rows]
    if values.dtype.kind in "OS":
        values = np.array([value.decode() if isinstance(value, bytes) else str(value) for value in values])
    return values
