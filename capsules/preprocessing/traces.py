"""Traces on disk: SpikeInterface's binary folder, written while other nodes work on the same chunks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from spikeinterface import BaseRecording
from spikeinterface.core.node_pipeline import PipelineNode

from capsules.common.errors import SpikeRelayError
from capsules.common.recordings.saturation import Frames


class TraceWriter(PipelineNode):
    """Writes the traces of a recording into a new binary folder, in whichever pass it takes part.

    It is for SpikeInterface's `run_node_pipeline`, in threads. SpikeInterface writes such folders in a separate pass;
    here it writes the folder with one sample, and with it all metadata.

    Parameters
    ----------
    recording : BaseRecording
        One segment.
    folder : Path
        Must not exist yet; `si.load` reads it after the pass.
    saturated : Frames
        Where the converter was saturated. A filter turns these periods into zeros, which are not counted as silent.

    Attributes
    ----------
    silent_s : float
        After the pass: length of the chunks in which every channel has one constant value.
    clipped : int
        After the pass: samples at a limit of 16 bits.

    Raises
    ------
    SpikeRelayError
        During the pass, at NaN or infinity.
    """

    _compute_has_extended_signature = True

    def __init__(self, recording: BaseRecording, folder: Path, saturated: Frames | None = None):
        super().__init__(recording, return_output=False)
        self.recording, self.saturated = recording, saturated or []
        self.silent_s, self.clipped = 0.0, 0
        recording.frame_slice(0, 1).save(folder=folder, format="binary", n_jobs=1)
        # It describes the one sample; preprocessed.json describes the recording.
        (folder / "provenance.json").unlink(missing_ok=True)
        (self.file,) = folder.glob("*.raw")

    def compute(
        self, traces: npt.NDArray[np.number], start_frame: int, end_frame: int, segment_index: int, max_margin: int
    ) -> None:
        # Some steps return traces that are contiguous by channel.
        chunk = np.ascontiguousarray(traces[max_margin : max_margin + end_frame - start_frame])
        with self.file.open("r+b") as stream:
            stream.seek(start_frame * chunk.strides[0])
            stream.write(chunk.data)
        rate_hz = self.recording.sampling_frequency
        saturated = any(start < end_frame and end > start_frame for start, end in self.saturated)
        if not saturated and (chunk[0] == chunk[-1]).all() and (chunk == chunk[0]).all():
            self.silent_s += len(chunk) / rate_hz
        if chunk.dtype == "int16":
            self.clipped += int(np.count_nonzero((chunk == 32767) | (chunk == -32768)))
        finite = np.isfinite(chunk).all(axis=0)
        if not finite.all():
            raise SpikeRelayError(
                f"NaN or infinity on channels {', '.join(map(str, self.recording.channel_ids[~finite]))} from about "
                f"{start_frame / rate_hz:.0f} s on: correct the data, or exclude these channels or this time"
            )
