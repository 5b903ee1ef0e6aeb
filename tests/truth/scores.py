"""What is known of sorted units when the true ones are: purity, completeness, matches, and counts with their intervals.

All trains are sorted arrays of samples. Two spikes within `SAME_SPIKE_MS` are the same one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from capsules.demo.score import WELL_FOUND

SAME_SPIKE_MS = 0.4
"""As in SpikeInterface's comparisons."""
SHARED = 0.2
"""Two true units that share this much of the smaller one's spikes, beyond chance, are one neuron sorted twice."""
SHIFTS_MS = (-20.0, -10.0, 10.0, 20.0)
"""Chance: what the smaller one shares when it is shifted. Fast multi-unit activity shares 20 % with everyone."""
DIP_MS, BASELINE_MS = 1.0, (5.0, 25.0)
"""A refractory dip: few pairs of spikes within the first lag, compared with the lags of the second."""
DIP, DIP_P = 0.3, 1e-5
"""A dip is less than this share of what the baseline gives, and that improbable by chance: thousands of pairs are
looked at."""
NEAR_UM = 60.0
"""Units farther apart are two neurons: common rhythms make spikes coincide, and sorters miss those that overlap."""
PURE = 0.9
ENOUGH_SPIKES = 50
"""Labels are judged on units with at least so many spikes."""


@dataclass(frozen=True)
class Share:
    """`hits` of `cases`."""

    hits: int
    cases: int

    def __add__(self, other: Share) -> Share:
        return Share(self.hits + other.hits, self.cases + other.cases)

    @property
    def value(self) -> float:
        return self.hits / self.cases if self.cases else float("nan")

    def __str__(self) -> str:
        if not self.cases:
            return "0/0"
        low, high = wilson(self.hits, self.cases)
        return f"{self.hits}/{self.cases} ({low:.2f} to {high:.2f})"


def wilson(hits: int, cases: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927); 95 % with the default `z`."""
    share, spread = hits / cases, z**2 / cases
    centre = (share + spread / 2) / (1 + spread)
    half = z * np.sqrt(share * (1 - share) / cases + spread / (4 * cases)) / (1 + spread)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def coincident(of: np.ndarray, among: np.ndarray, distance: int) -> np.ndarray:
    """Which of the samples `of` have one `among` within `distance`."""
    if not len(among):
        return np.zeros(len(of), dtype=bool)
    after = np.searchsorted(among, of).clip(max=len(among) - 1)
    before = (after - 1).clip(min=0)
    return np.minimum(np.abs(among[after] - of), np.abs(among[before] - of)) <= distance


def pairs_within(a: np.ndarray, b: np.ndarray, distance: float) -> int:
    """How many pairs of a spike of `a` and one of `b` are at most `distance` samples apart."""
    return int((np.searchsorted(b, a + distance, "right") - np.searchsorted(b, a - distance, "left")).sum())


def has_refractory_dip(a: np.ndarray, b: np.ndarray, rate_hz: float) -> bool:
    """Whether the cross-correlogram of two trains is (nearly) empty around 0, as that of one neuron's halves is."""
    from scipy.stats import poisson

    per_ms = rate_hz / 1000
    near, inner, outer = (pairs_within(a, b, lag * per_ms) for lag in (DIP_MS, *BASELINE_MS))
    expected = (outer - inner) * DIP_MS / (BASELINE_MS[1] - BASELINE_MS[0])
    return near < DIP * expected and poisson.cdf(near, expected) < DIP_P


def shared_beyond_chance(small: np.ndarray, large: np.ndarray, distance: int, rate_hz: float) -> float:
    """Share of the spikes of `small` that `large` has, less what it has of them when they are shifted."""
    shifts = [round(shift * rate_hz / 1000) for shift in SHIFTS_MS]
    chance = np.mean([coincident(small + shift, large, distance).mean() for shift in shifts])
    return float(coincident(small, large, distance).mean() - chance)


