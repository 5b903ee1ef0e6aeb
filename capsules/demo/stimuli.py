"""Stimuli of the demo: what the NI board records of them, the clocks of the streams, and how units respond.

Times are in seconds of the NI board's clock, unless their name says otherwise.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

NI_RATE_HZ = 25000.0
SYNC_LINE, STIMULUS_LINE = 0, 1
SYNC_PERIOD_S = 1.0
SYNC_PHASE_S = 0.37
"""The square wave is independent of the recording, so its first edge is anywhere."""


@dataclass(frozen=True)
class StreamClock:
    """The clock of a stream: the rate of its samples, and when it takes the first one."""

    rate_hz: float
    start_s: float = 0.0

    def seconds(self, samples: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        seconds: npt.NDArray[np.float64] = self.start_s + samples / self.rate_hz
        return seconds

    def samples_at(self, seconds: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        samples: npt.NDArray[np.int64] = np.rint((seconds - self.start_s) * self.rate_hz).astype(np.int64)
        return samples

    def sync_levels(self, first: int, count: int) -> npt.NDArray[np.int16]:
        """The level of the synchronisation signal in consecutive samples."""
        phases = (self.seconds(first + np.arange(count)) - SYNC_PHASE_S) % SYNC_PERIOD_S
        levels: npt.NDArray[np.int16] = (phases < SYNC_PERIOD_S / 2).astype(np.int16)
        return levels


@dataclass(frozen=True)
class Response:
    """How a unit responds from `start_s` to `stop_s` after each stimulus.

    `rank` chooses the unit of each probe by its number of spikes: 0 is the most active one. `spikes` is the mean number
    of its further spikes, most of them early; 0 means that it has no spikes at all.
    """

    rank: int
    start_s: float
    stop_s: float
    spikes: float


@dataclass(frozen=True)
class Stimuli:
    """Stimuli at irregular intervals (shortest, longest), with some time without them at both ends of the recording."""

    interval_s: tuple[float, float] = (1.2, 1.8)
    length_s: float = 0.1
    first_s: float = 5.0
    seed: int = 26
    responses: tuple[Response, ...] = (
        Response(0, 0.02, 0.20, 0.0),
        Response(3, 0.02, 0.12, 4.0),
        Response(5, 0.02, 0.07, 2.5),
        Response(8, 0.03, 0.12, 3.0),
    )

    def onsets_s(self, duration_s: float) -> npt.NDArray[np.float64]:
        """When the stimuli start, in a recording of some duration."""
        shortest_s, longest_s = self.interval_s
        intervals_s = np.random.default_rng(self.seed).uniform(shortest_s, longest_s, int(duration_s / shortest_s))
        onsets_s = self.first_s + np.cumsum(intervals_s) - intervals_s[:1]
        kept: npt.NDArray[np.float64] = onsets_s[onsets_s < duration_s - longest_s]
        return kept

    def make_word(self, duration_s: float) -> npt.NDArray[np.int16]:
        """The digital word (samples,) of the NI board: the synchronisation signal and the stimuli."""
        clock, count = StreamClock(NI_RATE_HZ), round(duration_s * NI_RATE_HZ)
        seconds, onsets_s = clock.seconds(np.arange(count)), self.onsets_s(duration_s)
        started, ended = (np.searchsorted(at_s, seconds, side="right") for at_s in (onsets_s, onsets_s + self.length_s))
        is_on: npt.NDArray[np.int16] = (started - ended).astype(np.int16)
        word: npt.NDArray[np.int16] = clock.sync_levels(0, count) << SYNC_LINE | is_on << STIMULUS_LINE
        return word

    def respond(
        self, trains: list[npt.NDArray[np.int64]], clock: StreamClock, duration_s: float, gap: int, seed: int
    ) -> list[npt.NDArray[np.int64]]:
        """The spike trains (samples of the probe) of units, some of which respond.

        Parameters
        ----------
        trains : list of np.ndarray
            The trains without stimuli.
        clock : StreamClock
            The probe's clock.
        duration_s : float
        gap : int
            The refractory period in samples: a spike that would be closer to another one is not added.
        seed : int
        """
        rng = np.random.default_rng([self.seed, seed])
        onsets_s = self.onsets_s(duration_s)
        ranks = np.argsort([-len(train) for train in trains], kind="stable")
        responding = list(trains)
        for response in self.responses:
            if response.rank < len(trains):
                unit = ranks[response.rank]
                change = add_spikes if response.spikes else remove_spikes
                responding[unit] = change(trains[unit], response, onsets_s, clock, gap, rng)
        return responding


def remove_spikes(
    train: npt.NDArray[np.int64],
    response: Response,
    onsets_s: npt.NDArray[np.float64],
    clock: StreamClock,
    *_: object,
) -> npt.NDArray[np.int64]:
    """A train without its spikes in the window of the response."""
    starts, stops = (clock.samples_at(onsets_s + at_s) for at_s in (response.start_s, response.stop_s))
    is_inside = np.searchsorted(starts, train, side="right") > np.searchsorted(stops, train, side="right")
    return train[~is_inside]


def add_spikes(
    train: npt.NDArray[np.int64],
    response: Response,
    onsets_s: npt.NDArray[np.float64],
    clock: StreamClock,
    gap: int,
    rng: np.random.Generator,
) -> npt.NDArray[np.int64]:
    """A train with further spikes in the window of the response, none closer to another spike than `gap` samples."""
    counts = rng.poisson(response.spikes, len(onsets_s))
    start_s, stop_s = response.start_s, response.stop_s
    delays_s = rng.triangular(start_s, start_s + (stop_s - start_s) / 4, stop_s, counts.sum())
    spikes: list[int] = train.tolist()
    for sample in clock.samples_at(np.repeat(onsets_s, counts) + delays_s).tolist():
        place = bisect_left(spikes, sample)
        if all(abs(sample - near) >= gap for near in spikes[max(0, place - 1) : place + 1]):
            spikes.insert(place, sample)
    return np.array(spikes, dtype=np.int64)
