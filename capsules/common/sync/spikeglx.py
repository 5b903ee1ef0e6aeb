"""Edges of the lines of SpikeGLX streams: NIDQ, OneBox, and the SYNC signal of a probe.

A probe's file interleaves SYNC with all channels, and is large. Where the probe has an LF file, whose SYNC is the same
signal at a twelfth of the rate, that is read, and each edge is then located in a few samples of the AP file. Where the
header says that the hardware makes a square wave, one sample in each twentieth of a period is read, and each edge is
then located by bisection. Pulses that are shorter than these steps are not detected.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from capsules.common.sync.edges import MOST_EDGES, Levels, Samples, WordChanges, join_segments
from capsules.common.sync.spikeglx_meta import Header, read_header

if TYPE_CHECKING:
    from capsules.common.sync.lines import LineSource, RawEdges

CHUNK_BYTES = 32_000_000
STEPS_PER_PERIOD = 20
"""Fewer would miss a pulse that is as short as a tenth of the period; the hardware's pulses last for half of it."""
SURROUNDING = 32
"""Samples on both sides of an edge that was located by steps, which are read for its exact place."""
WORD_BYTES = 2


def list_digital(source: LineSource, data: Path) -> list[str]:
    """The digital lines, by their numbers."""
    return list(_first_header(source, data).bits)


def list_analog(source: LineSource, data: Path) -> list[str]:
    """The analog channels of NIDQ or OneBox."""
    return list(_first_header(source, data).gains_v)


def _first_header(source: LineSource, data: Path) -> Header:
    return read_header(data / next(paths[0] for paths in source.paths if paths))


def read_edges(source: LineSource, data: Path, digital: list[str], thresholds_v: Mapping[str, float]) -> RawEdges:
    """The edges of some lines; a segment's first path is its file, a probe's second one its LF file."""
    parts: dict[str, list[tuple[Samples, Levels]]] = {name: [] for name in [*digital, *thresholds_v]}
    levels: dict[str, int] = {}
    noisy: set[str] = set()
    counts = []
    for paths in source.paths:
        header = read_header(data / paths[0])
        counts.append(header.num_samples)
        for name, (edges, first_level, is_noise) in _segment_edges(
            header, [data / path for path in paths[1:]], digital, thresholds_v
        ).items():
            parts[name].append(edges)
            levels.setdefault(name, first_level)
            if is_noise:
                noisy.add(name)
    problem = f"changes more than {MOST_EDGES} times: it is noise, and left out"
    return {
        name: (
            *join_segments([] if name in noisy else own, counts),
            None,
            levels.get(name),
            [problem] * (name in noisy),
        )
        for name, own in parts.items()
    }


SegmentEdges = dict[str, tuple[tuple[Samples, Levels], int, bool]]
"""Line -> its edges, its level in the first sample, whether it is noise."""


def _segment_edges(
    header: Header, others: list[Path], digital: list[str], thresholds_v: Mapping[str, float]
) -> SegmentEdges:
    if header.device == "imec" and digital:
        (name,) = digital
        column, bit = header.bits[name]
        located = _edges_by_lf(header, others[0], column, bit) if others else None
        if located is None and header.sync_period_s is not None:
            located = _edges_by_steps(header, column, bit, header.sync_period_s)
        if located is not None:
            first_level = _read_bit(header, column, bit, np.array([0]))[0]
            return {name: (located, int(first_level), False)}
    return _all_edges(header, digital, thresholds_v)


def _all_edges(header: Header, digital: list[str], thresholds_v: Mapping[str, float]) -> SegmentEdges:
    """The edges of lines in one pass over the whole file."""
    words = {header.bits[name][0]: WordChanges() for name in digital}
    analog = {name: WordChanges() for name in thresholds_v}
    cuts = {
        name: (header.columns.index(name), threshold_v / header.gains_v[name])
        for name, threshold_v in thresholds_v.items()
    }
    for chunk in read_chunks(header):
        for column, changes in words.items():
            changes.add(np.ascontiguousarray(chunk[:, column]).view(np.uint16))
        for name, (column, counts) in cuts.items():
            analog[name].add((chunk[:, column] > counts).astype(np.uint16))
    edges_of: SegmentEdges = {}
    for name in digital:
        column, bit = header.bits[name]
        changes = words[column]
        edges_of[name] = (changes.edges(bit), changes.first_level(bit), changes.is_noise(bit))
    for name, changes in analog.items():
        edges_of[name] = (changes.edges(0), changes.first_level(0), changes.is_noise(0))
    return edges_of


