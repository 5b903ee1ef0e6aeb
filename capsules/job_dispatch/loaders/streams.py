"""What the loaders give for each stream of a data folder, and the rules that they share."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from capsules.common.errors import SpikeRelayError
from capsules.common.recordings.job import Reader, stream_stem
from capsules.common.recordings.reading import open_reader

NOT_NEURAL = re.compile(r"nidq|ni-?daq|sync|adc|obx|events|rhythm", re.IGNORECASE)
LFP = re.compile(r"(?<![A-Za-z])(?i:lfp?)$|(?<=[a-z])LFP?$")
"""After no letter, or in capitals after a small one: `imec0.lf`, `ProbeA-LFP`, `ElectricalSeriesLF`."""
MIN_SPIKE_RATE_HZ = 5000.0
"""Slower streams cannot hold spikes: they are LFP, or no neural signal."""

MAX_RATE_HZ = 1e6
"""No probe samples as fast; what is above, or is not finite, is a broken header."""


@dataclass
class Stream:
    """One stream to be sorted: its data set, its name, how it and its LF companion are read, its raw files.

    `start_time` is when the session began, `start_s` the same by the instrument's clock where that is known;
    `sample_numbers` are numpy files with the number of every sample by the instrument's count, one for each segment.
    """

    dataset: str
    name: str
    reader: Reader
    recording: Any
    lfp_reader: Reader | None = None
    files: list[Path] = field(default_factory=list)
    start_time: str | None = None
    start_s: float | None = None
    first_samples: list[int] | None = None
    sample_numbers: list[Path] = field(default_factory=list)
    lfp_sample_numbers: list[Path] = field(default_factory=list)
    sync_reader: Reader | None = None
    max_count: int | None = None
    """Half the number of steps of the converter, where the header has it."""


@dataclass
class BrokenStream:
    """A stream that is there but cannot be read, and why."""

    dataset: str
    name: str
    failure: str


@dataclass
class LeftOutStream:
    """A stream that is not sorted, and why."""

    dataset: str
    name: str
    reason: str


AnyStream = Stream | BrokenStream | LeftOutStream


def not_sorted(name: str) -> str | None:
    """Why a stream of this name is not sorted, or None."""
    if NOT_NEURAL.search(name):
        return "no neural signal, by its name"
    return "the LFP band, by its name" if LFP.search(name) else None


def companion(name: str, names: list[str]) -> str | None:
    """The LF stream that belongs to a wide-band stream."""
    return next((other for other in names if LFP.search(other) and stream_stem(other) == stream_stem(name)), None)


def open_stream(dataset: str, name: str, reader: Reader, data: Path, groups: str | None, **facts: Any) -> AnyStream:
    """Open a stream; one that cannot be read, has no channel positions, or is too slow for spikes is told apart.

    Parameters
    ----------
    dataset, name : str
    reader : Reader
    data : Path
        The reader's paths are relative to it.
    groups : str or None
        `channel_groups` of the parameters.
    **facts
        The other fields of `Stream`.
    """
    reader, lfp_reader = (
        one and one.model_copy(update={"channel_groups": groups}) for one in (reader, facts.pop("lfp_reader", None))
    )
    try:
        recording = open_reader(reader, data)
        recording.get_traces(segment_index=0, start_frame=0, end_frame=1)
    # Readers raise whatever their parsing runs into; each is this stream's failure, with its cause.
    except Exception as error:  # noqa: BLE001
        return BrokenStream(dataset, name, f"cannot be read: {cause(error)}")
    if not 0 < recording.sampling_frequency < MAX_RATE_HZ:
        return BrokenStream(dataset, name, f"its header gives a sampling rate of {recording.sampling_frequency:g} Hz")
    if recording.sampling_frequency < MIN_SPIKE_RATE_HZ:
        return LeftOutStream(dataset, name, f"{recording.sampling_frequency:g} Hz is too slow for spikes")
    if not recording.has_channel_location():
        return BrokenStream(
            dataset,
            name,
            "the channels have no positions: give a ProbeInterface file with --input spikeinterface and probe_paths in "
            "--spikeinterface-info, or --channel-groups",
        )
    return Stream(dataset, name, reader, recording, lfp_reader=lfp_reader, **facts)


def cause(error: Exception) -> str:
    """An error in one line: our own as it is, a library's with its kind."""
    if isinstance(error, SpikeRelayError):
        return str(error)
    text = " ".join(f"{type(error).__name__}: {error}".split())
    if isinstance(error, ImportError):
        return f"{text}; name the missing package in EXTRA_INSTALLS of capsule_versions.env and run `make setup`"
    return text


def relative(path: str | Path, data: Path) -> str:
    """A path below the data folder relative to it; any other one stays absolute."""
    path = (data / path).resolve()
    return str(path.relative_to(data.resolve())) if path.is_relative_to(data.resolve()) else str(path)


def folders_with(data: Path, pattern: str) -> Iterator[Path]:
    """The folders, at any depth, that hold a file or folder of this name, in order."""
    yield from sorted({file.parent for file in data.rglob(pattern)})
