"""The spikes of each unit in a vector of all spikes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.integer[Any]]


def split_by_unit(units: Integers, number: int) -> list[Integers]:
    """The places of each unit's spikes, in their order; `units` is each spike's index of its unit, below `number`."""
    counts = np.bincount(units, minlength=number)
    return np.split(np.argsort(units, kind="stable"), np.cumsum(counts)[:-1])
