"""The label of each unit by the curation query, with its reason; and the labels in SpikeInterface's format."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from spikeinterface import BaseSorting
from spikeinterface.curation.curation_model import Curation

from capsules.common.units.metric_names import metrics_that_need_more_data
from capsules.curation.verdicts import Answer, Verdict, evaluate

GOOD, BAD, UNDETERMINED = "good", "bad", "undetermined"
CURATION_LABELS = {"quality": "default_qc", "quality_reason": "default_qc_reason", "suspicion": "suspicious_reason"}
"""Label in `curation.json` -> the property that it comes from. The names differ, since `spikerelay curate` adds the
labels to the properties."""
NO_REASON, OTHER_REASON = "none", "other"
"""Further options of the two reasons: the model needs at least two."""


@dataclass(frozen=True)
class Label:
    """`good`, `bad` or `undetermined`, and why."""

    label: str
    reason: str


def label_units(
    query: str, metrics: pd.DataFrame, spike_counts: np.ndarray, undefined: str, min_spikes: int
) -> list[Label]:
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
    leave_out = metrics_that_need_more_data(map(str, metrics.columns)) if undefined == "leave_out" else set()
    when_unknown = BAD if undefined == "reject" else UNDETERMINED
    answers = evaluate(query, metrics, leave_out)
    return [
        _label(answer, int(count), min_spikes, when_unknown)
        for answer, count in zip(answers, spike_counts, strict=True)
    ]


def _label(answer: Answer, spikes: int, min_spikes: int, when_unknown: str) -> Label:
    reasons = []
    match answer.verdict:
        case Verdict.FAILED:
            label = BAD
            reasons.append(f"failed: {', '.join(answer.failed)}")
        case Verdict.UNKNOWN:
            label = when_unknown
            reasons.append(f"insufficient evidence: {', '.join(answer.unknown)}")
        case Verdict.LEFT_OUT:
            label = UNDETERMINED
        case Verdict.MET:
            label = GOOD if spikes >= min_spikes else UNDETERMINED
    if spikes < min_spikes:
        reasons.append(f"too few spikes: {spikes} (min_spikes {min_spikes})")
    if answer.left_out:
        reasons.append(f"left out: {', '.join(answer.left_out)}")
    return Label(label, "; ".join(reasons))


def curation_document(sorting: BaseSorting) -> dict[str, Any]:
    """The labels in SpikeInterface's curation format, version 2, checked by its model."""
    units = [unit.item() if hasattr(unit, "item") else unit for unit in sorting.unit_ids]
    properties = {name: sorting.get_property(of) for name, of in CURATION_LABELS.items()}
    labels = {name: list(map(str, values)) for name, values in properties.items() if values is not None}
    options = {name: _reasons(values) for name, values in labels.items()} | {"quality": [GOOD, BAD, UNDETERMINED]}
    document = {
        "format_version": "2",
        "unit_ids": units,
        "label_definitions": {name: {"label_options": choices, "exclusive": True} for name, choices in options.items()},
        "manual_labels": [
            {"unit_id": unit, "labels": {name: [values[index] or NO_REASON] for name, values in labels.items()}}
            for index, unit in enumerate(units)
        ],
        "merges": [],
        "splits": [],
        "removed": [],
    }
    return Curation.model_validate(document).model_dump(mode="json")


def _reasons(values: Iterable[str]) -> list[str]:
    return [NO_REASON, OTHER_REASON, *sorted(set(values) - {""})]
