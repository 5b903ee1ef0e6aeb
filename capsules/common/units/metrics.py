"""The metrics of an analyzer's units: their table, with the labels of the units."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pandas as pd
from spikeinterface import BaseSorting, SortingAnalyzer

from capsules.common.errors import printable
from capsules.common.recordings.electrode_locations import COORDINATES
from capsules.common.units.metric_names import METRIC_EXTENSIONS

Labels = dict[str, npt.NDArray[Any]]
"""Name -> label of each unit."""
LABELS = {
    "default_qc": "good, bad or undetermined by the curation query",
    "default_qc_reason": "clauses of the curation query that the unit failed, or that were skipped, with their values",
    "suspicious": "whether a test for mixed or drifting units marked the unit",
    "suspicious_reason": "tests that marked the unit, with value and threshold",
    "decoder_label": "label of the classifiers",
    "decoder_probability": "probability of the classifiers' label",
    "bombcell_label": "label by Bombcell's thresholds",
    "brain_region": "brain region of the unit's main channel, which has its largest peak",
} | {name: f"main channel's {meaning}" for name, meaning in COORDINATES.items()}
"""Labels of the units by curation, as properties of the sorting -> their meaning."""
REASONS = ("default_qc_reason", "suspicious_reason")
"""Labels that are sentences."""


def get_labels(sorting: BaseSorting, names: Iterable[str] = LABELS) -> Labels:
    """The labels of these names that a sorting has."""
    return {name: sorting.get_property(name) for name in names if name in sorting.get_property_keys()}


def make_units_table(labels: Labels, metrics: pd.DataFrame) -> pd.DataFrame:
    """The table of all units: labels first, then metrics."""
    return pd.concat([pd.DataFrame(labels, index=metrics.index), metrics], axis=1)


def write_table(labels: Labels, metrics: pd.DataFrame, file: Path) -> None:
    """Write the table of all units for spreadsheets, which must not interpret a text as a formula."""
    table = make_units_table(labels, metrics).map(_cell)
    table.rename(columns=_cell, index=_cell).to_csv(file, index_label="unit")


def _cell(value: Any) -> Any:
    """A cell; a text that a spreadsheet would compute starts with a quote."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t")) else text


def get_metrics_table(analyzer: SortingAnalyzer) -> pd.DataFrame:
    """Quality and template metrics of an analyzer in one table, a row per unit."""
    tables = [analyzer.get_extension(name).get_data() for name in METRIC_EXTENSIONS if analyzer.has_extension(name)]
    return pd.concat(tables, axis=1) if tables else pd.DataFrame(index=analyzer.unit_ids)
