"""Units that are the same neuron twice: found by their templates, the one with fewer spikes goes.

A sorter that puts the second unit's spikes a few samples off gives it a shifted template, so templates are compared at
every shift up to `LAG_MS`. How many spikes the two have in common is told and decides nothing: two units that share
their template and few spikes may be one neuron cut in two, or two neurons too close for the probe to tell apart.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

LAG_MS = 0.3
"""Templates are compared at shifts up to this."""
SAME_SPIKE_MS = 0.4
"""Spikes of two units that are nearer than this are the same one, as in SpikeInterface's `remove_redundant_units`."""
FEW_SHARED = 0.1
"""Below this share of common spikes the user is told: double detection would have more."""


@dataclass(frozen=True)
class Duplicate:
    """A removed unit, the unit that is kept in its place, their templates' correlation (at the best shift), and the
    share of the removed unit's spikes that the kept one has too."""

    removed: Any
    kept: Any
    correlation: float
    shared_spikes: float

    def fact(self) -> dict[str, Any]:
        return asdict(self) | {"removed": str(self.removed), "kept": str(self.kept)}


def template_correlation(templates: np.ndarray, max_lag: int = 0) -> np.ndarray:
    """Pearson correlation between the templates of all pairs of units, at the shift where it is largest.

    Parameters
    ----------
    templates : array, (units, samples, channels)
    max_lag : int
        Shifts up to so many samples are tried.

    Returns
    -------
    array, (units, units)
        0 where a template is flat.
    """
    centred = templates - templates.mean(axis=(1, 2), keepdims=True)
    norms = np.linalg.norm(centred, axis=(1, 2), keepdims=True)
    unit = np.divide(centred, norms, out=np.zeros_like(centred), where=norms > 0)
    best = np.full((len(unit), len(unit)), -np.inf)
    for lag in range(max_lag + 1):
        # What is shifted out of the window counts as no signal.
        early, late = unit[:, : unit.shape[1] - lag], unit[:, lag:]
        shifted = early.reshape(len(unit), -1) @ late.reshape(len(unit), -1).T
        best = np.maximum(best, np.maximum(shifted, shifted.T))
    return best


def duplicated_units(correlation: np.ndarray, spike_counts: np.ndarray, threshold: float) -> list[tuple[int, int]]:
    """Pairs (removed, kept) of unit indices: units are visited from most to fewest spikes.

    A unit is removed when its template correlates more than `threshold` with that of a unit that is kept.
    """
    kept: list[int] = []
    removed = []
    for unit in np.argsort(-spike_counts, kind="stable"):
        twin = max(kept, key=lambda other: correlation[unit, other], default=None)
        if twin is None or correlation[unit, twin] <= threshold:
            kept.append(int(unit))
        else:
            removed.append((int(unit), twin))
    return removed


def shared_spikes(of: np.ndarray, among: np.ndarray, distance: int) -> float:
    """Share of the samples `of` that have one `among` within `distance`; both are sorted and `among` is not empty."""
    after = np.searchsorted(among, of).clip(max=len(among) - 1)
    before = (after - 1).clip(min=0)
    gaps = np.minimum(np.abs(among[after] - of), np.abs(among[before] - of))
    return float((gaps <= distance).mean())


def find_duplicates(analyzer: Any, threshold: float) -> list[Duplicate]:
    """The duplicated units of an analyzer with `templates`; units without spikes have a flat template and stay."""
    templates = analyzer.get_extension("templates").get_templates()
    sorting, samples_per_ms = analyzer.sorting, analyzer.sampling_frequency / 1000
    correlation = template_correlation(templates, round(LAG_MS * samples_per_ms))
    trains = [sorting.get_unit_spike_train(unit) for unit in analyzer.unit_ids]
    pairs = duplicated_units(correlation, np.array([len(train) for train in trains]), threshold)
    return [
        Duplicate(
            analyzer.unit_ids[removed],
            analyzer.unit_ids[kept],
            round(float(correlation[removed, kept]), 4),
            round(shared_spikes(trains[removed], trains[kept], round(SAME_SPIKE_MS * samples_per_ms)), 4),
        )
        for removed, kept in pairs
    ]
