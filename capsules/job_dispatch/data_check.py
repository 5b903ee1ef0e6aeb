"""A quick check of a recording before it is sorted: are the traces valid, and do they look like neural signals?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, sosfiltfilt  # type: ignore[attr-defined]  # scipy fills this namespace at run time
from spikeinterface import BaseRecording

from capsules.common.recordings.saturation import is_at_limit
from capsules.job_dispatch.loaders.streams import cause
from capsules.job_dispatch.params import DataCheck

HIGHPASS_HZ = 300.0
MIN_FILTERED_SAMPLES = 100
MAD_OF_NORMAL = 0.6745
"""Median absolute deviation of a normal distribution, in standard deviations."""

Limits = tuple[float, float]
"""The lowest and the highest sample of the converter, in counts."""


@dataclass
class Verdict:
    """Why a recording fails or is skipped, and warnings for the user."""

    failure: str | None = None
    skip: str | None = None
    warnings: list[str] = field(default_factory=list)


@dataclass
class Chunk:
    """Measurements of one chunk of traces: arrays (channels,), except `finite`."""

    finite: bool
    flat: npt.NDArray[np.bool_]
    saturated: npt.NDArray[np.float64]
    """Fraction of the samples at a limit of the converter."""
    noise: npt.NDArray[np.float64]
    """Standard deviation of the high-passed traces, from their median absolute deviation."""
    peak: npt.NDArray[np.float64]


def check_data(
    recording: BaseRecording, segments: list[int], settings: DataCheck, limits: Limits | None = None
) -> Verdict:
    """Check evenly spaced chunks of a recording's segments; traces that cannot be read are its failure.

    Parameters
    ----------
    recording : BaseRecording
    segments : list of int
        The segments that are to be sorted.
    settings : DataCheck
    limits : (float, float), optional
        Of the converter, in counts.
    """
    try:
        verdict = Verdict(warnings=probe_warnings(recording))
        chunks = [
            measure_chunk(traces, recording.sampling_frequency, limits)
            for traces in read_chunks(recording, segments, settings)
        ]
    # Readers raise any kind of error on broken data.
    except Exception as error:  # noqa: BLE001
        return Verdict(failure=f"the traces cannot be read: {cause(error)}")
    if not chunks:
        return verdict
    saturated = np.mean([chunk.saturated for chunk in chunks], axis=0)
    fraction = float(saturated.mean())
    # A channel at the limit does not change either, but it is not silent.
    flat = np.all([chunk.flat for chunk in chunks], axis=0) & (saturated == 0)
    shown = "none" if limits is None else f"{limits[0]:.0f} and {limits[1]:.0f} counts"
    if not all(chunk.finite for chunk in chunks):
        verdict.failure = "the traces contain NaN or infinity"
    elif flat.mean() > settings.max_flat_fraction:
        verdict.failure = (
            f"{flat.mean():.0%} of the channels never change in the checked sample, more than "
            f"data_check.max_flat_fraction = {settings.max_flat_fraction:g}"
        )
    elif fraction > settings.max_saturated_fraction:
        verdict.skip = (
            f"{fraction:.0%} of the samples are at the converter's limits ({shown}), more than "
            f"data_check.max_saturated_fraction = {settings.max_saturated_fraction:g}"
        )
    else:
        if flat.any():
            verdict.warnings.append(f"{flat.sum()} of {len(flat)} channels never change in the checked sample")
        if fraction > 0:
            verdict.warnings.append(
                f"{fraction:.2%} of the samples are at the converter's limits ({shown}), "
                f"on {(saturated > 0).sum()} of {len(saturated)} channels"
            )
        verdict.warnings += signal_warnings(recording, chunks, settings)
    return verdict


def read_chunks(recording: BaseRecording, segments: list[int], settings: DataCheck) -> Iterator[npt.NDArray[np.number]]:
    """Evenly spaced chunks of traces, arrays (samples, channels) in the recording's counts."""
    length = max(1, round(settings.chunk_duration_s * recording.sampling_frequency))
    for index in segments:
        total = recording.get_num_samples(segment_index=index)
        for start in np.unique(np.linspace(0, max(0, total - length), settings.chunks).astype(int)):
            yield recording.get_traces(segment_index=index, start_frame=start, end_frame=min(start + length, total))


def measure_chunk(traces: npt.NDArray[np.number], rate_hz: float, limits: Limits | None = None) -> Chunk:
    """Measure a chunk of traces (samples, channels)."""
    saturated = np.zeros(traces.shape[1]) if limits is None else is_at_limit(traces, limits).mean(axis=0)
    finite = bool(np.isfinite(traces).all())
    highpassed = np.zeros_like(traces, dtype="float32")
    # A shorter chunk cannot be filtered: its noise is unknown.
    if finite and len(traces) >= MIN_FILTERED_SAMPLES:
        sos = butter(3, HIGHPASS_HZ, "highpass", fs=rate_hz, output="sos")
        highpassed = sosfiltfilt(sos, traces.astype("float32"), axis=0)
    absolute = np.abs(highpassed)
    noise = np.median(absolute, axis=0) / MAD_OF_NORMAL
    return Chunk(finite, np.ptp(traces, axis=0) == 0, saturated, noise, absolute.max(axis=0))


def probe_warnings(recording: BaseRecording) -> list[str]:
    """Problems of the probe: assumed or equal positions, channels without a group, repeated contact ids."""
    warnings = []
    if layout := recording.get_annotation("assumed_layout"):
        warnings.append(f"channel positions are unknown: {layout} are assumed; depths and drift have no meaning")
    if left_out := recording.get_annotation("in_no_group"):
        warnings.append(f"channels without a group are left out: {', '.join(left_out)}")
    places = recording.get_channel_locations()
    if len(np.unique(places, axis=0)) < len(places):
        warnings.append("several channels have the same position")
    probe = recording.get_probegroup().probes[0] if recording.has_probe() else None
    ids = None if probe is None else probe.contact_ids
    if ids is not None and len(set(ids)) < len(ids):
        warnings.append("contact ids of the probe repeat")
    return warnings


def signal_warnings(recording: BaseRecording, chunks: list[Chunk], settings: DataCheck) -> list[str]:
    """Problems of the noise and the peaks."""
    warnings = []
    # The noise of a channel comes from its chunks without saturation, where it has any.
    clean = np.array([chunk.saturated == 0 for chunk in chunks])
    clean[:, ~clean.any(axis=0)] = True
    noise = np.nanmedian(np.where(clean, [chunk.noise for chunk in chunks], np.nan), axis=0)
    peak = np.max([chunk.peak for chunk in chunks], axis=0)
    alive = noise > 0
    if not recording.has_scaleable_traces():
        warnings.append("the recording has no gains: amplitudes are in counts")
    elif alive.any():
        noise_uv = float(np.median((noise * np.abs(recording.get_channel_gains()))[alive]))
        if not settings.min_noise_uv <= noise_uv <= settings.max_noise_uv:
            warnings.append(f"noise of {noise_uv:.3g} uV: check the gain and the sample type")
    if alive.any() and not (peak[alive] > settings.spike_threshold * noise[alive]).any():
        warnings.append(f"no spike was detected in the checked sample ({settings.spike_threshold:g} MAD)")
    return warnings
