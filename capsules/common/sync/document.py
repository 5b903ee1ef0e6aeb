"""`sync.json`: how the streams of each block were put on one clock, from the jobs of a session."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from capsules.common.recordings.job import Job
from capsules.common.sync.alignment import Alignment


def sync_document(jobs: Iterable[Job]) -> dict[str, Any]:
    """The content of `sync.json`: block -> the name of its reference stream and the alignment of each of its streams.

    A stream without an alignment was not part of the synchronisation: a session with one stream has nothing to align.
    """
    blocks: dict[str, dict[str, Alignment]] = {}
    for job in jobs:
        streams = blocks.setdefault(job.block, {})
        for alignment in (job.alignment, *(source.alignment for source in job.event_sources)):
            if alignment is not None:
                streams.setdefault(alignment.stream, alignment)
    return {"blocks": {block: _describe(list(streams.values())) for block, streams in blocks.items()}}


def _describe(alignments: list[Alignment]) -> dict[str, Any]:
    # The reference comes first.
    ordered = sorted(alignments, key=lambda alignment: (alignment.status != "reference", alignment.stream))
    references = [alignment.stream for alignment in ordered if alignment.status == "reference"]
    return {
        "reference": references[0] if references else None,
        "streams": [alignment.model_dump(mode="json") for alignment in ordered],
    }
