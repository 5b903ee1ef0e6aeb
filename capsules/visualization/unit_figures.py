"""Figures of the units: location, firing rate, labels and metrics, and a summary of each unit."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure
from spikeinterface import SortingAnalyzer

UNITS_PER_PAGE, COLUMNS = 40, 5
TIME_BINS = 300
SHOWN_METRICS = ("firing_rate", "snr", "isi_violations_ratio", "presence_ratio", "amplitude_cutoff", "amplitude_median")


def draw_locations(analyzer: SortingAnalyzer, labels: npt.ArrayLike | None) -> Figure:
    """Draw the units on the probe, the area by firing rate; open circles are bad units."""
    figure, axis = plt.subplots(figsize=(5, 8), layout="constrained")
    contacts = analyzer.get_channel_locations()
    axis.scatter(contacts[:, 0], contacts[:, 1], marker="s", s=18, color="0.85", label="contacts")
    locations = analyzer.get_extension("unit_locations").get_data()
    rates = firing_rates(analyzer)
    bad = _is_bad(labels, len(rates))
    for chosen, name, face in ((~bad, "units" if labels is None else "good", "C0"), (bad, "bad", "none")):
        size = 20 + 10 * rates[chosen]
        axis.scatter(locations[chosen, 0], locations[chosen, 1], s=size, facecolor=face, edgecolor="C0", label=name)
    axis.set(title=f"{len(rates)} units, size by firing rate", xlabel="x (um)", ylabel="depth (um)")
    figure.legend(loc="outside lower center", ncols=3, fontsize="small")
    return figure


def draw_firing(analyzer: SortingAnalyzer) -> Figure:
    """Draw the firing rate of every unit over time, as a map; units by depth, or as sorted when depth is unknown."""
    spikes, units = np.asarray(analyzer.sorting.to_spike_vector()), len(analyzer.unit_ids)
    duration_s = analyzer.get_total_duration()
    bins = min(TIME_BINS, max(1, int(duration_s)))
    order, label = np.arange(units), "unit"
    if analyzer.has_extension("unit_locations"):
        order, label = np.argsort(analyzer.get_extension("unit_locations").get_data()[:, 1]), "unit, by depth"
    counts, edges, _ = np.histogram2d(
        spikes["sample_index"] / analyzer.sampling_frequency,
        np.argsort(order)[spikes["unit_index"]],
        bins=(bins, np.arange(units + 1)),
        range=((0, duration_s), (0, units)),
    )
    rates = counts.T / (edges[1] - edges[0])
    figure, axis = plt.subplots(figsize=(10, 5), layout="constrained")
    limit = float(np.percentile(rates, 99)) or float(rates.max()) or 1.0
    shade = axis.imshow(
        rates, aspect="auto", origin="lower", extent=(0, duration_s, 0, units), cmap="magma", vmin=0, vmax=limit
    )
    figure.colorbar(shade, ax=axis, label="firing rate (Hz)")
    axis.set(title="firing", xlabel="time (s)", ylabel=label)
    return figure


def draw_yield(metrics: pd.DataFrame, labels: dict[str, np.ndarray]) -> Figure:
    """Draw the number of units with each label, and the distributions of the main metrics.

    Parameters
    ----------
    metrics : pandas.DataFrame
        One row per unit.
    labels : dict
        Name of a labelling (`default_qc`, ...) -> label of each unit.
    """
    shown = [name for name in SHOWN_METRICS if name in metrics and metrics[name].notna().any()]
    figure, axes = plt.subplots(1, 1 + len(shown), figsize=(3 + 2.5 * len(shown), 3.5), layout="constrained")
    first, *others = np.atleast_1d(axes)
    bars = {
        f"{value} ({name})": count
        for name, values in labels.items()
        for value, count in zip(*np.unique(np.asarray(values, dtype=str), return_counts=True), strict=True)
    } or {"not labelled": len(metrics)}
    first.barh(list(bars), list(bars.values()), color="C0")
    first.set(title=f"{len(metrics)} units", xlabel="units")
    bad = _is_bad(labels.get("default_qc"), len(metrics))
    for axis, name in zip(others, shown, strict=True):
        values = metrics[name].to_numpy(dtype=float)
        known = np.isfinite(values)
        split = [values[known & ~bad], values[known & bad]]
        axis.hist(split, bins=20, stacked=True, color=["C0", "0.7"], label=["not bad", "bad"])
        axis.set(title=name, ylabel="units")
    if others:
        others[-1].legend(fontsize="small")
    return figure


def draw_summaries(analyzer: SortingAnalyzer, labels: npt.ArrayLike | None) -> Iterator[Figure]:
    """Draw each unit's template on its main channel and its autocorrelogram, many units to a page."""
    templates, correlograms = analyzer.get_extension("templates"), analyzer.get_extension("correlograms")
    means = None if templates is None else templates.get_data(operator="average")
    counts = None if correlograms is None else correlograms.get_data()[0]
    rates, bad = firing_rates(analyzer), _is_bad(labels, len(analyzer.unit_ids))
    if means is None and counts is None:
        return
    for first in range(0, len(analyzer.unit_ids), UNITS_PER_PAGE):
        units = range(first, min(first + UNITS_PER_PAGE, len(analyzer.unit_ids)))
        rows = -(-len(units) // COLUMNS)
        # One axis for the page: an axis for each panel takes ten times as long to draw.
        figure, axis = plt.subplots(figsize=(12, 1.3 * rows + 0.3), layout="constrained")
        for place, unit in enumerate(units):
            x, y = place % COLUMNS, rows - 1 - place // COLUMNS
            axis.text(x, y + 0.88, f"{analyzer.unit_ids[unit]}  {rates[unit]:.1f} Hz", fontsize=9)
            colour = "0.6" if bad[unit] else "C0"
            if means is not None:
                wave = _on_main_channel(means[unit])
                axis.plot(x + np.linspace(0, 0.45, len(wave)), y + 0.42 + 0.4 * wave, color=colour, linewidth=1)
            if counts is not None:
                bars = counts[unit, unit] / (counts[unit, unit].max() or 1)
                axis.fill_between(x + np.linspace(0.5, 0.92, len(bars)), y, y + 0.8 * bars, step="mid", color=colour)
        axis.set(xlim=(-0.02, COLUMNS), ylim=(-0.05, rows + 0.05))
        axis.set_axis_off()
        yield figure


def firing_rates(analyzer: SortingAnalyzer) -> np.ndarray:
    """Mean firing rate of each unit in Hz, (units,)."""
    counts = analyzer.sorting.count_num_spikes_per_unit(outputs="array")
    return np.asarray(counts / analyzer.get_total_duration())


def _on_main_channel(template: np.ndarray) -> np.ndarray:
    """A (samples, channels) template on the channel where it is largest, scaled to at most 1."""
    wave = template[:, np.argmax(np.ptp(template, axis=0))]
    return np.asarray(wave / (np.abs(wave).max() or 1))


def _is_bad(labels: npt.ArrayLike | None, units: int) -> np.ndarray:
    return np.zeros(units, dtype=bool) if labels is None else np.asarray(labels) == "bad"
