"""The peaks of the drift map: those that preprocessing kept, or new ones from a bounded part of the traces."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from spikeinterface import BaseRecording, concatenate_recordings

from capsules.common.facts import PreprocessingFacts
from capsules.common.recordings.peaks import complete_settings, detect_peaks, is_located
from capsules.common.tasks.task import Task
from capsules.visualization.params import DriftDetection, DriftLocalization, VisualizationParams
from capsules.visualization.recording_data import Peaks

VALUES = 250_000_000
"""Samples, times channels, that peaks are detected in; of a longer recording, slices that are equally spaced."""
SLICE_S = 0.5
MARGIN_S = 0.002
"""Peaks closer to an end of a slice are left out: the traces jump there."""

Array = npt.NDArray[Any]


def detect_drift_peaks(task: Task[VisualizationParams], traces: BaseRecording, info: dict[str, Any] | None) -> Peaks:
    """The peaks that `visualization.drift` asks for.

    Parameters
    ----------
    task : Task
    traces : BaseRecording
        The preprocessed traces.
    info : dict or None
        SpikeInterface's `motion_info`, whose peaks are used unless other settings are asked for.
    """
    asked = task.params.drift
    localization = {"method": "center_of_mass", **asked.localization.model_dump()}
    detection = {"method": "locally_exclusive", **asked.detection.model_dump()}
    detection["radius_um"] = localization["radius_um"]
    facts = task.input_facts(PreprocessingFacts)
    # None when a selection of the peaks was saved.
    known = None if facts.peaks is None else facts.peaks.settings
    any_will_do = (asked.detection, asked.localization) == (DriftDetection(), DriftLocalization())
    if (
        info is not None
        and known is not None
        and not facts.motion_applied
        and (any_will_do or known == complete_settings(detection, localization))
    ):
        detected, locations, starts, source = info["peaks"], info["peak_locations"], None, "preprocessing"
        samples = detected["sample_index"]
    else:
        starts = choose_slices(traces)
        source = "visualization"
        if starts is None:
            detected, locations = detect_peaks(traces, detection, localization)
            samples = detected["sample_index"]
        else:
            detected, locations, samples = _detect_in_slices(traces, starts, detection, localization)
    task.fact(peaks=len(detected), peaks_found_by=source)
    rate_hz = traces.sampling_frequency
    located = is_located(locations)
    return Peaks(
        samples[located] / rate_hz,
        locations["y"][located],
        scale_amplitudes(traces, detected)[located],
        None if starts is None else starts / rate_hz,
    )


def choose_slices(traces: BaseRecording) -> Array | None:
    """The first sample of each slice to read, each in the middle of its share of the time; None to read all."""
    samples, channels = traces.get_num_samples(), traces.get_num_channels()
    if samples * channels <= VALUES:
        return None
    size = round(SLICE_S * traces.sampling_frequency)
    count = max(1, VALUES // (size * channels))
    starts: Array = ((np.arange(count) + 0.5) * samples / count - size / 2).astype(np.int64)
    return starts


def _detect_in_slices(
    traces: BaseRecording, starts: Array, detection: dict[str, Any], localization: dict[str, Any]
) -> tuple[Array, Array, Array]:
    """Peaks and their locations in slices, and their samples in the whole recording."""
    size, margin = round(SLICE_S * traces.sampling_frequency), round(MARGIN_S * traces.sampling_frequency)
    joined = concatenate_recordings([traces.frame_slice(int(start), int(start) + size) for start in starts])
    detected, locations = detect_peaks(joined, detection, localization)
    within = detected["sample_index"] % size
    kept = (within >= margin) & (within < size - margin)
    samples = starts[detected["sample_index"] // size] + within
    return detected[kept], locations[kept], samples[kept]


def describe_peaks(peaks: Peaks, duration_s: float) -> str:
    """Which part of the recording the peaks are from, for a caption; empty for all of it."""
    if peaks.slices_s is None:
        return ""
    count = len(peaks.slices_s)
    return (
        f"; the peaks are from {count} slices of {SLICE_S:g} s, equally spaced, "
        f"{100 * count * SLICE_S / duration_s:.2g} % of the recording"
    )


def scale_amplitudes(traces: BaseRecording, peaks: Array) -> Array:
    """The peaks' amplitudes in microvolts, or in counts when the recording has no gains."""
    gains = traces.get_channel_gains()[peaks["channel_index"]] if traces.has_scaleable_traces() else 1.0
    return np.asarray(peaks["amplitude"] * gains)
