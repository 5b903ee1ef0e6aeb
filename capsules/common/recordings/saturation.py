"""Samples at the limits of the converter: when, and on which channels.

SpikeInterface's `detect_saturation_periods` counts channels per sample and hides those below its `proportion`; the
threshold that its readers annotate is the negative limit itself, which its strict comparison never exceeds (0.105.3).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from spikeinterface import BaseRecording, concatenate_recordings
from spikeinterface.core.node_pipeline import PipelineNode, run_node_pipeline

Frames = list[tuple[int, int]]
"""Periods of a recording: start and end in samples, in order, without overlap."""
MERGE_S = 0.01
"""Periods of a channel that are closer than this are one."""
RINGING_S = 0.05
"""How long filters ring after a channel has left the limit; such time is left out of estimates as well."""
RAILED_FRACTION = 0.5
"""A channel that is saturated for longer than this is a bad one."""


@dataclass(frozen=True)
class Saturation:
    """When each channel is at the limit of the converter.

    Attributes
    ----------
    periods : array, (periods,)
        `channel_index`, `start`, `end` in samples, in order of channel and start.
    fraction : array, (channels,)
        Of the samples.
    samples : int
        Of the recording.
    rate : float
        Sampling rate in Hz.
    """

    periods: npt.NDArray[np.void]
    fraction: npt.NDArray[np.float64]
    samples: int
    rate: float

    def railed(self) -> npt.NDArray[np.bool_]:
        """Which channels are saturated for most of the time; array of bool, (channels,)."""
        return self.fraction > RAILED_FRACTION

    def frames(self) -> Frames:
        """Where any other channel is saturated, or filters still ring: start and end in samples, in order."""
        margin = round(RINGING_S * self.rate)
        kept = self.periods[~self.railed()[self.periods["channel_index"]]]
        starts, ends = (kept["start"] - margin).clip(min=0), (kept["end"] + margin).clip(max=self.samples)
        return join_frames(zip(starts.tolist(), ends.tolist(), strict=True))


def join_frames(frames: Iterable[tuple[int, int]]) -> Frames:
    """Periods in order; those that overlap or touch become one."""
    joined: Frames = []
    for start, end in sorted(frames):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def find_converter_limits(recording: BaseRecording, max_count: int | None = None) -> tuple[float, float] | None:
    """The lowest and the highest sample that the converter gives, in the recording's counts; None for floats.

    Parameters
    ----------
    max_count : int, optional
        Half the number of the converter's steps as the header has it (`imMaxInt` of SpikeGLX). Without it the limits
        come from the probe's annotations (range and bit depth), or from the sample type.
    """
    if recording.get_dtype().kind != "i":
        return None
    limits = np.iinfo(recording.get_dtype())
    if max_count is not None:
        return -float(max_count), max_count - 1.0
    range_uv = recording.get_annotation("saturation_threshold_uV")
    if range_uv is None or not recording.has_scaleable_traces():
        return float(limits.min), float(limits.max)
    gain = float(np.median(np.abs(recording.get_channel_gains())))
    bits = recording.get_probegroup().probes[0].annotations.get("adc_bit_depth") if recording.has_probe() else None
    step_uv = 2 * range_uv / 2 ** int(bits) if bits else gain
    # Half a step from the limit, for counts of another size than the converter's (Open Ephys).
    low, high = (-range_uv + step_uv / 2) / gain, (range_uv - 1.5 * step_uv) / gain
    return max(low, float(limits.min)), min(high, float(limits.max))


def is_at_limit(traces: npt.NDArray[Any], limits: tuple[float, float]) -> npt.NDArray[np.bool_]:
    """Which samples are at a limit of the converter; array of bool like `traces`."""
    return (traces <= limits[0]) | (traces >= limits[1])


def find_saturation(recording: BaseRecording, limits: tuple[float, float]) -> Saturation:
    """Find the saturated periods of each channel in one pass over the raw traces of one segment."""
    dtype = np.dtype([("channel_index", "int32"), ("start", "int64"), ("end", "int64")])

    class RailedSamples(PipelineNode):
        _compute_has_extended_signature = True

        def get_dtype(self) -> np.dtype[np.void]:
            return dtype

        def compute(self, traces: npt.NDArray[Any], start_frame: int, *_: int) -> npt.NDArray[np.void]:
            railed = is_at_limit(traces, limits)
            channels = np.flatnonzero(railed.any(axis=0))
            periods = [np.zeros(0, dtype=dtype)]
            for channel in channels:
                edges = np.flatnonzero(np.diff(railed[:, channel], prepend=False, append=False)) + start_frame
                runs = np.zeros(len(edges) // 2, dtype=dtype)
                runs["channel_index"], runs["start"], runs["end"] = channel, edges[::2], edges[1::2]
                periods.append(runs)
            return np.concatenate(periods)

    runs = run_node_pipeline(
        recording, [RailedSamples(recording)], {}, job_name="find saturation", check_for_peak_source=False
    )
    runs = runs[np.lexsort((runs["start"], runs["channel_index"]))]
    channels, samples = recording.get_num_channels(), recording.get_num_samples()
    counts = np.bincount(runs["channel_index"], weights=runs["end"] - runs["start"], minlength=channels)
    return Saturation(
        _merged(runs, round(MERGE_S * recording.sampling_frequency)),
        counts / samples,
        samples,
        recording.sampling_frequency,
    )


def _merged(runs: npt.NDArray[np.void], gap: int) -> npt.NDArray[np.void]:
    """Runs, in order of channel and start, with those of one channel that are closer than `gap` joined."""
    if len(runs) == 0:
        return runs
    same = np.diff(runs["channel_index"]) == 0
    first = np.append(True, ~(same & (runs["start"][1:] - runs["end"][:-1] < gap)))
    merged: npt.NDArray[np.void] = runs[first]
    merged["end"] = runs["end"][np.append(first[1:], True)]
    return merged


def remove_frames(recording: BaseRecording, frames: Frames) -> BaseRecording:
    """The recording without some of its time, for estimates: what is left, concatenated; all of it when none is left.

    Parameters
    ----------
    recording : BaseRecording
        One segment.
    frames : Frames
    """
    if not frames:
        return recording
    edges = [0, *(edge for pair in frames for edge in pair), recording.get_num_samples()]
    parts = [(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True) if end > start]
    if not parts:
        return recording
    return concatenate_recordings([recording.frame_slice(start, end) for start, end in parts])
