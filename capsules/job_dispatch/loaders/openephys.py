"""Open Ephys: the binary format (folders with a `structure.oebin`), and the older one (`.continuous` files)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt
from spikeinterface import BaseRecording
from spikeinterface.extractors.neoextractors.neo_utils import get_neo_streams

from capsules.common.errors import SpikeRelayError
from capsules.common.recordings.clock import Clock, count_clock, fit_clock
from capsules.common.recordings.job import Reader
from capsules.common.sync.lines import LineSource
from capsules.common.untrusted.small_files import read_small_json
from capsules.job_dispatch.formats import OPENEPHYS_OLDER, OPENEPHYS_STRUCTURE
from capsules.job_dispatch.loaders.line_sources import make_source
from capsules.job_dispatch.loaders.streams import (
    LFP,
    AnyStream,
    BrokenStream,
    LeftOutStream,
    Stream,
    companion,
    exclude_by_name,
    folders_with,
    open_stream,
    relative,
)
from capsules.job_dispatch.params import JobDispatchParams

OLDER_HEADER_BYTES, OLDER_RECORD_BYTES, OLDER_RECORD_SAMPLES = 1024, 2070, 1024
TWICE = (
    "{node} recorded the same stream as {first}, which is sorted as well: to sort it once, move one of the two folders "
    "out of the data folder"
)
FILLED = "the files lack {seconds:.6g} s between their records, which are zeros here and have no spikes"


def list_streams(data: Path, params: JobDispatchParams) -> Iterator[AnyStream]:
    """The streams of every record node and experiment, separately."""
    structures = sorted(data.rglob(OPENEPHYS_STRUCTURE))
    older = list(folders_with(data, OPENEPHYS_OLDER))
    if not structures and not older:
        raise SpikeRelayError(f"no Open Ephys recording ({OPENEPHYS_STRUCTURE} or {OPENEPHYS_OLDER}) in {data}")
    # <root>/<record node>/experiment1/recording1/structure.oebin; the node's folder may be the data folder itself.
    seen: dict[tuple[Path, str, str], str] = {}
    for node in sorted({file.parents[2] for file in structures}):
        yield from _binary_streams(node, data, params, seen)
    for folder in older:
        yield from _older_streams(folder, data, params)


def _binary_streams(
    node: Path, data: Path, params: JobDispatchParams, seen: dict[tuple[Path, str, str], str]
) -> Iterator[AnyStream]:
    experiments = sorted((path for path in node.glob("experiment*") if path.is_dir()), key=_number)
    for block, experiment in enumerate(experiments):
        recordings = list_recordings(experiment)
        try:
            names = _stream_names(recordings[0])
        except SpikeRelayError as error:
            yield BrokenStream(experiment.name, node.name, str(error))
            continue
        reader_of = partial(_reader, node, block, data, load_sync_timestamps=not params.skip_timestamps_check)
        for name in names:
            if reason := exclude_by_name(name):
                yield LeftOutStream(experiment.name, name, reason)
                continue
            files = [
                folder / "continuous" / band
                for folder in recordings
                for band in (name, companion(name, names))
                if band and (folder / "continuous" / band).exists()
            ]
            lf = companion(name, names)
            first_node = seen.setdefault((node.parent, experiment.name, name), node.name)
            yield open_stream(
                experiment.name,
                full_name(node, name),
                reader_of(name),
                data,
                params.channel_groups,
                lfp_reader=reader_of(lf) if lf else None,
                files=[*files, *node.glob("settings*.xml")],
                start_time=start_time(node, experiment),
                warnings=[] if first_node == node.name else [TWICE.format(node=node.name, first=first_node)],
                sample_numbers=sample_number_files(recordings, name),
                lfp_sample_numbers=sample_number_files(recordings, lf) if lf else [],
            )


def list_recordings(experiment: Path) -> list[Path]:
    """The folders of an experiment's recordings, in order."""
    return sorted((path for path in experiment.glob("recording*") if path.is_dir()), key=_number)


def sample_number_files(recordings: list[Path], stream: str) -> list[Path]:
    """Where Open Ephys (0.6 and later) writes the number of each sample, for each recording."""
    return [recording / "continuous" / stream / "sample_numbers.npy" for recording in recordings]


