"""The LFP of a recording: band, rate and channels as the parameters say."""

from __future__ import annotations

from typing import Any

from capsules.nwb_ecephys.params import NwbEcephysParams


def lfp_band(recording: Any, is_lfp_stream: bool, params: NwbEcephysParams) -> Any:
    """Band-pass, resample a wide band, high-pass, thin out in time and over the channels.

    Parameters
    ----------
    recording : BaseRecording
        The instrument's LF stream, which keeps its rate, or the wide band.
    is_lfp_stream : bool
    params : NwbEcephysParams

    Returns
    -------
    BaseRecording
        Lazy; int16 stays int16.
    """
    import spikeinterface.preprocessing as spre

    band = params.lfp.filter
    nyquist_hz = recording.sampling_frequency / 2
    # The bands are far below a stream's usual rate on purpose; SpikeInterface's check is for spikes.
    lfp = spre.bandpass_filter(
        recording, freq_min=band.freq_min, freq_max=min(band.freq_max, 0.99 * nyquist_hz), ignore_low_freq_error=True
    )
    if not is_lfp_stream and recording.sampling_frequency > params.lfp.sampling_rate:
        lfp = spre.resample(lfp, int(params.lfp.sampling_rate))
    if params.lfp_highpass_freq_min > 0:
        lfp = spre.highpass_filter(lfp, freq_min=params.lfp_highpass_freq_min, ignore_low_freq_error=True)
    if params.lfp_temporal_factor > 1:
        lfp = spre.decimate(lfp, params.lfp_temporal_factor, antialias=True)
    if params.lfp_spatial_factor > 1:
        lfp = lfp.select_channels(lfp.channel_ids[:: params.lfp_spatial_factor])
    return lfp
