"""The label of each unit by the curation query, and the reason for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from capsules.common.units.metric_names import metric_of_column
from capsules.curation.query import Answer, Verdict, evaluate

GOOD, BAD, UNDETERMINED = "good", "bad", "undetermined"
INSUFFICIENT = frozenset({"sliding_rp_violation"})
"""Quality metrics that are undefined when a unit does not pass their test at any level: insufficient evidence, however
long the recording; the same ones as in SpikeInterface's `bombcell_label_units`."""


@dataclass(frozen=True)
class Label:
    """`good`, `bad` or `undetermined`, and why."""

    label: str
    reason: str


def label_units(query: str, metrics: Any, spike_counts: Any, undefined: str, min_spikes: int) -> list[Label]:
    """Label each unit.

    Parameters
    ----------
    query : str
    metrics : pandas.DataFrame
        One row per unit.
    spike_counts : array of int, (units,)
    undefined : str
        `curation.undefined_metric`.
    min_spikes : int
        A unit with fewer is not good.
    """
    leave_out = _short_of_data(metrics) if undefined == "leave_out" else set()
    when_unknown = BAD if undefined == "reject" else UNDETERMINED
    answers = evaluate(query, metrics, leave_out)
    return [
        _label(answer, int(count), min_spikes, when_unknown)
        for answer, count in zip(answers, spike_counts, strict=True)
    ]


def _short_of_data(metrics: Any) -> set[str]:
    """The metrics that are undefined only where a recording is too short or a unit has too few spikes.

    Template metrics are not among them: they are undefined by the shape of a template.
    """
    known = metric_of_column()
    columns = map(str, metrics.columns)
    return {name for name in columns if known.get(name, ("",))[0] == "quality_metrics"} - INSUFFICIENT


def _label(answer: Answer, spikes: int, min_spikes: int, when_unknown: str) -> Label:
    reasons = []
    match answer.verdict:
        case Verdict.FAILED:
            label = BAD
            reasons.append(_listed("failed", answer.failed))
        case Verdict.UNKNOWN:
            label = when_unknown
            reasons.append(_listed("insufficient evidence", answer.unknown))
        case Verdict.LEFT_OUT:
            label = UNDETERMINED
        case Verdict.MET:
            label = GOOD if spikes >= min_spikes else UNDETERMINED
    if spikes < min_spikes:
        reasons.append(f"too few spikes: {spikes} (min_spikes {min_spikes})")
    if answer.left_out:
        reasons.append(_listed("left out", answer.left_out))
    return Label(label, "; ".join(reasons))


def _listed(kind: str, clauses: list[str]) -> str:
    return f"{kind}: {', '.join(clauses)}"
