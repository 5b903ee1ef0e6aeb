"""Units that are the same neuron twice: found by their templates, the one with fewer spikes goes."""

from __future__ import annotations

from typing import Any

import numpy as np


def template_correlation(templates: np.ndarray) -> np.ndarray:
    """Pearson correlation between the templates of all pairs of units.

    Parameters
    ----------
    templates : array, (units, samples, channels)

    Returns
    -------
    array, (units, units)
        0 where a template is flat.
    """
    flat = templates.reshape(len(templates), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(flat, axis=1, keepdims=True)
    unit = np.divide(flat, norms, out=np.zeros_like(flat), where=norms > 0)
    return unit @ unit.T


def duplicated_units(correlation: np.ndarray, spike_counts: np.ndarray, threshold: float) -> list[tuple[int, int]]:
    """Pairs (removed, kept) of unit indices: units are visited from most to fewest spikes.

    A unit is removed when its template correlates more than `threshold` with that of a unit that is kept.
    """
    kept: list[int] = []
    removed = []
    for unit in np.argsort(-spike_counts, kind="stable"):
        twin = next((other for other in kept if correlation[unit, other] > threshold), None)
        if twin is None:
            kept.append(int(unit))
        else:
            removed.append((int(unit), int(twin)))
    return removed


def find_duplicates(analyzer: Any, threshold: float) -> list[tuple[Any, Any]]:
    """Pairs (removed, kept) of unit ids in an analyzer with `templates`."""
    templates = analyzer.get_extension("templates").get_templates()
    counts = np.array(list(analyzer.sorting.count_num_spikes_per_unit(outputs="dict").values()))
    pairs = duplicated_units(template_correlation(templates), counts, threshold)
    return [(analyzer.unit_ids[removed], analyzer.unit_ids[kept]) for removed, kept in pairs]
