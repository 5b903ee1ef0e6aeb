"""SpikeInterface's envelope, noise levels and labels of channels (0.105.3) with the same results, faster."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.fft
from spikeinterface import get_chunk_with_margin
from spikeinterface.core import recording_tools
from spikeinterface.preprocessing import filter_gaussian

from capsules.common.recordings.medians import smooth_by_median, take_medians, transpose

Floats = npt.NDArray[np.floating[Any]]

_plain_estimate_noise: Callable[..., Any] = recording_tools._noise_level_chunk


def speed_up_gaussian_filter() -> None:
    """Filter real numbers that lie together: SpikeInterface transforms complex ones of twice the precision."""
    segment: Any = filter_gaussian.GaussianFilterRecordingSegment
    segment.get_traces = _filter_gaussian


def _filter_gaussian(segment: Any, start_frame: int, end_frame: int, channel_indices: Any) -> npt.NDArray[Any]:
    traces, before, _ = get_chunk_with_margin(
        segment.parent_recording_segment,
        start_frame,
        end_frame,
        channel_indices,
        segment.margin,
        add_reflect_padding=True,
    )
    # The margin is five deviations of the widest filter, so that what is beyond it does not matter.
    length = scipy.fft.next_fast_len(len(traces), real=True)
    response = np.ones(length)
    if segment.freq_max is not None:
        response = response * segment._create_gaussian(length, segment.freq_max)
    if segment.freq_min is not None:
        response = response * (1 - segment._create_gaussian(length, segment.freq_min))
    spectra = scipy.fft.rfft(transpose(traces), n=length, axis=1, overwrite_x=True)
    # A real filter is the same for a frequency and its negative.
    spectra *= response[: length // 2 + 1].astype("float32")
    filtered: Floats = scipy.fft.irfft(spectra, n=length, axis=1, overwrite_x=True).T[
        before : before + end_frame - start_frame
    ]
    return (filtered.round() if traces.dtype.kind in "iu" else filtered).astype(traces.dtype)


def speed_up_noise_levels() -> None:
    """Estimate the median absolute deviation of channels in memory order and compiled code."""
    recording_tools._noise_level_chunk = _estimate_noise


def _estimate_noise(segment: int, start: int, end: int, context: dict[str, Any]) -> Any:
    """Each channel's noise in a chunk; by SpikeInterface's own function for other methods, and for other numbers."""
    recording = context["recording"]
    if context["method"] != "mad" or recording.get_dtype() not in ("int16", "float32"):
        return _plain_estimate_noise(segment, start, end, context)
    traces = recording.get_traces(
        segment_index=segment, start_frame=start, end_frame=end, return_in_uV=context["return_in_uV"]
    )
    rows = transpose(traces)
    rows = np.abs(rows - take_medians(rows)[:, np.newaxis])
    deviations = take_medians(rows)
    # SpikeInterface's medians of integers are float64.
    return (deviations if traces.dtype == "float32" else deviations.astype(float)) / 0.6744897501960817


def speed_up_channel_labels() -> None:
    """Estimate each channel's high frequencies and reference in memory order and compiled code."""
    # The package's attribute of the module's name is a function.
    module: Any = import_module("spikeinterface.preprocessing.detect_bad_channels")
    module.detect_bad_channels_ibl = _label_channels


def _label_channels(
    raw: Floats,
    fs: float,
    psd_hf_threshold: float,
    dead_channel_thr: float,
    noisy_channel_thr: float,
    outside_channel_thr: float,
    n_neighbors: int,
    nyquist_threshold: float,
    welch_window_ms: float,
    outside_channels_location: str,
) -> npt.NDArray[np.int64]:
    """The labels of a chunk's channels, 0 good, 1 dead, 2 noisy, 3 out of the brain; `raw` is (samples, channels).

    Source: International Brain Laboratory, "Spike sorting pipeline" (2022), as in SpikeInterface.
    """
    centred = np.ascontiguousarray(raw - raw.mean(axis=0), "float32")
    reference, rows = take_medians(centred), transpose(centred)
    reference -= reference.mean()
    similarity = rows @ reference / np.sum(reference**2)
    trend = smooth_by_median(similarity, n_neighbors)
    power = _estimate_high_power(rows, fs, int(welch_window_ms * fs / 1000), nyquist_threshold * fs / 2)
    labels = np.zeros(len(rows), dtype=int)
    labels[similarity - trend < dead_channel_thr] = 1
    labels[(power > psd_hf_threshold) | (similarity - trend > noisy_channel_thr)] = 2
    outside = trend < outside_channel_thr + 1
    # Those that reach from an end of the probe without a gap.
    if outside_channels_location in ("top", "both"):
        labels[np.logical_and.accumulate(outside[::-1])[::-1]] = 3
    if outside_channels_location in ("bottom", "both"):
        labels[np.logical_and.accumulate(outside)] = 3
    return labels


def _estimate_high_power(rows: Floats, rate_hz: float, length: int, above_hz: float) -> Floats:
    """Each row's mean power density above a frequency by Welch's method: Hann windows that overlap by half."""
    window = (np.sin(np.pi * np.arange(length) / length) ** 2).astype("float32")
    pieces = np.lib.stride_tricks.sliding_window_view(rows, length, axis=1)[:, :: length - length // 2]
    # A constant is in the lowest frequencies alone, and needs not be subtracted.
    spectra = scipy.fft.rfft(pieces * window, axis=2, overwrite_x=True)
    high = spectra[:, :, scipy.fft.rfftfreq(length, 1 / rate_hz) > above_hz]
    power = (high.real**2 + high.imag**2).mean(axis=1) * (2 / (rate_hz * np.sum(window**2)))
    if length % 2 == 0:
        # The highest frequency has no negative one.
        power[:, -1] /= 2
    mean: Floats = power.mean(axis=1)
    return mean
