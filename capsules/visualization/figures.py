"""Figures of the traces, the peaks and the drift: each function draws one and returns the matplotlib figure."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np


def traces_figure(recordings: dict[str, tuple[Any, float]], duration_s: float) -> Any:
    """Snippets of several recordings, as maps over channel depth and time.

    Parameters
    ----------
    recordings : dict
        Title -> recording and the second at which its snippet begins; channels are drawn by depth.
    duration_s : float
        At least one sample is drawn.
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
        limit = float(np.percentile(np.abs(traces), 99.5)) or 1.0
        image = axis.imshow(
            traces.T,
            aspect="auto",
            origin="lower",
            cmap="RdBu_r",
            vmin=-limit,
            vmax=limit,
            extent=(start_s, start_s + traces.shape[0] / rate, 0, traces.shape[1]),
        )
        axis.set(title=title, xlabel="time (s)", ylabel="channel, by depth")
        figure.colorbar(image, ax=axis, label="uV" if recording.has_scaleable_traces() else "counts")
    return figure


def drift_figure(peaks: np.ndarray, depths_um: np.ndarray, amplitudes: np.ndarray, rate: float, settings: Any) -> Any:
    """Peaks over time and depth, coloured by amplitude; one in `n_skip` is drawn."""
    figure, axis = plt.subplots(figsize=tuple(settings.figsize), layout="constrained")
    shown = slice(None, None, settings.n_skip)
    points = axis.scatter(
        peaks["sample_index"][shown] / rate,
        depths_um[shown],
        c=amplitudes[shown],
        s=4,
        alpha=settings.alpha,
        vmin=settings.vmin,
        vmax=settings.vmax,
        cmap=settings.cmap,
        edgecolors="none",
        rasterized=True,
    )
    axis.set(title=f"{len(peaks)} peaks, 1 in {settings.n_skip} drawn", xlabel="time (s)", ylabel="depth (um)")
    bar = figure.colorbar(points, ax=axis, label="amplitude (uV)")
    bar.solids.set_alpha(1)
    return figure


def motion_figure(info: dict[str, Any], amplitudes: np.ndarray, rate: float, settings: Any) -> Any:
    """The peaks that the drift was told from, and the estimated displacement of each spatial window over time.

    Parameters
    ----------
    info : dict
        SpikeInterface's `motion_info`: `motion`, `peaks`, `peak_locations`.
    amplitudes : array, (peaks,)
        They colour the peaks, of which one in `scatter_decimate` is drawn.
    rate : float
        Sampling rate in Hz.
    settings : section `visualization.motion`
    """
    figure, (above, below) = plt.subplots(2, 1, figsize=tuple(settings.figsize), layout="constrained", sharex=True)
    shown = slice(None, None, settings.scatter_decimate)
    peaks, motion = info["peaks"], info["motion"]
    points = above.scatter(
        peaks["sample_index"][shown] / rate,
        info["peak_locations"]["y"][shown],
        c=amplitudes[shown],
        s=3,
        cmap=settings.cmap,
        edgecolors="none",
        rasterized=True,
    )
    figure.colorbar(points, ax=above, label="amplitude (uV)")
    above.set(title=f"{len(peaks)} peaks, 1 in {settings.scatter_decimate} drawn", ylabel="depth (um)")
    colours = plt.get_cmap("viridis")(np.linspace(0, 0.9, motion.displacement[0].shape[1]))
    for window, depth in enumerate(np.atleast_1d(motion.spatial_bins_um)):
        times, shift = motion.temporal_bins_s[0], motion.displacement[0][:, window]
        below.plot(times, shift, color=colours[window], label=f"{depth:.0f} um")
    below.set(title="estimated drift", xlabel="time (s)", ylabel="displacement (um)")
    below.legend(title="depth", loc="upper right", fontsize="small", ncols=2)
    return figure
