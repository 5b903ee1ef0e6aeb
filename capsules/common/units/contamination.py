"""How contaminated a unit may be, from the violations of its refractory period, with Poisson bounds.

Llobet, Wyngaard and Barbour, Automatic post-processing and merging of multiple spike-sorting analyses with Lussac,
bioRxiv (2022).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2  # type: ignore[attr-defined]  # scipy.stats lists its names when it is imported

Floats = npt.NDArray[np.float64]

CONFIDENCE = 0.95
"""Of each bound, one-sided."""


def estimate_contamination(
    violations: npt.ArrayLike, spikes: npt.ArrayLike, duration_s: float, refractory_s: float
) -> Floats:
    """Share of a unit's spikes that are other neurons', which fire independently of it; SpikeInterface's formula.

    Parameters
    ----------
    violations : array, (units,)
        Pairs of spikes that are nearer than the refractory period.
    spikes : array, (units,)
    duration_s, refractory_s : float

    Returns
    -------
    array, (units,)
        0 to 1; 1 as well where there are more violations than any contamination explains, or fewer than two spikes.
    """
    spikes = np.asarray(spikes, dtype=float)
    pairs = spikes**2 * refractory_s / duration_s
    explained = np.divide(violations, pairs, out=np.ones_like(pairs), where=spikes > 1)
    share: Floats = 1 - np.sqrt(np.clip(1 - explained, 0, 1))
    return share


def estimate_contamination_bounds(
    violations: npt.ArrayLike, spikes: npt.ArrayLike, duration_s: float, refractory_s: float
) -> tuple[Floats, Floats]:
    """Lowest and highest contamination that the number of violations allows, as a Poisson count, each with CONFIDENCE.

    Parameters and shapes as for `contamination`.
    """
    violations = np.asarray(violations, dtype=float)
    fewest = np.where(violations > 0, chi2.ppf(1 - CONFIDENCE, 2 * np.maximum(violations, 1)) / 2, 0)
    most = chi2.ppf(CONFIDENCE, 2 * (violations + 1)) / 2
    return (
        estimate_contamination(fewest, spikes, duration_s, refractory_s),
        estimate_contamination(most, spikes, duration_s, refractory_s),
    )
