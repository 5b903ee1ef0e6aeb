"""What the user should know of pulses that could be matched."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from capsules.common.sync.alignment import Alignment
from capsules.common.sync.fitting import Fit
from capsules.common.sync.pulses import Pulses

FEW_MATCHED = 0.9
"""Of the pulses that both streams could have: of fewer, the user should check the line."""
LONG_END_S = 60.0
"""A part without pulses at either end that is worth a remark."""
FAR_S = 1.0
"""A difference from the expected offset that is worth a remark."""


def describe_fit(
    aligned: Alignment, own: Pulses, reference: Pulses, fit: Fit, shared: int, expected_s: float | None
) -> Iterator[str]:
    """Remarks on an alignment.

    Parameters
    ----------
    aligned : Alignment
    own, reference : Pulses
    fit : Fit
    shared : int
        Pulses that both streams could have.
    expected_s : float or None
        The offset by the clocks or the user.
    """
    if own.bounces:
        yield f"{own.bounces} bouncing or doubled edges are removed"
    if (missing := shared - len(fit.pairs) - fit.outliers) > 0:
        yield f"{missing} of {shared} pulses have no partner" + (
            ": check the sync line" if missing > (1 - FEW_MATCHED) * shared else ""
        )
    if fit.outliers:
        yield f"{fit.outliers} matched pulses are far from the map and left out"
    for at_s, size_s in fit.steps:
        yield (
            f"its clock steps by {1e3 * size_s:+.3f} ms at {at_s:.1f} s: samples were lost and not counted; the times "
            "between the two pulses around the step are uncertain by as much"
        )
    rms_s = float(np.sqrt(np.mean(fit.residuals_s**2)))
    sampling_s = float(np.hypot(own.resolution_s, reference.resolution_s)) / np.sqrt(12)
    if rms_s > 3 * sampling_s + 1e-6:
        yield f"the pulses jitter by {1e6 * rms_s:.0f} us; the sampling explains {1e6 * sampling_s:.0f} us"
    for name, length_s in (("first", fit.first_s - own.start_s), ("last", own.end_s - fit.last_s)):
        if length_s > LONG_END_S:
            yield f"the {name} {length_s:.0f} s have no matched pulses: the map is extrapolated there"
    offset_s = float(aligned.map(own.start_s)) - own.start_s
    if expected_s is not None and abs(offset_s - expected_s) > FAR_S:
        yield f"the pulses are {offset_s - expected_s:+.3f} s from where the clocks put them"
