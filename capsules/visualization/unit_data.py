"""The report's data of each unit: metrics, labels, location, waveform, correlograms, amplitudes, rates, similar units.

Arrays are written as base64 of little-endian numbers, which a browser reads without parsing. They are kept small, at
most 12 KB for each unit, since the report of a whole session is one file.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from spikeinterface import SortingAnalyzer

from capsules.visualization.metric_info import describe_metrics
from capsules.visualization.spike_statistics import DEPTH_BINS, RATE_BINS, SpikeStatistics, compress

WAVEFORM_CHANNELS = 8
WAVEFORM_MS = (-1.0, 2.0)
"""The part of a template that is shown; around it, templates are flat."""
AMPLITUDES = 200
SIMILAR = 4
MERGES = 4
"""Merge candidates of a unit whose cross-correlograms are kept, the most similar ones."""
DIGITS = 4
"""Significant digits of a metric."""
MOST_COUNTED = np.iinfo(np.uint16).max
"""A bin of a cross-correlogram with more spikes is cut to this."""


def collect_unit_data(
    analyzer: SortingAnalyzer,
    statistics: SpikeStatistics,
    labels: dict[str, np.ndarray],
    metrics: pd.DataFrame,
    contacts: list[str],
    candidates: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Collect what the report shows of the units; a part is None where its extension was not computed.

    Parameters
    ----------
    analyzer : SortingAnalyzer
    statistics : SpikeStatistics
        Of the analyzer.
    labels : dict
        Name of a labelling -> label of each unit.
    metrics : pandas.DataFrame
        One row per unit.
    contacts : list of str
        Channel ids of the raw recording; the analyzer has some of these channels.
    candidates : sequence of dict
        The merge candidates that postprocessing lists, the most similar ones first.
    """
    ids = [str(unit) for unit in analyzer.unit_ids]
    similar, merges = _similar(analyzer), _merges(ids, statistics, candidates)
    return {
        "ids": ids,
        # SpikeInterface's curation format names units by ids of the sorting's type.
        "integer_ids": bool(np.issubdtype(analyzer.unit_ids.dtype, np.integer)),
        "labels": {name: [_as_json(value) for value in values] for name, values in labels.items()},
        "metrics": {str(name): [_as_json(value) for value in metrics[name]] for name in metrics},
        "metric_info": describe_metrics(map(str, metrics.columns), analyzer.return_in_uV),
        "places": _locations(analyzer),
        "waveforms": _waveforms(analyzer, contacts),
        "correlograms": _autocorrelograms(statistics),
        "amplitudes": _amplitudes(statistics, _physical_unit(analyzer)),
        "rates": _rates(statistics),
        "depths": _depths(statistics),
        "similar": similar,
        "pairs": _pairs(statistics, similar, [merge["units"] for merge in merges]),
        "merges": merges,
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
    rate_khz = analyzer.sampling_frequency / 1000
    before_ms, after_ms = extension.params["ms_before"], extension.params["ms_after"]
    start_ms, end_ms = max(-before_ms, WAVEFORM_MS[0]), min(after_ms, WAVEFORM_MS[1])
    shown = slice(round((before_ms + start_ms) * rate_khz), round((before_ms + end_ms) * rate_khz))
    means = extension.get_data(operator="average")[:, shown]
    deviations = np.zeros_like(means)
    if "std" in extension.params["operators"]:
        deviations = extension.get_data(operator="std")[:, shown]
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
        "start_ms": start_ms,
        "end_ms": end_ms,
        "unit": _physical_unit(analyzer),
    }


def _autocorrelograms(statistics: SpikeStatistics) -> dict[str, Any]:
    """Autocorrelograms as firing rates."""
    correlograms = statistics.autocorrelograms
    seconds = np.maximum(statistics.spikes, 1)[:, np.newaxis] * correlograms.width_ms / 1000
    return {
        "rates_hz": pack(correlograms.counts / seconds, "f4"),
        "start_ms": correlograms.start_ms,
        "width_ms": correlograms.width_ms,
        "bins": correlograms.counts.shape[1],
        "refractory_ms": statistics.refractory_ms,
    }