def start_time(node: Path, experiment: Path) -> str | None:
    """When an experiment began, from its settings: ISO text without a zone; None where they have no valid date."""
    number = _number(experiment)
    file = node / ("settings.xml" if number == 1 else f"settings_{number}.xml")
    try:
        text = ElementTree.parse(file).findtext("INFO/DATE")
        return datetime.strptime(text.strip(), "%d %b %Y %H:%M:%S").isoformat() if text else None
    except (OSError, ElementTree.ParseError, ValueError):
        return None


def _stream_names(recording: Path) -> list[str]:
    """The streams of a recording, by its `structure.oebin`.

    Raises
    ------
    SpikeRelayError
        When it cannot be read, or lists no streams.
    """
    file = recording / OPENEPHYS_STRUCTURE
    try:
        return [entry["folder_name"].strip("/") for entry in read_small_json(file)["continuous"]]
    except (OSError, ValueError) as error:
        raise SpikeRelayError(f"{file} cannot be read: {error}") from None
    except (KeyError, TypeError, AttributeError):
        raise SpikeRelayError(f"{file} cannot be read: the list of continuous streams is missing") from None


def full_name(node: Path, name: str) -> str:
    """The stream's name in neo: it includes the record node when the node has a folder."""
    return f"{node.name}#{name}" if node.name.startswith("Record Node") else name


def _reader(node: Path, block: int, data: Path, stream: str, **settings: Any) -> Reader:
    # SpikeInterface (0.105.3) can open an experiment by its name, but not reopen it from the recording's description.
    kwargs = {"folder_path": relative(node, data), "block_index": block}
    kwargs |= {"stream_name": full_name(node, stream)} | settings
    return Reader(name="openephysbinary", kwargs=kwargs, path_arguments=["folder_path"])


def _older_streams(folder: Path, data: Path, params: JobDispatchParams) -> Iterator[AnyStream]:
    for name in get_neo_streams("openephyslegacy", folder_path=str(folder))[0]:
        if reason := exclude_by_name(name):
            yield LeftOutStream(folder.name, name, reason)
            continue
        kwargs = {"folder_path": relative(folder, data), "stream_name": name}
        reader = Reader(name="openephyslegacy", kwargs=kwargs, path_arguments=["folder_path"])
        stream = open_stream(folder.name, name, reader, data, params.channel_groups, files=[folder])
        if isinstance(stream, Stream) and (filled_s := _filled_s(stream.recording, folder)) > 0:
            stream.warnings.append(FILLED.format(seconds=filled_s))
        yield stream


