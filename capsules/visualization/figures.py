"""Figures of the traces, the peaks and the drift."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from spikeinterface import BaseRecording

from capsules.visualization.params import Drift, Motion

TRACE_COLUMNS, TRACE_ROWS = 320, 384
"""Cells of a traces panel: fewer than its pixels, so that each is visible."""
MOST_POINTS = 100_000
"""Up to this many peaks are all drawn; of more, every second, third, ..."""


def draw_traces(recordings: dict[str, tuple[BaseRecording, float]], duration_s: float) -> Figure:
    """Draw snippets of several recordings, as maps over channel depth and time.

    A cell shows the sample that deviates most from the channel's median, with its sign (`signed_extremes`).

    Parameters
    ----------
    recordings : dict
        Title -> recording and the second at which its snippet begins.
    duration_s : float
        Length of a snippet; at least one sample is drawn.
    """
    figure, axes = plt.subplots(
        1, len(recordings), figsize=(5 * len(recordings), 5), squeeze=False, layout="constrained"
    )
    for axis, (title, (recording, start_s)) in zip(axes[0], recordings.items(), strict=True):
        rate = recording.sampling_frequency
        first = round(start_s * rate)
        last = min(recording.get_num_samples(), first + max(1, round(duration_s * rate)))
        traces = recording.get_traces(start_frame=first, end_frame=last, return_in_uV=recording.has_scaleable_traces())
        depth = recording.get_channel_locations()[:, 1] if recording.has_probe() else np.arange(traces.shape[1])
        order = np.argsort(depth, kind="stable")
        traces = traces[:, order] - np.median(traces, axis=0)[order]
        cells = signed_extremes(signed_extremes(traces, TRACE_COLUMNS).T, TRACE_ROWS)
        limit = float(np.percentile(np.abs(cells), 99)) or 1.0
        image = axis.imshow(
            cells,
            aspect="auto",
            interpolation="nearest",
            origin="lower",
            cmap="RdBu_r",
            vmin=-limit,
            vmax=limit,
            extent=(start_s, start_s + traces.shape[0] / rate, 0, traces.shape[1]),
        )
        axis.set(title=title, xlabel="time (s)", ylabel="channel, by depth")
        figure.colorbar(image, ax=axis, label="uV" if recording.has_scaleable_traces() else "counts")
    return figure


def signed_extremes(values: np.ndarray, bins: int) -> np.ndarray:
    """Reduce the first axis to at most `bins` bins, each with its value of the largest magnitude.

    A mean would hide peaks; a maximum would hide the negative ones.
    """
    if len(values) <= bins:
        return values
    starts = np.arange(bins) * len(values) // bins
    highest, lowest = np.maximum.reduceat(values, starts), np.minimum.reduceat(values, starts)
    return np.where(highest > -lowest, highest, lowest)


def draw_drift_map(
    peaks: np.ndarray, depths_um: np.ndarray, amplitudes: np.ndarray, rate_hz: float, settings: Drift
) -> Figure:
    """Draw peaks over time and depth, coloured by amplitude."""
    figure, axis = plt.subplots(figsize=tuple(settings.figsize), layout="constrained")
    limits = amplitude_limits(amplitudes) if settings.vmin is None or settings.vmax is None else (0.0, 0.0)
    step = _scatter_peaks(
        axis,
        peaks["sample_index"] / rate_hz,
        depths_um,
        amplitudes,
        settings.n_skip,
        alpha=settings.alpha,
        vmin=limits[0] if settings.vmin is None else settings.vmin,
        vmax=limits[1] if settings.vmax is None else settings.vmax,
        cmap=settings.cmap,
    )
    axis.set(title=_peak_title(len(peaks), step), xlabel="time (s)", ylabel="depth (um)")
    return figure


def amplitude_limits(amplitudes: np.ndarray) -> tuple[float, float]:
    """The 1st and 99th percentile of the amplitudes, never equal; with one sign, 0 is one limit.

    Without 0 the smallest peaks would have the colour of the background.
    """
    low, high = (float(limit) for limit in np.percentile(amplitudes, [1, 99]))
    low, high = (low, 0.0) if high <= 0 else (0.0, high) if low >= 0 else (low, high)
    return (low, high) if low < high else (low - 1.0, high + 1.0)


def _scatter_peaks(
    axis: Axes,
    times_s: np.ndarray,
    depths_um: np.ndarray,
    amplitudes: np.ndarray,
    most_skipped: int,
    **style: Any,
) -> int:
    """Draw peaks, the largest on top, with their colour bar; of so many peaks as is returned, one is drawn."""
    step = min(most_skipped, -(-len(times_s) // MOST_POINTS))
    shown = np.arange(0, len(times_s), step)
    shown = shown[np.argsort(np.abs(amplitudes[shown]), kind="stable")]
    # Few points are drawn larger, to be as visible as many.
    size = float(np.clip(60_000 / max(1, len(shown)), 2, 8))
    points = axis.scatter(
        times_s[shown], depths_um[shown], c=amplitudes[shown], s=size, edgecolors="none", rasterized=True, **style
    )
    bar = axis.figure.colorbar(points, ax=axis, label="amplitude (uV)")
    if bar.solids is not None:
        bar.solids.set_alpha(1)
    return step


def _peak_title(count: int, step: int) -> str:
    return f"{count} peaks" if step == 1 else f"{count} peaks, 1 in {step} drawn"


def contact_pitch_um(recording: BaseRecording) -> float:
    """The smallest distance between contacts along the probe's depth; 0 when all are at one depth."""
    steps = np.diff(np.unique(recording.get_channel_locations()[:, 1]))
    return float(steps.min()) if len(steps) else 0.0


