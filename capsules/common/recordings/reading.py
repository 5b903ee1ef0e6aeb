"""Reading raw recordings with SpikeInterface: a job's recording, its segments, its LF stream."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import probeinterface
from spikeinterface import BaseRecording, append_recordings, concatenate_recordings
from spikeinterface.extractors.extractor_classes import recording_extractor_full_dict
from spikeinterface.preprocessing.unsigned_to_signed import unsigned_to_signed

from capsules.common.errors import SpikeRelayError, nearest
from capsules.common.patches import patch_readers
from capsules.common.recordings.channel_groups import set_channel_groups
from capsules.common.recordings.clock import Clock
from capsules.common.recordings.job import Job, Reader
from capsules.common.recordings.times import set_clock
from capsules.common.untrusted.distrust import EVALUATING, ForeignCode, distrust_files, load_saved
from capsules.common.untrusted.outer_files import check_outer_files

CONVERTER_BITS = {"maxwell": 10, "biocam": 12}
"""Readers whose samples are unsigned, and whose converter has fewer bits than the samples."""
MILLIVOLTS = ("plexon",)
"""Readers whose gains neo (0.14.6) gives in millivolts without a unit, which SpikeInterface takes for microvolts."""
SHIFTS = "inter_sample_shift"
"""When a channel is sampled: the property of a recording by which preprocessing shifts phases."""
EXTRACTORS = cast(dict[str, Callable[..., BaseRecording]], recording_extractor_full_dict)


def load_recording(job: Job, data: Path) -> BaseRecording:
    """The raw recording of a job, lazy: its segments as one, its channel group, clipped as the job says.

    Time counts from 0 by samples: the work on the traces needs no other.

    Parameters
    ----------
    job : Job
    data : Path
        The data folder; the job's paths are relative to it.

    Returns
    -------
    spikeinterface.BaseRecording
        One segment.
    """
    recording = open_reader(job.reader, data)
    recording.reset_times()
    segments = select_segments(recording, job, job.part)
    return segments[0] if len(segments) == 1 else concatenate_recordings(segments)


def load_segments(job: Job, data: Path) -> list[BaseRecording]:
    """The segments of a job's raw recording, lazy, with the times of the job's clock.

    Parameters
    ----------
    job : Job
    data : Path
        The data folder; the job's paths are relative to it.

    Returns
    -------
    list of spikeinterface.BaseRecording
        One or more, of one segment each.
    """
    return _timed_segments(select_segments(open_reader(job.reader, data), job, job.part), job.clock)


def load_lfp_segments(job: Job, data: Path) -> list[BaseRecording] | None:
    """Likewise of the LF stream that belongs to the job's recording; None when the instrument wrote none."""
    if job.lfp_reader is None:
        return None
    segments = select_segments(open_reader(job.lfp_reader, data), job, job.lfp_part)
    if job.lfp_clock is None:
        raise SpikeRelayError(f"{job.id}: the LF stream has no clock: run job dispatch again")
    return _timed_segments(segments, job.lfp_clock)


def _timed_segments(segments: list[BaseRecording], clock: Clock) -> list[BaseRecording]:
    result, first = [], 0
    for segment in segments:
        count = segment.get_num_samples()
        result.append(set_clock(segment, clock.part(first, count)))
        first += count
    return result


def open_reader(reader: Reader, data: Path) -> BaseRecording:
    """Open a stream with SpikeInterface and give it its probe; unsigned samples become signed.

    Raises
    ------
    ForeignCode
        When reading it would run code from the files.
    ValueError
        When SpikeInterface has no extractor of that name.
    SpikeRelayError
        When the recordings to be appended differ.
    """
    distrust_files()
    recording = _read(reader, data)
    if reader.appended:
        recording = _append(recording, [(other, _read(other, data)) for other in reader.appended])
    recording = set_channel_groups(recording, reader.channel_groups)
    if reader.name in MILLIVOLTS and set(recording.get_property("physical_unit")) == {""}:
        recording.set_channel_gains(1000 * recording.get_channel_gains())
    if recording.get_dtype().kind == "u":
        recording = _make_signed(recording, CONVERTER_BITS.get(reader.name, 8 * recording.get_dtype().itemsize))
    return recording


