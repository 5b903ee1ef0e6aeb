"""Figures of the channels: which are bad, how loud they are, at which frequencies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

CHUNKS, CHUNK_S = 10, 0.5
"""A recording is judged by this many snippets of this length, the same ones each time."""
LABEL_COLOURS = {"good": "0.75", "dead": "C3", "noise": "C1", "out": "C0", "removed": "C4"}


@dataclass(frozen=True)
class ChannelStatistics:
    """What snippets of a recording say of its channels.

    Attributes
    ----------
    depths_um, rms, noise : array, (channels,)
        Noise is the median absolute deviation, scaled to that of a normal distribution.
    frequencies_hz : array, (frequencies,)
    power : array, (frequencies, channels)
        Spectral density.
    unit : str
        `uV`, or `counts` for a recording without gains: of rms and noise; the density's is its square per Hz.
    """

    depths_um: np.ndarray
    rms: np.ndarray
    noise: np.ndarray
    frequencies_hz: np.ndarray
    power: np.ndarray
    unit: str


def channel_statistics(recording: Any) -> ChannelStatistics:
    """Loudness of each channel, and its spectrum by Welch's method, from snippets of the recording."""
    from scipy.signal import welch
    from spikeinterface.core import get_random_data_chunks

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
        frequencies, power = welch(centred, rate, nperseg=min(2048, size), axis=0)
        powers.append(power)
    return ChannelStatistics(
        depths_um=_depths(recording),
        rms=np.sqrt(np.mean(squares, axis=0)),
        noise=np.mean(deviations, axis=0) / 0.6745,
        frequencies_hz=frequencies,
        power=np.mean(powers, axis=0),
        unit="uV" if scaled else "counts",
    )


def probe_figure(locations: np.ndarray, labels: list[str]) -> Any:
    """The contacts of the probe, coloured by their label."""
    figure, axis = plt.subplots(figsize=(4, 8), layout="constrained")
    for label, colour in LABEL_COLOURS.items():
        chosen = np.array([value == label for value in labels])
        if label == "removed" and not chosen.any():
            continue
        name = f"{label} ({chosen.sum()})"
        axis.scatter(locations[chosen, 0], locations[chosen, 1], marker="s", s=30, color=colour, label=name)
    axis.set(title="channels", xlabel="x (um)", ylabel="depth (um)")
    figure.legend(loc="outside lower center", ncols=3, fontsize="small")
    return figure


def rms_figure(statistics: dict[str, ChannelStatistics], labels: list[str]) -> Any:
    """RMS of each channel over depth, one panel for each recording; bad channels of the raw one are crosses.

    Parameters
    ----------
    statistics : dict
        Title -> statistics; `labels` are of the channels of the first.
    """
    figure, axes = plt.subplots(
        1, len(statistics), figsize=(4 * len(statistics), 7), squeeze=False, layout="constrained"
    )
    for number, (axis, (title, found)) in enumerate(zip(axes[0], statistics.items(), strict=True)):
        bad = np.array([number == 0 and label != "good" for label in labels])
        bad = bad if len(bad) == len(found.rms) else np.zeros(len(found.rms), dtype=bool)
        axis.scatter(found.rms[~bad], found.depths_um[~bad], s=14, color="C0", label="good")
        axis.scatter(found.rms[bad], found.depths_um[bad], s=30, marker="x", color="C3", label="bad")
        axis.set(title=f"{title}: median {np.median(found.rms):.1f} {found.unit}", ylabel="depth (um)")
        axis.set(xlabel=f"RMS ({found.unit})", xlim=(0, None))
        axis.legend(fontsize="small")
    return figure


def psd_figure(statistics: dict[str, ChannelStatistics]) -> Any:
    """Spectral density: a map over depth for each recording, and below it the median channel and the middle 80 %."""
    figure, axes = plt.subplots(
        2, len(statistics), figsize=(5 * len(statistics), 8), squeeze=False, layout="constrained", sharex=True
    )
    for above, below, (title, found) in zip(*axes, statistics.items(), strict=True):
        decibels = 10 * np.log10(np.maximum(found.power[1:], np.finfo("float32").tiny))
        frequencies, order = found.frequencies_hz[1:], np.argsort(found.depths_um, kind="stable")
        low, high = np.percentile(decibels, [1, 99])
        edges = np.arange(len(order) + 1)
        steps = np.append(frequencies, 2 * frequencies[-1] - frequencies[-2])
        shade = above.pcolormesh(steps, edges, decibels[:, order].T, vmin=low, vmax=high, rasterized=True)
        figure.colorbar(shade, ax=above, label=f"dB re 1 {found.unit}²/Hz")
        above.set(title=title, ylabel="channel, by depth", xscale="log", xlim=(frequencies[0], frequencies[-1]))
        lower, middle, upper = np.percentile(decibels, [10, 50, 90], axis=1)
        below.fill_between(frequencies, lower, upper, color="0.8", label="10 to 90 %")
        below.plot(frequencies, middle, color="C0", label="median channel")
        below.set(xlabel="frequency (Hz)", ylabel=f"dB re 1 {found.unit}²/Hz")
        below.legend(fontsize="small")
    return figure


def _depths(recording: Any) -> np.ndarray:
    if recording.has_probe() or recording.has_channel_location():
        return recording.get_channel_locations()[:, 1]
    return np.arange(recording.get_num_channels(), dtype=float)
