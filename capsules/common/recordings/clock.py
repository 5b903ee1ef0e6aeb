"""The clock of a recording: a map from its samples to seconds, linear from one sample to another, with gaps between."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from capsules.common.sync.alignment import Alignment

TOLERANCE_S = 3e-6
"""How far the map may be from the instrument's timestamps: a tenth of a sample at 30 kHz, and the LF stream's alike."""
MIN_GAP = 0.5
"""A step to the next sample that is longer by more than this is a gap, in samples."""
MAX_PIECES = 1000
"""A job is a JSON text, so it must stay small. Timestamps that need more pieces jitter: the tolerance grows."""
ReadTimes = Callable[[int, int], npt.ArrayLike]
"""Returns the timestamps in seconds from one sample up to another."""
CHUNK = 1_000_000
"""Timestamps that are read at a time."""


class Clock(BaseModel):
    """When each sample of a recording was taken: piecewise linear.

    Piece i begins with sample `samples[i]` at `starts_s[i]` and counts at `rates_hz[i]` up to the next piece.
    `sampling_frequency_hz` is the recording's nominal rate.
    """

    model_config = ConfigDict(extra="forbid")

    num_samples: int
    sampling_frequency_hz: float
    samples: list[int]
    starts_s: list[float]
    rates_hz: list[float]

    @property
    def regular(self) -> bool:
        """Whether the samples are counted from the start at the nominal rate, without a gap."""
        return self.rates_hz == [self.sampling_frequency_hz]

    @property
    def end_s(self) -> float:
        """When the last sample ends."""
        return self.starts_s[-1] + (self.num_samples - self.samples[-1]) / self.rates_hz[-1]

    def seconds(self, samples: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """The times of samples (array of int, any shape), in seconds; beyond either end they are extrapolated."""
        samples = np.asarray(samples)
        piece = (np.searchsorted(self.samples, samples, side="right") - 1).clip(min=0)
        firsts, starts_s, rates_hz = map(np.asarray, (self.samples, self.starts_s, self.rates_hz))
        times_s: npt.NDArray[np.float64] = starts_s[piece] + (samples - firsts[piece]) / rates_hz[piece]
        return times_s

    def samples_at(self, seconds: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """The samples (array of int) nearest to times in seconds; in a gap, or beyond the ends, the nearest edge."""
        seconds = np.asarray(seconds, dtype=float)
        firsts = np.asarray(self.samples)
        lasts = np.append(firsts[1:], self.num_samples) - 1
        starts_s, rates_hz = np.asarray(self.starts_s), np.asarray(self.rates_hz)
        piece = (np.searchsorted(starts_s, seconds, side="right") - 1).clip(min=0)
        samples = firsts[piece] + np.rint((seconds - starts_s[piece]) * rates_hz[piece]).astype(int)
        samples = samples.clip(firsts[piece], lasts[piece])
        following = (piece + 1).clip(max=len(firsts) - 1)
        nearer = np.abs(starts_s[following] - seconds) < np.abs(self.seconds(samples) - seconds)
        nearest: npt.NDArray[np.int64] = np.where(nearer, firsts[following], samples)
        return nearest

    def part(self, first: int, count: int) -> Clock:
        """The clock of `count` samples from `first` on, counted from 0."""
        ends = [*self.samples[1:], self.num_samples]
        pieces = [
            (max(sample, first), rate_hz)
            for sample, end, rate_hz in zip(self.samples, ends, self.rates_hz, strict=True)
            if sample < first + count and end > first
        ]
        return Clock(
            num_samples=count,
            sampling_frequency_hz=self.sampling_frequency_hz,
            samples=[sample - first for sample, _ in pieces],
            starts_s=[float(self.seconds(sample)) for sample, _ in pieces],
            rates_hz=[rate_hz for _, rate_hz in pieces],
        )

    def shift_to(self, start_s: float) -> Clock:
        """The same clock with its first sample at `start_s`."""
        return self.model_copy(update={"starts_s": [old_s - self.starts_s[0] + start_s for old_s in self.starts_s]})

    def align(self, alignment: Alignment) -> Clock:
        """The same clock on the reference clock: its pieces are cut at the knots of the alignment, its gaps stay."""
        if not alignment.own_s:
            return self
        knots = np.asarray(alignment.own_s)
        # The first sample at or after a knot. A knot in a gap cuts nothing: the following piece begins there anyway.
        cuts = self.samples_at(knots)
        cuts += self.seconds(cuts) < knots
        # The first knot begins and the last one ends nothing: beyond them the map is extrapolated.
        inner = cuts[1:-1][(cuts[1:-1] > 0) & (cuts[1:-1] < self.num_samples)]
        samples = np.union1d(self.samples, inner)
        piece = np.searchsorted(self.samples, samples, side="right") - 1
        own_s = self.seconds(samples)
        return self.model_copy(
            update={
                "samples": samples.tolist(),
                "starts_s": alignment.map(own_s).tolist(),
                "rates_hz": (np.asarray(self.rates_hz)[piece] / alignment.slope(own_s)).tolist(),
            }
        )

    def steps(self) -> list[tuple[int, float, float]]:
        """Each piece but the first: its first sample, when the one before ends, and how much later it begins (s)."""
        ends_s = [
            start_s + (following - sample) / rate_hz
            for (sample, following), start_s, rate_hz in zip(
                pairwise(self.samples), self.starts_s, self.rates_hz, strict=False
            )
        ]
        following = zip(self.samples[1:], ends_s, self.starts_s[1:], strict=True)
        return [(sample, end_s, start_s - end_s) for sample, end_s, start_s in following]

    def gaps(self) -> list[tuple[int, float, float]]:
        """The gaps: the first sample after each, when it begins and how long it lasts, in seconds."""
        return [step for step in self.steps() if step[2] > MIN_GAP / self.sampling_frequency_hz]

    def steps_back(self) -> list[tuple[int, float, float]]:
        """Likewise, where a sample is not later than the one before it."""
        return [step for step in self.steps() if step[2] <= -1 / self.sampling_frequency_hz]

    def intervals(self) -> list[list[float]]:
        """The intervals [start, stop] without a gap, in seconds."""
        gaps = self.gaps()
        starts_s = [self.starts_s[0], *(begin_s + length_s for _, begin_s, length_s in gaps)]
        stops_s = [*(begin_s for _, begin_s, _ in gaps), self.end_s]
        return [[start_s, stop_s] for start_s, stop_s in zip(starts_s, stops_s, strict=True)]


def count_clock(num_samples: int, sampling_frequency_hz: float, start_s: float = 0.0) -> Clock:
    """The clock of samples that are counted from `start_s` at the nominal rate."""
    return Clock(
        num_samples=num_samples,
        sampling_frequency_hz=sampling_frequency_hz,
        samples=[0],
        starts_s=[start_s],
        rates_hz=[sampling_frequency_hz],
    )


def concatenate_clocks(clocks: list[Clock]) -> Clock:
    """The clock of recordings that are concatenated."""
    joined = clocks[0].model_copy(deep=True)
    for clock in clocks[1:]:
        joined.samples += [joined.num_samples + sample for sample in clock.samples]
        joined.starts_s += clock.starts_s
        joined.rates_hz += clock.rates_hz
        joined.num_samples += clock.num_samples
    return joined


def overlap(clocks: list[Clock]) -> bool:
    """Whether a recording begins before the one that precedes it has ended."""
    return any(
        later.starts_s[0] < earlier.end_s - 1 / earlier.sampling_frequency_hz for earlier, later in pairwise(clocks)
    )


def fit_clock(read: ReadTimes, num_samples: int, sampling_frequency_hz: float) -> tuple[Clock, float]:
    """Fit a clock to an instrument's timestamps.

    Parameters
    ----------
    read : ReadTimes
        Called for one chunk after the other.
    num_samples : int
    sampling_frequency_hz : float
        The nominal rate. A piece that it fits has exactly this rate.

    Returns
    -------
    Clock
    float
        How far the clock may be from the timestamps, in seconds: `TOLERANCE_S`, or more where they jitter.

    Raises
    ------
    ValueError
        When a timestamp is NaN or infinite, or they do not increase.
    """
    tolerance_s = TOLERANCE_S
    pieces = None
    while pieces is None:
        lines = _lines(read, num_samples, sampling_frequency_hz, tolerance_s / 2)
        if lines is not None:
            pieces = _merged(lines, sampling_frequency_hz, tolerance_s / 2)
        if pieces is None or len(pieces) > MAX_PIECES:
            pieces, tolerance_s = None, 4 * tolerance_s
    samples, starts_s, rates_hz = map(list, zip(*pieces, strict=True))
    clock = Clock(
        num_samples=num_samples,
        sampling_frequency_hz=sampling_frequency_hz,
        samples=samples,
        starts_s=starts_s,
        rates_hz=rates_hz,
    )
    return clock, tolerance_s


Line = tuple[tuple[int, float], tuple[int, float]]
"""The first and the last sample of a stretch, each with its time."""


def _lines(read: ReadTimes, count: int, rate_hz: float, tolerance_s: float) -> list[Line] | None:
    """Lines through the timestamps; None when there are too many."""
    lines: list[Line] = []
    most = MAX_PIECES + 2 * (count // CHUNK + 1)
    for start in range(0, count, CHUNK):
        times = np.asarray(read(start, min(start + CHUNK, count)), dtype=float)
        if not np.isfinite(times).all():
            raise ValueError("NaN or infinity")
        # Cut at jumps first: no sample on one side of a jump belongs to the line on the other side.
        jumps = np.flatnonzero(np.abs(np.diff(times) - 1 / rate_hz) > max(MIN_GAP / rate_hz, 2 * tolerance_s)) + 1
        todo = [(first, end - 1) for first, end in pairwise([0, *jumps.tolist(), len(times)])][::-1]
        while todo:
            if len(lines) + len(todo) > most:
                return None
            first, last = todo.pop()
            off = np.abs(times[first : last + 1] - np.linspace(times[first], times[last], last - first + 1))
            worst = first + int(off.argmax())
            if off[worst - first] <= tolerance_s:
                lines.append(((start + first, float(times[first])), (start + last, float(times[last]))))
            else:
                todo += [(worst, last), (first, worst - 1)]
    return lines


def _merged(lines: list[Line], rate_hz: float, tolerance_s: float) -> list[tuple[int, float, float]]:
    """As few pieces (first sample, start, rate) as pass the ends of all lines within the tolerance: a swing filter.

    Elmeleegy et al., Online piece-wise linear approximation of numerical streams with precision guarantees (2009).
    """
    pieces = []
    first, start_s = lines[0][0]
    fitting = _periods(lines[0], first, start_s, tolerance_s)
    for line in lines[1:]:
        slowest_s, fastest_s, _ = own = _periods(line, first, start_s, tolerance_s)
        both = (max(slowest_s, fitting[0]), min(fastest_s, fitting[1]), own[2])
        if both[0] > both[1]:
            pieces.append((first, start_s, _rate(fitting, rate_hz)))
            first, start_s = line[0]
            both = _periods(line, first, start_s, tolerance_s)
        fitting = both
    return [*pieces, (first, start_s, _rate(fitting, rate_hz))]


def _periods(line: Line, first: int, start_s: float, tolerance_s: float) -> tuple[float, float, float]:
    """The shortest and the longest seconds per sample from a start that pass a line's ends, and that of its last."""
    steps = [(sample - first, time_s - start_s) for sample, time_s in line if sample > first]
    if not steps:
        return 0.0, float("inf"), 0.0
    shortest_s = max((seconds - tolerance_s) / samples for samples, seconds in steps)
    return shortest_s, min((seconds + tolerance_s) / samples for samples, seconds in steps), steps[-1][1] / steps[-1][0]


def _rate(periods_s: tuple[float, float, float], nominal_hz: float) -> float:
    """The nominal rate where it fits: ordinary timestamps are counted by it."""
    shortest_s, longest_s, last_s = periods_s
    if shortest_s <= 1 / nominal_hz <= longest_s:
        return nominal_hz
    if (period_s := min(max(last_s, shortest_s), longest_s)) <= 0:
        raise ValueError("they do not increase")
    return 1 / period_s
