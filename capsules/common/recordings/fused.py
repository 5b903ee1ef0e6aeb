"""SpikeInterface's lazy chain of filter, phase shift and common reference, computed in one go.

A filter that runs forward and backward multiplies a channel's spectrum by a real number for each frequency, and a
phase shift by a complex one: both are one multiplication between one Fourier transform and its inverse. The reference
and the rounding follow in compiled code. SpikeInterface's steps are still the description of what is computed, and
compute what this module does not know.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.fft
from spikeinterface import BaseRecording
from spikeinterface.core.channelslice import ChannelSliceRecording
from spikeinterface.preprocessing.astype import AstypeRecording
from spikeinterface.preprocessing.basepreprocessor import BasePreprocessor, BasePreprocessorSegment
from spikeinterface.preprocessing.clip import ClipRecording
from spikeinterface.preprocessing.common_reference import CommonReferenceRecording
from spikeinterface.preprocessing.filter import FilterRecording
from spikeinterface.preprocessing.normalize_scale import ScaleRecording
from spikeinterface.preprocessing.phase_shift import PhaseShiftRecording
from spikeinterface.preprocessing.silence_periods import SilencedPeriodsRecording

from capsules.common.recordings import fused_steps

MIN_MARGIN_S = 0.025
"""A high-pass of 300 Hz rings for less than this. SpikeInterface's default of 5 ms leaves errors of a raw count at the
ends of each chunk where slow waves are large."""
ROWS = 32
"""Channels that are transformed together: their samples of one instant share a line of the processor's cache."""
BLOCK_VALUES = 2**24
"""A longer request is computed in parts of so many samples times channels (float32), so that memory is bounded."""

Traces = npt.NDArray[Any]
Step = Any
"""A recording of SpikeInterface; the settings of its steps have no types."""


class UnknownStepError(ValueError):
    """A step of a chain is of a kind that this module does not compute."""


def fuse(recording: BaseRecording) -> BaseRecording:
    """The same traces as those of SpikeInterface's lazy chain, computed in one go; the chain itself where it has a
    step that this module does not compute."""
    try:
        return FusedRecording(recording)
    except UnknownStepError:
        return recording


@dataclass(frozen=True)
class _Chain:
    """What a lazy chain of SpikeInterface does to the raw traces of one segment.

    Attributes
    ----------
    raw : BaseRecording
    channels : array, (channels,)
        The raw channels that the chain keeps.
    sos : array, (sections, 6)
        The filter, which runs forward and backward.
    shifts : array, (channels,)
        In samples; 0 without a phase shift.
    margin, tapered : int
        Samples that are read beyond each end of a block, and how many of them fade to zero.
    silenced : list of (int, int)
        Periods in samples that become zero.
    operator : int
        NO_REFERENCE, MEDIAN or AVERAGE of `fused_steps`.
    gain : float
        What the referenced samples are multiplied by.
    """

    raw: BaseRecording
    channels: npt.NDArray[np.int64]
    sos: npt.NDArray[np.float64]
    shifts: npt.NDArray[np.float64]
    margin: int
    tapered: int
    silenced: list[tuple[int, int]]
    operator: int
    gain: float


