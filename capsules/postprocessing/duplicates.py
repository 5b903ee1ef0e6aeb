"""Units that are one neuron detected twice, and pairs of units that may be one neuron split in two.

Similar templates alone do not show that two units are one neuron: neighbouring neurons often have templates that
correlate above 0.9. A duplicate also shares spikes with the other unit; a pair with similar templates that shares
few spikes is a merge candidate, which is reported for the user to decide.

A sorter that detects the second unit's spikes a few samples later gives it a shifted template, so templates are
compared at every shift up to `LAG_MS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from spikeinterface import SortingAnalyzer
from spikeinterface.metrics.quality.misc_metrics import compute_refrac_period_violations

from capsules.common.units.contamination import estimate_contamination_bounds

LAG_MS = 0.3
"""Templates are compared at shifts up to this."""
SAME_SPIKE_MS = 0.4
"""Spikes of two units that are nearer than this are the same one, as in SpikeInterface's `remove_redundant_units`."""
CHANCE_SHIFTS_MS = (-20.0, -15.0, -10.0, -5.0, 5.0, 10.0, 15.0, 20.0)
"""Shifts of one spike train; coincidences there are due to chance alone, common changes of the rate included."""
BASELINE_MS = (5.0, 25.0)
"""Lags of a cross-correlogram that the refractory period is compared with."""
CONTAMINATION_COST = 2.5
"""Spikes subtracted from a unit's quality per contaminating spike, as in SpikeInterface's score (`k` = 1.5)."""
SAME_AMPLITUDE = 1.1
"""Templates whose amplitudes differ by less than this factor count as equally large."""

Floats = npt.NDArray[np.floating]
Samples = npt.NDArray[np.integer]


@dataclass(frozen=True)
class Pair:
    """Two units whose templates correlate, and how many spikes they share.

    `shared_spikes` is the share of the smaller unit's spikes that coincide with a spike of the larger one, `by_chance`
    the share expected by chance.
    """

    smaller: int
    larger: int
    correlation: float
    shared_spikes: float
    by_chance: float

    @property
    def excess(self) -> float:
        return self.shared_spikes - self.by_chance


@dataclass(frozen=True)
class Duplicate:
    """A removed unit, the unit that is kept instead, and the evidence (`Pair`)."""

    removed: Any
    kept: Any
    correlation: float
    shared_spikes: float
    by_chance: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"removed": str(self.removed), "kept": str(self.kept)}


@dataclass(frozen=True)
class MergeCandidate:
    """Two units with similar templates that share few spikes, with the evidence for and against one neuron.

    `refractory_ratio` is the number of spike pairs within the refractory period, divided by the number expected from
    lags of 5 to 25 ms: near 0 for one neuron, near 1 for two independent ones; None where less than one is expected.
    """

    units: tuple[Any, Any]
    correlation: float
    shared_spikes: float
    by_chance: float
    amplitude_ratio: float
    distance_um: float
    refractory_ratio: float | None
    refractory_pairs_expected: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"units": [str(unit) for unit in self.units]}


@dataclass(frozen=True)
class Rating:
    """What decides which of two duplicates is kept.

    `quality`: the spikes minus `CONTAMINATION_COST` times those that may be other neurons', by the upper bound; at
    least 0, as for a unit of few spikes, where any contamination is possible. On a tie the larger `amplitude` decides,
    since it is less mixed with others; when the amplitudes are equal (`SAME_AMPLITUDE`), more `spikes`.
    """

    quality: float
    amplitude: float
    spikes: int

    def is_better_than(self, other: Rating) -> bool:
        if self.quality != other.quality:
            return self.quality > other.quality
        low, high = sorted((self.amplitude, other.amplitude))
        if high > low * SAME_AMPLITUDE:
            return self.amplitude > other.amplitude
        return self.spikes > other.spikes


