"""Run a capsule and write down how many frames it asked its files for: `counted_reads FILE MODULE ARGUMENTS...`.

The kernel counts what comes from storage, and a file that lies in the page cache is not read from there twice; so the
reads are counted where SpikeInterface makes them. All threads of the one process are counted, and no other process.
"""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spikeinterface.core.binaryrecordingextractor import BinaryRecordingSegment
from spikeinterface.extractors.neoextractors.neobaseextractor import NeoRecordingSegment

KINDS = {"raw": NeoRecordingSegment, "traces": BinaryRecordingSegment}


def count(segment_class: type) -> list[int]:
    """Make a class of segments note the length of every read; returns the list, in frames."""
    frames: list[int] = []
    get_traces: Callable[..., Any] = segment_class.get_traces

    def noted(self, start_frame=None, end_frame=None, channel_indices=None):
        end = self.get_num_samples() if end_frame is None else end_frame
        frames.append(int(end - (start_frame or 0)))
        return get_traces(self, start_frame, end_frame, channel_indices)

    segment_class.get_traces = noted
    return frames


def main() -> None:
    """Count, run the module, write the sums."""
    file, module, *arguments = sys.argv[1:]
    counted = {kind: count(segment_class) for kind, segment_class in KINDS.items()}
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        Path(file).write_text(json.dumps({kind: sum(frames) for kind, frames in counted.items()}))


if __name__ == "__main__":
    main()
