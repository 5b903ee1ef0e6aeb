"""Show a run while it runs: as a screen in a terminal, as lines in a log; and its summary at the end."""

from __future__ import annotations

import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.live import Live

from capsules.commands.live_events import list_events
from capsules.commands.live_progress import STARTING, Row, RunProgress, StageProgress, read_progress
from capsules.commands.live_records import Files
from capsules.commands.live_view import render
from capsules.common.contract import LOCK
from capsules.common.errors import printable
from capsules.results.summary import describe_counts, describe_run

POLL_S = 1.0
NEXTFLOW_NOISE = ("N E X T F L O W", "Launching `", "[", "executor >", "Nextflow ", "WARN: Killing running tasks")
"""What the lines of Nextflow begin with that report no error."""
MOST_LINES = 40

Show = Callable[[RunProgress], None]
Process = subprocess.Popen[bytes] | subprocess.Popen[str]


def watch(process: Process, results: Path, log: Path | None = None) -> None:
    """Show the run of a Nextflow until it ends, then its summary, or why it stopped.

    Where the view fails, the run continues, and Nextflow's own lines are printed instead.
    Ctrl-C ends the view with a KeyboardInterrupt; the caller decides what becomes of Nextflow.

    Parameters
    ----------
    process : Popen
        Nextflow, with `-ansi-log false`.
    results : Path
        Need not exist yet.
    log : Path, optional
        Where its output goes. When the run stops before its end, Nextflow's own lines from there are printed.
    """
    try:
        _watch(process, results, log)
    # No mistake of the view may leave Nextflow without one.
    except Exception as error:  # noqa: BLE001
        _watch_log(process, results, log, error)


def _watch(process: Process, results: Path, log: Path | None) -> None:
    before, progress = _read_time(results / LOCK), STARTING
    with _open_view() as show:
        show(progress)
        is_live = True
        while is_live:
            is_live = _lives(process)
            # Until this Nextflow has locked the folder, its files are those of an earlier run.
            if _read_time(results / LOCK) != before:
                progress = keep_running(progress, read_progress(results, is_live))
            show(progress)
    if not print_summary(results, progress) and log is not None:
        print(*read_nextflow_lines(log), sep="\n", flush=True)


def _watch_log(process: Process, results: Path, log: Path | None, error: Exception) -> None:
    """Print what Nextflow prints until it ends; also where nobody reads the lines, as in `... | head`."""
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    said = f"the live view failed ({reason}): the run continues, and Nextflow's own lines follow. "
    said += f"`spikerelay status {shlex.quote(str(results))}` may show its progress."
    stream = log.open(errors="replace") if log is not None else None
    with suppress(OSError):
        print(printable(said), flush=True)
        is_live = True
        while is_live:
            is_live = _lives(process)
            if stream is not None and (lines := stream.read()):
                print(printable(lines), end="", flush=True)
    process.wait()


def follow(results: Path) -> RunProgress:
    """Show a run of another process until it ends; return its last progress."""
    progress = read_progress(results)
    with _open_view() as show:
        show(progress)
        while progress.is_live:
            time.sleep(POLL_S)
            progress = keep_running(progress, read_progress(results))
            show(progress)
    return progress


def keep_running(before: RunProgress, now: RunProgress) -> RunProgress:
    """Keep a stage `running` between the end of its task and Nextflow's record of it."""
    earlier = {row.id: row.stages for row in before.rows}

    def keep(row: Row) -> Row:
        stages = {name: _keep_stage(earlier.get(row.id, {}).get(name), stage) for name, stage in row.stages.items()}
        return replace(row, stages=stages)

    return replace(now, recordings=[*map(keep, now.recordings)], blocks=[*map(keep, now.blocks)])


def _keep_stage(before: StageProgress | None, now: StageProgress) -> StageProgress:
    is_between = before is not None and before.state == "running" and now == StageProgress("waiting")
    return before if is_between and before is not None else now


def print_summary(results: Path, progress: RunProgress) -> bool:
    """Print a run in one line with the path of its report; return whether the run has one."""
    if progress.activity != "ended":
        return False
    files = Files()
    # A run without a sheet leaves the overview of an earlier one in place.
    is_sheet = any("/" in row.id for row in progress.rows) or bool(progress.rejected)
    try:
        if is_sheet:
            text = describe_counts("session", list(files.read_json(results / "sessions.json")["sessions"].values()))
        else:
            text = describe_run(files.read_json(results / "status.json"))
    except (KeyError, TypeError, AttributeError):
        return False
    print(printable(f"{text} -> {results / ('sessions.html' if is_sheet else 'report.html')}"), flush=True)
    return True


def read_nextflow_lines(log: Path) -> list[str]:
    """What Nextflow printed other than which tasks it submitted: the reasons why it stopped."""
    lines = Files().read_tail(log, 100_000).splitlines()
    return [printable(line) for line in lines if line.strip() and not line.startswith(NEXTFLOW_NOISE)][-MOST_LINES:]


@contextmanager
def _open_view() -> Iterator[Show]:
    """A screen in a terminal, else lines; either says once what cannot be read."""
    console = Console()
    said: set[str] = set()

    def list_new_problems(progress: RunProgress) -> list[str]:
        new = [printable(problem) for problem in progress.problems if problem not in said]
        said.update(progress.problems)
        return new

    if console.is_terminal and not console.is_dumb_terminal:
        with _open_screen(console, list_new_problems) as show:
            yield show
    else:
        yield _make_lines(list_new_problems)


@contextmanager
def _open_screen(console: Console, list_new_problems: Callable[[RunProgress], list[str]]) -> Iterator[Show]:
    """Redraw the screen with each progress; at the end, print the last one whole."""
    last: list[RunProgress] = []
    with Live(console=console, auto_refresh=False, transient=True) as live:

        def show(progress: RunProgress) -> None:
            for problem in list_new_problems(progress):
                console.print(problem, markup=False, highlight=False)
            last[:] = [progress]
            live.update(render(progress, console.width, console.height), refresh=True)

        yield show
    for progress in last:
        console.print(render(progress, console.width))


def _make_lines(list_new_problems: Callable[[RunProgress], list[str]]) -> Show:
    """Print a line for each event, with the time."""
    last: list[RunProgress] = []

    def show(progress: RunProgress) -> None:
        for text in (*list_new_problems(progress), *list_events(last[0] if last else None, progress)):
            print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)
        last[:] = [progress]

    return show


def _lives(process: Process) -> bool:
    """Whether a process still runs after the time of a poll."""
    try:
        process.wait(timeout=POLL_S)
    except subprocess.TimeoutExpired:
        return True
    return False


def _read_time(file: Path) -> int | None:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return None
