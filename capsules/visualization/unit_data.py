"""The report's data of each unit: metrics, labels, location, waveform, autocorrelogram, amplitudes, similar units.

Arrays are written as base64 of little-endian numbers, which a browser reads without parsing. They are kept small, since
the report of a whole session is one file.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from spikeinterface import SortingAnalyzer

WAVEFORM_CHANNELS = 8
AMPLITUDES = 200
SIMILAR = 4
DIGITS = 4
"""Significant digits of a metric."""


def collect_unit_data(
    analyzer: SortingAnalyzer, labels: dict[str, np.ndarray], metrics: pd.DataFrame, contacts: list[str]
) -> dict[str, Any]:
    """Collect what the report shows of the units; a part is None where its extension was not computed.

    Parameters
    ----------
    analyzer : SortingAnalyzer
    labels : dict
        Name of a labelling -> label of each unit.
    metrics : pandas.DataFrame
        One row per unit.
    contacts : list of str
        Channel ids of the raw recording; the analyzer has some of these channels.
    """
    return {
        "ids": [str(unit) for unit in analyzer.unit_ids],
        "labels": {name: [_as_json(value) for value in values] for name, values in labels.items()},
        "metrics": {str(name): [_as_json(value) for value in metrics[name]] for name in metrics},
        "places": _locations(analyzer),
        "waveforms": _waveforms(analyzer, contacts),
        "correlograms": _correlograms(analyzer),
        "amplitudes": _amplitudes(analyzer),
        "similar": _similar(analyzer),
    }


def pack(array: npt.ArrayLike, kind: str) -> str:
    """Encode an array as base64 of its numbers in C order, little-endian; `kind` is numpy's, e.g. `f4`."""
    return base64.b64encode(np.ascontiguousarray(array, dtype=f"<{kind}").tobytes()).decode()


def _as_json(value: Any) -> Any:
    """A value for JSON: None for NaN and infinities, numbers rounded, anything else as text."""
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None
    return str(value)


def _extension(analyzer: SortingAnalyzer, name: str, **arguments: Any) -> Any | None:
    extension = analyzer.get_extension(name)
    return None if extension is None else extension.get_data(**arguments)


def _locations(analyzer: SortingAnalyzer) -> dict[str, list[float]] | None:
    locations = _extension(analyzer, "unit_locations")
    return None if locations is None else {axis: np.round(locations[:, i], 1).tolist() for i, axis in enumerate("xy")}


def _waveforms(analyzer: SortingAnalyzer, contacts: list[str]) -> dict[str, Any] | None:
    """Mean and standard deviation of each unit on its strongest channels, in thousandths of its largest value.

    `values` has the `shape` (2, samples, channels) for each unit; `channels` are indices of contacts.
    """
    extension = analyzer.get_extension("templates")
    if extension is None:
        return None
    means = extension.get_data(operator="average")
    deviations = extension.get_data(operator="std") if "std" in extension.params["operators"] else np.zeros_like(means)
    channels = np.argsort(-np.ptp(means, axis=1), axis=1, kind="stable")[:, :WAVEFORM_CHANNELS]
    places = [contacts.index(str(channel)) for channel in analyzer.channel_ids]
    both = np.stack([np.take_along_axis(array, channels[:, None, :], axis=2) for array in (means, deviations)], axis=1)
    largest = np.abs(both).max(axis=(1, 2, 3)) if len(both) else np.zeros(0)
    scale = np.where(largest > 0, largest, 1) / 1000
    return {
        "channels": [[places[channel] for channel in row] for row in channels],
        "scale": [float(f"{value:.6g}") for value in scale],
        "values": pack(np.round(both / scale[:, None, None, None]), "i2"),
        "shape": list(both.shape[1:]),
        "start_ms": -extension.params["ms_before"],
        "end_ms": extension.params["ms_after"],
        "unit": _physical_unit(analyzer),
    }


def _correlograms(analyzer: SortingAnalyzer) -> dict[str, Any] | None:
    """Autocorrelograms as firing rates."""
    correlograms = _extension(analyzer, "correlograms")
    if correlograms is None:
        return None
    counts, edges_ms = correlograms
    own = counts[np.arange(len(counts)), np.arange(len(counts))]
    spikes = np.maximum(analyzer.sorting.count_num_spikes_per_unit(outputs="array"), 1)
    width_ms = float(edges_ms[1] - edges_ms[0])
    return {
        "rates_hz": pack(own / (np.asarray(spikes)[:, None] * width_ms / 1000), "f4"),
        "start_ms": float(edges_ms[0]),
        "width_ms": width_ms,
        "bins": len(edges_ms) - 1,
    }


def _amplitudes(analyzer: SortingAnalyzer) -> dict[str, Any] | None:
    """Amplitudes of at most AMPLITUDES spikes of each unit, spread over its spikes."""
    by_segment = _extension(analyzer, "spike_amplitudes", outputs="by_unit")
    if by_segment is None:
        return None
    counts: list[int] = []
    times: list[np.ndarray] = []
    values: list[np.ndarray] = []
    for unit in analyzer.unit_ids:
        amplitudes = by_segment[0][unit]
        chosen = np.unique(np.linspace(0, len(amplitudes) - 1, AMPLITUDES).astype(int))
        # A unit without spikes has no first one.
        chosen = chosen[: len(amplitudes)]
        frames = analyzer.sorting.get_unit_spike_train(unit, segment_index=0)
        counts.append(len(chosen))
        times.append(frames[chosen] / analyzer.sampling_frequency)
        values.append(amplitudes[chosen])
    return {
        "counts": counts,
        "times_s": pack(np.concatenate(times) if times else [], "f4"),
        "values": pack(np.concatenate(values) if values else [], "f4"),
        "unit": _physical_unit(analyzer),
    }


def _physical_unit(analyzer: SortingAnalyzer) -> str:
    return "uV" if analyzer.return_in_uV else "counts"


def _similar(analyzer: SortingAnalyzer) -> list[list[list[float]]] | None:
    """For each unit the most similar others: their indices and similarities."""
    similarity = _extension(analyzer, "template_similarity")
    if similarity is None:
        return None
    others = np.array(similarity, dtype=float)
    np.fill_diagonal(others, -np.inf)
    order = np.argsort(-others, axis=1, kind="stable")[:, : min(SIMILAR, len(others) - 1)]
    return [[[int(other), round(float(others[unit, other]), 3)] for other in row] for unit, row in enumerate(order)]
