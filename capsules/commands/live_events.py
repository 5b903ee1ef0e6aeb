"""The progress of a run as lines of a log: one for each event."""

from __future__ import annotations

from collections.abc import Iterator

from capsules.commands.live_progress import STOPPED, Row, RunProgress, StageProgress
from capsules.commands.live_view import format_seconds
from capsules.common.errors import printable
from capsules.results.summary import count


def list_events(before: RunProgress | None, now: RunProgress) -> Iterator[str]:
    """What happened between two readings of a run's progress."""
    if before is None or before.activity != now.activity:
        yield _describe_activity(now)
    earlier = {row.id: row for row in before.rows} if before else {}
    for row in now.rows:
        for stage, shown in row.stages.items():
            if text := _describe_change(_stage_of(earlier.get(row.id), stage), shown):
                yield printable(f"{row.id}: {stage}: {text}")
    for text in now.rejected:
        if before is None or text not in before.rejected:
            yield printable(text)


def _describe_activity(now: RunProgress) -> str:
    if now.is_live and now.rows:
        return f"{now.activity}: {count(len(now.recordings), 'recording')}, {count(len(now.blocks), 'NWB file')}"
    if now.activity == STOPPED and now.recordings:
        return f"{STOPPED}: the same command with --resume (nextflow: -resume) continues it"
    return now.activity + (f" after {format_seconds(now.seconds)}" if now.seconds and not now.is_live else "")


def _stage_of(row: Row | None, stage: str) -> StageProgress:
    return row.stages.get(stage, StageProgress("waiting")) if row else StageProgress("waiting")


def _describe_change(before: StageProgress, now: StageProgress) -> str | None:
    """What happened to a stage; None when nothing did that a log needs."""
    if (before.state, before.reason) == (now.state, now.reason) or now.state == "not reached":
        return None
    if now.reason:
        return f"{now.state}: {' '.join(now.reason.split())}"
    if now.state == "done":
        return "kept from an earlier run" if now.is_cached else f"done in {format_seconds(now.seconds or 0)}"
    return now.state
