"""Overview of the sessions of a sheet: sessions.json, sessions.html and the last screen of the run."""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from markupsafe import Markup

from capsules.common.errors import printable
from capsules.common.files import write_json
from capsules.results.report import PARTS, html_environment
from capsules.results.status import LAYOUT_VERSION
from capsules.results.summary import align_columns, describe_counts, format_cell

LOST = "no status: job dispatch or results was lost; see nextflow/trace.txt, and run the same command with -resume"

MEASURES = (
    ("units", "Units", ""),
    ("good_units", "Good units", ""),
    ("noise_uv", "Noise", "µV"),
    ("drift_um", "Drift", "µm"),
)
"""Key of a session's entry, title, unit."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m capsules.results.overview", description=__doc__)
    parser.add_argument(
        "--run",
        type=Path,
        required=True,
        metavar="FILE",
        help="JSON file: `sessions` (name -> data folder), `reasons` of those that have nothing to sort, `notes`",
    )
    parser.add_argument("--inputs", type=Path, required=True, metavar="DIR", help="holds the results_<session> folders")
    parser.add_argument("--output", type=Path, default=Path(), metavar="DIR", help="where the files are written")
    arguments = parser.parse_args()
    run = json.loads(arguments.run.read_text())
    document = overview(run["sessions"], run["reasons"], arguments.inputs)
    write_json(arguments.output / "sessions.json", document)
    (arguments.output / "sessions.html").write_text(page(document, run["notes"]))
    (arguments.output / "summary.txt").write_text(summary(document, run["notes"]))
    return 0


def overview(sessions: dict[str, str], reasons: dict[str, str], inputs: Path) -> dict[str, Any]:
    """The state of each session, by its status.json.

    Parameters
    ----------
    sessions : dict
        Name -> data folder, in the sheet's order.
    reasons : dict
        Session -> why it has nothing to sort.
    inputs : Path
        Has `results_<session>/status.json` of every other session that ran.
    """
    entries = {}
    for name, data in sessions.items():
        file = inputs / f"results_{name}" / "status.json"
        if name in reasons or not file.exists():
            entry = {"status": "failed", "reason": reasons.get(name, LOST)} | _counts({})
        else:
            status = json.loads(file.read_text())
            entry = {"status": status["status"], "reason": _first_reason(status)} | _counts(status["recordings"])
        entries[name] = {"data": data} | entry
    failed = any(entry["status"] == "failed" for entry in entries.values())
    return {"layout_version": LAYOUT_VERSION, "status": "failed" if failed else "ok", "sessions": entries}


def _counts(recordings: dict[str, Any]) -> dict[str, Any]:
    """Recordings in each state, units, and seconds of all tasks, of one session."""
    states = Counter(entry["status"] for entry in recordings.values())
    times = [stage["seconds"] or 0 for entry in recordings.values() for stage in entry["stages"].values()]
    counts = {name: [entry.get(name) for entry in recordings.values()] for name in ("units", "good_units")}
    return {
        "recordings": {state: states[state] for state in ("ok", "skipped", "failed")},
        # Null where no recording has any: without a curation query no unit is labelled good.
        **{name: sum(filter(None, values)) if any(values) else None for name, values in counts.items()},
        **{name: _median(recordings, name) for name in ("noise_uv", "drift_um")},
        "seconds": round(sum(times), 1),
    }


def _median(recordings: dict[str, Any], name: str) -> float | None:
    """The median over a session's recordings of what their entries have under this name."""
    values = [entry[name] for entry in recordings.values() if entry.get(name) is not None]
    return round(statistics.median(values), 2) if values else None


def _first_reason(status: dict[str, Any]) -> str | None:
    """The first failure, else the first skip, with its reason."""
    entries = {**status["recordings"], **status["blocks"]}
    for state in ("failed", "skipped"):
        for id, entry in entries.items():
            if entry["status"] == state:
                return f"{id}: {entry['stage']}: {entry['reason']}"
    return None


def page(document: dict[str, Any], notes: list[str]) -> str:
    """sessions.html: each session with a link to its report, and trends; everything from the data is escaped."""
    sessions = document["sessions"]
    return (
        html_environment()
        .get_template("sessions.html.jinja")
        .render(
            document=document,
            notes=notes,
            sentence=_describe(sessions),
            columns=MEASURES,
            shares={name: _shares(sessions, name) for name, _, _ in MEASURES},
            groups=group_sessions(list(sessions)),
            style=Markup((PARTS / "page.css").read_text()),
        )
    )


def _describe(sessions: dict[str, Any]) -> str:
    """How the run went, as one sentence."""
    failed = sum(entry["status"] == "failed" for entry in sessions.values())
    units, good = (sum(entry[name] or 0 for entry in sessions.values()) for name in ("units", "good_units"))
    return f"{len(sessions)} sessions, {failed} of them failed: {units} units, {good} of them good."


def _shares(sessions: dict[str, Any], name: str) -> dict[str, float]:
    """Each session's value as a share of the largest, in percent."""
    largest = max((entry[name] or 0 for entry in sessions.values()), default=0)
    return {id: round(100 * (entry[name] or 0) / largest, 1) if largest else 0 for id, entry in sessions.items()}


def group_sessions(names: list[str]) -> dict[str, list[str]]:
    """Group sessions by the part of their names before the first `_`, `-` or blank, in the sheet's order.

    These are the days of an animal where the names start with the animal's. A group has at least two sessions; the
    others are left out.
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(re.split(r"[_\- ]", name, maxsplit=1)[0], []).append(name)
    return {start: members for start, members in groups.items() if len(members) > 1}


def summary(document: dict[str, Any], notes: list[str]) -> str:
    """The last screen: a line for each session, and the cause where one is needed."""
    rows: list[tuple[str, ...]] = [("session", "status", "ok", "skipped", "failed", "units", "min")]
    for name, entry in document["sessions"].items():
        states = (str(count) for count in entry["recordings"].values())
        rows.append((name, entry["status"], *states, format_cell(entry["units"]), f"{entry['seconds'] / 60:.1f}"))
    reasons = [f"{name}: {entry['reason']}" for name, entry in document["sessions"].items() if entry["reason"]]
    return printable("\n".join([*align_columns(rows), *reasons, *notes, "", describe_sessions(document)])) + "\n"


def describe_sessions(document: dict[str, Any]) -> str:
    """The sessions in one line."""
    return describe_counts("session", list(document["sessions"].values()))


if __name__ == "__main__":
    sys.exit(main())
