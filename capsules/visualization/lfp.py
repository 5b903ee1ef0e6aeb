"""Power of the local field potential over depth, and the surface of the brain where the power shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from spikeinterface import BaseRecording

from capsules.visualization.spectra import compute_density

BANDS = {
    "delta (1-4 Hz)": (1, 4),
    "theta (4-10 Hz)": (4, 10),
    "beta (12-30 Hz)": (12, 30),
    "gamma (30-100 Hz)": (30, 100),
}
"""Name -> lowest and highest frequency in Hz."""
SNIPPETS, SNIPPET_S = 12, 2.0
"""Evenly spaced; as long as two periods of 1 Hz."""
VALUES = 150_000_000
"""Samples, times channels, that are read at most: fewer snippets of a wide band of many channels."""
RATE_HZ = 2500.0
"""The band is averaged to about this rate before its spectrum is computed."""
LOW_HZ, HIGH_HZ = (2, 10), (300, 1000)
MIN_LOW_DB = 3.0
"""A band that keeps the LFP has this much more power at LOW_HZ than at HIGH_HZ: in the brain, power falls with
frequency, while a band that was high-pass filtered by the instrument, or pure noise, has none of this."""
NEIGHBOURS = 5
"""Depths on either side that a step is measured from, and the fewest in the brain and above it."""
SILENT = 1e-6
"""Density of a stream without a signal: far below any converter's noise, in uV² or counts² per Hz."""
MIN_STEP_DB = 6.0
"""Power above the surface is lower by a factor of at least four."""
LOCAL_SHARE = 0.5
"""Share of the difference between brain and outside that happens at the surface: a gradual change is not a surface."""

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class LfpPower:
    """Median power of each band over depth.

    Attributes
    ----------
    depths_um : array, (depths,)
        In ascending order; channels at the same depth are averaged.
    bands_db : dict
        Band -> spectral density in dB, (depths,).
    physical_unit : str
        `uV` or `counts`; the density is relative to its square per Hz.
    surface_um : float or None
    surface_reason : str
        What the estimate of the surface is from, or why there is none.
    source : str
        Which stream the power is computed from.
    """

    depths_um: Array
    bands_db: dict[str, Array]
    physical_unit: str
    surface_um: float | None
    surface_reason: str
    source: str


def measure_lfp(segments: list[BaseRecording], stream: str, good: Array, outside: int = 0) -> LfpPower | str:
    """Measure the LFP's power in snippets; returns the reason when it is missing.

    Parameters
    ----------
    segments : list of BaseRecording
        The LF stream, or a wide band; with channel locations.
    stream : str
        Its name in sentences: `LF stream` or `wide band`.
    good : array of bool, (channels,)
        Channels to use: neither dead nor noisy.
    outside : int
        Channels that preprocessing labels as outside of the brain.
    """
    longest = max(segments, key=BaseRecording.get_total_duration)
    if longest.get_total_duration() < SNIPPET_S:
        return f"the recording is shorter than {SNIPPET_S:g} s"
    if not longest.has_channel_location():
        return "the channels have no positions"
    frequencies, power, snippets = _measure_spectra(longest)
    if np.median(power[:, good]) < SILENT:
        return f"the {stream} is silent"
    if stream != "LF stream" and _level_db(power[:, good], frequencies, LOW_HZ) < MIN_LOW_DB + _level_db(
        power[:, good], frequencies, HIGH_HZ
    ):
        return (
            f"the LF stream is missing, and the recorded band has no more power at {LOW_HZ[0]} to {LOW_HZ[1]} Hz than "
            f"at {HIGH_HZ[0]} to {HIGH_HZ[1]} Hz"
        )
    depths_um, places = np.unique(longest.get_channel_locations()[good, 1], return_inverse=True)
    bands_db = {name: _average(_band_db(power[:, good], frequencies, limits), places) for name, limits in BANDS.items()}
    surface_um, reason = find_surface(depths_um, np.mean(list(bands_db.values()), axis=0))
    if outside:
        reason += f"; preprocessing labels {outside} channels as outside of the brain"
    scaled = longest.has_scaleable_traces()
    source = f"{stream}, {snippets} snippets of {SNIPPET_S:g} s"
    return LfpPower(depths_um, bands_db, "uV" if scaled else "counts", surface_um, reason, source)


