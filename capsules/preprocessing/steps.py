"""The steps of preprocessing: recording in, recording out; nothing here reads or writes files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from capsules.preprocessing.params import PreprocessingParams

HEADROOM_BITS = 2
"""Filters and references can make a swing larger than the converter's range."""
MOST_STEP_BITS = 5
"""With 32 steps per count, a median absolute deviation of one count is right to 2 %."""


def filtered(recording: Any, params: PreprocessingParams) -> Any:
    """High-pass or band-pass over time, as float32.

    SpikeInterface would go back to integers after every step, cutting off what is beyond the point, and let a large
    step wrap around; here samples are rounded once, at the end.
    """
    import spikeinterface.preprocessing as spre

    settings = getattr(params, f"{params.filter_type}_filter").model_dump()
    return getattr(spre, f"{params.filter_type}_filter")(recording, dtype="float32", **settings)


def aligned(recording: Any, params: PreprocessingParams) -> Any | None:
    """Align channels that were sampled in turn; None when the recording does not tell the offsets.

    Source: `phase_shift` of SpikeInterface, after IBL's destriping.
    """
    import spikeinterface.preprocessing as spre

    if "inter_sample_shift" not in recording.get_property_keys():
        return None
    return spre.phase_shift(recording, margin_ms=params.phase_shift.margin_ms)


def channel_labels(recording: Any, params: PreprocessingParams) -> dict[str, str]:
    """Label each channel `good`, `dead`, `noise` or `out`, shank by shank: neighbours are those of one shank.

    Returns
    -------
    dict
        channel id -> label, in the recording's order.
    """
    import spikeinterface.preprocessing as spre

    labels = {}
    for shank in shanks(recording):
        settings = params.detect_bad_channels.model_dump()
        settings["seed"] = settings["seed"] or 0
        settings["n_neighbors"] = max(1, min(settings["n_neighbors"], shank.get_num_channels() - 1))
        _, found = spre.detect_bad_channels(shank, **settings)
        labels |= {str(channel): str(label) for channel, label in zip(shank.channel_ids, found, strict=True)}
    return {str(channel): labels[str(channel)] for channel in recording.channel_ids}


def shanks(recording: Any) -> list[Any]:
    """The recording's channel groups, each as a recording: its shanks, or its tetrodes."""
    if len(set(recording.get_channel_groups().tolist())) < 2:
        return [recording]
    return list(recording.split_by("group", outputs="dict").values())


def without(recording: Any, labels: dict[str, str], params: PreprocessingParams) -> Any:
    """Remove the channels whose label the parameters ask to remove."""
    removed = {"out"} if params.remove_out_channels else set()
    removed |= {"dead", "noise", "saturated"} if params.remove_bad_channels else set()
    drop = [channel for channel in recording.channel_ids if labels[str(channel)] in removed]
    return recording.remove_channels(drop) if drop else recording


def denoised(recording: Any, params: PreprocessingParams, change: Callable[[str], None]) -> Any:
    """Common median reference, or IBL's destriping along the probe; `change` takes what is done otherwise."""
    import spikeinterface.preprocessing as spre
    from spikeinterface import aggregate_channels

    if params.denoising_strategy == "cmr":
        return spre.common_reference(recording, **params.common_reference.model_dump())
    destriped = [_destriped(shank, params, change) for shank in shanks(recording)]
    if len(destriped) == 1:
        return destriped[0]
    return aggregate_channels(destriped).select_channels(recording.channel_ids)


def _destriped(shank: Any, params: PreprocessingParams, change: Callable[[str], None]) -> Any:
    import spikeinterface.preprocessing as spre

    settings, channels = params.highpass_spatial_filter.model_dump(), shank.get_num_channels()
    for name in ("n_channel_pad", "n_channel_taper"):
        if settings[name] is not None and settings[name] > channels:
            change(f"highpass_spatial_filter.{name} = {channels}: there are no more channels along the shank")
            settings[name] = channels
    # Its levels are told from chunks that are drawn at random.
    seed = {"random_slices_kwargs": {"seed": 0}}
    return spre.highpass_spatial_filter(shank, random_slice_kwargs=seed, **settings)


def rounded(recording: Any, steps_per_count: int = 1) -> Any:
    """Round to 16-bit integers; samples beyond their range become the largest that they hold.

    Parameters
    ----------
    recording : BaseRecording
    steps_per_count : int
        Steps of the result per step of the recording; the channel gains shrink by as much, so microvolts stay.
    """
    import spikeinterface.preprocessing as spre

    finer = recording if steps_per_count == 1 else spre.scale(recording, gain=float(steps_per_count), dtype="float32")
    result = spre.astype(spre.clip(finer, a_min=-32768, a_max=32767), "int16", round=True)
    if steps_per_count != 1:
        result.set_channel_gains(recording.get_channel_gains() / steps_per_count)
    return result


def finest_steps(recording: Any, limits: tuple[float, float] | None) -> int:
    """How many steps of 16-bit integers fit into a raw count, as a power of two, with HEADROOM_BITS to spare.

    The range is that of the converter, or the largest sample in chunks of the filtered recording where this gives more
    steps: of converters with many bits a recording uses few. Without gains it is 1: none could record the scale.
    """
    import numpy as np
    from spikeinterface.core import get_random_data_chunks

    if not recording.has_scaleable_traces():
        return 1

    def fits(largest: float) -> int:
        room = 32768 / (2**HEADROOM_BITS * max(largest, 1.0))
        return int(2 ** np.clip(np.floor(np.log2(room)), 0, MOST_STEP_BITS))

    by_range = 1 if limits is None else fits(max(-limits[0], limits[1]))
    if by_range == 2**MOST_STEP_BITS:
        return by_range
    size = min(round(recording.sampling_frequency / 5), recording.get_num_samples())
    chunks = get_random_data_chunks(
        recording, return_in_uV=False, concatenated=False, num_chunks_per_segment=10, chunk_size=size, seed=0
    )
    largest = max(float(np.abs(chunk).max()) for chunk in chunks)
    return max(by_range, fits(largest) if np.isfinite(largest) else 1)


def between(recording: Any, t_start_s: float | None, t_stop_s: float | None) -> Any:
    """The traces from `t_start_s` to `t_stop_s`, counted from the start of the recording."""
    rate = recording.sampling_frequency
    first = round((t_start_s or 0) * rate)
    last = recording.get_num_samples() if t_stop_s is None else round(t_stop_s * rate)
    if (first, last) == (0, recording.get_num_samples()):
        return recording
    return recording.frame_slice(first, min(last, recording.get_num_samples()))
