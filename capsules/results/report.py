"""report.html: one file that shows how a run went; it asks for nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TEMPLATE = Path(__file__).with_name("report.html.jinja")


def render(status: dict[str, Any], records: dict, params: dict[str, Any]) -> str:
    """The report as HTML; everything that comes from the data is escaped."""
    import jinja2

    from capsules.common.contract import RECORDING_STAGES
    from capsules.results.stage import figure_links, shown

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(TEMPLATE.read_text()).render(
        status=status, figures=figure_links(records), params=params, recording_stages=RECORDING_STAGES, shown=shown
    )
