"""Bad channels: those that the converter saturates, and those that SpikeInterface labels dead, noise or out."""

from __future__ import annotations

import numpy as np
from spikeinterface import BaseRecording
from spikeinterface.preprocessing import detect_bad_channels
from spikeinterface.preprocessing.filter import HighpassFilterRecording

from capsules.common.errors import Skip
from capsules.common.facts import PreprocessingFacts
from capsules.common.facts import Saturation as SaturationFact
from capsules.common.files import write_json
from capsules.common.recordings.fused import fuse
from capsules.common.recordings.job import electrode_names
from capsules.common.recordings.saturation import (
    RAILED_FRACTION,
    Frames,
    Saturation,
    find_saturation,
    remove_frames,
)
from capsules.common.tasks.task import Task
from capsules.preprocessing.params import PreprocessingParams
from capsules.preprocessing.steps import split_by_shank

MAX_SATURATED_TIME = 0.9
"""With more, too little is left for estimates of noise and bad channels."""
FILTER_HZ = 300.0
"""The high-pass that SpikeInterface's `detect_bad_channels` applies by default."""
SHOWN_PERIODS = 20
"""Saturated periods of a channel that stage.json lists."""


def detect_saturation(task: Task[PreprocessingParams], raw: BaseRecording) -> Saturation | None:
    """Detect and report the saturated periods of each channel; None without limits or saturation.

    Raises
    ------
    Skip
        When too many channels, or too much of the time, are saturated.
    """
    limits = task.job.converter_limits
    if limits is None:
        return None
    saturation = find_saturation(raw, limits)
    rate_hz, frames = raw.sampling_frequency, saturation.frames()
    channels = {
        str(raw.channel_ids[index]): _describe_channel(saturation, index)
        for index in np.flatnonzero(saturation.fraction).tolist()
    }
    excluded_s = convert_to_seconds(frames, rate_hz) if channels else []
    task.leave(
        PreprocessingFacts(saturation=SaturationFact(limits_counts=limits, channels=channels, excluded_s=excluded_s))
    )
    if not channels:
        return None
    railed = saturation.railed()
    if railed.all() or railed.mean() > task.params.max_bad_channel_fraction:
        raise Skip(
            f"{railed.sum()} of {len(railed)} channels are at the converter's limits "
            f"({limits[0]:.0f} and {limits[1]:.0f} counts) for more than {RAILED_FRACTION:.0%} of the time"
        )
    lost = sum(end - start for start, end in frames) / saturation.samples
    if lost > MAX_SATURATED_TIME:
        raise Skip(f"the converter is saturated for {lost:.0%} of the time: too little is left for estimates")
    longest_s = saturation.fraction.max() * saturation.samples / rate_hz
    when = (
        f"first from {frames[0][0] / rate_hz:.2f} to {frames[0][1] / rate_hz:.2f} s" if frames else "most of the time"
    )
    task.warn(
        f"saturated: {len(channels)} of {len(railed)} channels reach the converter's limits, for up to "
        f"{longest_s:.2f} s, {when}; estimates of noise, drift and bad channels exclude this time"
    )
    return saturation


def _describe_channel(saturation: Saturation, index: int) -> dict[str, object]:
    periods = saturation.periods[saturation.periods["channel_index"] == index]
    frames = [(start, end) for _, start, end in periods[:SHOWN_PERIODS].tolist()]
    return {
        "fraction": round(float(saturation.fraction[index]), 6),
        "periods": len(periods),
        "first_periods_s": convert_to_seconds(frames, saturation.rate),
    }


def convert_to_seconds(frames: Frames, rate_hz: float) -> list[tuple[float, float]]:
    return [(round(start / rate_hz, 4), round(end / rate_hz, 4)) for start, end in frames]