def neurons(trains: list[np.ndarray], rate_hz: float, apart_um: np.ndarray | None = None) -> np.ndarray:
    """Number of the neuron that each true unit is: units that share spikes or have a refractory dip are one.

    Parameters
    ----------
    trains : list of arrays
        Each unit's spikes over the whole session, in samples: an excerpt has too few.
    rate_hz : float
    apart_um : array (units, units), optional
        Distances; units more than `NEAR_UM` apart are two neurons.

    Returns
    -------
    array of int, (units,)
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    near = round(SAME_SPIKE_MS * rate_hz / 1000)
    same = []
    for i, j in combinations(range(len(trains)), 2):
        small, large = sorted((trains[i], trains[j]), key=len)
        if not len(small):
            continue
        if apart_um is not None and apart_um[i, j] > NEAR_UM:
            continue
        if shared_beyond_chance(small, large, near, rate_hz) >= SHARED or has_refractory_dip(small, large, rate_hz):
            same.append((i, j))
    rows, columns = np.array(same, dtype=int).reshape(-1, 2).T
    graph = coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(trains), len(trains)))
    return connected_components(graph, directed=False)[1]


def unit_table(true: Any, found: Any, neuron: np.ndarray) -> Any:
    """What each unit of a sorting is.

    Parameters
    ----------
    true, found : BaseSorting
    neuron : array of int, (true units,)
        By `neurons`.

    Returns
    -------
    pandas.DataFrame
        Unit id -> `n_spikes`; `true_unit`, the one that it is matched with ("" for none; each true unit has one match
        at most), and `accuracy` of the match; `purity`, the largest share of its spikes that are one neuron's;
        `best_true_unit`, that neuron's unit of the largest `completeness`, the share of the true spikes that are found.
    """
    import pandas as pd

    comparison = compared(true, found)
    match, accuracy = comparison.hungarian_match_21, comparison.agreement_scores
    distance = round(SAME_SPIKE_MS * true.sampling_frequency / 1000)
    trains = {unit: true.get_unit_spike_train(unit) for unit in true.unit_ids}
    members = {number: true.unit_ids[neuron == number] for number in np.unique(neuron)}
    unions = {number: np.unique(np.concatenate([trains[unit] for unit in units])) for number, units in members.items()}
    rows = {}
    for unit in found.unit_ids:
        spikes = found.get_unit_spike_train(unit)
        # Sorters may give a spike twice; either is the neuron's.
        purity = {number: coincident(spikes, union, distance).mean() for number, union in unions.items()}
        best = max(purity, key=purity.get) if len(spikes) else None
        complete = {u: coincident(trains[u], spikes, distance).mean() for u in members.get(best, ()) if len(trains[u])}
        twin = max(complete, key=complete.get, default="")
        matched = "" if (matched := match[unit]) in (-1, "") else matched
        rows[unit] = {
            "n_spikes": len(spikes),
            "true_unit": str(matched),
            "accuracy": float(accuracy.at[matched, unit]) if matched != "" else 0.0,
            "purity": float(purity.get(best, 0.0)),
            "best_true_unit": str(twin),
            "completeness": float(complete.get(twin, 0.0)),
        }
    columns = ["n_spikes", "true_unit", "accuracy", "purity", "best_true_unit", "completeness"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def compared(true: Any, found: Any) -> Any:
    """SpikeInterface's comparison with all true units."""
    from spikeinterface.comparison import compare_sorter_to_ground_truth

    return compare_sorter_to_ground_truth(true, found, exhaustive_gt=True, delta_time=SAME_SPIKE_MS)


def well_found(units: Any) -> set[str]:
    """The true units that are matched with an accuracy of at least `WELL_FOUND`."""
    return set(units.true_unit[units.accuracy >= WELL_FOUND])


def errors_of_sorting(true: Any, found: Any) -> dict[str, int]:
    """SpikeInterface's counts of units that repeat another (`oversplit`), that mix several, and that match none."""
    comparison = compared(true, found)
    return {
        "oversplit": len(comparison.get_redundant_units()),
        "overmerged": len(comparison.get_overmerged_units()),
        "false": len(comparison.get_false_positive_units()),
    }


def passes(query: str, metrics: Any) -> np.ndarray:
    """Which units pass the query, without its clauses that are undefined for them."""
    from capsules.curation.verdicts import Verdict, evaluate

    answers = evaluate(query, metrics, leave_out=list(map(str, metrics.columns)))
    return np.array([answer.verdict is not Verdict.FAILED for answer in answers], dtype=bool)


def recall_of_good(fit: set[str], found: set[str], units: Any) -> Share:
    """Of the true units that are fit to be good and well found, those whose matched unit is labelled good.

    Parameters
    ----------
    fit : set of str
        The true units that are single, have enough spikes, and whose true train passes the query.
    found : set of str
        The true units that the sorter found well.
    units : pandas.DataFrame
        By `unit_table`, with the labels: `good` (bool).
    """
    cases = fit & found
    return Share(len(cases & set(units.true_unit[units.good])), len(cases))


def precision_of_good(units: Any) -> Share:
    """Of the units with enough spikes that are labelled good and not flagged, those that are one neuron's.

    `units` is by `unit_table` with `good` and `suspicious` (bool).
    """
    judged = units[units.good & ~units.suspicious & (units.n_spikes >= ENOUGH_SPIKES)]
    return Share(int((judged.purity >= PURE).sum()), len(judged))


def drift_error_um(estimated: np.ndarray, true: np.ndarray) -> float:
    """Root mean square of the error of an estimated drift, up to an offset of each window, which no estimate can know.

    `estimated` is (times, windows) and `true` (times,), both in um.
    """
    error = estimated - true[:, None]
    return float(np.sqrt(np.mean((error - np.median(error, axis=0)) ** 2)))


def time_errors(times: np.ndarray, frames: np.ndarray, true: np.ndarray, rate_hz: float) -> np.ndarray:
    """Errors, in samples, of the `times` (s) that a unit's spikes, sorted at `frames`, have in a file.

    Only spikes that are true ones count. They are matched by `frames`, so that times that are far off are not left
    out.
    """
    nearest = np.searchsorted(true, frames).clip(1, len(true) - 1)
    nearest -= np.abs(frames - true[nearest - 1]) <= np.abs(frames - true[nearest])
    hit = np.abs(true[nearest] - frames) <= round(SAME_SPIKE_MS * rate_hz / 1000)
    return times[hit] * rate_hz - true[nearest[hit]]
