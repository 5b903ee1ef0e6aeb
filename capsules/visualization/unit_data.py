"""What the report shows of each unit: metrics, labels, place, waveform, autocorrelogram, amplitudes, similar units.

Arrays travel as base64 of little-endian numbers, which a browser reads without parsing; they are kept small, since the
report of a whole session is one file.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

WAVEFORM_CHANNELS = 8
AMPLITUDES = 200
SIMILAR = 4
DIGITS = 4
"""Significant digits of a metric."""


def unit_data(analyzer: Any, labels: dict[str, Any], metrics: Any, contacts: list[str]) -> dict[str, Any]:
    """Everything the report shows of the units; a part is None where its extension was not computed.

    Parameters
    ----------
    analyzer : SortingAnalyzer
        With its extensions loaded.
    labels : dict
        Name of a labelling -> label of each unit.
    metrics : pandas.DataFrame
        One row per unit.
    contacts : list of str
        Channel ids of the raw recording, which the analyzer's channels are some of.
    """
    return {
        "ids": [str(unit) for unit in analyzer.unit_ids],
        "labels": {name: [_plain(value) for value in values] for name, values in labels.items()},
        "metrics": {str(name): [_plain(value) for value in metrics[name]] for name in metrics},
        "places": _places(analyzer),
        "waveforms": _waveforms(analyzer, contacts),
        "correlograms": _correlograms(analyzer),
        "amplitudes": _amplitudes(analyzer),
        "similar": _similar(analyzer),
    }


def packed(array: Any, kind: str) -> str:
    """An array as base64 of its numbers in C order, little-endian; `kind` is numpy's, e.g. `f4`."""
    return base64.b64encode(np.ascontiguousarray(array, dtype=f"<{kind}").tobytes()).decode()


def _plain(value: Any) -> Any:
    """A value as JSON holds it: None for NaN and infinities, numbers rounded, anything else as text."""
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None
    return str(value)


def _extension(analyzer: Any, name: str, **arguments: Any) -> Any | None:
    extension = analyzer.get_extension(name)
    return None if extension is None else extension.get_data(**arguments)


def _places(analyzer: Any) -> dict[str, list[float]] | None:
    places = _extension(analyzer, "unit_locations")
    return None if places is None else {axis: np.round(places[:, i], 1).tolist() for i, axis in enumerate("xy")}


def _waveforms(analyzer: Any, contacts: list[str]) -> dict[str, Any] | None:
    """Mean and standard deviation of each unit on its strongest channels, in thousandths of its largest value.

    `values` has the `shape` (2, samples, channels) for each unit; `channels` are indices of the contacts.
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
        "values": packed(np.round(both / scale[:, None, None, None]), "i2"),
        "shape": list(both.shape[1:]),
        "start_ms": -extension.params["ms_before"],
        "end_ms": extension.params["ms_after"],
        "unit": "uV" if analyzer.return_in_uV else "counts",
    }


def _correlograms(analyzer: Any) -> dict[str, Any] | None:
    """Autocorrelograms as firing rates."""
    found = _extension(analyzer, "correlograms")
    if found is None:
        return None
    counts, edges_ms = found
    own = counts[np.arange(len(counts)), np.arange(len(counts))]
    spikes = np.maximum(analyzer.sorting.count_num_spikes_per_unit(outputs="array"), 1)
    width_ms = float(edges_ms[1] - edges_ms[0])
    return {
        "rates_hz": packed(own / (np.asarray(spikes)[:, None] * width_ms / 1000), "f4"),
        "start_ms": float(edges_ms[0]),
        "width_ms": width_ms,
        "bins": len(edges_ms) - 1,
    }


def _amplitudes(analyzer: Any) -> dict[str, Any] | None:
    """Amplitudes of at most AMPLITUDES spikes of each unit, spread over its spikes."""
    by_segment = _extension(analyzer, "spike_amplitudes", outputs="by_unit")
    if by_segment is None:
        return None
    counts, times, values = [], [], []
    for unit in analyzer.unit_ids:
        amplitudes = by_segment[0][unit]
        chosen = np.unique(np.linspace(0, len(amplitudes) - 1, AMPLITUDES).astype(int)) if len(amplitudes) else []
        frames = analyzer.sorting.get_unit_spike_train(unit, segment_index=0)
        counts.append(len(chosen))
        times.append(frames[chosen] / analyzer.sampling_frequency)
        values.append(amplitudes[chosen])
    unit = "uV" if analyzer.return_in_uV else "counts"
    joined = [packed(np.concatenate(parts) if parts else [], "f4") for parts in (times, values)]
    return {"counts": counts, "times_s": joined[0], "values": joined[1], "unit": unit}


def _similar(analyzer: Any) -> list[list[list[float]]] | None:
    """For each unit the most similar others: their indices and similarities."""
    similarity = _extension(analyzer, "template_similarity")
    if similarity is None:
        return None
    others = np.array(similarity, dtype=float)
    np.fill_diagonal(others, -np.inf)
    order = np.argsort(-others, axis=1, kind="stable")[:, : min(SIMILAR, len(others) - 1)]
    return [[[int(other), round(float(others[unit, other]), 3)] for other in row] for unit, row in enumerate(order)]
