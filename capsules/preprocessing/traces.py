"""Traces on disk: SpikeInterface's binary folder, written while something else looks at the same chunks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from capsules.common.errors import SpikeRelayError


def new_folder(recording: Any, folder: Path, saturated: Sequence[tuple[int, int]] = ()) -> Any:
    """Make a binary folder for a recording, whose traces are still to be written; returns the node that writes them.

    SpikeInterface writes such folders in a pass of its own. Here it writes the folder with one sample, which gives it
    all else that belongs there, and the node writes the traces in whichever pass it takes part.

    Parameters
    ----------
    recording : BaseRecording
        One segment.
    folder : Path
        Must not exist yet; `si.load` reads it when the pass is done.
    saturated : sequence of (int, int)
        Samples, start and end, where the converter was saturated: a filter makes silence of them, which is none.

    Returns
    -------
    PipelineNode
        For SpikeInterface's `run_node_pipeline`, in threads. After the pass, `silent_s` has the seconds of those chunks
        in which every channel keeps one value, and `clipped` the number of samples at a limit of 16 bits. It raises
        SpikeRelayError at values that are no numbers.
    """
    import numpy as np
    from spikeinterface.core.node_pipeline import PipelineNode

    recording.frame_slice(0, 1).save(folder=folder, format="binary", n_jobs=1)
    # It tells of the one sample; preprocessed.json has the true one.
    (folder / "provenance.json").unlink(missing_ok=True)
    (file,) = folder.glob("*.raw")

    class TraceWriter(PipelineNode):
        _compute_has_extended_signature = True
        silent_s = 0.0
        clipped = 0

        def compute(self, traces, start_frame, end_frame, segment_index, max_margin):
            # Some steps give traces whose channels, and not samples, follow each other in memory.
            chunk = np.ascontiguousarray(traces[max_margin : max_margin + end_frame - start_frame])
            with file.open("r+b") as stream:
                stream.seek(start_frame * chunk.strides[0])
                stream.write(chunk.data)
            railed = any(start < end_frame and end > start_frame for start, end in saturated)
            if not railed and (chunk[0] == chunk[-1]).all() and (chunk == chunk[0]).all():
                self.silent_s += len(chunk) / recording.sampling_frequency
            if chunk.dtype == "int16":
                self.clipped += int(np.count_nonzero((chunk == 32767) | (chunk == -32768)))
            good = np.isfinite(chunk).all(axis=0)
            if not good.all():
                channels, second = recording.channel_ids[~good], start_frame / recording.sampling_frequency
                raise SpikeRelayError(
                    f"no numbers (NaN or infinite) on channels {', '.join(map(str, channels))} from about "
                    f"{second:.0f} s on: mend the data, or leave the channels or the time out"
                )

    return TraceWriter(recording, return_output=False)
