"""report.html: one file that shows how a run went and what its units are; it asks for nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from functools import cache, partial
from pathlib import Path
from typing import Any

from capsules.common.contract import RECORDING_STAGES

PARTS = Path(__file__).with_name("page")
MAX_MEGABYTES = 14
"""Above this the unit pages of the later recordings are left out: a browser should open the file at once."""


def render(
    status: dict[str, Any],
    content: dict[str, dict[str, Any]],
    params: dict[str, Any],
    agreement: dict[str, Any],
    **facts: Any,
) -> str:
    """The report as HTML; everything that comes from the data is escaped.

    Parameters
    ----------
    status : dict
        The content of status.json.
    content : dict
        Sorting -> what visualization gives for the report; `fitted` makes it small enough.
    params : dict
        The content of params.json.
    agreement : dict
        The content of sorter_agreement.json.
    facts
        `planned` (sorting -> stage -> GB), `versions` (software -> version) and `ended` (when the run did, or None).
    """
    from markupsafe import Markup

    script, plotly = (PARTS / "page.js").read_text(), _plotly() if content else None
    drawn = {id: {name: shown[name] for name in ("probe", "units")} for id, shown in content.items()}
    template = html_environment().from_string((PARTS / "page.html.jinja").read_text())
    return template.render(
        status=status,
        counts=_counts(status),
        content=content,
        params=params,
        agreement=agreement,
        recording_stages=RECORDING_STAGES,
        style=Markup((PARTS / "page.css").read_text()),
        script=Markup(script),
        plotly=Markup(plotly) if content else None,
        scripts=Markup(" ".join(map(_allowed, filter(None, (script, plotly))))),
        page_data=Markup(embedded(drawn)),
        **facts,
    )


def _allowed(script: str) -> str:
    """How the page's security policy names a script: no other one runs, whatever else may get into the page."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def html_environment() -> Any:
    """Of the templates of pages (jinja2.Environment): what they are given is escaped, and may not be missing."""
    import jinja2

    environment = jinja2.Environment(autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined)
    # Not jinja2's own `tojson`: it is for scripts, and shows < as \u003c.
    environment.filters["as_json"] = partial(json.dumps, ensure_ascii=False)
    return environment


def fitted(content: dict[str, dict[str, Any]]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The content without the units of those sortings that would make the report too large, and which those are."""
    room = MAX_MEGABYTES * 1e6 - len(_plotly())
    room -= sum(len(picture["data"]) for shown in content.values() for picture in shown["pictures"])
    kept, left_out = {}, []
    for id, shown in content.items():
        size = len(json.dumps(shown["units"]))
        fits = size <= room
        room -= size if fits else 0
        kept[id] = shown if fits else shown | {"units": None}
        left_out += [] if fits else [id]
    return kept, left_out


def _counts(status: dict[str, Any]) -> str:
    states = Counter(entry["status"] for entry in status["recordings"].values())
    stages = [entry["stages"].values() for entry in status["recordings"].values()]
    warned = sum(any(stage["warnings"] for stage in reached) for reached in stages)
    parts = [f"{states[state]} {state}" for state in ("ok", "skipped", "failed") if states[state]]
    return ", ".join([f"{len(status['recordings'])} recordings", *parts, f"{warned} with warnings"])


def embedded(content: Any) -> str:
    """JSON that can stand in a script element whatever its strings hold."""
    return json.dumps(content).replace("<", "\\u003c")


@cache
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return get_plotlyjs()