def _filled_s(recording: BaseRecording, folder: Path) -> float:
    """How many seconds the reader filled with zeros: those of the recording that its files do not have."""
    name = str(recording.get_property("channel_name")[0])
    channel = re.compile(rf"_{re.escape(name)}(_\d+)?\.continuous")
    files = [file for file in folder.glob(OPENEPHYS_OLDER) if channel.search(file.name)]
    records = sum((file.stat().st_size - OLDER_HEADER_BYTES) // OLDER_RECORD_BYTES for file in files)
    saved = records * OLDER_RECORD_SAMPLES
    return (recording.get_total_samples() - saved) / float(recording.sampling_frequency) if files else 0.0


def _number(path: Path) -> int:
    """`experiment12` -> 12, so that 10 comes after 9."""
    digits = "".join(character for character in path.name if character.isdigit())
    return int(digits or 0)


OLDER_EVENTS = "all_channels*.events"
OLDER_HEADER = re.compile(r"header\.sampleRate\s*=\s*([0-9.eE+]+)")


def list_line_sources(session: Path, data: Path, params: JobDispatchParams) -> list[LineSource]:
    """The streams with TTL events, of every record node and experiment separately."""
    sources = []
    for node in sorted({file.parents[2] for file in session.rglob(OPENEPHYS_STRUCTURE)}):
        for experiment in sorted((path for path in node.glob("experiment*") if path.is_dir()), key=_number):
            sources += _experiment_sources(node, experiment, data, not params.skip_timestamps_check)
    for file in sorted(session.rglob(OLDER_EVENTS)):
        sources.append(_older_source(file, data))
    return sources


def _experiment_sources(node: Path, experiment: Path, data: Path, use_timestamps: bool) -> list[LineSource]:
    recordings = sorted((path for path in experiment.glob("recording*") if path.is_dir()), key=_number)
    # events/<stream>/TTL; before 0.6 a stream may have several, TTL_1 and on.
    places = sorted(
        {
            (folder.parent.name, folder.name)
            for recording in recordings
            for folder in recording.glob("events/*/TTL*")
            if folder.is_dir()
        }
    )
    streams = [stream for stream, _ in places]
    # The LFP has the same events as the wide band of its probe.
    skipped = {lf for stream in streams if (lf := companion(stream, streams)) not in (None, stream)}
    sources, named = [], set()
    for stream, ttl in places:
        if LFP.search(stream) and stream in skipped:
            continue
        name = full_name(node, stream) if stream not in named else f"{full_name(node, stream)}.{ttl}"
        named.add(stream)
        own = [recording for recording in recordings if (recording / "events" / stream / ttl).is_dir()]
        sources.append(_ttl_source(experiment.name, name, stream, ttl, own, data, use_timestamps))
    return sources


def _ttl_source(
    dataset: str, name: str, stream: str, ttl: str, recordings: list[Path], data: Path, use_timestamps: bool
) -> LineSource:
    segments = [recording.name for recording in recordings]
    numbers = [_numbers_file(recording / "continuous" / stream) for recording in recordings]
    paths = [
        [recording / "events" / stream / ttl, *([file] if file else [])]
        for recording, file in zip(recordings, numbers, strict=True)
    ]
    try:
        rate_hz = _stream_rate(recordings[0], stream)
        clocks = [
            _fit_numbers(recording / "continuous" / stream, file, rate_hz, use_timestamps)
            for recording, file in zip(recordings, numbers, strict=True)
            if file is not None
        ]
    except (SpikeRelayError, OSError, ValueError, EOFError) as error:
        return make_source(dataset, name, "openephys", segments, paths, data, failure=f"cannot be read: {error}")
    if len(clocks) < len(segments):
        # The stream's samples were not recorded in all segments: the events count by their numbers.
        clocks, paths = [], [own[:1] for own in paths]
    return make_source(dataset, name, "openephys", segments, paths, data, clocks=clocks, sampling_frequency_hz=rate_hz)


def _numbers_file(folder: Path) -> Path | None:
    """The file with the number of each sample: before 0.6 it was called `timestamps.npy`."""
    return next((file for name in ("sample_numbers.npy", "timestamps.npy") if (file := folder / name).exists()), None)


def _fit_numbers(folder: Path, numbers: Path, rate_hz: float, use_timestamps: bool) -> Clock:
    """The clock of a stream's samples, as a job's: by its timestamps in seconds, else by its samples' numbers."""
    if not use_timestamps:
        return count_clock(len(_load_numbers(numbers)), rate_hz)
    sources = [folder / "timestamps.npy", numbers] if numbers.name == "sample_numbers.npy" else [numbers]
    for file in (file for file in sources if file.exists()):
        values, scale = _load_numbers(file), 1.0 if file != numbers else rate_hz
        try:
            clock, _ = fit_clock(lambda first, end: values[first:end] / scale, len(values), rate_hz)  # noqa: B023
        except ValueError:
            continue
        if not clock.steps_back():
            return clock
    return count_clock(len(_load_numbers(numbers)), rate_hz)


def _load_numbers(file: Path) -> npt.NDArray[np.float64]:
    values: npt.NDArray[np.float64] = np.load(file, mmap_mode="r", allow_pickle=False)
    if values.ndim != 1 or not len(values):
        raise SpikeRelayError(f"{file} has no list of numbers")
    return values


def _stream_rate(recording: Path, stream: str) -> float:
    """The sampling rate of a stream, by the recording's `structure.oebin`."""
    structure = read_small_json(recording / OPENEPHYS_STRUCTURE)
    entries = [*structure.get("continuous", []), *structure.get("events", [])]
    for entry in entries:
        if entry.get("folder_name", "").strip("/").split("/")[0] == stream and "sample_rate" in entry:
            return float(entry["sample_rate"])
    raise SpikeRelayError(f"{recording / OPENEPHYS_STRUCTURE} has no sampling rate of {stream}")


def _older_source(file: Path, data: Path) -> LineSource:
    """The lines of the older format: all streams of its folder have one clock."""
    header = file.open("rb").read(OLDER_HEADER_BYTES).decode(errors="replace")
    match = OLDER_HEADER.search(header)
    return make_source(
        file.parent.name,
        file.name,
        "openephys_older",
        ["recording1"],
        [[file]],
        data,
        failure=None if match else f"the header of {file.name} has no sampleRate",
        sampling_frequency_hz=float(match[1]) if match else None,
    )