def find_bad_channels(
    task: Task[PreprocessingParams], raw: BaseRecording, saturation: Saturation | None
) -> dict[str, str]:
    """Label and report every channel: `good`, `dead`, `noise`, `out` or `saturated`.

    Raises
    ------
    Skip
        When more are bad than the parameters allow.
    """
    params = task.params
    if params.detect_bad_channels.seed is None:
        task.change("detect_bad_channels.seed = 0 instead of null: the result is reproducible")
    task.record["seeds"]["detect_bad_channels"] = params.detect_bad_channels.seed or 0
    reason = None
    if raw.get_num_channels() < 2:
        reason = "the recording has one channel, and the method compares neighbours"
    elif params.detect_bad_channels.method == "coherence+psd" and not raw.has_scaleable_traces():
        reason = "coherence+psd needs traces in uV, and the recording has no gains"
    if reason:
        task.change(f"detection of bad channels is skipped: {reason}")
        labels = {str(channel): "good" for channel in raw.channel_ids}
    elif saturation is None:
        labels = label_channels(raw, params)
    else:
        railed = raw.channel_ids[saturation.railed()]
        unsaturated = remove_frames(raw.remove_channels(list(railed)), saturation.frames())
        labels = {str(channel): "saturated" for channel in railed} | label_channels(unsaturated, params)
        labels = {str(channel): labels[str(channel)] for channel in raw.channel_ids}
    bad = report_labels(task, raw, labels)
    fraction = sum(map(len, bad.values())) / len(labels)
    if fraction > params.max_bad_channel_fraction:
        counts = ", ".join(f"{len(channels)} {label}" for label, channels in bad.items())
        raise Skip(
            f"{fraction:.0%} of channels are bad ({counts}), more than "
            f"max_bad_channel_fraction = {params.max_bad_channel_fraction}"
        )
    return labels


def label_channels(recording: BaseRecording, params: PreprocessingParams) -> dict[str, str]:
    """Label each channel `good`, `dead`, `noise` or `out`, shank by shank: only channels of one shank are neighbours.

    Returns
    -------
    dict
        channel id -> label, in the recording's order.
    """
    labels: dict[str, str] = {}
    for shank in split_by_shank(recording):
        settings = params.detect_bad_channels.model_dump()
        settings["seed"] = settings["seed"] or 0
        settings["n_neighbors"] = max(1, min(settings["n_neighbors"], shank.get_num_channels() - 1))
        # The method filters like this what is not filtered yet.
        filtered = shank if shank.is_filtered() else fuse(HighpassFilterRecording(shank, freq_min=FILTER_HZ))
        _, shank_labels = detect_bad_channels(filtered, **settings)
        labels |= {str(channel): str(label) for channel, label in zip(shank.channel_ids, shank_labels, strict=True)}
    return {str(channel): labels[str(channel)] for channel in recording.channel_ids}


def report_labels(task: Task[PreprocessingParams], raw: BaseRecording, labels: dict[str, str]) -> dict[str, list[str]]:
    """Write the labels of channels and, for the NWB file, of electrodes; returns label -> bad channels."""
    write_json(task.out / "bad_channels.json", labels)
    bad = {
        label: [channel for channel, own in labels.items() if own == label]
        for label in sorted(set(labels.values()) - {"good"})
    }
    names = electrode_names(task.job, raw.channel_ids, raw.get_probegroup() if raw.has_probe() else None)
    electrodes = {name: label for name, label in zip(names, labels.values(), strict=True) if label != "good"}
    task.leave(PreprocessingFacts(bad_channels=bad, bad_electrodes=electrodes))
    return bad


def remove_bad_channels(recording: BaseRecording, labels: dict[str, str], params: PreprocessingParams) -> BaseRecording:
    """Remove the channels with those labels that the parameters ask to remove."""
    unwanted = {"out"} if params.remove_out_channels else set()
    unwanted |= {"dead", "noise", "saturated"} if params.remove_bad_channels else set()
    removed = [channel for channel in recording.channel_ids if labels[str(channel)] in unwanted]
    return recording.remove_channels(removed) if removed else recording
