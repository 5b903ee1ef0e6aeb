"""The streams of a data folder as the loaders return them, and the rules that the loaders share."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spikeinterface import BaseRecording

from capsules.common.errors import SpikeRelayError
from capsules.common.installation import IS_CLONE
from capsules.common.recordings.job import Reader, stream_stem
from capsules.common.recordings.reading import open_reader

NOT_NEURAL = re.compile(
    r"nidq|ni-?daq|sync|adc|obx|events|rhythm|auxiliary|supply voltage|usb board|digital in|digital out", re.IGNORECASE
)
LFP = re.compile(r"(?<![A-Za-z])(?i:lfp?)$|(?<=[a-z])LFP?$")
"""Not after a letter, or in capitals after a small letter: `imec0.lf`, `ProbeA-LFP`, `ElectricalSeriesLF`."""
MISSING_CODEC = re.compile(r"codec not available: '+([\w.-]+)'")
"""What numcodecs says of a codec whose package is not installed."""
NO_POSITIONS = "the channels have no positions"
UNKNOWN_SERIALS = ("", "0")
"""Serial numbers of simulated probes, and of those whose memory could not be read."""
MIN_SPIKE_RATE_HZ = 5000.0
"""Slower streams have no spikes: they are LFP, or not neural."""

MAX_RATE_HZ = 1e6
"""No probe samples as fast: a rate above it, or not finite, comes from a broken header."""


@dataclass
class Stream:
    """One stream to be sorted: its data set, its name, the readers of it and of its LF companion, its raw files.

    `start_time` is when the session began, `start_s` the same time by the instrument's clock, if known;
    `sample_numbers` are numpy files, one for each segment, with the instrument's number of every sample.
    """

    dataset: str
    name: str
    reader: Reader
    recording: BaseRecording
    lfp_reader: Reader | None = None
    files: list[Path] = field(default_factory=list)
    start_time: str | None = None
    start_s: float | None = None
    first_samples: list[int] | None = None
    sample_numbers: list[Path] = field(default_factory=list)
    lfp_sample_numbers: list[Path] = field(default_factory=list)
    max_count: int | None = None
    """Half the number of steps of the converter, if the header has it."""
    warnings: list[str] = field(default_factory=list)


@dataclass
class BrokenStream:
    """A stream that cannot be read, and why."""

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


def exclude_by_name(name: str) -> str | None:
    """Why a stream of this name is not sorted, or None."""
    if NOT_NEURAL.search(name):
        return "not a neural signal, by its name"
    return "the LFP band, by its name" if LFP.search(name) else None


def companion(name: str, names: list[str]) -> str | None:
    """The LF stream that belongs to a wide-band stream."""
    return next((other for other in names if LFP.search(other) and stream_stem(other) == stream_stem(name)), None)


def open_stream(
    dataset: str,
    name: str,
    reader: Reader,
    data: Path,
    groups: str | None,
    lfp_reader: Reader | None = None,
    **fields: Any,
) -> AnyStream:
    """Open a stream; a stream that cannot be read, has no channel positions or is too slow gets another type.

    Parameters
    ----------
    dataset, name : str
    reader : Reader
    data : Path
        The reader's paths are relative to it.
    groups : str or None
        `channel_groups` of the parameters.
    lfp_reader : Reader, optional
    **fields
        The other fields of `Stream`.
    """
    reader = reader.model_copy(update={"channel_groups": groups})
    if lfp_reader is not None:
        lfp_reader = lfp_reader.model_copy(update={"channel_groups": groups})
    try:
        recording = open_reader(reader, data)
        recording.get_traces(segment_index=0, start_frame=0, end_frame=1)
    # Readers raise any kind of error on broken data; it becomes this stream's failure, with its cause.
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
            f"{NO_POSITIONS}: give a ProbeInterface file with --input spikeinterface and probe_paths in "
            "--spikeinterface-info, or --channel-groups",
        )
    return Stream(dataset, name, reader, recording, lfp_reader=lfp_reader, **fields)


def cause(error: Exception) -> str:
    """An error in one line; a library's error with its type."""
    if isinstance(error, SpikeRelayError):
        return str(error)
    text = " ".join(f"{type(error).__name__}: {error}".split())
    if codec := MISSING_CODEC.search(text):
        return f"{text}: {_describe_codec(codec[1])}"
    if isinstance(error, ImportError):
        how = "name it in EXTRA_INSTALLS of capsule_versions.env and run `make setup`"
        return f"{text}; to install the missing package, {how if IS_CLONE else 'use pip'}"
    return text


def _describe_codec(codec: str) -> str:
    """What to install to read traces that a codec compressed."""
    if codec != "wavpack":
        return f"install the Python package that brings the codec {codec}"
    if IS_CLONE:
        return "the traces are compressed by WavPack; run `make setup-aind`"
    return (
        "the traces are compressed by WavPack; install it with: sudo apt-get install wavpack libwavpack-dev && "
        "pip install 'spikerelay[aind]'"
    )


def relative(path: str | Path, data: Path) -> str:
    """A path below the data folder relative to it; any other path stays absolute."""
    path = (data / path).resolve()
    return str(path.relative_to(data.resolve())) if path.is_relative_to(data.resolve()) else str(path)


def relative_to_data(file: Path, data: Path) -> str:
    return str(file.relative_to(data)) if file.is_relative_to(data) else str(file)


def stat_files(path: Path, data: Path) -> list[tuple[str, int, int]]:
    """Path relative to the data folder, bytes and mtime in ns of a file, or of every file below a folder."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    root = data.resolve()
    stats = [(file.resolve(), file.stat()) for file in files]
    return [(relative_to_data(file, root), stat.st_size, stat.st_mtime_ns) for file, stat in stats]


def folders_with(data: Path, pattern: str) -> Iterator[Path]:
    """The folders, at any depth, with a file or folder of this name, in order."""
    yield from sorted({file.parent for file in data.rglob(pattern)})
