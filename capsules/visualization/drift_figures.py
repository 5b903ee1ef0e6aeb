"""Figures of the drift: peaks over time and depth, with the estimated motion and the depths of the units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from spikeinterface import BaseRecording
from spikeinterface.core.motion import Motion

from capsules.visualization import params
from capsules.visualization.layout import BLUE, GREY, ORANGE, add_colour_bar, make_figure
from capsules.visualization.recording_data import MIN_HEIGHT_UM, Peaks

MOST_POINTS = 100_000
"""Up to this many peaks are all drawn as points."""
DENSITY_SHAPE = (300, 500)
"""Most cells of depth and of time in a map of the density: fewer than its pixels, so that each is visible."""
DENSE_PERCENTILE, DENSE_POINTS = 99, 3
"""Of the cells with peaks: this percentile of their counts is as opaque as so many points on top of each other."""
MOST_LINES = 9
"""Depths whose motion is drawn over the peaks."""

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class UnitDepths:
    """Where the units are, for the side of the drift map: (units,) each.

    `bad` are the units that the curation query rejects.
    """

    depths_um: Array
    amplitudes: Array
    bad: Array


def draw_drift_map(
    peaks: Peaks,
    duration_s: float,
    settings: params.Drift,
    physical_unit: str,
    motion: Motion | None = None,
    units: UnitDepths | None = None,
) -> Figure:
    """Draw peaks over time and depth, coloured by amplitude, with the estimated motion; at the side the units.

    Parameters
    ----------
    peaks : Peaks
    duration_s : float
        Of the traces.
    settings : Drift
        The section `visualization.drift`.
    physical_unit : str
        Of the amplitudes.
    motion : spikeinterface Motion, optional
    units : UnitDepths, optional
    """
    widths = (1,) if units is None else (1, 0.22)
    figure, ((axis, *side),) = make_figure(settings.figsize, widths, gaps_in=(1.15, 0), right_in=1.15)
    drawn = draw_peaks(
        axis,
        peaks,
        duration_s,
        settings.n_skip,
        physical_unit,
        cmap=settings.cmap,
        alpha=settings.alpha,
        limits=(settings.vmin, settings.vmax),
    )
    axis.set(title=drawn, xlabel="time (s)", ylabel="depth (um)")
    if units is not None:
        low_um, high_um = axis.get_ylim()
        axis.set_ylim(min(low_um, units.depths_um.min() - 5), max(high_um, units.depths_um.max() + 5))
    if motion is not None:
        _draw_motion_lines(axis, motion)
    if units is not None:
        _draw_unit_depths(side[0], units, axis.get_ylim(), physical_unit)
    return figure


def draw_peaks(
    axis: Axes,
    peaks: Peaks,
    duration_s: float,
    most_skipped: int,
    physical_unit: str,
    *,
    cmap: str,
    alpha: float = 0.8,
    limits: tuple[float | None, float | None] = (None, None),
) -> str:
    """Draw peaks as points, the largest on top, or their density where there are too many; returns a title.

    The density is drawn by the opacity of a cell, as of overlapping points; its colour is the mean amplitude. Peaks
    from a part of the recording are drawn as density: each column is the part that was read within its time.

    Parameters
    ----------
    axis : Axes
    peaks : Peaks
    duration_s : float
    most_skipped : int
        Above MOST_POINTS every n-th peak is drawn, with n as small as possible; this is the largest n.
    physical_unit : str
    cmap, alpha, limits
        Colours of the amplitudes, opacity, and the amplitudes at the ends of the colours (None: percentiles).
    """
    count = len(peaks.seconds)
    step = -(-count // MOST_POINTS)
    if peaks.slices_s is None and step <= most_skipped:
        shades = _scatter_peaks(axis, peaks, step, cmap, alpha, limits)
        title = f"{count:,} peaks" if step == 1 else f"{count:,} peaks, 1 in {step} drawn"
    else:
        shades = _draw_density(axis, peaks, duration_s, cmap, alpha, limits)
        title = f"density of {count:,} peaks"
        title += "" if peaks.slices_s is None else f" in {len(peaks.slices_s)} slices"
    axis.margins(y=0.01)
    axis.set_xlim(0, duration_s)
    add_colour_bar(axis, shades, f"amplitude ({physical_unit})")
    return title


def _scatter_peaks(
    axis: Axes, peaks: Peaks, step: int, cmap: str, alpha: float, limits: tuple[float | None, float | None]
) -> ScalarMappable:
    shown = np.arange(0, len(peaks.seconds), max(1, step))
    shown = shown[np.argsort(np.abs(peaks.amplitudes[shown]), kind="stable")]
    # Few points are drawn larger, to be as visible as many.
    size = float(np.clip(60_000 / max(1, len(shown)), 2, 8))
    low, high = _fill_limits(limits, peaks.amplitudes)
    return axis.scatter(
        peaks.seconds[shown],
        peaks.depths_um[shown],
        c=peaks.amplitudes[shown],
        s=size,
        edgecolors="none",
        rasterized=True,
        cmap=cmap,
        alpha=alpha,
        vmin=low,
        vmax=high,
    )


def _draw_density(
    axis: Axes, peaks: Peaks, duration_s: float, cmap: str, alpha: float, limits: tuple[float | None, float | None]
) -> ScalarMappable:
    low_um, high_um = float(peaks.depths_um.min()), float(peaks.depths_um.max())
    high_um = max(high_um, low_um + MIN_HEIGHT_UM)
    rows, columns = min(DENSITY_SHAPE[0], int((high_um - low_um) / MIN_HEIGHT_UM)), DENSITY_SHAPE[1]
    if peaks.slices_s is not None:
        columns = min(columns, len(peaks.slices_s))
    cells: dict[str, Any] = {"bins": (rows, columns), "range": ((low_um, high_um), (0, duration_s))}
    counts, _, _ = np.histogram2d(peaks.depths_um, peaks.seconds, **cells)
    sums, _, _ = np.histogram2d(peaks.depths_um, peaks.seconds, weights=peaks.amplitudes, **cells)
    filled = counts > 0
    means = np.divide(sums, counts, out=np.zeros_like(sums), where=filled)
    norm = Normalize(*_fill_limits(limits, means[filled]))
    shades = ScalarMappable(norm, cmap)
    image = shades.to_rgba(means)
    dense = np.percentile(counts[filled], DENSE_PERCENTILE)
    image[..., 3] = 1 - (1 - alpha) ** (DENSE_POINTS * np.sqrt(np.minimum(counts / dense, 1)))
    axis.imshow(image, aspect="auto", origin="lower", interpolation="nearest", extent=(0, duration_s, low_um, high_um))
    return shades


def _fill_limits(limits: tuple[float | None, float | None], amplitudes: Array) -> tuple[float, float]:
    low, high = amplitude_limits(amplitudes)
    return low if limits[0] is None else limits[0], high if limits[1] is None else limits[1]


def amplitude_limits(amplitudes: Array) -> tuple[float, float]:
    """The 1st and 99th percentile of the amplitudes, never equal; with one sign, 0 is one limit.

    Without 0 the smallest peaks would have the colour of the background.
    """
    if len(amplitudes) == 0:
        return 0.0, 1.0
    low, high = (float(limit) for limit in np.percentile(amplitudes, [1, 99]))
    low, high = (low, 0.0) if high <= 0 else (0.0, high) if low >= 0 else (low, high)
    return (low, high) if low < high else (low - 1.0, high + 1.0)


def _draw_motion_lines(axis: Axes, motion: Motion) -> None:
    """Draw where a unit would be that is at the depth of a spatial window: the depth plus its displacement."""
    depths_um, displacement_um = np.atleast_1d(motion.spatial_bins_um), motion.displacement[0]
    chosen = np.unique(np.linspace(0, len(depths_um) - 1, MOST_LINES).round().astype(int))
    for number, window in enumerate(chosen):
        axis.plot(
            motion.temporal_bins_s[0],
            depths_um[window] + displacement_um[:, window],
            color=ORANGE,
            linewidth=1.5,
            label="estimated motion" if number == 0 else None,
        )
    axis.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.2)


def _draw_unit_depths(axis: Axes, units: UnitDepths, limits_um: tuple[float, float], physical_unit: str) -> None:
    for chosen, name, face, edge in ((units.bad, "bad", "none", GREY), (~units.bad, "not bad", BLUE, BLUE)):
        if chosen.any():
            axis.scatter(
                units.amplitudes[chosen],
                units.depths_um[chosen],
                s=float(np.clip(4000 / len(units.bad), 8, 30)),
                facecolor=face,
                edgecolor=edge,
                label=name,
                clip_on=False,
            )
    axis.set(xlabel=f"amplitude\n({physical_unit})", ylim=limits_um, xlim=(0, None))
    axis.set_title(f"{len(units.bad)} units")
    axis.tick_params(labelleft=False)
    axis.xaxis.set_major_locator(MaxNLocator(3))
    if units.bad.any():
        axis.legend(loc="upper left", bbox_to_anchor=(1, 1), borderaxespad=0, handletextpad=0.2)


def contact_pitch_um(recording: BaseRecording) -> float:
    """The smallest distance between contacts along the probe's depth; 0 when all are at one depth."""
    steps = np.diff(np.unique(recording.get_channel_locations()[:, 1]))
    return float(steps.min()) if len(steps) else 0.0


