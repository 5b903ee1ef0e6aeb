"""The names of the metrics, from a generated file: the first process of a run reads them without SpikeInterface."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from typing import TypedDict, cast

from capsules.common.installation import ROOT

METRIC_EXTENSIONS = ("quality_metrics", "template_metrics")
INSUFFICIENT = frozenset({"sliding_rp_violation"})
"""Quality metrics that are undefined when a unit does not pass their test at any level: insufficient evidence, however
long the recording; the same ones as in SpikeInterface's `bombcell_label_units`."""
LIBRARY_NAMES = ROOT / "pipeline" / "library_names.json"
"""The names in the installed libraries; `make generate` writes it."""
METRICS = "metrics"
"""Its key for the metrics: their columns and dependencies, and which need several channels."""


class _Metrics(TypedDict):
    columns: dict[str, dict[str, list[str]]]
    dependencies: dict[str, list[str]]
    multi_channel: list[str]


@cache
def _metrics() -> _Metrics:
    return cast(_Metrics, json.loads(LIBRARY_NAMES.read_text())[METRICS])


def metric_columns() -> dict[str, dict[str, list[str]]]:
    """Extension -> metric -> the columns that SpikeInterface computes for it."""
    return _metrics()["columns"]


def metric_dependencies() -> dict[str, list[str]]:
    """Metric -> the extensions that it is computed from; `a|b` is one of both."""
    return _metrics()["dependencies"]


def multi_channel_metrics() -> list[str]:
    """The template metrics that need several channels: a separate setting turns them on."""
    return _metrics()["multi_channel"]


def metric_of_column() -> dict[str, tuple[str, str]]:
    """Column of the metrics table -> its extension and its metric."""
    return {
        column: (extension, metric)
        for extension, metrics in metric_columns().items()
        for metric, columns in metrics.items()
        for column in columns
    }


def metrics_that_need_more_data(columns: Iterable[str]) -> set[str]:
    """The columns that are undefined only where a recording is too short or a unit has too few spikes.

    Template metrics are not among them: the shape of a template decides whether they are defined.
    """
    known = metric_of_column()
    return {name for name in columns if known.get(name, ("",))[0] == "quality_metrics"} - INSUFFICIENT
