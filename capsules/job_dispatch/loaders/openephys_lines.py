"""The digital lines of Open Ephys: TTL events of every record node and experiment, and those of the older format."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from capsules.common.errors import SpikeRelayError
from capsules.common.recordings.clock import Clock, count_clock, fit_clock
from capsules.common.sync.lines import LineSource
from capsules.common.untrusted.small_files import read_small_json
from capsules.job_dispatch.formats import OPENEPHYS_OLDER, OPENEPHYS_STRUCTURE
from capsules.job_dispatch.loaders.line_sources import make_source
from capsules.job_dispatch.loaders.openephys import (
    OLDER_HEADER_BYTES,
    full_name,
    list_experiments,
    list_recordings,
    name_experiments,
)
from capsules.job_dispatch.loaders.openephys_checks import split_places
from capsules.job_dispatch.loaders.sessions import name_datasets
from capsules.job_dispatch.loaders.streams import LFP, companion, folders_with
from capsules.job_dispatch.params import JobDispatchParams

OLDER_EVENTS = "all_channels*.events"
OLDER_HEADER = re.compile(r"header\.sampleRate\s*=\s*([0-9.eE+]+)")


def list_line_sources(session: Path, data: Path, params: JobDispatchParams) -> list[LineSource]:
    """The streams with TTL events, of every record node and experiment separately."""
    sources = []
    nodes, _ = split_places(session.rglob(OPENEPHYS_STRUCTURE), session)
    names = name_experiments(nodes, session)
    for node in nodes:
        for experiment in list_experiments(node):
            dataset = names[experiment.name, node.parent]
            sources += _experiment_sources(node, experiment, dataset, data, not params.skip_timestamps_check)
    older = name_datasets(((folder.name, folder, None) for folder in folders_with(session, OPENEPHYS_OLDER)), session)
    for file in sorted(session.rglob(OLDER_EVENTS)):
        name = older.get((file.parent.name, file.parent), file.parent.name)
        sources.append(_older_source(file, name, data))
    return sources


def _experiment_sources(
    node: Path, experiment: Path, dataset: str, data: Path, use_timestamps: bool
) -> list[LineSource]:
    recordings = list_recordings(experiment)
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
        sources.append(_ttl_source(dataset, name, stream, ttl, own, data, use_timestamps))
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


def _older_source(file: Path, dataset: str, data: Path) -> LineSource:
    """The lines of the older format: all streams of its folder have one clock."""
    header = file.open("rb").read(OLDER_HEADER_BYTES).decode(errors="replace")
    match = OLDER_HEADER.search(header)
    return make_source(
        dataset,
        file.name,
        "openephys_older",
        ["recording1"],
        [[file]],
        data,
        failure=None if match else f"the header of {file.name} has no sampleRate",
        sampling_frequency_hz=float(match[1]) if match else None,
    )
