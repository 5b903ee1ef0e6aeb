"""What the loaders share to describe the lines of a data folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from capsules.common.errors import printable
from capsules.common.sync.lines import LineFormat, LineSource
from capsules.job_dispatch.loaders.streams import relative, stat_files


def make_source(
    dataset: str,
    stream: str,
    format: LineFormat,
    segments: list[str],
    paths: list[list[Path]],
    data: Path,
    failure: str | None = None,
    **fields: Any,
) -> LineSource:
    """The source of a stream's lines, with its paths relative to the data folder and its files' sizes and times."""
    files = [entry for own in paths for path in own for entry in stat_files(path, data)]
    return LineSource(
        dataset=dataset,
        stream=printable(stream),
        format=format,
        segments=segments,
        paths=[[relative(path, data) for path in own] for own in paths],
        files=files,
        failure=None if failure is None else printable(failure),
        **fields,
    )


def select_sources(sources: list[LineSource], dataset: str, stream: str, segments: list[int]) -> list[LineSource]:
    """The sources of the data set and the segments that a job of a stream has.

    Parameters
    ----------
    sources : list of LineSource
        Those of the session.
    dataset, stream : str
        The job's stream. A stream without lines has the segments of any other.
    segments : list of int
        Its segments, by their order.
    """
    own = [source for source in sources if source.dataset == dataset]
    named = next((source for source in own if source.stream == stream), None) or max(
        own, key=lambda source: len(source.segments), default=None
    )
    if named is None:
        return []
    names = [named.segments[index] for index in segments if index < len(named.segments)]
    chosen = [source.select(names) for source in own]
    return [source for source in chosen if source.segments]
