"""`sync.json`: how the streams of each block were put on one clock, from the jobs of a session."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from capsules.common.recordings.job import Job
from capsules.common.sync.alignment import Alignment


def sync_document(jobs: Iterable[Job]) -> dict[str, Any]:
    """The content of `sync.json`: how the streams of each block were put on one clock.

    `blocks`: block -> the name of its reference stream and the alignment of each of its streams. A stream without an
    alignment was not part of the synchronisation: a session with one stream has nothing to align. `recordings`: id ->
    block and stream.
    """
    jobs = list(jobs)
    blocks: dict[str, dict[str, Alignment]] = {}
    # Those of the jobs first: those of the sources lack the residuals where there is a job.
    for alignments in (_list_of_jobs(jobs), _list_of_sources(jobs)):
        for block, alignment in alignments:
            streams = blocks.setdefault(block, {})
            if alignment is not None:
                streams.setdefault(alignment.stream, alignment)
    return {
        "blocks": {block: _describe(list(streams.values())) for block, streams in blocks.items()},
        "recordings": {job.id: {"block": job.block, "stream": job.stream} for job in jobs},
    }


def find_alignment(document: dict[str, Any], recording: str) -> Alignment | None:
    """The alignment of a recording's stream in a `sync.json`; None where it was not part of the synchronisation.

    Raises
    ------
    pydantic.ValidationError, KeyError, TypeError
        When the document is not that of a run.
    """
    entry = document["recordings"].get(recording)
    if entry is None:
        return None
    streams = document["blocks"][entry["block"]]["streams"]
    return next((Alignment.model_validate(each) for each in streams if each["stream"] == entry["stream"]), None)


def _list_of_jobs(jobs: list[Job]) -> Iterator[tuple[str, Alignment | None]]:
    for job in jobs:
        yield job.block, job.alignment


def _list_of_sources(jobs: list[Job]) -> Iterator[tuple[str, Alignment | None]]:
    for job in jobs:
        for source in job.event_sources:
            yield job.block, source.alignment


def _describe(alignments: list[Alignment]) -> dict[str, Any]:
    # The reference comes first.
    ordered = sorted(alignments, key=lambda alignment: (alignment.status != "reference", alignment.stream))
    references = [alignment.stream for alignment in ordered if alignment.status == "reference"]
    return {
        "reference": references[0] if references else None,
        "streams": [alignment.model_dump(mode="json") for alignment in ordered],
    }
