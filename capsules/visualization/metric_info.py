"""What each metric means, and its physical unit: the descriptions are SpikeInterface's, the units are listed here."""

from __future__ import annotations

from collections.abc import Iterable

from spikeinterface.metrics.quality.quality_metrics import ComputeQualityMetrics
from spikeinterface.metrics.template.template_metrics import ComputeTemplateMetrics

UNITS = {
    "firing_rate": "Hz",
    "firing_range": "Hz",
    "amplitude_median": "uV",
    "drift_ptp": "um",
    "drift_std": "um",
    "drift_mad": "um",
    "peak_to_trough_duration": "s",
    "trough_half_width": "s",
    "peak_half_width": "s",
    "repolarization_slope": "uV/s",
    "recovery_slope": "uV/s",
    "main_to_next_extremum_duration": "s",
    "trough_width": "s",
    "peak_before_width": "s",
    "peak_after_width": "s",
    "velocity_above": "um/ms",
    "velocity_below": "um/ms",
    "exp_decay": "1/um",
    "spread": "um",
}
"""Column of the metrics table -> its unit; the others are numbers and ratios. SpikeInterface (0.105.3) names a unit in
some of its descriptions, in words that differ."""


def describe_metrics(columns: Iterable[str], in_uv: bool) -> dict[str, dict[str, str]]:
    """The `meaning` and the `unit` of each metric; `in_uv` is false when amplitudes are in counts."""
    meanings = ComputeQualityMetrics.get_metric_column_descriptions()
    meanings |= ComputeTemplateMetrics.get_metric_column_descriptions()
    units = UNITS if in_uv else {name: unit.replace("uV", "counts") for name, unit in UNITS.items()}
    return {name: {"meaning": _plain(meanings.get(name, ""), in_uv), "unit": units.get(name, "")} for name in columns}


def _plain(text: str, in_uv: bool) -> str:
    """A description with the units as the report writes them."""
    return text.replace("µV", "uV" if in_uv else "counts").replace("µm", "um").strip().rstrip(".")
