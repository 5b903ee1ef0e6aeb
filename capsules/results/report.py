"""report.html: one file with the state of a run and its units, which loads nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from capsules.common.contract import RECORDING_STAGES

PARTS = Path(__file__).with_name("page")
MAX_MEGABYTES = 14
"""Above this, the unit pages of the later recordings are left out, so that a browser opens the file at once."""


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
        Sorting -> visualization's content for the report, from `shrink_to_limit`.
    params : dict
        The content of params.json.
    agreement : dict
        The content of sorter_agreement.json.
    facts
        `planned` (sorting -> stage -> GB), `versions` (software -> version) and `ended` (time, or None).
    """
    script, plotly = (PARTS / "page.js").read_text(), get_plotlyjs() if content else None
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
        scripts=Markup(" ".join(map(_script_hash, filter(None, (script, plotly))))),
        page_data=Markup(embed(drawn)),
        **facts,
    )


def _script_hash(script: str) -> str:
    """The script's hash for the page's security policy, by which no other script runs."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def html_environment() -> jinja2.Environment:
    """The environment of the pages' templates: values are escaped, and none may be missing."""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined)
    # jinja2's `tojson` is for scripts, and shows < as \u003c.
    environment.filters["as_json"] = partial(json.dumps, ensure_ascii=False)
    return environment


def shrink_to_limit(content: dict[str, dict[str, Any]]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Leave out the units of the sortings that would make the report too large; return these sortings as well."""
    room = MAX_MEGABYTES * 1e6 - len(get_plotlyjs())
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


def embed(content: Any) -> str:
    """Write JSON for a script element: no string in it can end the element."""
    return json.dumps(content).replace("<", "\\u003c")
