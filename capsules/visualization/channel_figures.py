"""Figures of the channels: their labels, RMS and power spectra."""

from __future__ import annotations

from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from scipy.signal import welch  # type: ignore[attr-defined]  # scipy fills this namespace at run time
from spikeinterface import BaseRecording, get_random_data_chunks

CHUNKS, CHUNK_S = 10, 0.5
"""Number and length of the snippets that the statistics are computed from, the same ones each time."""
PSD_COLUMNS = 300
"""Cells of a map of spectra: fewer than its pixels, so that each is visible."""
MAINS_HZ = (50, 60)
LABEL_COLOURS = {"good": "0.75", "dead": "C3", "noise": "C1", "out": "C0", "removed": "C4", "saturated": "C2"}


@dataclass(frozen=True)
class ChannelStatistics:
    """Statistics of a recording's channels, computed from snippets.

    Attributes
    ----------
    depths_um, rms, noise : array, (channels,)
        Noise is the median absolute deviation, scaled to that of a normal distribution.
    frequencies_hz : array, (frequencies,)
    power : array, (frequencies, channels)
        Spectral density.
    physical_unit : str
        Of rms and noise: `uV`, or `counts` for a recording without gains. The density's is its square per Hz.
    """

    depths_um: np.ndarray
    rms: np.ndarray
    noise: np.ndarray
    frequencies_hz: np.ndarray
    power: np.ndarray
    physical_unit: str


def measure_channels(recording: BaseRecording) -> ChannelStatistics:
    """Measure RMS, noise and spectrum (Welch's method) of each channel in snippets of the recording.

    A snippet is one window of the spectrum: its resolution of 2 Hz shows the mains as a line.
    """
    rate, scaled = recording.sampling_frequency, recording.has_scaleable_traces()
    size = min(round(CHUNK_S * rate), recording.get_num_samples())
    snippets = get_random_data_chunks(
        recording, return_in_uV=scaled, concatenated=False, num_chunks_per_segment=CHUNKS, chunk_size=size, seed=0
    )
    squares, deviations, powers = [], [], []
    for traces in snippets:
        centred = (traces - np.median(traces, axis=0)).astype("float32")
        squares.append((centred**2).mean(axis=0))
        deviations.append(np.median(np.abs(centred), axis=0))
        frequencies, power = welch(centred, rate, nperseg=size, axis=0)
        powers.append(power)
    return ChannelStatistics(
        depths_um=_depths(recording),
        rms=np.sqrt(np.mean(squares, axis=0)),
        noise=np.mean(deviations, axis=0) / 0.6745,
        frequencies_hz=frequencies,
        power=np.mean(powers, axis=0),
        physical_unit="uV" if scaled else "counts",
    )


def draw_probe(locations: np.ndarray, labels: list[str]) -> Figure:
    """Draw the contacts of the probe, coloured by their label."""
    figure, axis = plt.subplots(figsize=(4, 8), layout="constrained")
    for label, colour in LABEL_COLOURS.items():
        chosen = np.array([value == label for value in labels])
        if label in ("removed", "saturated") and not chosen.any():
            continue
        name = f"{label} ({chosen.sum()})"
        axis.scatter(locations[chosen, 0], locations[chosen, 1], marker="s", s=30, color=colour, label=name)
    axis.set(title="channels", xlabel="x (um)", ylabel="depth (um)")
    figure.legend(loc="outside lower center", ncols=3, fontsize="small")
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
    figure, axes = plt.subplots(
        1, len(statistics), figsize=(4 * len(statistics), 7), squeeze=False, layout="constrained"
    )
    for number, (axis, (title, values)) in enumerate(zip(axes[0], statistics.items(), strict=True)):
        bad = np.array([number == 0 and label != "good" for label in labels])
        bad = bad if len(bad) == len(values.rms) else np.zeros(len(values.rms), dtype=bool)
        axis.scatter(values.rms[~bad], values.depths_um[~bad], s=14, color="C0", label="good")
        axis.scatter(values.rms[bad], values.depths_um[bad], s=30, marker="x", color="C3", label="bad")
        axis.set(title=f"{title}: median {np.median(values.rms):.1f} {values.physical_unit}", ylabel="depth (um)")
        axis.set(xlabel=f"RMS ({values.physical_unit})", xlim=(0, None))
        axis.legend(fontsize="small")
    return figure


def draw_spectra(statistics: dict[str, ChannelStatistics]) -> Figure:
    """Draw spectral density: a map over depth for each recording; below it the median channel and the middle 80 %."""
    figure, axes = plt.subplots(
        2, len(statistics), figsize=(5 * len(statistics), 8), squeeze=False, layout="constrained", sharex=True
    )
    for above, below, (title, values) in zip(*axes, statistics.items(), strict=True):
        frequencies, power = values.frequencies_hz[1:], values.power[1:]
        order = np.argsort(values.depths_um, kind="stable")
        steps, averaged = _logarithmic_bins(frequencies, power)
        shades = _decibels(averaged[:, order])
        low, high = np.percentile(shades, [1, 99])
        edges = np.arange(len(order) + 1)
        shade = above.pcolormesh(steps, edges, shades.T, vmin=low, vmax=high, rasterized=True)
        figure.colorbar(shade, ax=above, label=f"dB re 1 {values.physical_unit}²/Hz")
        above.set(title=title, ylabel="channel, by depth", xscale="log", xlim=(frequencies[0], frequencies[-1]))
        lower, middle, upper = np.percentile(_decibels(power), [10, 50, 90], axis=1)
        below.fill_between(frequencies, lower, upper, color="0.8", label="10 to 90 %")
        below.plot(frequencies, middle, color="C0", linewidth=1, label="median channel")
        for mains_hz, style in zip(MAINS_HZ, ("--", ":"), strict=True):
            below.axvline(mains_hz, color="C3", linestyle=style, linewidth=0.8, zorder=0, label=f"{mains_hz} Hz")
        below.set(xlabel="frequency (Hz)", ylabel=f"dB re 1 {values.physical_unit}²/Hz")
        # The logarithmic axis has its labels as formulas, which the figures do not render.
        below.xaxis.set_major_formatter("{x:g}")
        below.xaxis.set_minor_formatter(NullFormatter())
        below.legend(fontsize="small")
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
