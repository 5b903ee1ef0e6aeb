"""Figures of events: their timeline, the responses of all units, and the raster and PSTH of each unit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from capsules.common.recordings.clock import Clock
from capsules.visualization.event_lines import MOST_LINES, EventLine, are_inside, seconds_of_traces
from capsules.visualization.layout import BLUE, GREY, RED, WIDTH_IN, add_colour_bar, make_figure
from capsules.visualization.psth import EventResponses

UNITS_PER_PAGE, COLUMNS = 24, 4
PANEL, RASTER_FLOOR, PSTH_HEIGHT = 0.9, 0.42, 0.36
"""Of a unit's panel: its width, where the raster begins and how high the PSTH is, as shares of the unit's cell."""
LEAST_LIMIT = 3.0
"""Colours of z-scores reach at least this, so that noise looks pale."""
MOST_NAMED = 30
"""Units whose ids fit next to the rows."""
TIMELINE_BINS = 900
"""Of the timeline, about as many as it has pixels."""

Array = npt.NDArray[np.float64]


def draw_event_timeline(lines: Sequence[EventLine], clock: Clock, duration_s: float) -> Figure:
    """Draw the rising edges of each line over the time of the traces; dark is many."""
    active = [line for line in lines if are_inside(line.edges_s, clock).any()][:MOST_LINES]
    counts = np.zeros((len(active), TIMELINE_BINS))
    for row, line in enumerate(active):
        risen = line.edges_s[line.rising]
        seconds = seconds_of_traces(risen[are_inside(risen, clock)], clock)
        counts[row] = np.histogram(seconds, bins=TIMELINE_BINS, range=(0, duration_s))[0]
    names = [f"{_cut(line.name)} ({int(count)})" for line, count in zip(active, counts.sum(axis=1), strict=True)]
    figure, ((axis,),) = make_figure((WIDTH_IN, 1.3 + 0.3 * len(active)), left_in=2.4)
    largest = counts.max(axis=1, keepdims=True, initial=1)
    axis.imshow(
        np.sqrt(counts / largest),
        aspect="auto",
        interpolation="nearest",
        extent=(0, duration_s, len(active), 0),
        cmap="Greys",
        vmin=0,
    )
    axis.hlines(np.arange(1, len(active)), 0, duration_s, color="white", linewidth=5)
    axis.set(title="rising edges of each line", xlabel="time (s)", yticks=np.arange(len(active)) + 0.5)
    axis.set_yticklabels(names)
    return figure


def draw_responses(responses: EventResponses, ids: Sequence[str], depths_um: Array | None, title: str) -> Figure:
    """Draw all units around the event: mean rate, and z-scores of each unit by the time of its peak and by depth.

    The earliest peak and the highest unit on the probe are at the top.
    """
    orders = {"by time of the peak": np.argsort(-responses.peaks, kind="stable")}
    if depths_um is not None and np.isfinite(depths_um).any():
        orders["by depth"] = np.argsort(depths_um, kind="stable")
    figure, axes = make_figure((WIDTH_IN, 7.5), (1,) * len(orders), (1, 3), gaps_in=(0.7, 0.5), right_in=1.2)
    window, limit = responses.window, colour_limit(responses.z_scores)
    edges_s = window.start_s + np.arange(window.bins + 1) * window.width_s
    mean_hz = responses.rates_hz.mean(axis=0)
    for (above, below), (name, order) in zip(axes.T, orders.items(), strict=True):
        above.step(edges_s, np.append(mean_hz, mean_hz[-1]), where="post", color=BLUE)
        above.set(title=title if above is axes[0, 0] else "", ylim=(0, None), ylabel="mean rate (Hz)")
        above.tick_params(labelbottom=False)
        shade = below.imshow(
            responses.z_scores[order],
            aspect="auto",
            origin="lower",
            interpolation="nearest",
            extent=(window.start_s, window.end_s, 0, len(order)),
            cmap="RdBu_r",
            vmin=-limit,
            vmax=limit,
        )
        below.set(xlabel="time from the event (s)", ylabel=f"unit, {name}")
        if len(order) <= MOST_NAMED:
            below.set_yticks(np.arange(len(order)) + 0.5, [ids[unit] for unit in order])
        else:
            below.yaxis.set_major_locator(MaxNLocator(integer=True))
        for axis in (above, below):
            axis.axvline(0, color="black", linewidth=0.8, linestyle="--")
            axis.set_xlim(window.start_s, window.end_s)
    add_colour_bar(axes[1, -1], shade, "z-score")
    return figure


def colour_limit(z_scores: Array) -> float:
    """The z-score at either end of the colours: that of the strongest hundredth, at least LEAST_LIMIT."""
    return max(LEAST_LIMIT, float(np.percentile(np.abs(z_scores), 99)) if z_scores.size else 0.0)


def draw_unit_responses(responses: EventResponses, ids: Sequence[str], bad: Array) -> Iterator[Figure]:
    """Draw the raster and, below it, the PSTH of each unit, many units to a page."""
    colours = np.where(bad, GREY, BLUE)
    for first in range(0, len(ids), UNITS_PER_PAGE):
        units = range(first, min(first + UNITS_PER_PAGE, len(ids)))
        rows = -(-len(units) // COLUMNS)
        corners = [(place % COLUMNS, rows - 1 - place // COLUMNS) for place in range(len(units))]
        figure, ((axis,),) = make_figure((WIDTH_IN, 1.9 * rows + 1.05), left_in=0.2, right_in=0.2)
        shown = colours[units.start : units.stop]
        # Few collections for the page: each further artist takes longer than its data.
        bars = [_outline(responses.rates_hz[unit], *corner) for unit, corner in zip(units, corners, strict=True)]
        axis.add_collection(PolyCollection(bars, facecolor=shown))
        zeros = [_event_line(responses, *corner) for corner in corners]
        axis.add_collection(LineCollection(zeros, colors=RED, linewidth=0.8))
        for unit, corner, colour in zip(units, corners, shown, strict=True):
            _draw_raster(axis, responses, unit, corner, colour)
            highest_hz = responses.rates_hz[unit].max(initial=0)
            label = f"unit {ids[unit]}, up to {highest_hz:.3g} Hz{', bad' if bad[unit] else ''}"
            axis.text(corner[0], corner[1] + 0.9, label, fontsize=9, color=colour)
        axis.set(xlim=(-0.02, COLUMNS), ylim=(-0.05, rows + 0.05))
        axis.set_axis_off()
        yield figure


def _place(responses: EventResponses, seconds: Array | float, x: float) -> Array:
    """Times around the event as places in the panel whose left edge is x."""
    window = responses.window
    return np.asarray(x + PANEL * (np.asarray(seconds) - window.start_s) / (window.end_s - window.start_s))


def _event_line(responses: EventResponses, x: float, y: float) -> Array:
    at = float(_place(responses, 0.0, x))
    return np.array([[at, y], [at, y + 0.86]])


def _outline(rates_hz: Array, x: float, y: float) -> Array:
    """The outline of a PSTH's bars, (points, 2), in the panel of a unit whose corner is x, y."""
    edges = x + PANEL * np.linspace(0, 1, len(rates_hz) + 1)
    heights = y + PSTH_HEIGHT * rates_hz / (rates_hz.max(initial=0) or 1)
    return np.column_stack([np.repeat(edges, 2), np.concatenate([[y], np.repeat(heights, 2), [y]])])


def _draw_raster(axis: Axes, responses: EventResponses, unit: int, corner: tuple[float, float], colour: str) -> None:
    """Draw the unit's spikes, the first event at the top."""
    raster, events = responses.rasters[unit], max(1, len(responses.raster_events))
    height = 0.86 - RASTER_FLOOR
    across = _place(responses, raster.lags_s, corner[0])
    along = corner[1] + RASTER_FLOOR + height * (1 - (raster.rows + 0.5) / events)
    axis.plot(across, along, linestyle="none", marker="|", markersize=max(1.5, 40 / events), color=colour, alpha=0.8)


def _cut(name: str) -> str:
    return name if len(name) <= 24 else f"{name[:23]}…"
