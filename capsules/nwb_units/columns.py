"""The columns of the units table, made from a sorting's analyzer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from spikeinterface import BaseSorting, SortingAnalyzer

from capsules.common.units.metric_names import METRIC_EXTENSIONS
from capsules.common.units.metrics import LABELS, get_labels

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Column:
    """A column of the units table.

    `values` is an array with one value per unit, or a list with one array per unit where each has its own length.
    """

    description: str
    values: Array | list[Array]


@dataclass(frozen=True)
class Waveforms:
    """Templates of some units.

    `mean` and `sd` have an array (samples, electrodes) per unit, in the order of its electrodes; `sd` may be None.
    `before` is the number of samples before the spike.
    """

    mean: list[Array]
    sd: list[Array] | None
    rate_hz: float
    before: int
    physical_unit: str


@dataclass(frozen=True)
class SortedUnits:
    """The units of one sorting: their columns, waveforms (None without templates) and rate (Hz) of their spikes."""

    columns: dict[str, Column]
    waveforms: Waveforms | None
    rate_hz: float

    def __len__(self) -> int:
        return len(self.columns["spike_times"].values)


def collect_units(
    analyzer: SortingAnalyzer,
    labels: dict[str, Column],
    about: dict[str, str],
    spike_times: list[Array],
    observed: Array,
    electrode_of: dict[int, int],
) -> SortedUnits:
    """Collect the units of an analyzer with the columns of the NWB file.

    Parameters
    ----------
    analyzer : SortingAnalyzer
        Of one segment.
    labels : dict
        From `label_columns`.
    about : dict
        The same for all units: `id` of the sorting, `recording`, `electrode_group`, `sorter` and its version.
    spike_times : list of array
        Of each unit, in seconds of the file's clock.
    observed : array (intervals, 2)
        Start and end of the times that were sorted, in seconds.
    electrode_of : dict
        Channel index -> row of the electrodes table, at least for the channels of the units.
    """
    units, count, rate = analyzer.unit_ids, analyzer.get_num_units(), float(analyzer.sampling_frequency)
    electrodes = [np.array([electrode_of[channel] for channel in own]) for own in _channels_of_units(analyzer)]
    columns = {
        "unit_name": Column("id of the unit in this file", np.array([f"{about['id']}_{unit}" for unit in units])),
        "sorting_unit_id": Column("id of the unit in its sorting", np.asarray(units)),
        "recording": Column("recording that the unit was detected in", np.full(count, about["recording"])),
        "sorter": Column("sorter that detected the unit", np.full(count, about["sorter"])),
        "sorter_version": Column("version of the sorter", np.full(count, about["sorter_version"])),
        "electrode_group": Column("electrode group of the unit's probe", np.full(count, about["electrode_group"])),
        "sampling_rate": Column("rate of the recording that was sorted, in Hz", np.full(count, rate)),
        **labels,
        **_locations(analyzer),
        **_metrics(analyzer),
        "electrodes": Column("electrodes on which the unit has a waveform", electrodes),
        "spike_times": Column("times of the unit's spikes, in seconds", spike_times),
        "obs_intervals": Column("times that were sorted, in seconds", [observed] * count),
    }
    if analyzer.has_extension("spike_amplitudes"):
        amplitudes = analyzer.get_extension("spike_amplitudes").get_data(outputs="by_unit")[0]
        description = f"amplitude of each spike, in {_physical_unit(analyzer)}"
        columns["spike_amplitudes"] = Column(description, [amplitudes[unit] for unit in units])
    waveforms = _waveforms(analyzer)
    if waveforms is not None:
        largest = [int(np.ptp(mean, axis=0).argmax()) for mean in waveforms.mean]
        main = np.array([rows[index] for rows, index in zip(electrodes, largest, strict=True)])
        columns["max_electrode"] = Column("electrode with the largest mean waveform", main)
    return SortedUnits(columns, waveforms, rate)


def label_columns(sorting: BaseSorting) -> dict[str, Column]:
    """The labels of curation."""
    return {name: Column(LABELS[name], _plain(values)) for name, values in get_labels(sorting).items()}


def _locations(analyzer: SortingAnalyzer) -> dict[str, Column]:
    """Position of each unit on the probe, with the names that SpikeInterface and NeuroConv use."""
    if not analyzer.has_extension("unit_locations"):
        return {}
    places = analyzer.get_extension("unit_locations").get_data().astype(float)
    return {
        f"estimated_{axis}": Column(f"{axis} of the unit on the probe, in um", place)
        for axis, place in zip("xyz", places.T, strict=False)
    }


def _metrics(analyzer: SortingAnalyzer) -> dict[str, Column]:
    """Every quality and template metric."""
    columns = {}
    for name in METRIC_EXTENSIONS:
        if analyzer.has_extension(name):
            extension = analyzer.get_extension(name)
            described = extension.get_metric_column_descriptions()
            for metric, values in extension.get_data().items():
                columns[str(metric)] = Column(described.get(metric, str(metric)), _plain(values))
    return columns


def _waveforms(analyzer: SortingAnalyzer) -> Waveforms | None:
    """The analyzer's templates, each on its unit's channels; None where postprocessing computed none."""
    if not analyzer.has_extension("templates"):
        return None
    templates = analyzer.get_extension("templates")
    channels = _channels_of_units(analyzer)

    def on_own_channels(operator: str) -> list[Array]:
        dense = templates.get_templates(operator=operator)
        return [dense[index][:, own].astype("float32") for index, own in enumerate(channels)]

    has_sd = "std" in templates.params["operators"] or analyzer.has_extension("waveforms")
    return Waveforms(
        mean=on_own_channels("average"),
        sd=on_own_channels("std") if has_sd else None,
        rate_hz=float(analyzer.sampling_frequency),
        before=int(templates.nbefore),
        physical_unit=_physical_unit(analyzer),
    )


def _channels_of_units(analyzer: SortingAnalyzer) -> list[Array]:
    """Indices of the channels on which each unit has a waveform."""
    # Postprocessing makes sparse analyzers only.
    assert analyzer.sparsity is not None
    return [analyzer.sparsity.unit_id_to_channel_indices[unit] for unit in analyzer.unit_ids]


def _physical_unit(analyzer: SortingAnalyzer) -> str:
    return "microvolts" if analyzer.return_in_uV else "counts"


def _plain(values: npt.ArrayLike) -> Array:
    """A property or a metric as an array of text, truth values, integers or floats."""
    array = pd.Series(values).infer_objects().to_numpy()
    return array.astype(str) if array.dtype == object else array
