"""The LFP of a recording: band, rate and channels as the parameters say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from capsules.common.errors import SpikeRelayError
from capsules.nwb_ecephys.params import NwbEcephysParams


def lfp_band(recording: Any, is_lfp_stream: bool, params: NwbEcephysParams, change: Callable[[str], None]) -> Any:
    """Band-pass, resample a wide band, high-pass, thin out in time and over the channels.

    Parameters
    ----------
    recording : BaseRecording
        The instrument's LF stream, which keeps its rate, or the wide band.
    is_lfp_stream : bool
    params : NwbEcephysParams
    change : callable
        Takes a line on what is done otherwise than the parameters say.

    Returns
    -------
    BaseRecording
        Lazy; int16 stays int16.
    """
    import spikeinterface.preprocessing as spre

    band = params.lfp.filter
    nyquist_hz = recording.sampling_frequency / 2
    highest_hz = min(band.freq_max, 0.99 * nyquist_hz)
    if highest_hz < band.freq_max:
        change(f"lfp.filter.freq_max = {highest_hz:g} Hz: the stream's rate lets no higher one through")
    # The bands are far below a stream's usual rate on purpose; SpikeInterface's check is for spikes.
    lfp = spre.bandpass_filter(recording, freq_min=band.freq_min, freq_max=highest_hz, ignore_low_freq_error=True)
    if not is_lfp_stream and recording.sampling_frequency > params.lfp.sampling_rate:
        lfp = spre.resample(lfp, params.lfp.sampling_rate)
    if params.lfp_highpass_freq_min > 0:
        lfp = spre.highpass_filter(lfp, freq_min=params.lfp_highpass_freq_min, ignore_low_freq_error=True)
    if params.lfp_temporal_factor > 1:
        lfp = spre.decimate(lfp, params.lfp_temporal_factor, antialias=True)
    if params.lfp_spatial_factor > 1:
        lfp = lfp.select_channels(lfp.channel_ids[:: params.lfp_spatial_factor])
    if lfp.sampling_frequency != recording.sampling_frequency:
        # A new rate has no timestamps of its own: it counts on from the start.
        lfp.reset_times()
        lfp.shift_times(recording.get_start_time(segment_index=0))
    return lfp


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
    return spre.common_reference(recording, reference="global", operator="median", ref_channel_ids=list(outside))
