"""The LFP of a recording: band, rate and channels as the parameters say.

The filters are linear, so their order does not change the result. A wide band is resampled before the band-pass: a
filter of 0.1 Hz needs 50 s on each side of what it filters, which at 30 kHz is twelve times the work, and more memory
than there is. The resampled channels are kept in a scratch file, so that the raw data are read once, in order, and the
slow filters then take few channels and long stretches.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

from capsules.common.errors import SpikeRelayError
from capsules.common.recordings.clock import counted
from capsules.common.recordings.times import timed
from capsules.nwb_ecephys.params import NwbEcephysParams

SCRATCH_BYTES = 160e6
"""Memory for the pass over the raw data, of all its jobs together."""
FILTER_BYTES = 200e6
"""Memory for what the slow filters work on at a time."""
RESAMPLING_BYTES = 14
"""Per raw sample while it is resampled: int16 and two of float32, besides those of the slower result."""
FILTERING_BYTES = 32
"""Per sample while it is filtered: four of float64."""
STRETCH_S = 300.0
"""What the slow filters give at a time. A longer stretch computes less of its margins twice, and takes memory."""
CHUNK_S = 30.0
CHUNK_CHANNELS = 4
"""Size of a compressed chunk in the file."""


def at_lfp_rate(
    recording: Any,
    is_lfp_stream: bool,
    params: NwbEcephysParams,
    surface_index: int | None,
    change: Callable[[str], None],
) -> Any:
    """Resample a wide band to the LFP's rate, subtract the agar's median, keep every n-th channel.

    Parameters
    ----------
    recording : BaseRecording
        The instrument's LF stream, which keeps its rate, or the wide band.
    is_lfp_stream : bool
    params : NwbEcephysParams
    surface_index : int or None
        See `agar_referenced`; None for a probe that is not in agar.
    change : callable
        Takes a line on what is done otherwise than the parameters say.

    Returns
    -------
    BaseRecording
        Lazy. It is float32 when anything was computed, so that `lfp_band` alone rounds.
    """
    import spikeinterface.preprocessing as spre

    lfp = recording
    if not is_lfp_stream:
        if recording.sampling_frequency > params.lfp.sampling_rate:
            # SpikeInterface would take all timestamps into memory; `set_times_like` gives them to the result.
            regular = counted(lfp.get_num_samples(), float(lfp.sampling_frequency), float(lfp.get_start_time()))
            lfp = spre.resample(timed(lfp, regular), params.lfp.sampling_rate, dtype="float32")
        if lfp.sampling_frequency != params.lfp.sampling_rate:
            change(f"lfp.sampling_rate = {lfp.sampling_frequency:.10g} Hz, as near as the traces' rate comes to it")
    if surface_index is not None:
        lfp = agar_referenced(lfp, surface_index)
    return lfp.select_channels(lfp.channel_ids[:: max(1, params.lfp_spatial_factor)])


def in_scratch(lfp: Any, raw_rate_hz: float, folder: Path, n_jobs: int) -> Any:
    """Write what `at_lfp_rate` gives to a new folder, in one pass over the raw data; it is read from there."""
    # SpikeInterface collects garbage after every chunk, which takes longer than the chunk while all that is loaded is
    # looked through.
    gc.freeze()
    frame_bytes = lfp.get_num_channels() * RESAMPLING_BYTES * raw_rate_hz / lfp.sampling_frequency
    chunk = max(1, int(SCRATCH_BYTES / n_jobs / frame_bytes))
    return lfp.save(folder=folder, n_jobs=n_jobs, pool_engine="thread", chunk_size=chunk)


def lfp_band(lfp: Any, dtype: Any, params: NwbEcephysParams, change: Callable[[str], None]) -> Any:
    """Band-pass, high-pass, thin out in time.

    Parameters
    ----------
    lfp : BaseRecording
        At the LFP's rate.
    dtype : dtype
        That of the result; integers are rounded.
    params : NwbEcephysParams
    change : callable
        As for `at_lfp_rate`.

    Returns
    -------
    BaseRecording
        Lazy.
    """
    import numpy as np
    import spikeinterface.preprocessing as spre

    band = params.lfp.filter
    highest_hz = min(band.freq_max, 0.99 * lfp.sampling_frequency / 2)
    if highest_hz < band.freq_max:
        change(f"lfp.filter.freq_max = {highest_hz:g} Hz: the LFP's rate lets no higher one through")
    # The bands are far below a stream's usual rate on purpose; SpikeInterface's check is for spikes.
    slow = {"ignore_low_freq_error": True, "dtype": "float32"}
    filtered = spre.bandpass_filter(lfp, freq_min=band.freq_min, freq_max=highest_hz, **slow)
    if params.lfp_highpass_freq_min > 0:
        filtered = spre.highpass_filter(filtered, freq_min=params.lfp_highpass_freq_min, **slow)
    if params.lfp_temporal_factor > 1:
        half_rate_hz = lfp.sampling_frequency / params.lfp_temporal_factor / 2
        if half_rate_hz < highest_hz:
            change(f"lfp.filter.freq_max = {half_rate_hz:g} Hz: lfp_temporal_factor lets no higher one through")
        filtered = spre.decimate(filtered, params.lfp_temporal_factor, antialias=True)
    if np.issubdtype(dtype, np.integer):
        # Filters overshoot where an amplifier was saturated; as an integer that would turn round to the other end.
        limits = np.iinfo(dtype)
        filtered = spre.clip(filtered, limits.min, limits.max)
    return spre.astype(filtered, dtype)


def pieces(lfp: Any, params: NwbEcephysParams) -> dict[str, tuple[int, int]]:
    """How the LFP is cut in the file (`chunk_shape`) and on the way there (`buffer_shape`): frames, channels.

    Few channels and long stretches, for the margins of the filters that `lfp_band` puts on each side, within
    FILTER_BYTES.
    """
    frames, channels = lfp.get_num_samples(), lfp.get_num_channels()
    # SpikeInterface's margin is five periods of the slowest frequency.
    periods = [1 / hz for hz in (params.lfp.filter.freq_min, params.lfp_highpass_freq_min) if hz > 0]
    filtered_s = min(STRETCH_S + 2 * 5 * sum(periods), lfp.get_total_duration())
    rate_hz = lfp.sampling_frequency * max(1, params.lfp_temporal_factor)
    affordable = int(FILTER_BYTES / (filtered_s * rate_hz * FILTERING_BYTES))
    chunk = (min(frames, round(CHUNK_S * lfp.sampling_frequency)), min(channels, CHUNK_CHANNELS, max(1, affordable)))
    whole_chunks = max(1, min(affordable, channels) // chunk[1])
    stretch = chunk[0] * max(1, round(STRETCH_S / CHUNK_S))
    return {"chunk_shape": chunk, "buffer_shape": (min(frames, stretch), min(channels, chunk[1] * whole_chunks))}


def agar_referenced(recording: Any, surface_index: int) -> Any:
    """Subtract the median of the channels above the brain's surface, which lie in agar, from every channel.

    Parameters
    ----------
    recording : BaseRecording
    surface_index : int
        The topmost channel in tissue, counted from 0 in the order of the channels; those after it are in agar.

    Raises
    ------
    SpikeRelayError
        When no channel lies above it.
    """
    import spikeinterface.preprocessing as spre

    outside = recording.channel_ids[surface_index + 1 :]
    if surface_index < 0 or len(outside) == 0:
        raise SpikeRelayError(
            f"surface_channel_agar_probes_indices: channel {surface_index} leaves none in agar of "
            f"{recording.get_num_channels()} channels, counted from 0"
        )
    outside = {"reference": "global", "operator": "median", "ref_channel_ids": list(outside)}
    return spre.common_reference(recording, dtype="float32", **outside)
