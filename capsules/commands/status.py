"""`spikerelay status`: show how far a run is, also one of another terminal or machine, while it runs and after."""

from __future__ import annotations

import argparse

from rich.console import Console

from capsules.commands.live import follow, print_summary
from capsules.commands.live_progress import NOT_BEGUN, read_progress
from capsules.commands.live_view import render
from capsules.common.errors import Rejected, printable


def run(arguments: argparse.Namespace) -> int:
    """Print the progress, or follow it with `--watch`; 1 when something failed or the run stopped before its end."""
    results = arguments.results.absolute()
    if not results.is_dir():
        raise Rejected([f"RESULTS {results}: no such folder: name the results folder of a run"])
    if arguments.watch:
        progress = follow(results)
    else:
        progress = read_progress(results)
        console = Console()
        console.print(render(progress, console.width))
        print(*map(printable, progress.problems), sep="\n", end="\n" if progress.problems else "")
    if progress.activity == NOT_BEGUN:
        print(printable(f"{results} has no record of a run: name the results folder of a run"))
    print_summary(results, progress)
    failed = progress.rejected or any(row.state == "failed" for row in progress.rows)
    return 1 if failed or not (progress.is_live or progress.activity == "ended") else 0
