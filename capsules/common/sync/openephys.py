"""Edges of the TTL lines of Open Ephys: the binary format of both generations, and the older `.events` files.

Each event has the number of a sample of its stream (`sample_numbers.npy`; `timestamps.npy` before 0.6).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from capsules.common.errors import SpikeRelayError
from capsules.common.sync.edges import MOST_EDGES, Levels, Samples

if TYPE_CHECKING:
    from capsules.common.sync.lines import LineSource, RawEdges

STATES = ("states.npy", "channel_states.npy")
NUMBERS = ("sample_numbers.npy", "timestamps.npy")
"""The number of each event's sample; before 0.6, when `timestamps.npy` had it, there was no `sample_numbers.npy`."""
OLDER_HEADER_BYTES = 1024
OLDER_EVENT = np.dtype(
    [
        ("timestamp", "<i8"),
        ("position", "<i2"),
        ("type", "u1"),
        ("processor", "u1"),
        ("state", "u1"),
        ("channel", "u1"),
        ("recording", "<u2"),
    ]
)
OLDER_TTL = 3

Events = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""Of each event, the number of its sample, and its line: positive for a rising edge, negative for a falling one."""


def list_digital(source: LineSource, data: Path) -> list[str]:
    """The lines with events; Open Ephys does not list the others."""
    numbers: set[int] = set()
    for segment in range(len(source.paths)):
        if source.paths[segment]:
            numbers |= set(np.unique(np.abs(_read_events(source, data, segment)[1])).tolist())
    return [f"TTL{number}" for number in sorted(numbers)]


def list_analog(source: LineSource, data: Path) -> list[str]:
    """Analog inputs are continuous channels, which this reader does not read."""
    return []


def read_edges(source: LineSource, data: Path, digital: list[str], thresholds_v: Mapping[str, float]) -> RawEdges:
    """The edges of some lines.

    The paths of a segment are its TTL folder and, where the stream was recorded, the file with its samples' numbers.
    """
    parts: dict[str, list[tuple[Samples, Levels, npt.NDArray[np.float64]]]] = {name: [] for name in digital}
    first = 0
    for segment, paths in enumerate(source.paths):
        if not paths:
            continue
        numbers, states = _read_events(source, data, segment)
        samples, seconds = _locate(source, data, segment, numbers)
        for name in digital:
            own = np.abs(states) == int(name.removeprefix("TTL"))
            levels = (states[own] > 0).astype(np.int8)
            parts[name].append((samples[own] + first, levels, seconds[own]))
        first += source.clocks[segment].num_samples if source.clocks else 0
    edges_of: RawEdges = {}
    for name, own_parts in parts.items():
        samples, levels, seconds = (np.concatenate([part[index] for part in own_parts]) for index in range(3))
        changed = np.append(True, np.diff(levels) != 0) if len(levels) else np.empty(0, dtype=bool)
        problems = []
        if repeated := int((~changed).sum()):
            # The level before it was the same, so the edge between was lost.
            problems.append(f"{repeated} events repeat the level before them: the events between are missing")
        if len(samples) > MOST_EDGES:
            problems.append(f"changes more than {MOST_EDGES} times: it is noise, and left out")
            samples, levels, seconds = samples[:0], levels[:0], seconds[:0]
        first_level = 1 - int(levels[0]) if len(levels) else None
        edges_of[name] = (samples.astype(np.int64), levels.astype(np.int8), seconds, first_level, problems)
    return edges_of


def _read_events(source: LineSource, data: Path, segment: int) -> Events:
    path = data / source.paths[segment][0]
    if source.format == "openephys_older":
        return _read_older(path, segment)
    states = _load(path, STATES)
    numbers = _load(path, NUMBERS)
    if len(states) != len(numbers):
        raise SpikeRelayError(f"{path}: {len(states)} states for {len(numbers)} sample numbers: copy the folder again")
    if numbers.dtype.kind not in "iu":
        raise SpikeRelayError(f"{path} has no sample numbers (sample_numbers.npy): copy the folder again")
    order = np.argsort(numbers, kind="stable")
    return numbers[order].astype(np.int64), states[order].astype(np.int64)


def _load(folder: Path, names: tuple[str, ...]) -> npt.NDArray[np.int64]:
    for name in names:
        if (folder / name).exists():
            try:
                loaded: npt.NDArray[np.int64] = np.load(folder / name, allow_pickle=False)
            except (OSError, ValueError, EOFError) as error:
                raise SpikeRelayError(f"{folder / name} cannot be read: {error}") from None
            if loaded.ndim != 1:
                raise SpikeRelayError(f"{folder / name} has {loaded.ndim} dimensions instead of one")
            return loaded
    raise SpikeRelayError(f"{folder} has no {' or '.join(names)}")


def _read_older(file: Path, segment: int) -> Events:
    size = file.stat().st_size - OLDER_HEADER_BYTES
    if size < 0 or size % OLDER_EVENT.itemsize:
        raise SpikeRelayError(f"{file} has {file.stat().st_size} bytes: it is cut off; copy it again")
    events = np.fromfile(file, dtype=OLDER_EVENT, offset=OLDER_HEADER_BYTES)
    events = events[(events["type"] == OLDER_TTL) & (events["recording"] == segment)]
    lines = events["channel"].astype(np.int64) + 1
    return events["timestamp"].astype(np.int64), np.where(events["state"] > 0, lines, -lines)


def _locate(
    source: LineSource, data: Path, segment: int, numbers: npt.NDArray[np.int64]
) -> tuple[Samples, npt.NDArray[np.float64]]:
    """The samples of a segment that have these numbers, and their own seconds; between samples, and beyond the ends,
    the time is counted from the nearest sample before."""
    rate_hz = source.sampling_frequency_hz
    if rate_hz is None:
        raise SpikeRelayError(f"{source.stream}: its sampling rate is unknown")
    paths = source.paths[segment]
    if len(paths) < 2 or not source.clocks:
        return numbers, numbers / rate_hz
    try:
        known = np.load(data / paths[1], mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise SpikeRelayError(f"{paths[1]} cannot be read: {error}") from None
    samples = (np.searchsorted(known, numbers, side="right") - 1).clip(min=0)
    beyond = numbers - known[samples]
    seconds = source.clocks[segment].seconds(samples) + beyond / rate_hz
    return samples.astype(np.int64), seconds
