"""Spikes around events: the peri-stimulus time histogram (PSTH) and the raster of each unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from capsules.visualization.params import Events

MOST_BINS = 600
"""Of a PSTH: more are narrower than a pixel of the report."""
MOST_EVENTS = 5000
"""Of which spikes are counted: the lines of a camera have a million."""
RASTER_EVENTS = 100
RASTER_SPIKES = 600
"""Of a unit in the raster, whose report is one file: a unit with more shows fewer events."""
MIN_EVENTS = 5
"""With fewer, a PSTH shows single spikes."""

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Window:
    """Bins around an event: so many before it and after it, of a width; the event is at an edge."""

    before: int
    after: int
    width_s: float

    @property
    def bins(self) -> int:
        """Number of bins."""
        return self.before + self.after

    @property
    def start_s(self) -> float:
        """Where the window begins, relative to the event."""
        return -self.before * self.width_s

    @property
    def end_s(self) -> float:
        """Where the window ends, relative to the event."""
        return self.after * self.width_s


def make_window(settings: Events) -> Window:
    """The window of the parameters in whole bins, which are wider where there would be more than MOST_BINS."""
    width_s = max(settings.bin_ms / 1000, (settings.before_s + settings.after_s) / MOST_BINS)
    # A window of 0.5 s has 50 bins of 10 ms, though the quotient of the two numbers is not exactly 50.
    before, after = (
        max(1, int(np.ceil(length_s / width_s - 1e-6))) for length_s in (settings.before_s, settings.after_s)
    )
    return Window(before, after, width_s)


@dataclass(frozen=True)
class Raster:
    """Spikes of a unit around every `step`-th event of the raster: the index of each one's event, and its lag."""

    rows: Array
    lags_s: Array
    step: int


class EventResponses:
    """The spikes of all units around events.

    Parameters
    ----------
    trains_s : sequence of array
        Times of each unit's spikes.
    events_s : array
        Times of the events, on the same clock, in order. At most MOST_EVENTS, evenly spread, are used.
    window : Window

    Attributes
    ----------
    counts : array, (units, bins)
        Spikes of each unit in each bin, summed over the events.
    rasters : list of Raster
        Of each unit.
    raster_events : array
        The events of the raster, as indices of `events_s`: at most RASTER_EVENTS, evenly spread.
    """

    def __init__(self, trains_s: Sequence[Array], events_s: Array, window: Window):
        self.window = window
        self.events_s = events_s[spread_indices(len(events_s), MOST_EVENTS)]
        self.raster_events = spread_indices(len(self.events_s), RASTER_EVENTS)
        self.counts = np.zeros((len(trains_s), window.bins), dtype=np.int64)
        self.rasters = []
        for unit, train_s in enumerate(trains_s):
            events, lags_s = list_lags(np.sort(train_s), self.events_s, window)
            bins = ((lags_s - window.start_s) / window.width_s).astype(np.int64)
            self.counts[unit] = np.bincount(bins.clip(0, window.bins - 1), minlength=window.bins)
            self.rasters.append(self._thin(events, lags_s))

    def _thin(self, events: Array, lags_s: Array) -> Raster:
        shown = np.isin(events, self.raster_events)
        rows, lags_s = np.searchsorted(self.raster_events, events[shown]), lags_s[shown]
        step = max(1, -(-len(rows) // RASTER_SPIKES))
        kept = rows % step == 0
        return Raster(rows[kept], lags_s[kept], step)

    @cached_property
    def rates_hz(self) -> Array:
        """Firing rate of each unit in each bin, mean over the events."""
        rates_hz: Array = self.counts / (max(1, len(self.events_s)) * self.window.width_s)
        return rates_hz

    @cached_property
    def z_scores(self) -> Array:
        """Each unit's PSTH relative to the bins before the event, in their standard deviations.

        The standard deviation is at least that of the counts of a Poisson train with the unit's mean rate: with few
        bins or spikes before the event, the one that is measured may be 0 by chance. A unit without spikes has 0.
        """
        baseline = self.counts[:, : self.window.before]
        expected = self.counts.mean(axis=1)
        spread = np.sqrt(np.maximum(baseline.var(axis=1), expected))
        above = self.counts - baseline.mean(axis=1, keepdims=True)
        z_scores: Array = above / np.where(spread > 0, spread, 1)[:, np.newaxis]
        return z_scores

    @property
    def peaks(self) -> Array:
        """The bin in which each unit's z-score is farthest from 0."""
        peaks: Array = np.abs(self.z_scores).argmax(axis=1)
        return peaks


def spread_indices(count: int, most: int) -> Array:
    """Indices of `count` items: all, or `most` of them evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


def list_lags(train_s: Array, events_s: Array, window: Window) -> tuple[Array, Array]:
    """The spikes within the window of each event: index of the event, and seconds after it.

    A spike within the windows of two events is listed for both.
    """
    firsts = np.searchsorted(train_s, events_s + window.start_s)
    lasts = np.searchsorted(train_s, events_s + window.end_s)
    lengths = lasts - firsts
    events = np.repeat(np.arange(len(events_s)), lengths)
    # The places of a list of ranges: a count that starts anew with each range.
    places = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths) + np.repeat(firsts, lengths)
    return events, train_s[places] - events_s[events]


def select_covered(events_s: Array, window: Window, intervals_s: Sequence[Sequence[float]]) -> Array:
    """The events, in order, whose whole window is within one of the intervals: without a gap or an end in it."""
    covered = np.zeros(len(events_s), dtype=bool)
    for start_s, stop_s in intervals_s:
        covered |= (events_s + window.start_s >= start_s) & (events_s + window.end_s <= stop_s)
    return np.sort(events_s[covered])