def _read(reader: Reader, data: Path) -> BaseRecording:
    """Open the reader's own recording, with its probe."""
    kwargs = {key: str(data / value) if key in reader.path_arguments else value for key, value in reader.kwargs.items()}
    for key in reader.path_arguments:
        check_outer_files(Path(kwargs[key]), data)
    recording: BaseRecording
    if reader.name == "spikeinterface":
        recording = load_saved(Path(kwargs["file_or_folder_path"]))
    elif reader.name in EVALUATING.values():
        raise ForeignCode(
            f"SpikeInterface's reader {reader.name} runs text of the data files as Python: convert the data"
        )
    elif reader.name in EXTRACTORS:
        patch_readers()
        recording = EXTRACTORS[reader.name](**kwargs)
    else:
        raise ValueError(f"SpikeInterface has no reader {reader.name!r}{nearest(reader.name, list(EXTRACTORS))}")
    for segment in recording.segments:
        if segment._t_start is not None:
            # NWB in zarr gives an array of one.
            segment._t_start = float(np.ravel(segment._t_start)[0])
    if reader.probe_path is not None:
        probegroup = probeinterface.read_probeinterface(data / reader.probe_path)
        recording = cast(BaseRecording, recording.select_channels_with_probegroup(probegroup))
    if reader.channels_aligned and SHIFTS in recording.get_property_keys():
        recording.delete_property(SHIFTS)
    return recording


def _append(recording: BaseRecording, others: list[tuple[Reader, BaseRecording]]) -> BaseRecording:
    """The segments of the others after those of a recording, which has the same channels at the same places."""
    for reader, other in others:
        if differing := _find_difference(recording, other):
            raise SpikeRelayError(
                f"{_place(reader)} has other {differing} than the recording to which it is to be joined: sort the two "
                "separately (split_segments)"
            )
    return cast(BaseRecording, append_recordings([recording, *(other for _, other in others)]))


def _place(reader: Reader) -> str:
    return ", ".join(str(reader.kwargs[key]) for key in reader.path_arguments)


def _find_difference(first: BaseRecording, second: BaseRecording) -> str | None:
    """What two recordings of one stream do not share, in words, or None."""
    facts: dict[str, Callable[[BaseRecording], Any]] = {
        "channels": lambda recording: recording.channel_ids,
        "samples": lambda recording: recording.get_dtype(),
        "sampling rates": lambda recording: recording.sampling_frequency,
        "gains": lambda recording: recording.get_channel_gains(),
        "channel positions": lambda recording: recording.get_property("contact_vector"),
        "sampling times of its channels": lambda recording: recording.get_property(SHIFTS),
    }
    return next((name for name, of in facts.items() if not np.array_equal(of(first), of(second))), None)


def _make_signed(recording: BaseRecording, bits: int) -> BaseRecording:
    """The recording with signed samples: filters wrap around zero, or reject unsigned samples.

    Half of the range of the converter, which has so many bits, becomes 0.
    """
    signed: BaseRecording = unsigned_to_signed(recording, bit_depth=bits)
    if recording.has_scaleable_traces():
        signed.set_channel_offsets(recording.get_channel_offsets() + 2 ** (bits - 1) * recording.get_channel_gains())
    return signed


def select_segments(recording: BaseRecording, job: Job, part: tuple[int, int] | None) -> list[BaseRecording]:
    """Select the job's segments (a recording each), channel group and seconds from its stream."""
    if job.group is not None and recording.get_channel_groups() is not None:
        recording = recording.split_by("group", outputs="dict")[_group_key(recording, job.group)]
    segments = [recording.select_segments([index]) for index in job.segments]
    if part is not None:
        (segment,), (first, count) = segments, part
        segments = [segment.frame_slice(first, first + count)]
    return segments if job.clip_s is None else keep_first_seconds(segments, job.clip_s)


def keep_first_seconds(segments: list[BaseRecording], seconds: float) -> list[BaseRecording]:
    """The first seconds of recordings of one segment that follow each other; recordings after them are left out.

    The result has at least one sample.
    """
    left, kept = max(1, round(seconds * segments[0].sampling_frequency)), []
    for segment in segments:
        count = segment.get_num_samples()
        if left > 0:
            kept.append(segment if count <= left else segment.frame_slice(0, left))
        left -= count
    return kept


def _group_key(recording: BaseRecording, group: str) -> int | str:
    keys: list[int | str] = recording.get_channel_groups().tolist()
    return next(key for key in keys if str(key) == group)
