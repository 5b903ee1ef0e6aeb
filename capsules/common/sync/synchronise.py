"""Align a stream to the reference: the whole way from the pulses of both to an `Alignment`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from capsules.common.sync.alignment import MOST_RESIDUALS, Alignment, Status
from capsules.common.sync.fitting import Fit, fit_knots
from capsules.common.sync.matching import Follower
from capsules.common.sync.offsets import (
    MAX_PHASE,
    MIN_MATCHES,
    Offset,
    compare_shifts,
    find_coded_offset,
    find_phase,
)
from capsules.common.sync.pulses import Pulses, Times, describe_noise, estimate_period, is_regular, refine_period
from capsules.common.sync.remarks import describe_fit

MIN_MATCHED = 0.5
"""Of the pulses that both streams could have: fewer pairs are chance."""
NEAR_S = 1e-3


@dataclass
class Pair:
    """A stream and the reference, and what is known before their pulses are matched.

    `period_s` is that of regular pulses on the reference clock (None: coded). `expected_s` is roughly how much later
    a moment is on the reference clock (None: unknown).
    """

    own: Pulses
    reference: Pulses
    period_s: float | None
    expected_s: float | None

    @property
    def resolution_s(self) -> float:
        return self.own.resolution_s + self.reference.resolution_s


def align_streams(
    own: Pulses, reference: Pulses, period_s: float | None = None, expected_s: float | None = None
) -> Alignment:
    """Align a stream to the reference.

    Parameters
    ----------
    own, reference : Pulses
    period_s : float, optional
        Of the pulses, where it is known; estimated otherwise.
    expected_s : float, optional
        Roughly how much later a moment is on the reference clock, as the user knows it. Without it, the clocks are
        compared directly where both count from a zero that they share.

    Returns
    -------
    Alignment
        Where nothing can be aligned, its status and problems say why.
    """
    for train in (reference, own):
        if reason := describe_noise(train.times_s):
            return _end(Pair(own, reference, None, None), "failed", f"{train.stream} {train.line or 'sync'}: {reason}")
    if not len(own.times_s) or not len(reference.times_s):
        empty, whose = (reference, f" of {reference.stream}") if len(own.times_s) else (own, "")
        line = f"the sync line {empty.line or ''}".rstrip()
        return _end(Pair(own, reference, None, None), "no pulses", f"{line}{whose} has no pulses")
    for train in (reference, own):
        if len(train.times_s) < MIN_MATCHES:
            whose = "its sync line" if train is own else f"the sync line of {train.stream}"
            reason = f"{whose} has {len(train.times_s)} pulses: {MIN_MATCHES} are needed"
            return _end(Pair(own, reference, None, None), "failed", reason)
    if expected_s is None and own.start_is_known and reference.start_is_known:
        expected_s = 0.0
    pair = Pair(own, reference, _find_period(own.times_s, reference.times_s, period_s), expected_s)
    offset = _find_offset(pair)
    if offset.seconds is None:
        return _end(pair, "ambiguous" if offset.ambiguous else "failed", offset.reason)
    return _match(pair, offset.seconds, offset.at_s)


def _find_period(own_s: Times, reference_s: Times, period_s: float | None) -> float | None:
    """The period on the reference clock where both trains are regular; None: coded."""
    if period_s is None:
        period_s = estimate_period(reference_s) or estimate_period(own_s)
    if period_s is None or not (is_regular(own_s, period_s) and is_regular(reference_s, period_s)):
        return None
    return refine_period(reference_s, period_s)


def _find_offset(pair: Pair) -> Offset:
    """The coarse offset: of coded pulses by their intervals, of regular ones by the clocks or by missing pulses."""
    own, reference, period_s = pair.own, pair.reference, pair.period_s
    if period_s is None:
        return find_coded_offset(own.times_s, reference.times_s, pair.resolution_s)
    if pair.expected_s is not None:
        return find_phase(own.times_s, reference.times_s, period_s, pair.expected_s)
    # The first pulses as the same one: right but for a number of periods.
    offset = find_phase(own.times_s, reference.times_s, period_s, float(reference.times_s[0] - own.times_s[0]))
    if offset.seconds is None:
        return offset
    shift, _ = compare_shifts(own.times_s + offset.seconds, reference.times_s, period_s)
    if shift is not None:
        return Offset(offset.seconds + shift * period_s, offset.at_s)
    reason = (
        f"its pulses are regular, and its clock and that of {reference.stream} share no zero: the offset is "
        f"{offset.seconds % period_s:.4f} s, give or take any number of periods of {period_s:.6g} s; set "
        f"job_dispatch.sync.offsets_s for {own.stream} to the offset, to within {MAX_PHASE:g} periods"
    )
    return Offset(None, ambiguous=True, reason=reason)


def _match(pair: Pair, offset_s: float, at_s: float) -> Alignment:
    """The alignment by the pulses that match from this offset on, or why they are not enough."""
    own, reference = pair.own, pair.reference
    match = Follower(own.times_s, reference.times_s, pair.resolution_s, pair.period_s).match(offset_s, at_s)
    if match.jumps:
        from_s, phase_s = match.jumps[0]
        reason = (
            f"around {from_s:.0f} s its pulses shift by {phase_s:+.4f} s, give or take any number of periods of "
            f"{pair.period_s:.6g} s: samples were lost and not counted"
        )
        return _end(pair, "ambiguous", reason)
    own_index, reference_index = match.pairs
    if len(own_index) < MIN_MATCHES:
        return _end(pair, "failed", f"only {len(own_index)} pulses match those of {reference.stream}")
    extent_s = own.start_s, own.end_s
    fit = fit_knots(own.times_s[own_index], reference.times_s[reference_index], pair.resolution_s, extent_s, own.gaps_s)
    if np.any(np.diff(fit.reference_s) <= 0) or np.any(np.diff(fit.own_s) <= 0):
        return _end(pair, "failed", "its clock steps ahead by more than the time between two pulses")
    return _check(pair, fit, reference.times_s[reference_index[fit.pairs]])


def _check(pair: Pair, fit: Fit, matched_s: Times) -> Alignment:
    """The alignment by a fit, if the pulses without a partner do not speak against it.

    `matched_s` are the pulses that the fit uses, on the reference clock.
    """
    own, reference = pair.own, pair.reference
    aligned = Alignment(
        **_describe_lines(pair),
        status="aligned",
        own_s=fit.own_s.tolist(),
        reference_s=fit.reference_s.tolist(),
        matched=len(fit.pairs),
        drift_ppm=fit.drift_ppm,
        offset_s=float(fit.reference_s[0] - fit.own_s[0]),
        residual_rms_us=1e6 * float(np.sqrt(np.mean(fit.residuals_s**2))),
        residual_max_us=1e6 * float(np.abs(fit.residuals_s).max()),
        residuals=_choose_residuals(matched_s, fit.residuals_s),
    )
    mapped_s = aligned.map(own.times_s)
    shared = min(_count_within(mapped_s, reference.times_s), _count_within(reference.times_s, mapped_s))
    if aligned.matched < MIN_MATCHED * shared:
        return _end(pair, "failed", f"only {aligned.matched} of {shared} pulses match those of {reference.stream}")
    if pair.period_s is not None:
        shift, mismatches = compare_shifts(mapped_s, reference.times_s, pair.period_s)
        if shift:
            reason = (
                f"by the clocks {mismatches} pulses have no partner in {reference.stream}, but most of these have one "
                f"when the stream is shifted by {shift:+d} periods of {pair.period_s:.6g} s: set "
                f"job_dispatch.sync.offsets_s for {own.stream} to the offset that is right"
            )
            return _end(pair, "ambiguous", reason)
    aligned.problems = list(describe_fit(aligned, own, reference, fit, shared, pair.expected_s))
    return aligned


def _choose_residuals(times_s: Times, residuals_s: Times) -> list[tuple[float, float]]:
    """Of each stretch the largest residual (us), with its time."""
    stretches = np.array_split(np.arange(len(times_s)), min(len(times_s), MOST_RESIDUALS))
    largest = [int(stretch[np.abs(residuals_s[stretch]).argmax()]) for stretch in stretches]
    return [(float(times_s[index]), round(1e6 * float(residuals_s[index]), 2)) for index in largest]


def _count_within(times_s: Times, other_s: Times) -> int:
    """How many times are between the first and the last of the others."""
    return int(((times_s >= other_s[0] - NEAR_S) & (times_s <= other_s[-1] + NEAR_S)).sum())


def _end(pair: Pair, status: Status, reason: str) -> Alignment:
    """An alignment that does not align, and why."""
    return Alignment(**_describe_lines(pair), status=status, problems=[reason])


def _describe_lines(pair: Pair) -> dict[str, Any]:
    return {
        "stream": pair.own.stream,
        "reference": pair.reference.stream,
        "line": pair.own.line,
        "reference_line": pair.reference.line,
        "pulses": len(pair.own.times_s),
        "reference_pulses": len(pair.reference.times_s),
        "period_s": pair.period_s,
    }