def correlate_templates(templates: Floats, max_lag: int = 0) -> Floats:
    """Compute the Pearson correlation between the templates of all pairs of units, at the shift where it is largest.

    Parameters
    ----------
    templates : array, (units, samples, channels)
    max_lag : int
        Shifts up to this many samples are tested.

    Returns
    -------
    array, (units, units)
        0 where a template is flat.
    """
    centred = templates - templates.mean(axis=(1, 2), keepdims=True)
    norms = np.linalg.norm(centred, axis=(1, 2), keepdims=True)
    normed = np.divide(centred, norms, out=np.zeros_like(centred), where=norms > 0)
    best = np.full((len(normed), len(normed)), -np.inf)
    for lag in range(max_lag + 1):
        # Samples that are shifted out of the window count as zero.
        early, late = normed[:, : normed.shape[1] - lag], normed[:, lag:]
        shifted = early.reshape(len(normed), -1) @ late.reshape(len(normed), -1).T
        best = np.maximum(best, np.maximum(shifted, shifted.T))
    return best


def compute_shared_spikes(of: Samples, among: Samples, distance: int) -> float:
    """Share of the samples `of` that have one `among` within `distance`; both are sorted and neither is empty."""
    after = np.searchsorted(among, of).clip(max=len(among) - 1)
    before = (after - 1).clip(min=0)
    gaps = np.minimum(np.abs(among[after] - of), np.abs(among[before] - of))
    return float((gaps <= distance).mean())


def count_spike_pairs(a: Samples, b: Samples, low: int, high: int) -> int:
    """Count the pairs of spikes of `a` and `b`, both sorted, whose lag is `low` to `high` samples either way."""

    def count(first: int, last: int) -> int:
        return int((np.searchsorted(b, a + last, side="right") - np.searchsorted(b, a + first, side="left")).sum())

    return count(-high, high) if low <= 0 else count(low, high) + count(-high, -low)


def find_similar_pairs(correlation: Floats, trains: Sequence[Samples], threshold: float, rate_hz: float) -> list[Pair]:
    """Find the pairs of units with spikes whose templates correlate more than `threshold`.

    Parameters
    ----------
    correlation : array, (units, units)
    trains : sequence of array
        The samples of each unit's spikes, sorted.
    threshold : float
    rate_hz : float
        Sampling rate.
    """
    distance = round(SAME_SPIKE_MS * rate_hz / 1000)
    shifts = [round(shift * rate_hz / 1000) for shift in CHANCE_SHIFTS_MS]
    pairs = []
    for a, b in zip(*np.nonzero(np.triu(correlation > threshold, k=1)), strict=True):
        smaller, larger = (int(a), int(b)) if len(trains[a]) <= len(trains[b]) else (int(b), int(a))
        of, among = trains[smaller], trains[larger]
        if len(of) == 0:
            continue
        chance = float(np.mean([compute_shared_spikes(of + shift, among, distance) for shift in shifts]))
        pairs.append(
            Pair(smaller, larger, float(correlation[a, b]), compute_shared_spikes(of, among, distance), chance)
        )
    return pairs


def choose_removed(pairs: Sequence[Pair], ratings: Sequence[Rating], min_shared: float) -> list[tuple[int, int, Pair]]:
    """(removed, kept, pair) of unit indices: pair by pair, the pair with the largest share of spikes in common first.

    A pair with a unit that is already removed decides nothing, because similarity is not transitive. The better unit
    is kept (`Rating`).
    """
    gone: set[int] = set()
    decisions = []
    for pair in sorted(pairs, key=lambda pair: (-pair.excess, -pair.correlation, pair.smaller, pair.larger)):
        if pair.excess < min_shared or gone & {pair.smaller, pair.larger}:
            continue
        kept, removed = pair.larger, pair.smaller
        if ratings[removed].is_better_than(ratings[kept]):
            kept, removed = removed, kept
        gone.add(removed)
        decisions.append((removed, kept, pair))
    return decisions


def rate_units(
    violations: Samples, spikes: Samples, amplitudes: Floats, duration_s: float, refractory_s: float
) -> list[Rating]:
    """Rate each unit; arrays are (units,), amplitudes in any physical unit."""
    _, highest = estimate_contamination_bounds(violations, spikes, duration_s, refractory_s)
    quality = np.maximum(0, spikes * (1 - CONTAMINATION_COST * highest))
    rows = zip(quality.tolist(), amplitudes.tolist(), spikes.tolist(), strict=True)
    return [Rating(float(quality), float(amplitude), int(count)) for quality, amplitude, count in rows]