def read_chunks(header: Header) -> Iterator[npt.NDArray[np.int16]]:
    """The samples of a file (samples, channels), a chunk at a time."""
    columns = len(header.columns)
    rows = max(1, CHUNK_BYTES // (WORD_BYTES * columns))
    with header.file.open("rb") as opened:
        while len(chunk := np.fromfile(opened, dtype="<i2", count=rows * columns)):
            yield chunk[: len(chunk) // columns * columns].reshape(-1, columns)


def _read_bit(header: Header, column: int, bit: int, samples: Samples) -> npt.NDArray[np.int8]:
    """The level of a bit in single samples, each read from the file."""
    frame = WORD_BYTES * len(header.columns)
    descriptor = os.open(header.file, os.O_RDONLY)
    try:
        # Reading ahead would read most of the file.
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
        raw = b"".join(
            os.pread(descriptor, WORD_BYTES, sample * frame + WORD_BYTES * column) for sample in samples.tolist()
        )
    finally:
        os.close(descriptor)
    levels: npt.NDArray[np.int8] = (np.frombuffer(raw, dtype="<u2") >> bit & 1).astype(np.int8)
    return levels


def _edges_around(header: Header, column: int, bit: int, starts: Samples, ends: Samples) -> tuple[Samples, Levels]:
    """The edges within stretches of samples (the first sample of a stretch is compared with none before it)."""
    columns = len(header.columns)
    samples, levels = [], []
    with header.file.open("rb") as opened:
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            opened.seek(WORD_BYTES * columns * start)
            stretch = np.fromfile(opened, dtype="<u2", count=columns * (end - start)).reshape(-1, columns)
            own = (stretch[:, column] >> bit & 1).astype(np.int8)
            places = np.flatnonzero(np.diff(own)) + 1
            samples.append(start + places)
            levels.append(own[places])
    if not samples:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int8)
    return np.concatenate(samples).astype(np.int64), np.concatenate(levels)


def _merge(starts: Samples, ends: Samples) -> tuple[Samples, Samples]:
    """Stretches that do not overlap; sorted by their starts."""
    if not len(starts):
        return starts, ends
    is_new = np.append(True, starts[1:] >= np.maximum.accumulate(ends)[:-1])
    lasts = np.append(np.flatnonzero(is_new)[1:], len(starts)) - 1
    return starts[is_new], np.maximum.accumulate(ends)[lasts]


def _edges_by_lf(header: Header, lf_file: Path, column: int, bit: int) -> tuple[Samples, Levels] | None:
    """The edges in the AP file, located through the LF file; None where the two do not agree."""
    lf = read_header(lf_file)
    name = next((name for name, place in lf.bits.items() if place[1] == bit), None)
    if name is None:
        return None
    changes = WordChanges()
    for chunk in read_chunks(lf):
        changes.add(np.ascontiguousarray(chunk[:, lf.bits[name][0]]).view(np.uint16))
    coarse, _ = changes.edges(bit)
    if changes.is_noise(bit):
        return None
    # Both count from the start of the run: sample k of one is at the same time as this sample of the other.
    ratio = header.rate_hz / lf.rate_hz
    expected = np.rint((coarse + lf.first_sample) * ratio).astype(np.int64) - header.first_sample
    margin = round(2 * ratio) + SURROUNDING
    is_inside = (expected > margin) & (expected < header.num_samples - margin)
    starts = (expected - margin).clip(0, header.num_samples)
    ends = (expected + margin).clip(0, header.num_samples)
    samples, exact = _edges_around(header, column, bit, *_merge(starts, ends))
    # Each edge of the LF file is in the AP file, which may have shorter pulses too.
    order = np.searchsorted(samples, expected[is_inside] - margin)
    nearby = np.searchsorted(samples, expected[is_inside] + margin)
    return (samples, exact) if (order < nearby).all() and len(exact) >= is_inside.sum() else None


def _edges_by_steps(header: Header, column: int, bit: int, period_s: float) -> tuple[Samples, Levels]:
    """The edges of a square wave, located by bisection between single samples."""
    step = max(1, round(period_s * header.rate_hz / STEPS_PER_PERIOD))
    places = np.append(np.arange(0, header.num_samples - 1, step), header.num_samples - 1)
    levels = _read_bit(header, column, bit, places)
    at = np.flatnonzero(np.diff(levels))
    before, after, old = places[at].copy(), places[at + 1].copy(), levels[at]
    while len(before) and (after - before).max() > 1:
        middle = (before + after) // 2
        is_old = _read_bit(header, column, bit, middle) == old
        before, after = np.where(is_old, middle, before), np.where(is_old, after, middle)
    # The surrounding samples have the whole of a bouncing edge.
    starts, ends = (after - SURROUNDING).clip(0), (after + SURROUNDING).clip(max=header.num_samples)
    return _edges_around(header, column, bit, *_merge(starts, ends))
