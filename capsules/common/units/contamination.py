"""The contamination of a unit, estimated from the violations of its refractory period, with Poisson bounds.

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
    """Estimate the share of a unit's spikes that come from independent other neurons; SpikeInterface's formula.

    Parameters
    ----------
    violations : array, (units,)
        Pairs of spikes that are closer than the refractory period.
    spikes : array, (units,)
    duration_s, refractory_s : float

    Returns
    -------
    array, (units,)
        0 to 1; also 1 for more violations than any contamination explains, and for fewer than two spikes.
    """
    spikes = np.asarray(spikes, dtype=float)
    pairs = spikes**2 * refractory_s / duration_s
    explained = np.divide(violations, pairs, out=np.ones_like(pairs), where=spikes > 1)
    share: Floats = 1 - np.sqrt(np.clip(1 - explained, 0, 1))
    return share


def estimate_contamination_bounds(
    violations: npt.ArrayLike, spikes: npt.ArrayLike, duration_s: float, refractory_s: float
) -> tuple[Floats, Floats]:
    """Estimate lower and upper bounds of the contamination, each with CONFIDENCE, for a Poisson number of violations.

    Parameters and shapes are those of `estimate_contamination`.
    """
    violations = np.asarray(violations, dtype=float)
    fewest = np.where(violations > 0, chi2.ppf(1 - CONFIDENCE, 2 * np.maximum(violations, 1)) / 2, 0)
    most = chi2.ppf(CONFIDENCE, 2 * (violations + 1)) / 2
    return (
        estimate_contamination(fewest, spikes, duration_s, refractory_s),
        estimate_contamination(most, spikes, duration_s, refractory_s),
    )
