"""`spikerelay load`: list the content of a results folder as Python that loads it, one line each."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator

from capsules.common.errors import printable
from capsules.load import Session, load

WHAT = {
    "recordings": "preprocessed traces, computed on access",
    "motion": "estimated motion, and its peaks",
    "sortings": "sorting before curation",
    "curated": "curated sorting, with its labels",
    "spike_trains": "spike times of each unit, in seconds",
    "analyzers": "sorting analyzer with its extensions",
    "events": "edges of each digital line of the block",
    "nwb": "NWB file, for pynwb.read_nwb",
}


def run(arguments: argparse.Namespace) -> int:
    print(*map(printable, list_content(load(arguments.results, arguments.data))), sep="\n")
    return 0


def list_content(session: Session) -> Iterator[str]:
    """Python that loads the content, with a remark on each line; it runs without changes."""
    data = "" if session.data is None else f", data={str(session.data)!r}"
    yield "from spikerelay import load"
    yield f"session = load({str(session.folder)!r}{data})"
    for id, entry in session.status["recordings"].items():
        reason = f": {entry['reason']}" if entry.get("reason") else ""
        yield _line(f'session.status["recordings"][{json.dumps(id)}]', f"{entry['status']}{reason}")
    for name, what in WHAT.items():
        for id in getattr(session, name):
            yield _line(f"session.{name}[{json.dumps(id)}]", what)
    if session.curated:
        yield _line("session.units", "all units with labels, reasons, positions and metrics, as one table")
    if session.data is None:
        yield "# No preprocessed traces: the data folder of the run is missing; give --data."


def _line(code: str, remark: str) -> str:
    return f"{code:<60}  # {' '.join(remark.split())}"
