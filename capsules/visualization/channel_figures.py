"""Figures of the channels: their labels, RMS, power spectra and LFP."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from spikeinterface import BaseRecording
from spikeinterface.core.time_series_tools import get_random_sample_slices

from capsules.common.recordings.medians import take_medians, transpose
from capsules.common.tasks.resources import count_cores
from capsules.visualization.layout import BLUE, GREY, ORANGE, RED, WIDTH_IN, add_colour_bar, make_figure
from capsules.visualization.lfp import LfpPower
from capsules.visualization.spectra import compute_density

CHUNKS, CHUNK_S = 10, 0.5
"""Number and length of the snippets that the statistics are computed from, the same ones each time."""
MOST_THREADS = 4
"""Snippets that are in memory at once: each takes 100 MB at 384 channels."""
PSD_COLUMNS = 300
"""Cells of a map of spectra: fewer than its pixels, so that each is visible."""
MAINS_HZ = (50, 60)
LABEL_STYLES = {
    "good": ("0.75", "s"),
    "dead": (RED, "X"),
    "noise": (ORANGE, "^"),
    "out": (BLUE, "v"),
    "removed": ("#cc79a7", "D"),
    "saturated": ("#009e73", "P"),
}
"""Label -> colour and marker."""
BAND_STYLES = (BLUE, "#56b4e9", ORANGE, RED)


@dataclass(frozen=True)
class ChannelStatistics:
    """Statistics of a recording's channels, computed from snippets.

    Attributes
    ----------
    ids : list of str
        The channels' ids.
    rate_hz : float
    depths_um, rms, noise : array, (channels,)
        Noise is the median absolute deviation, scaled to that of a normal distribution.
    frequencies_hz : array, (frequencies,)
    power : array, (frequencies, channels)
        Spectral density.
    physical_unit : str
        Of rms and noise: `uV`, or `counts` for a recording without gains. The density's is its square per Hz.
    """

    ids: list[str]
    rate_hz: float
    depths_um: np.ndarray
    rms: np.ndarray
    noise: np.ndarray
    frequencies_hz: np.ndarray
    power: np.ndarray
    physical_unit: str


def measure_channels(recording: BaseRecording) -> ChannelStatistics:
    """Measure RMS, noise and spectrum of each channel in snippets of the recording.

    A snippet is one window of the spectrum: its resolution of 2 Hz shows the mains as a line.
    """
    rate, scaled = recording.sampling_frequency, recording.has_scaleable_traces()
    size = min(round(CHUNK_S * rate), recording.get_num_samples())
    slices = get_random_sample_slices(
        recording, num_chunks_per_segment=CHUNKS, chunk_duration=None, chunk_size=size, seed=0
    )

    def measure(snippet: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        segment, start, end = snippet
        traces = recording.get_traces(segment_index=segment, start_frame=start, end_frame=end, return_in_uV=scaled)
        rows = transpose(traces)
        rows -= take_medians(rows)[:, np.newaxis]
        _, power = compute_density(rows, rate)
        return (rows**2).mean(axis=1), take_medians(np.abs(rows)), power.T

    # Few snippets in memory at a time.
    with ThreadPoolExecutor(min(count_cores(), MOST_THREADS)) as pool:
        squares, deviations, powers = zip(*pool.map(measure, slices), strict=True)
    return ChannelStatistics(
        ids=[str(channel) for channel in recording.channel_ids],
        rate_hz=float(rate),
        depths_um=_depths(recording),
        rms=np.sqrt(np.mean(squares, axis=0)),
        noise=np.mean(deviations, axis=0) / 0.6745,
        frequencies_hz=np.fft.rfftfreq(size, 1 / rate),
        power=np.mean(powers, axis=0),
        physical_unit="uV" if scaled else "counts",
    )


def draw_probe(locations: np.ndarray, labels: list[str]) -> Figure:
    """Draw the contacts of the probe, coloured by their label."""
    figure, ((axis,),) = make_figure((6.2, 8), right_in=1.6)
    for label, (colour, marker) in LABEL_STYLES.items():
        chosen = np.array([value == label for value in labels])
        if label in ("removed", "saturated") and not chosen.any():
            continue
        name = f"{label} ({chosen.sum()})"
        axis.scatter(locations[chosen, 0], locations[chosen, 1], marker=marker, s=30, color=colour, label=name)
    axis.set(title="channels", xlabel="x (um)", ylabel="depth (um)")
    axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def draw_rms(statistics: dict[str, ChannelStatistics], labels: list[str]) -> Figure:
    """Draw RMS of each channel over depth, one panel for each recording; crosses are bad channels of the raw one.

    Parameters
    ----------
    statistics : dict
        Title -> statistics, the raw recording's first.
    labels : list of str
        Of the raw recording's channels.
    """
    figure, (axes,) = make_figure((WIDTH_IN, 6), (1,) * len(statistics))
    for number, (axis, (title, values)) in enumerate(zip(axes, statistics.items(), strict=True)):
        bad = np.array([number == 0 and label != "good" for label in labels])
        bad = bad if len(bad) == len(values.rms) else np.zeros(len(values.rms), dtype=bool)
        axis.scatter(values.rms[~bad], values.depths_um[~bad], s=14, color=BLUE, label="good")
        if bad.any():
            axis.scatter(values.rms[bad], values.depths_um[bad], s=30, marker="x", color=RED, label="bad")
            axis.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0.2)
        axis.set(title=f"{title}: median {np.median(values.rms):.1f} {values.physical_unit}", ylabel="depth (um)")
        axis.set(xlabel=f"RMS ({values.physical_unit})", xlim=(0, None))
    return figure


def draw_spectra(statistics: dict[str, ChannelStatistics]) -> Figure:
    """Draw spectral density: a map over depth for each recording; below it the median channel and the middle 80 %."""
    figure, axes = make_figure((WIDTH_IN, 7.5), (1,) * len(statistics), (1, 1), gaps_in=(1.9, 0.5), right_in=1.1)
    for above, below, (title, values) in zip(*axes, statistics.items(), strict=True):
        frequencies, power = values.frequencies_hz[1:], values.power[1:]
        order = np.argsort(values.depths_um, kind="stable")
        steps, averaged = _logarithmic_bins(frequencies, power)
        shades = _decibels(averaged[:, order])
        low, high = np.percentile(shades, [1, 99])
        edges = np.arange(len(order) + 1)
        shade = above.pcolormesh(steps, edges, shades.T, vmin=low, vmax=high, rasterized=True)
        add_colour_bar(above, shade, f"dB re 1 {values.physical_unit}²/Hz")
        above.set(title=title, ylabel="channel, by depth", xscale="log", xlim=(frequencies[0], frequencies[-1]))
        above.tick_params(labelbottom=False)
        # In the bins of the map: thousands of frequencies take a second to draw, and are as many to a pixel.
        centres = np.sqrt(steps[:-1] * steps[1:])
        lower, middle, upper = np.percentile(_decibels(averaged), [10, 50, 90], axis=1)
        below.fill_between(centres, lower, upper, color="0.8", linewidth=0, label="10 to 90 %")
        below.plot(centres, middle, color=BLUE, linewidth=1, label="median channel")
        for mains_hz, style in zip(MAINS_HZ, ("--", ":"), strict=True):
            below.axvline(mains_hz, color=RED, linestyle=style, linewidth=0.8, zorder=0, label=f"{mains_hz} Hz")
        below.set(xlabel="frequency (Hz)", ylabel=f"dB re 1 {values.physical_unit}²/Hz", xscale="log")
        below.set(xlim=(frequencies[0], frequencies[-1]))
        # The logarithmic axis has its labels as formulas, which the figures do not render.
        below.xaxis.set_major_formatter("{x:g}")
        # The minor ticks of the four axes take longer to draw than all data.
        for axis in (above, below):
            axis.minorticks_off()
        below.legend(
            loc="lower right", bbox_to_anchor=(1, 1), ncols=4, borderaxespad=0.1, columnspacing=1, handlelength=1.2
        )
    return figure


def draw_lfp(lfp: LfpPower) -> Figure:
    """Draw the LFP's power over depth, in each band and relative to its median over depth, and the surface."""
    figure, ((left, right),) = make_figure((WIDTH_IN, 6.5), (1, 1), right_in=2.2)
    for colour, style, (name, values) in zip(BAND_STYLES, ("-", "--", "-.", ":"), lfp.bands_db.items(), strict=True):
        left.plot(values, lfp.depths_um, color=colour, linestyle=style, label=name)
        right.plot(values - np.median(values), lfp.depths_um, color=colour, linestyle=style, label=name)
    for axis in (left, right):
        axis.set(ylabel="depth (um)")
        if lfp.surface_um is not None:
            axis.axhline(lfp.surface_um, color=GREY, linewidth=1.5, label="surface of the brain")
    surface = "surface not estimated" if lfp.surface_um is None else f"surface at {lfp.surface_um:.0f} um"
    left.set(title=f"LFP power, {surface}", xlabel=f"dB re 1 {lfp.physical_unit}²/Hz")
    right.set(title="relative to the median over depth", xlabel="dB")
    right.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _logarithmic_bins(frequencies: np.ndarray, power: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average power (frequencies, channels) in bins of equal width on a logarithmic axis, none finer than the data.

    Returns
    -------
    edges : array, (bins + 1,)
    averaged : array, (bins, channels)
    """
    edges = np.geomspace(frequencies[0], frequencies[-1], PSD_COLUMNS + 1)[:-1]
    starts = np.unique(np.searchsorted(frequencies, edges))
    counts = np.diff(np.append(starts, len(frequencies)))
    averaged = np.add.reduceat(power, starts, axis=0) / counts[:, None]
    resolution = frequencies[1] - frequencies[0]
    return np.append(frequencies[starts], frequencies[-1] + resolution) - resolution / 2, averaged


def _decibels(power: np.ndarray) -> np.ndarray:
    return np.asarray(10 * np.log10(np.maximum(power, np.finfo("float32").tiny)))


def _depths(recording: BaseRecording) -> np.ndarray:
    if recording.has_probe() or recording.has_channel_location():
        return np.asarray(recording.get_channel_locations()[:, 1])
    return np.arange(recording.get_num_channels(), dtype=float)
