"""The metrics of an analyzer's units."""

from __future__ import annotations

from typing import Any

METRIC_EXTENSIONS = ("quality_metrics", "template_metrics")


def metrics_table(analyzer: Any) -> Any:
    """Quality and template metrics of an analyzer side by side, one row per unit (pandas.DataFrame)."""
    import pandas as pd

    tables = [analyzer.get_extension(name).get_data() for name in METRIC_EXTENSIONS if analyzer.has_extension(name)]
    return pd.concat(tables, axis=1) if tables else pd.DataFrame(index=analyzer.unit_ids)