def draw_motion(
    peaks: Peaks,
    duration_s: float,
    motion: Motion,
    settings: params.Motion,
    physical_unit: str,
    *,
    error_um: float | None = None,
    pitch_um: float = 0.0,
) -> Figure:
    """Draw the peaks that the motion was estimated from, and the displacement of each spatial window over time.

    Parameters
    ----------
    peaks : Peaks
    duration_s : float
        Of the traces.
    motion : spikeinterface Motion
    settings : Motion
        The section `visualization.motion`.
    physical_unit : str
        Of the amplitudes.
    error_um : float, optional
        Half of the 95 % interval of a displacement, drawn as a band.
    pitch_um : float
        Distance between contacts along depth. The displacement's axis spans at least this, so that a much smaller
        motion looks small.
    """
    figure, ((above,), (below,)) = make_figure(settings.figsize, heights=(1.3, 1), right_in=1.15)
    title = draw_peaks(above, peaks, duration_s, settings.scatter_decimate, physical_unit, cmap=settings.cmap)
    above.set(title=title, ylabel="depth (um)")
    above.tick_params(labelbottom=False)
    depths_um, displacement_um = np.atleast_1d(motion.spatial_bins_um), motion.displacement[0]
    times_s = motion.temporal_bins_s[0]
    shades = ScalarMappable(Normalize(float(depths_um.min()), float(depths_um.max()) + 1e-3), "viridis")
    for window, depth in enumerate(depths_um):
        shift_um, colour = displacement_um[:, window], shades.to_rgba(depth)
        below.plot(times_s, shift_um, color=colour, linewidth=1.2)
        if error_um is not None:
            below.fill_between(times_s, shift_um - error_um, shift_um + error_um, color=colour, alpha=0.15, linewidth=0)
    low, high = below.get_ylim()
    if high - low < pitch_um:
        middle = (low + high) / 2
        below.set_ylim(middle - pitch_um / 2, middle + pitch_um / 2)
    below.set(
        title=f"estimated motion, {_describe_error(error_um)}",
        xlabel="time (s)",
        ylabel="displacement (um)",
        xlim=(0, duration_s),
    )
    if len(depths_um) > 1:
        add_colour_bar(below, shades, "depth (um)")
    return figure


def _describe_error(error_um: float | None) -> str:
    if error_um is None:
        return "uncertainty unknown"
    return f"95 % interval at each depth: {'below ±0.1' if error_um < 0.1 else f'±{error_um:.2g}'} um"
