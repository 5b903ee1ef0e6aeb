"""The units table of an NWB file: several sortings' units as one table, written and read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from hdmf.common import DynamicTableRegion, VectorData, VectorIndex
from pynwb import NWBFile
from pynwb.misc import Units

from capsules.nwb_units.columns import Array, Column, SortedUnits, Waveforms

REGIONS = ("electrodes", "max_electrode")
"""Columns whose values are rows of the electrodes table; NeuroConv and SpikeInterface know both by these names."""
RATE_TOLERANCE = 1e-3
"""Rates of probes of one kind differ by less than this, because each is calibrated."""


@dataclass(frozen=True)
class UnitsTable:
    """The table for `write_units`: columns, attributes of pynwb's `Units`, and the columns without any value."""

    columns: dict[str, Column]
    attributes: dict[str, Any]
    left_out: list[str]


def join_units(sortings: list[SortedUnits]) -> UnitsTable:
    """Join the units of several sortings into one table.

    A unit has a blank where its sorting lacks a column: "", False, NaN (which makes integers floats) or no entry.
    Columns in which no unit has a value are left out.
    """
    names = dict.fromkeys(name for units in sortings for name in units.columns)
    columns = {name: _join_column([units.columns.get(name) for units in sortings], sortings) for name in names}
    left_out = [name for name, column in columns.items() if _is_blank(column)]
    columns = {name: column for name, column in columns.items() if name not in left_out}
    attributes: dict[str, Any] = {"resolution": 1 / max(units.rate_hz for units in sortings)}
    waveforms = [units.waveforms for units in sortings if units.waveforms is not None]
    if len(waveforms) == len(sortings):
        rates = np.array([part.rate_hz for part in waveforms])
        if np.ptp(rates) <= RATE_TOLERANCE * rates[0]:
            columns |= _join_waveforms(waveforms)
            attributes |= {
                "waveform_rate": float(rates[0]),
                "waveform_unit": " or ".join(sorted({part.physical_unit for part in waveforms})),
                "waveform_time_before_peak_in_ms": float(1000 * max(part.before for part in waveforms) / rates[0]),
            }
        else:
            # The table has one rate for all waveforms.
            left_out += ["waveform_mean", "waveform_sd"]
    return UnitsTable(columns, attributes, left_out)


def _join_column(columns: list[Column | None], sortings: list[SortedUnits]) -> Column:
    """A column of all sortings from those of each, which is None where a sorting lacks it."""
    first = next(column for column in columns if column is not None)
    counts = list(map(len, sortings))
    if isinstance(first.values, list):
        empty = first.values[0][:0]
        ragged = [column.values if column else [empty] * n for column, n in zip(columns, counts, strict=True)]
        return replace(first, values=[values for part in ragged for values in part])
    arrays = [cast(Array, column.values) if column else None for column in columns]
    kinds = {array.dtype.kind for array in arrays if array is not None}
    blank = "" if "U" in kinds else False if kinds == {"b"} else np.nan
    parts = [np.full(n, blank) if array is None else array for array, n in zip(arrays, counts, strict=True)]
    return replace(first, values=np.concatenate([part.astype(str) for part in parts] if "U" in kinds else parts))


def _is_blank(column: Column) -> bool:
    if isinstance(column.values, list):
        return False
    return bool((column.values == "").all() if column.values.dtype.kind == "U" else np.isnan(column.values).all())


def _join_waveforms(waveforms: list[Waveforms]) -> dict[str, Column]:
    """Mean and standard deviation, aligned at the spike: NaN where a unit has fewer samples or electrodes."""
    before = max(part.before for part in waveforms)
    after = max(len(mean) - part.before for part in waveforms for mean in part.mean)
    electrodes = max(mean.shape[1] for part in waveforms for mean in part.mean)

    def pad(parts: list[tuple[list[Array], int]]) -> Array:
        whole = np.full((sum(len(values) for values, _ in parts), before + after, electrodes), np.nan, "float32")
        rows = iter(whole)
        for values, own_before in parts:
            for value in values:
                start = before - own_before
                next(rows)[start : start + len(value), : value.shape[1]] = value
        return whole

    columns = {"waveform_mean": Column("mean waveform", pad([(part.mean, part.before) for part in waveforms]))}
    deviations = [(part.sd, part.before) for part in waveforms if part.sd is not None]
    if len(deviations) == len(waveforms):
        columns["waveform_sd"] = Column("standard deviation of the waveform", pad(deviations))
    return columns


def write_units(nwbfile: NWBFile, table: UnitsTable, remarks: list[str]) -> None:
    """Add the units table to an NWB file without units; the table's description includes `remarks`."""
    description = [
        "Curated units of every probe; spike times in seconds, by the clock of this file's traces. Waveforms are on "
        "the unit's electrodes, in their order; NaN where a unit has fewer electrodes or samples than others.",
        *remarks,
    ]
    nwbfile.units = Units(
        name="units",
        description="\n".join(description),
        id=list(range(len(table.columns["spike_times"].values))),
        columns=[part for name, column in table.columns.items() for part in _hdmf_columns(nwbfile, name, column)],
        colnames=list(table.columns),
        electrode_table=nwbfile.electrodes,
        **table.attributes,
    )


def _hdmf_columns(nwbfile: NWBFile, name: str, column: Column) -> list[VectorData]:
    """A column in hdmf's classes: its data, after their index where each unit has its own number of them."""
    if isinstance(column.values, list):
        data = _vector(nwbfile, name, column.description, np.concatenate(column.values))
        ends = np.cumsum([len(own) for own in column.values]).tolist()
        return [VectorIndex(name=f"{name}_index", data=ends, target=data), data]
    values: Array | list[Any] = column.values
    if name == "electrode_group":
        values = [nwbfile.electrode_groups[group] for group in values]
    elif column.values.dtype.kind == "U":
        values = column.values.tolist()
    return [_vector(nwbfile, name, column.description, values)]


def _vector(nwbfile: NWBFile, name: str, description: str, values: Array | list[Any]) -> VectorData:
    if name in REGIONS:
        return DynamicTableRegion(name=name, description=description, data=values, table=nwbfile.electrodes)
    return VectorData(name=name, description=description, data=values)


def read_units(table: Units, rows: list[int]) -> SortedUnits:
    """Read some rows, at least one, of a units table that `write_units` wrote."""
    columns = {name: Column(table[name].description, _read(table[name], rows)) for name in table.colnames}
    mean, sd = columns.pop("waveform_mean", None), columns.pop("waveform_sd", None)
    waveforms = None
    if mean is not None:
        waveforms = Waveforms(
            mean=list(mean.values),
            sd=None if sd is None else list(sd.values),
            rate_hz=float(table.waveform_rate),
            before=round(float(table.waveform_time_before_peak_in_ms) * float(table.waveform_rate) / 1000),
            physical_unit=str(table.waveform_unit),
        )
    return SortedUnits(columns, waveforms, 1 / float(table.resolution))


def _read(column: VectorData, rows: list[int]) -> Array | list[Array]:
    """A column's values in some rows, as in `Column`."""
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
