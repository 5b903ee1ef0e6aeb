"""The progress of a run as a screen: a row for each recording, a column for each stage; every state is a word."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from capsules.commands.live_estimate import estimate_left_s
from capsules.commands.live_progress import STOPPED, Row, RunProgress, StageProgress, State
from capsules.common.contract import BLOCK_STAGES, RECORDING_STAGES
from capsules.common.errors import printable
from capsules.results.summary import count

COLOURS = {"running": "bold cyan", "done": "green", "skipped": "yellow", "stopped": "yellow", "failed": "bold red"}
"""State -> style; the others are dim."""
ORDER: tuple[State, ...] = ("failed", "running", "stopped", "skipped", "waiting", "done")
"""The rows that are shown first where the terminal has too few lines."""
WIDE = 110
"""Columns of a terminal that has room for the stages' whole names."""
HEADERS = {
    "preprocessing": "pre-\nprocessing",
    "spikesorting": "spike\nsorting",
    "postprocessing": "post-\nprocessing",
    "visualization": "visuali-\nzation",
}
MOST_REASONS = 5
MOST_STEPS = 5
MOST_BLOCKS = 2
"""In a terminal whose height limits them."""
LONGEST_NAME = 30
LEAST_WIDTH, GAP = 9, 3
"""Columns of a stage without its gap, and of a gap, in the tables."""


def render(progress: RunProgress, width: int, height: int | None = None) -> Group:
    """Render the progress for a terminal of so many columns, and lines where its height limits it."""
    names = shorten_names([row.id for row in progress.recordings])
    names |= shorten_names([row.id for row in progress.blocks])
    parts: list[RenderableType] = [Text(describe(progress), "bold")]
    running, most = list(_running(progress)), None
    reasons = list(list_reasons(progress))
    if height is not None:
        # Title, headers, rules and remarks need the others.
        running, reasons = running[:MOST_STEPS], reasons[-MOST_REASONS:]
        most = max(3, height - 16 - len(running) - len(reasons))
    parts += _tables(progress, names, width, most)
    if running or reasons or progress.rejected:
        parts.append(Text(""))
    if running:
        parts.append(_steps(running, names, width))
    parts += [Text(printable(f"{names.get(id, id)}: {text}"), COLOURS.get(state, "")) for id, state, text in reasons]
    parts += [Text(printable(text), COLOURS["failed"]) for text in progress.rejected]
    return Group(*parts)


def describe(progress: RunProgress) -> str:
    """The run as a whole: what it does and its time; how many recordings are in which state."""
    text = progress.activity + (f", {format_seconds(progress.seconds)}" if progress.seconds else "")
    if progress.is_live and (left_s := estimate_left_s(progress)) is not None:
        text += f" so far, about {format_seconds(left_s)} left"
    if not progress.recordings:
        return text
    if progress.activity == STOPPED:
        text += ": the same command with --resume (nextflow: -resume) continues it"
    states = Counter(row.state for row in progress.recordings)
    counts = ", ".join(f"{states[state]} {state}" for state in ORDER if states[state])
    return f"{text}\n{count(len(progress.recordings), 'recording')}: {counts}"


def list_reasons(progress: RunProgress) -> Iterator[tuple[str, str, str]]:
    """(row, state, text) for each row that was skipped, failed or waits for another attempt, by its first stage."""
    for row in progress.rows:
        for stage, shown in row.stages.items():
            if shown.reason and shown.state in ("skipped", "failed", "waiting"):
                yield row.id, shown.state, f"{stage} {shown.state}: {' '.join(shown.reason.split())}"
                break


def shorten_names(ids: Sequence[str]) -> dict[str, str]:
    """Id -> the words, between `_`, that are not common to the beginnings or the ends of all ids."""
    words = [id.split("_") for id in ids]
    start = end = 0
    if len(ids) > 1:
        shortest = min(map(len, words)) - 1
        while start < shortest and len({parts[start] for parts in words}) == 1:
            start += 1
        while end < shortest - start and len({parts[-1 - end] for parts in words}) == 1:
            end += 1
    return {id: "_".join(parts[start : len(parts) - end]) for id, parts in zip(ids, words, strict=True)}


def format_seconds(seconds: float) -> str:
    """A duration: `0:43`, `12:34`, `1:02:33`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _running(progress: RunProgress) -> Iterator[tuple[str, str, StageProgress]]:
    for row in progress.rows:
        for stage, shown in row.stages.items():
            if shown.state == "running":
                yield row.id, stage, shown


def _tables(progress: RunProgress, names: dict[str, str], width: int, most: int | None) -> Iterator[RenderableType]:
    kinds = (("recording", progress.recordings, RECORDING_STAGES), ("NWB file", progress.blocks, BLOCK_STAGES))
    for kind, rows, stages in kinds:
        if not rows:
            continue
        limit = None if most is None else most if kind == "recording" else MOST_BLOCKS
        chosen = _choose_rows(rows, limit)
        headers = [stage if width >= WIDE else HEADERS.get(stage, stage) for stage in stages]
        cells = [[_cell(row.stages.get(stage)) for stage in stages] for row in chosen]
        widths = [
            max(LEAST_WIDTH, *(len(line) for line in (*header.split("\n"), *map(str, column))))
            for header, column in zip(headers, zip(*cells, strict=True), strict=True)
        ]
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
        # The name alone is cut where the terminal is too narrow.
        longest = max(LEAST_WIDTH, width - sum(widths) - GAP * len(stages))
        table.add_column(kind, overflow="ellipsis", no_wrap=True, max_width=longest)
        for header, column_width in zip(headers, widths, strict=True):
            table.add_column(header, no_wrap=True, min_width=column_width)
        for row, row_cells in zip(chosen, cells, strict=True):
            table.add_row(Text(printable(names[row.id])), *row_cells)
        yield Text("")
        yield table
        if len(chosen) < len(rows):
            states = Counter(row.state for row in rows if row not in chosen)
            yield Text(f"and {', '.join(f'{count} {state}' for state, count in states.items())}", "dim")


def _choose_rows(rows: list[Row], most: int | None) -> list[Row]:
    """The rows that are shown, in their order: those that failed or run come first."""
    ranked = sorted(range(len(rows)), key=lambda index: (ORDER.index(rows[index].state), index))
    return [rows[index] for index in sorted(ranked[:most])]


def _cell(shown: StageProgress | None) -> Text:
    if shown is None or shown.state == "not reached":
        return Text("-", "dim")
    text: str = shown.state
    if shown.state == "done":
        text = "kept" if shown.is_cached else f"done {format_seconds(shown.seconds or 0)}"
    return Text(text, COLOURS.get(shown.state, "dim"))


def _steps(running: list[tuple[str, str, StageProgress]], names: dict[str, str], width: int) -> RenderableType:
    """A line for each stage that runs: its time so far, and how much of its step is done."""
    table = Table.grid(padding=(0, 1))
    for _ in range(3):
        table.add_column(no_wrap=True, overflow="ellipsis", max_width=LONGEST_NAME if width >= WIDE else 16)
    table.add_column(width=20 if width >= WIDE else 10)
    table.add_column(overflow="ellipsis", no_wrap=True)
    for id, stage, shown in running:
        bar = ProgressBar(total=shown.step.total, completed=shown.step.done) if shown.step else Text("")
        step = Text(printable(str(shown.step)) if shown.step else "")
        table.add_row(Text(printable(names[id])), stage, format_seconds(shown.seconds or 0), bar, step)
    return table
