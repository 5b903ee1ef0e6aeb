"""The metrics of an analyzer's units: their table, and which columns each metric has."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from capsules.common.errors import printable
from capsules.common.recordings.electrode_locations import COORDINATES

METRIC_EXTENSIONS = ("quality_metrics", "template_metrics")
LIBRARY_NAMES = Path(__file__).parents[3] / "pipeline" / "library_names.json"
"""What the installed libraries know; made by `make generate`."""
METRICS = "metrics"
"""Where the metrics stand in it: extension -> metric -> columns, and the metrics that need several channels."""


LABELS = {
    "default_qc": "good, bad or undetermined by the curation query",
    "default_qc_reason": "clauses of the curation query that the unit failed, or that were left out, with their values",
    "suspicious": "whether a test for mixed or drifting units marked the unit",
    "suspicious_reason": "tests that marked the unit, with value and threshold",
    "decoder_label": "label of the classifiers",
    "decoder_probability": "probability of the classifiers' label",
    "bombcell_label": "label by Bombcell's thresholds",
    "brain_region": "region of the brain that the unit's main channel, which has its largest peak, lies in",
} | {name: f"main channel's {meaning}" for name, meaning in COORDINATES.items()}
"""What curation may say of the units, as properties of the sorting -> what it means."""
REASONS = ("default_qc_reason", "suspicious_reason")
"""Those that are sentences."""


def labels_of(sorting: Any, names: Iterable[str] = LABELS) -> dict[str, Any]:
    """Those of the named labellings that a sorting has: name -> label of each unit."""
    return {name: sorting.get_property(name) for name in names if name in sorting.get_property_keys()}


def units_table(labels: dict[str, Any], metrics: Any) -> Any:
    """The table of all units: their labels first, then their metrics; both tables are pandas.DataFrame."""
    import pandas as pd

    return pd.concat([pd.DataFrame(labels, index=metrics.index), metrics], axis=1)


def write_table(labels: dict[str, Any], metrics: Any, file: Path) -> None:
    """Write the table of all units for spreadsheets, in which no text is taken for a formula."""
    table = units_table(labels, metrics).map(_cell)
    table.rename(columns=_cell, index=_cell).to_csv(file, index_label="unit")


def _cell(value: Any) -> Any:
    """A cell; a text that a spreadsheet would compute gets a quote before it."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t")) else text


def metrics_table(analyzer: Any) -> Any:
    """Quality and template metrics of an analyzer side by side, one row per unit (pandas.DataFrame)."""
    import pandas as pd

    tables = [analyzer.get_extension(name).get_data() for name in METRIC_EXTENSIONS if analyzer.has_extension(name)]
    return pd.concat(tables, axis=1) if tables else pd.DataFrame(index=analyzer.unit_ids)


def metric_columns() -> dict[str, dict[str, list[str]]]:
    """Extension -> metric -> the columns that SpikeInterface gives it."""
    return json.loads(LIBRARY_NAMES.read_text())[METRICS]["columns"]


def multi_channel_metrics() -> list[str]:
    """The template metrics that need several channels: they are asked for by a setting of their own."""
    return json.loads(LIBRARY_NAMES.read_text())[METRICS]["multi_channel"]


def metric_of_column() -> dict[str, tuple[str, str]]:
    """Column of the metrics table -> its extension and its metric."""
    return {
        column: (extension, metric)
        for extension, metrics in metric_columns().items()
        for metric, columns in metrics.items()
        for column in columns
    }
