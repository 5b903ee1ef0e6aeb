"""Artifacts: periods in which most channels are unusually large, and periods that the user lists."""

from __future__ import annotations

import numpy as np
from spikeinterface import BaseRecording
from spikeinterface.preprocessing import detect_artifact_periods
from spikeinterface.preprocessing.silence_periods import SilencedPeriodsRecording

from capsules.common.recordings.clock import Clock
from capsules.common.recordings.medians import take_medians, transpose
from capsules.common.recordings.random_chunks import read_random_chunks
from capsules.common.recordings.saturation import Frames, join_frames
from capsules.preprocessing.artifact_times import Periods
from capsules.preprocessing.params import Artifacts

MAX_CHANNELS = 32
"""Evenly spaced channels that are searched: more take longer and detect the same periods."""


def detect_artifacts(recording: BaseRecording, settings: Artifacts) -> Frames | None:
    """Detect the periods in which most channels are larger than usual; None when most of the recording is silent.

    Source: `detect_artifact_periods` of SpikeInterface with its method `envelope`, on `MAX_CHANNELS` channels.

    Parameters
    ----------
    recording : BaseRecording
        Filtered, not yet referenced; one segment.
    settings : Artifacts
    """
    count = recording.get_num_channels()
    indices = np.unique(np.linspace(0, count - 1, min(count, MAX_CHANNELS)).astype(int))
    recording = recording.select_channels(recording.channel_ids[indices])
    sample = transpose(np.concatenate(read_random_chunks(recording, seed=0)))
    if np.median(take_medians(np.abs(sample - take_medians(sample)[:, np.newaxis]))) == 0:
        return None
    periods = detect_artifact_periods(
        recording,
        method="envelope",
        method_kwargs={"detect_threshold": settings.detect_threshold, "freq_max": settings.freq_max, "seed": 0},
    )
    starts, ends = periods["start_sample_index"], periods["end_sample_index"]
    return join_frames(zip(starts.tolist(), ends.tolist(), strict=True))


def select_periods(periods: Periods, clock: Clock, settings: Artifacts) -> Periods:
    """Select the periods that, with `ms_before` and `ms_after`, reach into the recording of a clock."""
    before_s, after_s = settings.ms_before / 1000, settings.ms_after / 1000
    return [
        (start_s, stop_s)
        for start_s, stop_s in periods
        if stop_s + after_s >= clock.starts_s[0] and start_s - before_s < clock.end_s
    ]


def convert_to_frames(periods: Periods, clock: Clock, settings: Artifacts) -> Frames:
    """Convert periods in seconds of a clock to samples, with `ms_before` and `ms_after` around each."""
    starts_s, stops_s = np.array(periods, dtype=float).reshape(-1, 2).T
    starts = clock.samples_at(starts_s - settings.ms_before / 1000)
    ends = clock.samples_at(stops_s + settings.ms_after / 1000) + 1
    return join_frames(zip(starts.tolist(), ends.tolist(), strict=True))


def blank_frames(recording: BaseRecording, frames: Frames) -> BaseRecording:
    """Set every channel to zero in some periods.

    Source: `silence_periods` of SpikeInterface, which its `detect_and_remove_artifacts` uses as well.
    """
    if not frames:
        return recording
    periods = [[list(period) for period in frames]]
    blanked = SilencedPeriodsRecording(recording, list_periods=periods)
    # SpikeInterface keeps the periods as records, which JSON cannot hold; it reads lists as well.
    blanked._kwargs = {"recording": recording, "list_periods": periods}
    blanked._serializability["json"] = True
    return blanked
