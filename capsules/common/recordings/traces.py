"""The traces that preprocessing wrote, for the stages that read them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, cast

from spikeinterface import BaseRecording, load

from capsules.common.facts import PreprocessingFacts
from capsules.common.tasks.task import Task, describe_damage


def load_traces(task: Task[Any]) -> BaseRecording:
    """Preprocessing's recording (BaseRecording, one segment).

    Raises
    ------
    SpikeRelayError
        When its samples are not those that were written: SpikeInterface takes a cut file for a shorter recording.
    """
    folder, digest = task.input("preprocessing", "traces"), task.input_facts(PreprocessingFacts).traces_digest
    if digest is not None and digest_traces(folder) != digest:
        raise describe_damage(folder.parent, "the traces are not those that preprocessing wrote")
    return cast(BaseRecording, load(folder))


def digest_traces(folder: Path, blocks: int = 64, block_bytes: int = 1 << 20) -> str:
    """A digest of written traces, from evenly spaced blocks, so that it costs the same for any length."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.raw")):
        size = file.stat().st_size
        digest.update(size.to_bytes(8, "little"))
        with file.open("rb") as stream:
            for index in range(blocks):
                stream.seek(max(0, size - block_bytes) * index // max(1, blocks - 1))
                digest.update(stream.read(block_bytes))
    return digest.hexdigest()
