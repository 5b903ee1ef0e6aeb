"""Figures of the traces."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from spikeinterface import BaseRecording

from capsules.visualization.layout import WIDTH_IN, add_colour_bar, make_figure

TRACE_COLUMNS, TRACE_ROWS = 320, 384
"""Cells of a traces panel: fewer than its pixels, so that each is visible."""


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
    figure, (axes,) = make_figure((WIDTH_IN, 5.5), (1,) * len(recordings), gaps_in=(1.9, 0), right_in=1.1)
    for axis, (title, (recording, start_s)) in zip(axes, recordings.items(), strict=True):
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
        add_colour_bar(axis, image, "uV" if recording.has_scaleable_traces() else "counts")
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
