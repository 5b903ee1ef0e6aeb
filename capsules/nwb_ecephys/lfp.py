"""The LFP of a recording: band, rate and channels as the parameters say.

The filters are linear, so their order does not change the result. A wide band is resampled before the band-pass: a
filter of 0.1 Hz needs 50 s on each side of what it filters, which at 30 kHz takes twelve times as long, and too much
memory. The resampled channels are kept in a scratch file, so that the raw data are read once, in order, and the
slow filters then take few channels and long stretches.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from spikeinterface import BaseRecording
from spikeinterface.preprocessing.astype import astype
from spikeinterface.preprocessing.clip import clip
from spikeinterface.preprocessing.common_reference import common_reference
from spikeinterface.preprocessing.decimate import decimate
from spikeinterface.preprocessing.filter import bandpass_filter, highpass_filter
from spikeinterface.preprocessing.resample import resample

from capsules.common.errors import SpikeRelayError
from capsules.common.recordings.clock import count_clock
from capsules.common.recordings.job import Job, electrode_group, stream_stem
from capsules.common.recordings.times import set_clock
from capsules.nwb_ecephys.params import NwbEcephysParams

SCRATCH_BYTES = 160e6
"""Memory for the pass over the raw data, of all its jobs together."""
FILTER_BYTES = 200e6
"""Memory for the stretch that the slow filters process at a time."""
RESAMPLING_BYTES = 14
"""Per raw sample while it is resampled: int16 and two of float32, in addition to those of the slower result."""
FILTERING_BYTES = 32
"""Per sample while it is filtered: four of float64."""
STRETCH_S = 300.0
"""Length of the stretch that the slow filters write at a time. A longer one computes less of its margins twice, and
takes more memory."""
CHUNK_S = 30.0
CHUNK_CHANNELS = 4
"""Size of a compressed chunk in the file."""


def resample_to_lfp(
    recording: BaseRecording,
    is_lfp_stream: bool,
    params: NwbEcephysParams,
    surface_index: int | None,
    change: Callable[[str], None],
) -> BaseRecording:
    """Resample a wide band to the LFP's rate, subtract the agar's median, keep every n-th channel.

    Parameters
    ----------
    recording : BaseRecording
        The instrument's LF stream, which keeps its rate, or the wide band.
    is_lfp_stream : bool
    params : NwbEcephysParams
    surface_index : int or None
        See `subtract_agar_median`; None for a probe that is not in agar.
    change : callable
        Records an automatic adjustment to the parameters.

    Returns
    -------
    BaseRecording
        Lazy. It is float32 when anything was computed, so that only `filter_lfp` rounds.
    """
    lfp = recording
    if not is_lfp_stream:
        if recording.sampling_frequency > params.lfp.sampling_rate:
            # SpikeInterface would load all timestamps into memory; `set_times_like` gives them to the result.
            regular = count_clock(lfp.get_num_samples(), float(lfp.sampling_frequency), float(lfp.get_start_time()))
            lfp = resample(set_clock(lfp, regular), params.lfp.sampling_rate, dtype="float32")
        if lfp.sampling_frequency != params.lfp.sampling_rate:
            change(f"lfp.sampling_rate = {lfp.sampling_frequency:.10g} Hz: the nearest rate that the traces allow")
    if surface_index is not None:
        lfp = subtract_agar_median(lfp, surface_index)
    return lfp.select_channels(lfp.channel_ids[:: max(1, params.lfp_spatial_factor)])


def save_to_scratch(lfp: BaseRecording, raw_rate_hz: float, folder: Path, n_jobs: int) -> BaseRecording:
    """Write the result of `resample_to_lfp` to a new folder, in one pass over the raw data, and load it from there."""
    # SpikeInterface collects garbage after every chunk, which would take longer than the chunk: all objects loaded so
    # far would be searched.
    gc.freeze()
    frame_bytes = lfp.get_num_channels() * RESAMPLING_BYTES * raw_rate_hz / lfp.sampling_frequency
    chunk = max(1, int(SCRATCH_BYTES / n_jobs / frame_bytes))
    scratch: BaseRecording = lfp.save(folder=folder, n_jobs=n_jobs, pool_engine="thread", chunk_size=chunk)
    return scratch


def filter_lfp(
    lfp: BaseRecording, dtype: npt.DTypeLike, params: NwbEcephysParams, change: Callable[[str], None]
) -> BaseRecording:
    """Band-pass filter, high-pass filter and decimate the LFP.

    Parameters
    ----------
    lfp : BaseRecording
        At the LFP's rate.
    dtype : dtype
        Of the result; integers are rounded.
    params : NwbEcephysParams
    change : callable
        As for `resample_to_lfp`.

    Returns
    -------
    BaseRecording
        Lazy.
    """
    band = params.lfp.filter
    highest_hz = min(band.freq_max, 0.99 * lfp.sampling_frequency / 2)
    if highest_hz < band.freq_max:
        change(f"lfp.filter.freq_max = {highest_hz:g} Hz: the highest frequency at the LFP's rate")
    # The bands are far below a stream's usual rate on purpose; SpikeInterface's check is for spikes.
    slow: dict[str, Any] = {"ignore_low_freq_error": True, "dtype": "float32"}
    filtered = bandpass_filter(lfp, freq_min=band.freq_min, freq_max=highest_hz, **slow)
    if params.lfp_highpass_freq_min > 0:
        filtered = highpass_filter(filtered, freq_min=params.lfp_highpass_freq_min, **slow)
    if params.lfp_temporal_factor > 1:
        half_rate_hz = lfp.sampling_frequency / params.lfp_temporal_factor / 2
        if half_rate_hz < highest_hz:
            change(f"lfp.filter.freq_max = {half_rate_hz:g} Hz: the highest frequency with this lfp_temporal_factor")
        filtered = decimate(filtered, params.lfp_temporal_factor, antialias=True)
    if np.issubdtype(dtype, np.integer):
        # Filters overshoot where an amplifier was saturated; an integer would wrap around.
        limits = np.iinfo(dtype)
        filtered = clip(filtered, limits.min, limits.max)
    rounded: BaseRecording = astype(filtered, dtype)
    return rounded


def chunk_shapes(lfp: BaseRecording, params: NwbEcephysParams) -> dict[str, tuple[int, int]]:
    """Frames and channels of a chunk in the file (`chunk_shape`), and of what is filtered at a time (`buffer_shape`).

    Few channels and long stretches within FILTER_BYTES, since the filters of `filter_lfp` need margins on each side.
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


