"""Figures of the units: location, firing over time, labels and metrics, and a summary of each unit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from spikeinterface import SortingAnalyzer

from capsules.visualization.layout import BLUE, GREY, ORANGE, RED, WIDTH_IN, add_colour_bar, make_figure
from capsules.visualization.recording_data import Period
from capsules.visualization.spike_statistics import SpikeStatistics, compress

UNITS_PER_PAGE, COLUMNS = 40, 4
TIME_BINS = 300
SUMMARY_MS = 20.0
"""The autocorrelogram of a summary spans this on either side: each of its bars is wider than a pixel."""
DEPTH_ROWS = 40
"""Most bins of depth of the firing rate over depth and time."""
MIN_DEPTH_UM = 40.0
SHOWN_METRICS = ("firing_rate", "snr", "isi_violations_ratio", "presence_ratio", "amplitude_cutoff", "amplitude_median")
PERIOD_STYLES = {"saturation": RED, "artifact": ORANGE, "gap": "black"}

Array = npt.NDArray[Any]


class Panel(NamedTuple):
    """Where a part of a unit's summary begins, and how wide it is, as a share of the unit's width."""

    left: float
    width: float


WAVE, LAGS, SPIKES = Panel(0.0, 0.22), Panel(0.26, 0.36), Panel(0.66, 0.3)
HEIGHT = 0.75
"""Of the parts of a unit's summary, as a share of the unit's height; above them is its name."""


def draw_locations(analyzer: SortingAnalyzer, rates_hz: Array, labels: npt.ArrayLike | None) -> Figure:
    """Draw the units on the probe, the area by firing rate; open circles are bad units."""
    figure, ((axis,),) = make_figure((5.4, 8), right_in=1.3)
    contacts = analyzer.get_channel_locations()
    axis.scatter(contacts[:, 0], contacts[:, 1], marker="s", s=18, color="0.85", label="contacts")
    locations = analyzer.get_extension("unit_locations").get_data()
    bad = is_bad(labels, len(rates_hz))
    for chosen, name, face in ((~bad, "units" if labels is None else "not bad", BLUE), (bad, "bad", "none")):
        size = 20 + 10 * rates_hz[chosen]
        axis.scatter(locations[chosen, 0], locations[chosen, 1], s=size, facecolor=face, edgecolor=BLUE, label=name)
    axis.set(title=f"{len(rates_hz)} units, size by firing rate", xlabel="x (um)", ylabel="depth (um)")
    axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def draw_firing(statistics: SpikeStatistics, depths_um: Array | None, periods: Sequence[Period]) -> Figure:
    """Draw all units' firing over time: their sum with the periods, their sum by depth, and each unit.

    Parameters
    ----------
    statistics : SpikeStatistics
    depths_um : array, (units,), or None
        Without it the units are in the order of the sorting.
    periods : sequence of Period
        Saturated periods, artifacts and gaps.
    """
    times = statistics.bins(TIME_BINS)
    rates_hz, duration_s = statistics.rates(times), statistics.duration_s
    if depths_um is not None and not np.isfinite(depths_um).any():
        depths_um = None
    order = np.arange(len(rates_hz)) if depths_um is None else np.argsort(depths_um, kind="stable")
    heights = (0.22, 1, 2.4) if depths_um is None else (0.22, 1, 1.8, 2.2)
    figure, axes = make_figure((WIDTH_IN, sum(heights) * 1.7 + 1.6), heights=heights, gaps_in=(0, 0.42), right_in=1.2)
    strip, total, *maps = axes[:, 0]
    _draw_periods(strip, periods)
    total.step(np.arange(times.count + 1) * times.width_s, _with_last(rates_hz.sum(axis=0)), where="post", color=BLUE)
    total.set(title="all units together", ylabel="rate (Hz)", ylim=(0, None))
    if depths_um is not None:
        binned, low_um, high_um = _bin_by_depth(rates_hz, depths_um)
        _draw_map(maps[0], binned, (0, duration_s, low_um, high_um), "Hz in each depth bin")
        maps[0].set(title=f"by depth, bins of {(high_um - low_um) / len(binned):.0f} um", ylabel="depth (um)")
    _draw_map(maps[-1], rates_hz[order], (0, duration_s, 0, len(rates_hz)), "firing rate (Hz)")
    maps[-1].set(title="each unit", xlabel="time (s)", ylabel="unit" if depths_um is None else "unit, by depth")
    for axis in axes[:, 0]:
        axis.set_xlim(0, duration_s)
    for axis in axes[:-1, 0]:
        axis.tick_params(labelbottom=False)
    return figure


def _with_last(values: Array) -> Array:
    """The values with the last one twice, for steps that reach the end of the last bin."""
    return np.append(values, values[-1:])


def _draw_periods(axis: Axes, periods: Sequence[Period]) -> None:
    """Draw when the converter was saturated, artifacts and gaps; a line where a period is narrower than a pixel."""
    counts = {kind: sum(period.kind == kind for period in periods) for kind in PERIOD_STYLES}
    for kind, colour in PERIOD_STYLES.items():
        spans = [(period.start_s, period.end_s - period.start_s) for period in periods if period.kind == kind]
        axis.broken_barh(spans, (0, 1), color=colour, linewidth=1, linestyle="--" if kind == "gap" else "-")
    names = {"saturation": "saturated periods", "artifact": "artifacts", "gap": "gaps"}
    axis.set_title(", ".join(f"{names[kind]}: {count}" for kind, count in counts.items()))
    axis.set(yticks=[], ylim=(0, 1))
    handles = [axis.plot([], color=PERIOD_STYLES[kind], linewidth=4)[0] for kind, count in counts.items() if count]
    if handles:
        shown = [kind for kind, count in counts.items() if count]
        axis.legend(handles, shown, loc="lower right", bbox_to_anchor=(1, 1), ncols=3, borderaxespad=0.2)


def _draw_map(axis: Axes, rates_hz: Array, extent: tuple[float, float, float, float], label: str) -> None:
    limit = float(np.percentile(rates_hz, 99)) or float(rates_hz.max(initial=0)) or 1.0
    shade = axis.imshow(
        rates_hz,
        aspect="auto",
        origin="lower",
        interpolation="nearest",
        extent=extent,
        cmap="magma",
        vmin=0,
        vmax=limit,
    )
    add_colour_bar(axis, shade, label)


def _bin_by_depth(rates_hz: Array, depths_um: Array) -> tuple[Array, float, float]:
    """The sum of the units' rates in bins of depth, (bins, time bins), with the lowest and highest edge.

    A unit whose depth is unknown is in none.
    """
    known = np.isfinite(depths_um)
    rates_hz, depths_um = rates_hz[known], depths_um[known]
    low_um, high_um = float(depths_um.min()), float(depths_um.max())
    bins = int(np.clip((high_um - low_um) // MIN_DEPTH_UM, 1, DEPTH_ROWS))
    high_um = max(high_um, low_um + MIN_DEPTH_UM)
    rows = np.minimum(((depths_um - low_um) / (high_um - low_um) * bins).astype(int), bins - 1)
    binned = np.zeros((bins, rates_hz.shape[1]))
    np.add.at(binned, rows, rates_hz)
    return binned, low_um, high_um


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
    columns = min(4, 1 + len(shown))
    rows = -(-(1 + len(shown)) // columns)
    figure, axes = make_figure((WIDTH_IN, 3.3 * rows), (1,) * columns, (1,) * rows, left_in=1.7, gaps_in=(0.9, 0.95))
    first, *others = axes.ravel()
    bars = {
        _name_label(name, value): count
        for name, values in labels.items()
        for value, count in zip(*np.unique(np.asarray(values, dtype=str), return_counts=True), strict=True)
    } or {"not labelled": len(metrics)}
    first.barh(list(bars), list(bars.values()), color=BLUE)
    first.tick_params(axis="y", labelsize=9)
    first.set(title=f"{len(metrics)} units", xlabel="units")
    bad = is_bad(labels.get("default_qc"), len(metrics))
    for axis, name in zip(others, shown, strict=False):
        values = metrics[name].to_numpy(dtype=float)
        known = np.isfinite(values)
        split = [values[known & ~bad], values[known & bad]]
        # One outline for each group: forty bars on each panel take four times as long to draw.
        axis.hist(split, bins=20, stacked=True, histtype="stepfilled", color=[BLUE, "0.7"], label=["not bad", "bad"])
        axis.set(title=name, ylabel="units")
    for axis in others[len(shown) :]:
        axis.set_axis_off()
    if others:
        others[0].legend()
    return figure


def _name_label(name: str, value: str) -> str:
    """A label in words: `suspicious` is True or False."""
    return {"True": name, "False": f"not {name}"}.get(value, f"{value} ({name})")


def draw_summaries(
    analyzer: SortingAnalyzer, statistics: SpikeStatistics, labels: npt.ArrayLike | None
) -> Iterator[Figure]:
    """Draw each unit's template on its main channel, its autocorrelogram and its amplitudes, many units to a page."""
    templates = analyzer.get_extension("templates")
    means = None if templates is None else templates.get_data(operator="average")
    correlograms, density = statistics.autocorrelograms, statistics.amplitude_density
    shades = None if density is None else compress(density.counts, axes=(1, 2))
    middle, side = correlograms.counts.shape[1] // 2, round(SUMMARY_MS / correlograms.width_ms)
    counts = correlograms.counts[:, middle - side : middle + side]
    refractory = LAGS.width / 2 * statistics.refractory_ms / (side * correlograms.width_ms)
    colours = np.where(is_bad(labels, statistics.units), GREY, BLUE)
    for first in range(0, statistics.units, UNITS_PER_PAGE):
        units = range(first, min(first + UNITS_PER_PAGE, statistics.units))
        rows = -(-len(units) // COLUMNS)
        corners = [(place % COLUMNS, rows - 1 - place // COLUMNS) for place in range(len(units))]
        figure, ((axis,),) = make_figure((WIDTH_IN, 1.3 * rows + 1.05), left_in=0.2, right_in=0.2)
        if shades is not None:
            _draw_densities(axis, shades[units.start : units.stop], rows)
        # One collection for the page: each artist more takes longer than its data.
        bars = [_outline(counts[unit], *corner) for unit, corner in zip(units, corners, strict=True)]
        axis.add_collection(PolyCollection(bars, facecolor=colours[units.start : units.stop]))
        boxes = [_box(x + LAGS.left + LAGS.width / 2, y, refractory) for x, y in corners]
        axis.add_collection(PolyCollection(boxes, facecolor=RED, alpha=0.35))
        if means is not None:
            waves = [_wave(means[unit], *corner) for unit, corner in zip(units, corners, strict=True)]
            axis.add_collection(LineCollection(waves, colors=colours[units.start : units.stop], linewidth=1))
        for unit, (x, y) in zip(units, corners, strict=True):
            name = f"{analyzer.unit_ids[unit]}  {statistics.mean_rates_hz[unit]:.1f} Hz"
            bad = "  bad" if colours[unit] == GREY else ""
            axis.text(x, y + 0.86, name + bad, fontsize=9, color=colours[unit])
        axis.set(xlim=(-0.02, COLUMNS), ylim=(-0.05, rows + 0.05))
        axis.set_axis_off()
        yield figure


def _box(middle: float, low: float, half: float) -> Array:
    """The corners of a box over the height of a panel."""
    left, right = middle - half, middle + half
    return np.array([[left, low], [right, low], [right, low + HEIGHT], [left, low + HEIGHT]])


def _outline(counts: Array, x: float, y: float) -> Array:
    """The outline of an autocorrelogram's bars, (points, 2), in the panel of a unit whose corner is x, y."""
    edges = x + LAGS.left + LAGS.width * np.linspace(0, 1, len(counts) + 1)
    heights = y + HEIGHT * counts / (counts.max() or 1)
    across, along = np.repeat(edges, 2), np.concatenate([[y], np.repeat(heights, 2), [y]])
    return np.column_stack([across, along])


def _wave(template: Array, x: float, y: float) -> Array:
    """A template on its main channel, (samples, 2), in the panel of a unit whose corner is x, y."""
    wave = _on_main_channel(template)
    return np.column_stack([x + WAVE.left + WAVE.width * np.linspace(0, 1, len(wave)), y + HEIGHT / 2 * (1 + wave)])


def _draw_densities(axis: Axes, shades: Array, rows: int) -> None:
    """Draw each unit's density at its place, dark is dense.

    One image for each column of units: one for each unit takes longer, and matplotlib makes several arrays of floats
    with all pixels of an image, which for the whole page take 130 MB.
    """
    high = round(shades.shape[1] / HEIGHT)
    for column in range(COLUMNS):
        image = np.zeros((rows * high, shades.shape[2]), dtype=shades.dtype)
        for row, density in enumerate(shades[column::COLUMNS]):
            low = (rows - 1 - row) * high
            image[low : low + len(density)] = density
        left = column + SPIKES.left
        axis.imshow(
            image,
            extent=(left, left + SPIKES.width, 0, rows),
            origin="lower",
            aspect="auto",
            interpolation="nearest",
            cmap="Greys",
            vmin=0,
            vmax=255,
        )


def _on_main_channel(template: np.ndarray) -> np.ndarray:
    """A (samples, channels) template on the channel where it is largest, scaled to at most 1."""
    wave = template[:, np.argmax(np.ptp(template, axis=0))]
    return np.asarray(wave / (np.abs(wave).max() or 1))


def is_bad(labels: npt.ArrayLike | None, units: int) -> np.ndarray:
    """Which units the curation query rejects; none without labels."""
    return np.zeros(units, dtype=bool) if labels is None else np.asarray(labels) == "bad"
