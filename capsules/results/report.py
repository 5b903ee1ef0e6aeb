"""report.html: one file with the state of a run and its units, which loads nothing from elsewhere."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from functools import cache, partial
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from capsules.common.contract import RECORDING_STAGES
from capsules.common.units.metric_names import metrics_that_need_more_data
from capsules.results import findings
from capsules.results.methods import write_methods
from capsules.results.synchronisation import collect_residuals, describe_clocks, describe_sync, sync_findings

PARTS = Path(__file__).with_name("page")
SCRIPTS = (
    "core",
    "data",
    "plot",
    "query",
    "recording",
    "events",
    "explore",
    "table",
    "curation",
    "unit",
    "overview",
    "sync",
    "main",
)
"""The page's scripts in `page/js`, in the order in which they need each other; the page has them as one."""
MAX_MEGABYTES = 14
"""Above this, the unit pages of the later recordings are left out, so that a browser opens the file at once."""
OWN_MEGABYTES = 0.5
"""Room for the page without its content."""
SHOWN_PARTS = ("probe", "recording", "units", "settings")
"""What the page's scripts draw of a recording's content."""
CHARTS = {
    "motion": "motion",
    "lfp": "lfp",
    "rms": "channels_noise",
}
"""Figure -> the part of `recording` that the page draws as a chart with the same content: the figure is only linked."""


def render(
    status: dict[str, Any],
    content: dict[str, dict[str, Any]],
    params: dict[str, Any],
    agreement: dict[str, Any],
    sync: dict[str, Any],
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
    sync : dict
        The content of sync.json.
    facts
        `planned` (sorting -> stage -> GB), `versions` (software -> version) and `ended` (time, or None).
    """
    script = read_script()
    paragraphs, papers = write_methods(status, params, facts["versions"], describe_clocks(sync))
    blocks = describe_sync(sync, _is_sync_enabled(params))
    return (
        html_environment()
        .get_template("page.html.jinja")
        .render(
            status=status,
            content=content,
            params=params,
            agreement=agreement,
            recording_stages=RECORDING_STAGES,
            sentence=findings.describe_run(status),
            findings=findings.collect_findings(status, content, sync_findings(sync)),
            sync=blocks,
            warnings=findings.collect_warnings(status),
            not_computed=findings.collect_not_computed(status, params["notes"]),
            charts={id: list_charts(shown) for id, shown in content.items()},
            attention={id: findings.attention_line(id, entry, content) for id, entry in status["recordings"].items()},
            table=compare_recordings(status, content),
            methods=paragraphs,
            papers=papers,
            style=Markup((PARTS / "page.css").read_text()),
            script=Markup(script),
            script_hash=Markup(_script_hash(script)),
            embedded={id: Markup(compress(shown_parts(shown))) for id, shown in content.items()},
            run_data=Markup(
                embed({"agreement": agreement, "sorters": _sorters(status), "sync": collect_residuals(blocks)})
            ),
            **facts,
        )
    )


def _is_sync_enabled(params: dict[str, Any]) -> bool:
    sync = (params.get("params", {}).get("job_dispatch") or {}).get("sync") or {}
    return bool(sync.get("enabled", True))


def _sorters(status: dict[str, Any]) -> dict[str, list[str]]:
    """Sorting -> its recording and its sorter."""
    return {id: [entry["recording"], entry["sorter"]] for id, entry in status["recordings"].items()}


@cache
def read_script() -> str:
    """The page's scripts as one; strict mode holds for all of it."""
    return "\n".join((PARTS / "js" / f"{name}.js").read_text() for name in SCRIPTS)


def _script_hash(script: str) -> str:
    """The script's hash for the page's security policy, by which no other script runs."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def html_environment() -> jinja2.Environment:
    """The environment of the pages' templates: values are escaped, and none may be missing."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PARTS), autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined
    )
    # jinja2's `tojson` is for scripts, and shows < as \u003c.
    environment.filters["as_json"] = partial(json.dumps, ensure_ascii=False)
    environment.filters["range_of"] = findings.describe_range
    return environment