class SimilarUnits:
    """The pairs of an analyzer's units whose templates correlate: `duplicates` among them, and `merge_candidates`.

    Parameters
    ----------
    analyzer : SortingAnalyzer
        Of one segment, with `templates`. Units without spikes have a flat template and are in no pair.
    threshold : float
        Templates of a pair correlate more than this.
    min_shared : float
        A duplicate shares at least this fraction of the smaller unit's spikes beyond chance.
    refractory_ms : float
        Refractory period.
    """

    def __init__(self, analyzer: SortingAnalyzer, threshold: float, min_shared: float, refractory_ms: float):
        templates = analyzer.get_extension("templates").get_templates()
        sizes = np.ptp(templates, axis=1)
        self.rate_hz, self.refractory_ms, self.units = analyzer.sampling_frequency, refractory_ms, analyzer.unit_ids
        self.trains = [analyzer.sorting.get_unit_spike_train(unit) for unit in self.units]
        self.sizes = sizes.max(axis=1)
        self.locations_um = analyzer.get_channel_locations()[sizes.argmax(axis=1)]
        correlation = correlate_templates(templates, self._convert_to_samples(LAG_MS))
        self.pairs = find_similar_pairs(correlation, self.trains, threshold, self.rate_hz)
        ratings = _rate(analyzer, self.sizes, refractory_ms) if self.pairs else []
        self._removed = choose_removed(self.pairs, ratings, min_shared)

    @property
    def duplicates(self) -> list[Duplicate]:
        return [
            Duplicate(self.units[removed], self.units[kept], *_round_evidence(pair))
            for removed, kept, pair in self._removed
        ]

    @property
    def merge_candidates(self) -> list[MergeCandidate]:
        """The other pairs, without those of a removed unit; the most similar ones first."""
        removed = {unit for unit, _, _ in self._removed}
        pairs = [pair for pair in self.pairs if not removed & {pair.smaller, pair.larger}]
        return [self._describe(pair) for pair in sorted(pairs, key=lambda pair: -pair.correlation)]

    def _describe(self, pair: Pair) -> MergeCandidate:
        a, b = pair.smaller, pair.larger
        low, high = map(self._convert_to_samples, BASELINE_MS)
        refractory = self._convert_to_samples(self.refractory_ms)
        baseline = count_spike_pairs(self.trains[a], self.trains[b], low, high) / (2 * (high - low + 1))
        expected = baseline * (2 * refractory + 1)
        observed = count_spike_pairs(self.trains[a], self.trains[b], 0, refractory)
        return MergeCandidate(
            (self.units[a], self.units[b]),
            *_round_evidence(pair),
            _round(min(self.sizes[a], self.sizes[b]) / max(self.sizes[a], self.sizes[b])),
            _round(np.linalg.norm(self.locations_um[a] - self.locations_um[b])),
            _round(observed / expected) if expected >= 1 else None,
            _round(expected),
        )

    def _convert_to_samples(self, duration_ms: float) -> int:
        return round(duration_ms * float(self.rate_hz) / 1000)


def _rate(analyzer: SortingAnalyzer, amplitudes: Floats, refractory_ms: float) -> list[Rating]:
    spikes = analyzer.sorting.count_num_spikes_per_unit(outputs="array")
    violations = compute_refrac_period_violations(analyzer, refractory_period_ms=refractory_ms).rp_violations
    # SpikeInterface returns -1 for a unit without spikes.
    counted = np.array([max(violations[unit], 0) for unit in analyzer.unit_ids])
    return rate_units(counted, spikes, amplitudes, analyzer.get_total_duration(), refractory_ms / 1000)


def _round_evidence(pair: Pair) -> tuple[float, float, float]:
    return _round(pair.correlation), _round(pair.shared_spikes), _round(pair.by_chance)


def _round(value: float | np.floating) -> float:
    return round(float(value), 4)
