"""`spikerelay load`: what a results folder holds, a line each, as Python that loads it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from capsules.common.errors import printable
from capsules.load import Session, load

WHAT = {
    "recordings": "preprocessed traces, computed when asked for",
    "motion": "estimated drift, and its peaks",
    "sortings": "sorting before curation",
    "curated": "curated sorting, with its labels",
    "analyzers": "sorting analyzer with its extensions",
    "nwb": "NWB file, for pynwb.read_nwb",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("results", type=Path)
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="the raw data, for the traces [default: where the run had it]"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    print(*map(printable, lines(load(arguments.results, arguments.data))), sep="\n")
    return 0


def lines(session: Session) -> Iterator[str]:
    """Python that loads what there is, with a remark on each line; it can be run as it stands."""
    given = "" if session.data is None else f", data={str(session.data)!r}"
    yield "from capsules.load import load"
    yield f"session = load({str(session.folder)!r}{given})"
    for id, entry in session.status["recordings"].items():
        reason = f": {entry['reason']}" if entry.get("reason") else ""
        yield _line(f'session.status["recordings"][{json.dumps(id)}]', f"{entry['status']}{reason}")
    for name, what in WHAT.items():
        for id in getattr(session, name):
            yield _line(f"session.{name}[{json.dumps(id)}]", what)
    if session.curated:
        yield _line("session.metrics", "labels and metrics of all units, as one table")
    if session.data is None:
        yield "# No preprocessed traces: the run's data folder is not where it was; give --data."


def _line(code: str, remark: str) -> str:
    return f"{code:<60}  # {' '.join(remark.split())}"