def draw_motion(
    info: dict[str, Any], amplitudes: np.ndarray, rate_hz: float, settings: Motion, pitch_um: float = 0.0
) -> Figure:
    """Draw the peaks that the motion was estimated from, and the displacement of each spatial window over time.

    Parameters
    ----------
    info : dict
        SpikeInterface's `motion_info`: `motion`, `peaks`, `peak_locations`.
    amplitudes : array, (peaks,)
        The colours of the peaks.
    rate_hz : float
        Sampling rate.
    settings : Motion
        The section `visualization.motion`.
    pitch_um : float
        Distance between contacts along depth. The displacement's axis spans at least this, so that a much smaller
        motion looks small.
    """
    figure, (above, below) = plt.subplots(2, 1, figsize=tuple(settings.figsize), layout="constrained", sharex=True)
    peaks, motion = info["peaks"], info["motion"]
    low, high = amplitude_limits(amplitudes) if len(peaks) else (0.0, 1.0)
    step = _scatter_peaks(
        above,
        peaks["sample_index"] / rate_hz,
        info["peak_locations"]["y"],
        amplitudes,
        settings.scatter_decimate,
        norm=Normalize(low, high),
        cmap=settings.cmap,
    )
    above.set(title=_peak_title(len(peaks), step), ylabel="depth (um)")
    colours = plt.get_cmap("viridis")(np.linspace(0, 0.9, motion.displacement[0].shape[1]))
    for window, depth in enumerate(np.atleast_1d(motion.spatial_bins_um)):
        times, shift = motion.temporal_bins_s[0], motion.displacement[0][:, window]
        below.plot(times, shift, color=colours[window], label=f"{depth:.0f} um")
    low, high = below.get_ylim()
    if high - low < pitch_um:
        middle = (low + high) / 2
        below.set_ylim(middle - pitch_um / 2, middle + pitch_um / 2)
    below.set(title="estimated motion", xlabel="time (s)", ylabel="displacement (um)")
    below.legend(title="depth", loc="upper right", fontsize="small", ncols=2)
    return figure