def _amplitudes(statistics: SpikeStatistics, unit: str) -> dict[str, Any] | None:
    """Density of all amplitudes, and at most AMPLITUDES of each unit, spread over its spikes."""
    density, amplitudes = statistics.amplitude_density, statistics.amplitudes
    if density is None or amplitudes is None:
        return None
    # A unit without spikes has no first one.
    chosen = [np.unique(np.linspace(0, count - 1, AMPLITUDES).astype(int))[:count] for count in statistics.spikes]
    times_s = [statistics.seconds(index)[kept] for index, kept in enumerate(chosen)]
    values = [values[kept] for values, kept in zip(amplitudes, chosen, strict=True)]
    return {
        "counts": list(map(len, chosen)),
        "times_s": pack(np.concatenate(times_s) if times_s else [], "f4"),
        "values": pack(np.concatenate(values) if values else [], "f4"),
        "unit": unit,
        "density": {
            "values": pack(compress(density.counts, axes=(1, 2)), "u1"),
            "shape": list(density.counts.shape[1:]),
            "start_s": 0.0,
            "width_s": density.times.width_s,
            "lowest": [_as_json(float(value)) for value in density.lowest],
            "highest": [_as_json(float(value)) for value in density.highest],
        },
    }


def _rates(statistics: SpikeStatistics) -> dict[str, Any]:
    times = statistics.bins(RATE_BINS)
    return {"hz": pack(statistics.rates(times), "f4"), "start_s": 0.0, "width_s": times.width_s, "bins": times.count}


def _depths(statistics: SpikeStatistics) -> dict[str, Any] | None:
    times = statistics.bins(DEPTH_BINS)
    depths_um = statistics.mean_depths_um(times)
    if depths_um is None:
        return None
    return {"um": pack(depths_um, "f4"), "start_s": 0.0, "width_s": times.width_s, "bins": times.count}


def _merges(
    ids: list[str], statistics: SpikeStatistics, candidates: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The merge candidates, as indices of units, with their evidence.

    `dip` is the share of spike pairs within the refractory period that are missing, compared with those at lags of 5 to
    25 ms: near 1 for one neuron, near 0 for two independent ones, None where too few are expected.
    `refractory_violations` is the share of the spikes of both, as one unit, that violate the refractory period.
    """
    merges = []
    for candidate in candidates:
        pair, ratio = [ids.index(str(unit)) for unit in candidate["units"]], candidate["refractory_ratio"]
        merges.append(
            {
                "units": pair,
                "similarity": candidate["correlation"],
                "distance_um": candidate["distance_um"],
                "dip": None if ratio is None else _as_json(1 - float(ratio)),
                "refractory_violations": _as_json(statistics.violation_share(pair)),
            }
        )
    return merges


def _pairs(
    statistics: SpikeStatistics, similar: list[list[list[float]]] | None, merges: list[list[int]]
) -> dict[str, Any] | None:
    """Cross-correlograms of each unit with its similar units and its first merge candidates."""
    chosen = {tuple(sorted((unit, int(other)))) for unit, others in enumerate(similar or []) for other, _ in others}
    kept: Counter[int] = Counter()
    for pair in merges:
        if min(kept[unit] for unit in pair) < MERGES:
            chosen.add(tuple(sorted(pair)))
            kept.update(pair)
    if not chosen:
        return None
    index = sorted(chosen)
    correlograms = statistics.cross_correlograms(np.array(index))
    return {
        "index": [list(pair) for pair in index],
        "counts": pack(np.minimum(correlograms.counts, MOST_COUNTED), "u2"),
        "start_ms": correlograms.start_ms,
        "width_ms": correlograms.width_ms,
        "bins": correlograms.counts.shape[1],
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
