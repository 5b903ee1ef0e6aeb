"""Edges of digital lines: where the bits of a word change, chunk after chunk, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

MOST_EDGES = 2_000_000
"""Edges of a line that are kept. A line with more is not connected: three hours of a 90 Hz square wave have fewer."""
WORD_BITS = 16

Samples = npt.NDArray[np.int64]
Levels = npt.NDArray[np.int8]


@dataclass
class Line:
    """The edges of a line: `levels` is the level after each edge (1 high, 0 low), so it is 1 for a rising edge.

    `samples` count the samples of the stream's segments, concatenated; `seconds` are by the stream's own clock.
    `first_level` is the level before the first edge, None where it is unknown. `problems` are for the user.
    """

    name: str
    stream: str
    samples: Samples
    levels: Levels
    seconds: npt.NDArray[np.float64]
    first_level: int | None = None
    problems: list[str] = field(default_factory=list)

    def durations(self) -> npt.NDArray[np.float64]:
        """The time from each edge to the next opposite edge in seconds; NaN where none follows."""
        durations_s = np.full(len(self.samples), np.nan)
        for level in (0, 1):
            opposite = self.seconds[self.levels != level]
            own = np.flatnonzero(self.levels == level)
            following = np.searchsorted(opposite, self.seconds[own], side="right")
            known = following < len(opposite)
            durations_s[own[known]] = opposite[following[known]] - self.seconds[own[known]]
        return durations_s

    def select(self, kept: npt.NDArray[np.bool_]) -> Line:
        """The line with some of its edges."""
        return Line(
            self.name,
            self.stream,
            self.samples[kept],
            self.levels[kept],
            self.seconds[kept],
            self.first_level,
            list(self.problems),
        )


class WordChanges:
    """The changes of one digital word over a segment; chunks of it are added in order."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._first = 0
        self._mask = (1 << WORD_BITS) - 1
        self._counts = np.zeros(WORD_BITS, dtype=np.int64)
        self._next = 0
        self._samples: list[Samples] = []
        self._changed: list[npt.NDArray[np.uint16]] = []
        self._words: list[npt.NDArray[np.uint16]] = []

    def add(self, words: npt.NDArray[np.uint16]) -> None:
        """Add the next words (samples,) of the segment."""
        if not len(words):
            return
        if self._last is None:
            self._first = self._last = int(words[0])
        changed = np.empty_like(words)
        np.bitwise_xor(words[1:], words[:-1], out=changed[1:])
        changed[0] = int(words[0]) ^ self._last
        self._last = int(words[-1])
        places = np.flatnonzero(changed & np.uint16(self._mask))
        self._samples.append((self._next + places).astype(np.int64))
        self._changed.append(changed[places])
        self._words.append(words[places])
        self._next += len(words)
        for bit in range(WORD_BITS):
            self._counts[bit] += np.count_nonzero((changed[places] >> bit) & 1)
        if noisy := [bit for bit in range(WORD_BITS) if self._mask >> bit & 1 and self._counts[bit] > MOST_EDGES]:
            self._drop(noisy)

    def _drop(self, bits: list[int]) -> None:
        """Forget the changes of some bits, and count them no more."""
        for bit in bits:
            self._mask &= ~(1 << bit)
        for index, changed in enumerate(self._changed):
            kept = (changed & np.uint16(self._mask)) != 0
            self._samples[index] = self._samples[index][kept]
            self._changed[index] = changed[kept]
            self._words[index] = self._words[index][kept]

    def is_noise(self, bit: int) -> bool:
        """Whether a bit changed more than `MOST_EDGES` times."""
        return not self._mask >> bit & 1

    def first_level(self, bit: int) -> int:
        """The level of a bit in the segment's first sample."""
        return self._first >> bit & 1

    def edges(self, bit: int) -> tuple[Samples, Levels]:
        """The samples at which a bit changes, from the segment's first sample, and the bit's level from each on."""
        if self.is_noise(bit) or not self._samples:
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int8)
        own = (np.concatenate(self._changed) >> bit & 1).astype(bool)
        levels = (np.concatenate(self._words)[own] >> bit & 1).astype(np.int8)
        return np.concatenate(self._samples)[own], levels


def join_segments(parts: list[tuple[Samples, Levels]], counts: list[int]) -> tuple[Samples, Levels]:
    """Join the edges of segments with so many samples each; samples are counted from the first segment's start."""
    starts = np.concatenate([[0], np.cumsum(counts)])
    samples = [own + start for (own, _), start in zip(parts, starts, strict=False)]
    levels = [own for _, own in parts]
    if not parts:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int8)
    return np.concatenate(samples).astype(np.int64), np.concatenate(levels).astype(np.int8)


def remove_short(line: Line, min_duration_s: float) -> Line:
    """Remove pulses that are shorter than this, and keep the first edge of a bouncing one.

    Edges that follow each other sooner are one burst: its first edge is kept if the level after the burst differs from
    that before it, and no edge otherwise.
    """
    if min_duration_s <= 0 or len(line.samples) < 2:
        return line
    firsts = np.flatnonzero(np.append(True, np.diff(line.seconds) >= min_duration_s))
    lasts = np.append(firsts[1:], len(line.samples)) - 1
    chosen = np.zeros(len(line.samples), dtype=bool)
    chosen[firsts[line.levels[firsts] == line.levels[lasts]]] = True
    return line.select(chosen)
