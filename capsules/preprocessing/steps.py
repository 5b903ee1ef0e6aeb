"""The steps of preprocessing: recording in, recording out; nothing here reads or writes files."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from spikeinterface import BaseRecording, ChannelsAggregationRecording
from spikeinterface.preprocessing.astype import AstypeRecording
from spikeinterface.preprocessing.clip import ClipRecording
from spikeinterface.preprocessing.common_reference import CommonReferenceRecording
from spikeinterface.preprocessing.filter import BandpassFilterRecording, HighpassFilterRecording
from spikeinterface.preprocessing.highpass_spatial_filter import HighpassSpatialFilterRecording
from spikeinterface.preprocessing.normalize_scale import ScaleRecording
from spikeinterface.preprocessing.phase_shift import PhaseShiftRecording

from capsules.common.recordings.random_chunks import read_random_chunks
from capsules.preprocessing.params import PreprocessingParams

HEADROOM_BITS = 2
"""Filters and references can make a swing larger than the converter's range."""
MOST_STEP_BITS = 5
"""With 32 steps per count, a median absolute deviation of one count is right to 2 %."""


def filter_traces(recording: BaseRecording, params: PreprocessingParams) -> BaseRecording:
    """High-pass or band-pass over time, as float32.

    SpikeInterface would convert to integers after every step, which truncates the fraction and lets a large step wrap
    around; here samples are rounded once, at the end.
    """
    if params.filter_type == "bandpass":
        return BandpassFilterRecording(recording, dtype="float32", **params.bandpass_filter.model_dump())
    return HighpassFilterRecording(recording, dtype="float32", **params.highpass_filter.model_dump())


def align_channels(recording: BaseRecording, params: PreprocessingParams) -> BaseRecording | None:
    """Align channels that were sampled in turn; None when the recording does not have their offsets.

    Source: `phase_shift` of SpikeInterface, after IBL's destriping.
    """
    if "inter_sample_shift" not in recording.get_property_keys():
        return None
    return PhaseShiftRecording(recording, margin_ms=params.phase_shift.margin_ms)


def split_by_shank(recording: BaseRecording) -> list[BaseRecording]:
    """Split a recording into its channel groups, which are its shanks or tetrodes."""
    if len(set(recording.get_channel_groups().tolist())) < 2:
        return [recording]
    return list(recording.split_by("group", outputs="dict").values())


def denoise(
    recording: BaseRecording, params: PreprocessingParams, record_change: Callable[[str], None]
) -> BaseRecording:
    """Subtract the common reference, or destripe each shank as IBL does; adjusted settings go to `record_change`."""
    if params.denoising_strategy == "cmr":
        return CommonReferenceRecording(recording, **params.common_reference.model_dump())
    shanks = [_destripe(shank, params, record_change) for shank in split_by_shank(recording)]
    if len(shanks) == 1:
        return shanks[0]
    return ChannelsAggregationRecording(shanks).select_channels(recording.channel_ids)


def _destripe(shank: BaseRecording, params: PreprocessingParams, record_change: Callable[[str], None]) -> BaseRecording:
    settings, channels = params.highpass_spatial_filter.model_dump(), shank.get_num_channels()
    for name in ("n_channel_pad", "n_channel_taper"):
        if settings[name] is not None and settings[name] > channels:
            record_change(f"highpass_spatial_filter.{name} = {channels}: the shank has no more channels")
            settings[name] = channels
    # The filter estimates its levels from chunks that it draws at random.
    seed = {"random_slices_kwargs": {"seed": 0}}
    return HighpassSpatialFilterRecording(shank, random_slice_kwargs=seed, **settings)


def round_to_int16(recording: BaseRecording, steps_per_count: int = 1) -> BaseRecording:
    """Round to 16-bit integers and clip samples beyond their range.

    Parameters
    ----------
    recording : BaseRecording
    steps_per_count : int
        Steps of the result per step of the recording; the channel gains are divided by it, so microvolts stay.
    """
    finer = (
        recording if steps_per_count == 1 else ScaleRecording(recording, gain=float(steps_per_count), dtype="float32")
    )
    rounded = AstypeRecording(ClipRecording(finer, a_min=-32768, a_max=32767), "int16", round=True)
    if steps_per_count != 1:
        rounded.set_channel_gains(recording.get_channel_gains() / steps_per_count)
    return rounded


def choose_steps_per_count(recording: BaseRecording, limits: tuple[float, float] | None) -> int:
    """How many steps of 16-bit integers fit into a raw count, as a power of two, with HEADROOM_BITS to spare.

    The range is that of the converter, or the largest sample in chunks of the filtered recording where this gives more
    steps: a recording uses few of a converter's many bits. Without gains it is 1, because nothing records the scale.
    """
    if not recording.has_scaleable_traces():
        return 1

    def count_steps(largest: float) -> int:
        room = 32768 / (2**HEADROOM_BITS * max(largest, 1.0))
        return int(2 ** np.clip(np.floor(np.log2(room)), 0, MOST_STEP_BITS))

    by_range = 1 if limits is None else count_steps(max(-limits[0], limits[1]))
    if by_range == 2**MOST_STEP_BITS:
        return by_range
    size = min(round(recording.sampling_frequency / 5), recording.get_num_samples())
    chunks = read_random_chunks(recording, num_chunks_per_segment=10, chunk_size=size, seed=0)
    largest = max(float(np.abs(chunk).max()) for chunk in chunks)
    return max(by_range, count_steps(largest) if np.isfinite(largest) else 1)


def cut(recording: BaseRecording, t_start_s: float | None, t_stop_s: float | None) -> BaseRecording:
    """The traces from `t_start_s` to `t_stop_s`, counted from the start of the recording."""
    rate_hz = recording.sampling_frequency
    first = round((t_start_s or 0) * rate_hz)
    last = recording.get_num_samples() if t_stop_s is None else round(t_stop_s * rate_hz)
    if (first, last) == (0, recording.get_num_samples()):
        return recording
    return recording.frame_slice(first, min(last, recording.get_num_samples()))