def subtract_agar_median(recording: BaseRecording, surface_index: int) -> BaseRecording:
    """Subtract the median of the channels in agar, which are above the brain's surface, from every channel.

    Parameters
    ----------
    recording : BaseRecording
    surface_index : int
        The topmost channel in tissue, counted from 0 in the order of the channels; those after it are in agar.

    Raises
    ------
    SpikeRelayError
        When no channel is above it.
    """
    agar = list(recording.channel_ids[surface_index + 1 :])
    if surface_index < 0 or not agar:
        raise SpikeRelayError(
            f"nwb.ecephys.surface_channel_agar_probes_indices: channel {surface_index} leaves none of "
            f"{recording.get_num_channels()} channels in agar (counted from 0): give the topmost channel in tissue"
        )
    referenced: BaseRecording = common_reference(
        recording, dtype="float32", reference="global", operator="median", ref_channel_ids=agar
    )
    return referenced


def read_agar_surfaces(text: str, jobs: list[Job]) -> dict[str, int]:
    """Job id -> the topmost channel in tissue, for the probes that `surface_channel_agar_probes_indices` names.

    A probe may have the name of its stream, with or without the band: `imec0.ap`, `imec0` or `ProbeA`; a group of its
    channels the name of its electrode group, `imec0-group1`.

    Raises
    ------
    SpikeRelayError
        When no probe of this block has such a name.
    """
    surfaces: dict[str, int] = {}
    for name, index in (json.loads(text) if text.strip() else {}).items():
        matches = [job for job in jobs if name in _probe_names(job)]
        if not matches:
            known = ", ".join(sorted({known for job in jobs for known in _probe_names(job)}))
            raise SpikeRelayError(
                f"nwb.ecephys.surface_channel_agar_probes_indices: no probe {name!r} in this block; there are {known}"
            )
        surfaces |= {job.id: index for job in matches}
    return surfaces


def _probe_names(job: Job) -> set[str]:
    """The names that a job's probe may have in the parameters."""
    bare = stream_stem(job.stream)
    return {job.stream, bare, bare.rsplit(".", 1)[-1], electrode_group(job)}
