"""A cheap look at a recording before it is sorted: is it data at all, and does it look like a brain's?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from capsules.common.recordings.saturation import at_limit
from capsules.job_dispatch.params import DataCheck

HIGHPASS_HZ = 300.0
MIN_FILTERED_SAMPLES = 100
MAD_OF_NORMAL = 0.6745
"""Median absolute deviation of a normal distribution, in standard deviations."""


@dataclass
class Findings:
    """Why a recording fails or is skipped, and what its user should know."""

    failure: str | None = None
    skip: str | None = None
    warnings: list[str] = field(default_factory=list)


@dataclass
class Chunk:
    """Measurements of one chunk of traces: arrays (channels,), except `finite`."""

    finite: bool
    flat: Any
    saturated: Any
    """Fraction of the samples at a limit of the converter."""
    noise: Any
    """Standard deviation of the high-passed traces, by their median absolute deviation."""
    peak: Any


def look(
    recording: Any, segments: list[int], settings: DataCheck, limits: tuple[float, float] | None = None
) -> Findings:
    """Look at evenly spaced chunks of a recording's segments, one at a time.

    Parameters
    ----------
    recording : BaseRecording
    segments : list of int
        The segments that are to be sorted.
    settings : DataCheck
    limits : (float, float), optional
        Of the converter, in counts.
    """
    import numpy as np

    findings = Findings(warnings=probe_warnings(recording))
    rate = recording.sampling_frequency
    chunks = [measure(traces, rate, limits) for traces in sample(recording, segments, settings)]
    if not chunks:
        return findings
    railed = np.mean([chunk.saturated for chunk in chunks], axis=0)
    saturated = float(railed.mean())
    # A channel at the limit does not change either, but it is not silent.
    flat = np.all([chunk.flat for chunk in chunks], axis=0) & (railed == 0)
    if not all(chunk.finite for chunk in chunks):
        findings.failure = "the traces hold NaN or infinity"
    elif flat.mean() > settings.max_flat_fraction:
        findings.failure = (
            f"{flat.mean():.0%} of the channels never change in the sample that was looked at, more than "
            f"data_check.max_flat_fraction = {settings.max_flat_fraction:g}"
        )
    elif saturated > settings.max_saturated_fraction:
        findings.skip = (
            f"{saturated:.0%} of the samples are at the converter's limits ({_shown(limits)}), more than "
            f"data_check.max_saturated_fraction = {settings.max_saturated_fraction:g}"
        )
    else:
        if flat.any():
            findings.warnings.append(f"{flat.sum()} of {len(flat)} channels never change in the sample")
        if saturated > 0:
            findings.warnings.append(
                f"{saturated:.2%} of the samples are at the converter's limits ({_shown(limits)}), "
                f"on {(railed > 0).sum()} of {len(railed)} channels"
            )
        findings.warnings += signal_warnings(recording, chunks, settings)
    return findings


def sample(recording: Any, segments: list[int], settings: DataCheck) -> Iterator[Any]:
    """Evenly spaced chunks of traces, arrays (samples, channels) in the recording's own numbers."""
    import numpy as np

    length = max(1, round(settings.chunk_duration_s * recording.sampling_frequency))
    for index in segments:
        total = recording.get_num_samples(segment_index=index)
        for start in np.unique(np.linspace(0, max(0, total - length), settings.chunks).astype(int)):
            yield recording.get_traces(segment_index=index, start_frame=start, end_frame=min(start + length, total))


def _shown(limits: tuple[float, float] | None) -> str:
    return "none" if limits is None else f"{limits[0]:.0f} and {limits[1]:.0f} counts"


def measure(traces: Any, rate: float, limits: tuple[float, float] | None = None) -> Chunk:
    """What a chunk (samples, channels) tells."""
    import numpy as np
    from scipy.signal import butter, sosfiltfilt

    saturated = np.zeros(traces.shape[1]) if limits is None else at_limit(traces, limits).mean(axis=0)
    finite = bool(np.isfinite(traces).all())
    filtered = np.zeros_like(traces, dtype="float32")
    # A shorter chunk cannot be filtered, and tells nothing.
    if finite and len(traces) >= MIN_FILTERED_SAMPLES:
        sos = butter(3, HIGHPASS_HZ, "highpass", fs=rate, output="sos")
        filtered = sosfiltfilt(sos, traces.astype("float32"), axis=0)
    absolute = np.abs(filtered)
    noise = np.median(absolute, axis=0) / MAD_OF_NORMAL
    return Chunk(finite, np.ptp(traces, axis=0) == 0, saturated, noise, absolute.max(axis=0))


def probe_warnings(recording: Any) -> list[str]:
    """What is odd about the probe: places that are assumed, two channels in one place, contact ids that repeat."""
    import numpy as np

    warnings = []
    if layout := recording.get_annotation("assumed_layout"):
        warnings.append(f"channel positions are not known: {layout} are assumed; depths and drift have no meaning")
    if left_out := recording.get_annotation("in_no_group"):
        warnings.append(f"channels in no group are left out: {', '.join(left_out)}")
    places = recording.get_channel_locations()
    if len(np.unique(places, axis=0)) < len(places):
        warnings.append("several channels have the same position")
    probe = recording.get_probegroup().probes[0] if recording.has_probe() else None
    ids = None if probe is None else probe.contact_ids
    if ids is not None and len(set(ids)) < len(ids):
        warnings.append("contact ids of the probe repeat")
    return warnings


def signal_warnings(recording: Any, chunks: list[Chunk], settings: DataCheck) -> list[str]:
    """What is odd about the noise and the peaks."""
    import numpy as np

    warnings = []
    # Noise is that of chunks without saturation, channel by channel, wherever there are any.
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
            warnings.append(f"noise of {noise_uv:.3g} uV: the gain, or the sample type, looks wrong")
    if alive.any() and not (peak[alive] > settings.spike_threshold * noise[alive]).any():
        warnings.append(f"no spike was seen in the sample that was looked at ({settings.spike_threshold:g} MAD)")
    return warnings