def _read_chain(last: Step) -> _Chain:
    """Read the settings of a chain's steps, from the last to the first.

    Raises
    ------
    UnknownStepError
    """
    _require(last.get_num_segments() == 1 and last.get_dtype() in ("int16", "float32"))
    gain, recording = _read_gain(_skip_rounding(last))
    operator, recording = _read_reference(recording)
    silenced, recording = _read_silence(recording)
    channels, recording = _read_selection(recording)
    shifts, margin, recording = _read_shifts(recording)
    _require(isinstance(recording, FilterRecording))
    # A filter that gives integers rounds: the same as rounding at the end when nothing follows it.
    _require(recording.get_dtype() == "float32" or recording is last)
    segment, raw = recording.segments[0], recording._parent
    _require(segment.filter_mode == "sos" and segment.direction == "forward-backward")
    _require(not segment.add_reflect_padding and raw.get_dtype().kind in "iu" and raw.get_dtype().itemsize <= 2)
    margin = max(margin + segment.margin, round(MIN_MARGIN_S * raw.sampling_frequency))
    # As SpikeInterface fades the margin of its phase shift: what is delayed by parts of a sample reaches far.
    tapered = max(margin - segment.margin, margin // 2)
    sos = np.asarray(segment.coeff)
    return _Chain(raw, channels, sos, shifts[channels], margin, tapered, silenced, operator, gain)


def _require(known: bool) -> None:
    if not known:
        raise UnknownStepError("a step is none of filter, phase shift, global reference and rounding to 16 bits")


def _is(step: Step, kind: type) -> bool:
    """Whether a step is of a kind itself: a subclass may do something else."""
    return type(step) is kind


def _skip_rounding(recording: Step) -> Step:
    """The chain before its samples are clipped and rounded to 16 bits."""
    if not _is(recording, AstypeRecording):
        return recording
    clip = recording._parent
    _require(recording._kwargs["round"] and recording.get_dtype() == "int16" and _is(clip, ClipRecording))
    _require((clip._kwargs["a_min"], clip._kwargs["a_max"]) == (-32768, 32767))
    return clip._parent


def _read_gain(recording: Step) -> tuple[float, Step]:
    if not _is(recording, ScaleRecording):
        return 1.0, recording
    gains = np.ravel(recording.segments[0].gain)
    _require(np.ptp(gains) == 0 and not np.any(recording.segments[0].offset) and recording.get_dtype() == "float32")
    return float(gains[0]), recording._parent


def _read_reference(recording: Step) -> tuple[int, Step]:
    if not _is(recording, CommonReferenceRecording):
        return fused_steps.NO_REFERENCE, recording
    settings = recording._kwargs
    _require(settings["reference"] == "global" and settings["groups"] is None and settings["ref_channel_ids"] is None)
    _require(recording.get_dtype() == "float32")
    return {"median": fused_steps.MEDIAN, "average": fused_steps.AVERAGE}[settings["operator"]], recording._parent


def _read_silence(recording: Step) -> tuple[list[tuple[int, int]], Step]:
    if not _is(recording, SilencedPeriodsRecording):
        return [], recording
    _require(recording.segments[0].mode == "zeros")
    periods = recording.segments[0].periods
    starts, ends = periods["start_sample_index"], periods["end_sample_index"]
    return list(zip(starts.tolist(), ends.tolist(), strict=True)), recording._parent


def _read_selection(recording: Step) -> tuple[npt.NDArray[np.int64], Step]:
    channels = np.arange(recording.get_num_channels())
    while _is(recording, ChannelSliceRecording):
        channels, recording = np.asarray(recording._parent_channel_indices)[channels], recording._parent
    return channels, recording


def _read_shifts(recording: Step) -> tuple[npt.NDArray[np.float64], int, Step]:
    """The shift of each channel in samples, the margin in samples, and the chain before."""
    if not _is(recording, PhaseShiftRecording):
        return np.zeros(recording.get_num_channels()), 0, recording
    _require(recording.get_dtype() == "float32")
    segment = recording.segments[0]
    return np.asarray(segment.sample_shifts, dtype=np.float64), segment.margin, recording._parent


class FusedRecording(BasePreprocessor):
    """The traces of SpikeInterface's lazy chain of filter, phase shift and common reference, computed in one go.

    Within the margin of the recording's ends, where the result depends on how a filter starts, they are those of
    SpikeInterface's steps. Elsewhere they differ by less than a quarter of a raw count before rounding from what the
    steps give without chunks.

    With processes, each computes its own chunks: they get it when they are forked.

    Parameters
    ----------
    recording : BaseRecording
        The last step of the chain; one segment.

    Raises
    ------
    UnknownStepError
        When the chain has a step of another kind.
    """

    def __init__(self, recording: BaseRecording):
        chain = _read_chain(recording)
        BasePreprocessor.__init__(self, recording, dtype=recording.get_dtype())
        self.add_recording_segment(_FusedSegment(recording.segments[0], chain, recording.get_dtype()))
        self._kwargs = {"recording": recording}


class _FusedSegment(BasePreprocessorSegment):
    def __init__(self, lazy: Any, chain: _Chain, dtype: np.dtype[Any]):
        BasePreprocessorSegment.__init__(self, lazy)
        self.chain, self.dtype = chain, dtype
        self.raw: Any = chain.raw.segments[0]
        self.samples: int = chain.raw.get_num_samples()
        self.taper = ((1 - np.cos(np.arange(chain.tapered) / chain.tapered * np.pi)) / 2).astype("float32")
        self.unique_shifts, self.kinds = np.unique(chain.shifts, return_inverse=True)
        self.responses: dict[int, npt.NDArray[np.complex64]] = {}
        self.lock = threading.Lock()

    def get_traces(
        self, start_frame: int | None = None, end_frame: int | None = None, channel_indices: Any = None
    ) -> Traces:
        start, end = start_frame or 0, self.samples if end_frame is None else end_frame
        columns = np.arange(len(self.chain.channels))[slice(None) if channel_indices is None else channel_indices]
        out = np.empty((end - start, len(columns)), self.dtype)
        # Between these, all samples that a block needs are there.
        first, last = self.chain.margin, max(self.chain.margin, self.samples - self.chain.margin)
        for edge_start, edge_end in ((start, min(end, first)), (max(start, last), end)):
            if edge_end > edge_start:
                out[edge_start - start : edge_end - start] = self._compute_edge(edge_start, edge_end, columns)
        # A shorter block would be mostly margins.
        size = max(4 * self.chain.margin, BLOCK_VALUES // len(self.chain.channels))
        for block_start in range(max(start, first), min(end, last), size):
            block_end = min(block_start + size, end, last)
            self._compute(block_start, block_end, columns, out[block_start - start : block_end - start])
        return out

    def _compute_edge(self, start: int, end: int, columns: npt.NDArray[np.int64]) -> Traces:
        """SpikeInterface's own samples, with enough on both sides that they do not depend on where a chunk ends."""
        before, after = max(0, start - self.chain.margin), min(self.samples, end + self.chain.margin)
        traces: Traces = self.parent_recording_segment.get_traces(before, after, columns)
        return traces[start - before : end - before]

    def _compute(self, start: int, end: int, columns: npt.NDArray[np.int64], out: Traces) -> None:
        """Compute the samples of a block, which is as far from the recording's ends as the margin."""
        chain = self.chain
        # The reference is that of all channels; without one, those that are wanted are enough.
        used = columns if chain.operator == fused_steps.NO_REFERENCE else np.arange(len(chain.channels))
        filtered = _buffer("filtered", (end - start, len(used)))
        self._filter(start, end, used, filtered)
        wanted = np.arange(len(used)) if chain.operator == fused_steps.NO_REFERENCE else columns
        fused_steps.subtract_reference(filtered, chain.operator, wanted, chain.gain, self.dtype == "int16", out)
        for silent_start, silent_end in chain.silenced:
            out[max(0, silent_start - start) : max(0, silent_end - start)] = 0

    def _filter(self, start: int, end: int, used: npt.NDArray[np.int64], filtered: npt.NDArray[np.float32]) -> None:
        """Filter and shift some of the chain's channels; `filtered`, (samples, channels used), is written."""
        margin = self.chain.margin
        raw = _plain(self.raw.get_traces(start - margin, end + margin, slice(None)))
        length = scipy.fft.next_fast_len(len(raw), real=True)
        responses = self._respond(length)
        for column in range(0, len(used), ROWS):
            indices = used[column : column + ROWS]
            rows = _buffer("rows", (len(indices), length))
            fused_steps.gather_channels(raw, self.chain.channels[indices], self.taper, rows)
            spectra = scipy.fft.rfft(rows, axis=1, overwrite_x=True)
            fused_steps.multiply_spectra(spectra, responses, self.kinds[indices])
            shifted = scipy.fft.irfft(spectra, n=length, axis=1, overwrite_x=True)
            fused_steps.scatter_channels(shifted, margin, column, filtered)

    def _respond(self, length: int) -> npt.NDArray[np.complex64]:
        """What each frequency is multiplied by, for a transform of so many samples; (different shifts, frequencies)."""
        with self.lock:
            if length not in self.responses:
                angles = 2 * np.pi * np.fft.rfftfreq(length)
                delay = np.exp(-1j * np.outer(angles, range(3)))
                sections = (delay @ self.chain.sos[:, :3].T) / (delay @ self.chain.sos[:, 3:].T)
                # Forward and backward: the response times its conjugate.
                passed = np.abs(sections.prod(axis=1)) ** 2
                shifted = passed * np.exp(-1j * angles * self.unique_shifts[:, np.newaxis])
                self.responses[length] = shifted.astype("complex64")
            return self.responses[length]


def _plain(traces: Traces) -> Traces:
    """The traces as the compiled code takes them: read-only, no subclass of numpy's array."""
    plain = np.asarray(traces).view()
    plain.flags.writeable = False
    return plain


_kept = threading.local()


def _buffer(name: str, shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """This thread's array of a name; it is kept, since memory that is new each time costs as much as the work."""
    size = shape[0] * shape[1]
    buffer: npt.NDArray[np.float32] | None = getattr(_kept, name, None)
    if buffer is None or len(buffer) < size:
        buffer = np.empty(size, "float32")
        setattr(_kept, name, buffer)
    return buffer[:size].reshape(shape)
