"""The agreement of several sorters on one recording."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from capsules.common.tasks.resources import use_numba_cache

MATCHED = 0.5
"""Least agreement of two matched units: the spikes of both over the spikes of either."""
LISTED = 0.05
"""Least agreement that is listed: the report draws it as a matrix."""


def compare_sorters(sortings: dict[str, dict[str, Path]]) -> dict[str, Any]:
    """Compare the sorters of each recording that several of them sorted.

    Parameters
    ----------
    sortings : dict
        Recording -> sorter -> folder of its curated sorting.

    Returns
    -------
    dict
        Recording -> `units` (sorter -> how many), `agreed_by_all` (units that every sorter detected) and `pairs`: for
        every two sorters how many units are `matched`, their `mean_agreement`, and `matches`, each with both units
        and their agreement; `agreements` lists every two units with an agreement of at least LISTED. Source:
        `compare_multiple_sorters` of SpikeInterface.
    """
    compared = {recording: folders for recording, folders in sortings.items() if len(folders) > 1}
    if compared:
        use_numba_cache()
    return {recording: _compare(folders) for recording, folders in compared.items()}


def _compare(folders: dict[str, Path]) -> dict[str, Any]:
    # Only runs with several sorters need SpikeInterface, which takes seconds to import, after `use_numba_cache`.
    from spikeinterface.comparison import compare_multiple_sorters

    from capsules.common.untrusted.distrust import load_sorting

    names = list(folders)
    sortings = [load_sorting(folder) for folder in folders.values()]
    multiple = compare_multiple_sorters(sortings, name_list=names, match_score=MATCHED, spiketrain_mode="union")
    return {
        "units": {name: sorting.get_num_units() for name, sorting in zip(names, sortings, strict=True)},
        "agreed_by_all": multiple.get_agreement_sorting(minimum_agreement_count=len(names)).get_num_units(),
        "pairs": [_pair(multiple.comparisons[pair], pair) for pair in combinations(names, 2)],
    }


def _pair(comparison: Any, names: tuple[str, str]) -> dict[str, Any]:
    scores = comparison.agreement_scores
    matches: list[dict[str, Any]] = [
        {"units": [str(unit), str(other)], "agreement": round(float(scores.at[unit, other]), 3)}
        for unit, other in comparison.hungarian_match_12.items()
        if other not in (-1, "")
    ]
    units, others = scores.index, scores.columns
    listed = [
        {"units": [str(units[row]), str(others[column])], "agreement": round(float(scores.iat[row, column]), 3)}
        for row, column in np.argwhere(scores.to_numpy() >= LISTED)
    ]
    mean = sum(match["agreement"] for match in matches) / len(matches) if matches else None
    return {
        "sorters": list(names),
        "matched": len(matches),
        "mean_agreement": None if mean is None else round(mean, 3),
        "matches": matches,
        "agreements": listed,
    }