def find_surface(depths_um: Array, power_db: Array) -> tuple[float | None, str]:
    """The depth above which the power is much lower, and the reason for the estimate or for having none.

    The depth is the split that leaves the smallest variance of the power on both sides.

    Parameters
    ----------
    depths_um : array, (depths,)
        In ascending order; the tip of the probe has the smallest.
    power_db : array, (depths,)
    """
    count = len(depths_um)
    if count < 2 * NEIGHBOURS:
        return None, f"the surface is not estimated: fewer than {2 * NEIGHBOURS} depths"
    splits = range(NEIGHBOURS, count - NEIGHBOURS + 1)
    spreads = [power_db[:split].var() * split + power_db[split:].var() * (count - split) for split in splits]
    split = splits[int(np.argmin(spreads))]
    step_db = float(np.median(power_db[:split]) - np.median(power_db[split:]))
    if step_db < MIN_STEP_DB:
        return None, (
            f"the surface is not estimated: no depth above which LFP power is at least {MIN_STEP_DB:g} dB lower; the "
            "channels may all be in the brain"
        )
    below, above = power_db[split - NEIGHBOURS : split], power_db[split : split + NEIGHBOURS]
    if np.median(below) - np.median(above) < LOCAL_SHARE * step_db:
        return None, "the surface is not estimated: LFP power changes gradually over depth, without a step"
    surface_um = float((depths_um[split - 1] + depths_um[split]) / 2)
    return surface_um, f"LFP power is {step_db:.0f} dB lower above {surface_um:.0f} um"


def _measure_spectra(recording: BaseRecording) -> tuple[Array, Array, int]:
    """Median spectral density over snippets, (frequencies, channels), and the number of snippets."""
    size = round(SNIPPET_S * recording.sampling_frequency)
    affordable = VALUES // (size * recording.get_num_channels())
    count = int(np.clip(affordable, 3, SNIPPETS))
    # Snippets do not overlap.
    count = min(count, recording.get_num_samples() // size)
    starts = np.linspace(0, recording.get_num_samples() - size, count + 2)[1:-1] if count > 1 else np.zeros(1)
    factor = max(1, int(recording.sampling_frequency // RATE_HZ))
    powers = []
    for start in starts.astype(int):
        traces = recording.get_traces(
            start_frame=int(start), end_frame=int(start) + size, return_in_uV=recording.has_scaleable_traces()
        )
        kept = len(traces) // factor * factor
        slow = traces[:kept].reshape(-1, factor, traces.shape[1]).mean(axis=1, dtype="float32")
        rate_hz = recording.sampling_frequency / factor
        frequencies, power = compute_density(slow.T, rate_hz)
        powers.append(power.T)
    return frequencies, np.median(powers, axis=0), len(powers)


def _band_db(power: Array, frequencies: Array, limits_hz: tuple[float, float]) -> Array:
    """Density of each channel in a band; the median over its frequencies, which line noise does not change."""
    inside = (frequencies >= limits_hz[0]) & (frequencies <= limits_hz[1])
    density = np.median(power[inside], axis=0)
    return np.asarray(10 * np.log10(np.maximum(density, np.finfo("float32").tiny)))


def _level_db(power: Array, frequencies: Array, limits_hz: tuple[float, float]) -> float:
    """Density of the median channel in a band."""
    return float(np.median(_band_db(power, frequencies, limits_hz)))


def _average(values: Array, places: Array) -> Array:
    """Mean of the values at each place."""
    return np.asarray(np.bincount(places, weights=values) / np.bincount(places))