def add_settings(content: dict[str, dict[str, Any]], params: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Add what the page needs to evaluate a curation query as curation does: `settings` of each sorting."""
    curation = params.get("params", {}).get("curation") or {}
    undefined = curation.get("undefined_metric", "leave_out")
    settings = {"undefined_metric": undefined, "min_spikes": curation.get("min_spikes", 50)}
    return {
        id: shown | {"settings": settings | {"leave_out": _leave_out(shown, undefined)}}
        for id, shown in content.items()
    }


def _leave_out(shown: dict[str, Any], undefined: str) -> list[str]:
    metrics = (shown.get("units") or {}).get("metrics", {})
    return sorted(metrics_that_need_more_data(metrics)) if undefined == "leave_out" else []


def list_charts(shown: dict[str, Any]) -> list[str]:
    """The files of the figures whose content the page draws as a chart."""
    recording = shown.get("recording") or {}
    files = [picture["file"] for picture in shown["pictures"]]
    return [file for file in files if recording.get(CHARTS.get(Path(file).stem, ""))]


def shown_parts(shown: dict[str, Any]) -> dict[str, Any]:
    """What the page's scripts draw of a recording."""
    return {name: shown.get(name) for name in SHOWN_PARTS}


def shrink_to_limit(content: dict[str, dict[str, Any]]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Leave out the units of the sortings that would make the report too large; return these sortings as well."""
    room = (MAX_MEGABYTES - OWN_MEGABYTES) * 1e6
    room -= sum(
        len(picture["data"])
        for shown in content.values()
        for picture in shown["pictures"]
        if picture["file"] not in list_charts(shown)
    )
    kept, left_out = {}, []
    for id, shown in content.items():
        size = len(compress(shown_parts(shown)))
        fits = size <= room
        kept[id] = shown if fits else shown | {"units": None}
        room -= size if fits else len(compress(shown_parts(kept[id])))
        left_out += [] if fits else [id]
    return kept, left_out


def compare_recordings(status: dict[str, Any], content: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The columns of the table over all recordings: `title`, `unit`, and of each recording value and share of the most.

    A column without any value is left out.
    """
    entries = status["recordings"]
    checks = {id: {check["name"]: check for check in shown.get("checks", [])} for id, shown in content.items()}
    columns: list[tuple[str, str, dict[str, Any]]] = [
        (title, unit, {id: entry.get(name) for id, entry in entries.items()})
        for title, unit, name in (
            ("Sorted", "", "sorted_units"),
            ("Units", "", "units"),
            ("Good", "", "good_units"),
            ("Undetermined", "", "undetermined_units"),
            ("Suspicious", "", "suspicious_good_units"),
            ("Noise", "uV", "noise_uv"),
            ("Drift", "um", "drift_um"),
        )
    ]
    bad = {id: checks.get(id, {}).get("bad channels", {}).get("value") for id in entries}
    seconds = {id: sum(stage["seconds"] or 0 for stage in entry["stages"].values()) for id, entry in entries.items()}
    columns += [("Bad channels", "%", bad), ("Time", "min", {id: value / 60 for id, value in seconds.items()})]
    return [
        {"title": title, "unit": unit, "values": values, "shares": _shares(values)}
        for title, unit, values in columns
        if any(value is not None for value in values.values())
    ]


def _shares(values: dict[str, Any]) -> dict[str, float]:
    """Each value as a share of the largest, in percent."""
    largest = max((value for value in values.values() if value is not None), default=0)
    return {id: round(100 * (value or 0) / largest, 1) if largest else 0 for id, value in values.items()}


def embed(content: Any) -> str:
    """Write JSON for a script element: no string in it can end the element."""
    return json.dumps(content).replace("<", "\\u003c")


def compress(content: Any) -> str:
    """Write JSON as base64 of its gzip, which the page inflates: packed numbers take a third less."""
    # Without the time, equal content gives equal bytes.
    return base64.b64encode(gzip.compress(json.dumps(content).encode(), 6, mtime=0)).decode()
