"""report.html: one file that shows how a run went; it asks for nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from capsules.common.contract import RECORDING_STAGES

TEMPLATE = Path(__file__).with_name("report.html.jinja")


def render(
    status: dict[str, Any], figures: dict[str, list[str]], params: dict[str, Any], agreement: dict[str, Any]
) -> str:
    """The report as HTML; everything that comes from the data is escaped.

    Parameters
    ----------
    status : dict
        The content of status.json.
    figures : dict
        Recording -> its figures, as paths within the results folder.
    params : dict
        The content of params.json.
    agreement : dict
        The content of sorter_agreement.json.
    """
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string(TEMPLATE.read_text())
    return template.render(
        status=status, figures=figures, params=params, agreement=agreement, recording_stages=RECORDING_STAGES
    )
