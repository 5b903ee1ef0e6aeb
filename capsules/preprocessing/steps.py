"""The steps of preprocessing: recording in, recording out; nothing here reads or writes files."""

from __future__ import annotations

from typing import Any

from capsules.preprocessing.params import MotionCorrection, PreprocessingParams


def filtered(recording: Any, params: PreprocessingParams) -> Any:
    """High-pass or band-pass over time."""
    import spikeinterface.preprocessing as spre

    settings = getattr(params, f"{params.filter_type}_filter").model_dump()
    return getattr(spre, f"{params.filter_type}_filter")(recording, **settings)


def aligned(recording: Any, params: PreprocessingParams) -> Any | None:
    """Align channels that were sampled in turn; None when the recording does not tell the offsets.

    Source: `phase_shift` of SpikeInterface, after IBL's destriping.
    """
    import spikeinterface.preprocessing as spre

    if "inter_sample_shift" not in recording.get_property_keys():
        return None
    return spre.phase_shift(recording, margin_ms=params.phase_shift.margin_ms)


def channel_labels(recording: Any, params: PreprocessingParams) -> dict[str, str]:
    """Label each channel `good`, `dead`, `noise` or `out`.

    Returns
    -------
    dict
        channel id -> label.
    """
    import spikeinterface.preprocessing as spre

    settings = params.detect_bad_channels.model_dump()
    settings["seed"] = settings["seed"] or 0
    settings["n_neighbors"] = min(settings["n_neighbors"], recording.get_num_channels() - 1)
    _, labels = spre.detect_bad_channels(recording, **settings)
    return {str(channel): str(label) for channel, label in zip(recording.channel_ids, labels, strict=True)}


def without(recording: Any, labels: dict[str, str], params: PreprocessingParams) -> Any:
    """Remove the channels whose label the parameters ask to remove."""
    removed = {"out"} if params.remove_out_channels else set()
    removed |= {"dead", "noise"} if params.remove_bad_channels else set()
    drop = [channel for channel in recording.channel_ids if labels[str(channel)] in removed]
    return recording.remove_channels(drop) if drop else recording


def denoised(recording: Any, params: PreprocessingParams) -> Any:
    """Common median reference, or IBL's destriping along the probe."""
    import spikeinterface.preprocessing as spre

    if params.denoising_strategy == "cmr":
        return spre.common_reference(recording, **params.common_reference.model_dump())
    return spre.highpass_spatial_filter(recording, **params.highpass_spatial_filter.model_dump())


def as_int16(recording: Any) -> Any:
    """Round to 16-bit integers, the sample type of the instruments, unless the recording is wider already."""
    import spikeinterface.preprocessing as spre

    return recording if recording.get_dtype() == "int16" else spre.astype(recording, "int16", round=True)


def motion_arguments(recording: Any, params: MotionCorrection) -> dict[str, Any]:
    """The arguments of SpikeInterface's `compute_motion`.

    `win_step_norm` and `win_scale_norm` are fractions of the probe's span along y; SpikeInterface takes micrometres.
    """
    estimate = dict(params.estimate_motion_kwargs)
    depths = recording.get_channel_locations()[:, 1]
    span_um = float(depths.max() - depths.min())
    for name in ("win_step", "win_scale"):
        fraction = estimate.pop(f"{name}_norm", None)
        if fraction is not None:
            estimate[f"{name}_um"] = fraction * span_um
    return {
        "preset": params.preset,
        "detect_kwargs": params.detect_kwargs,
        "select_kwargs": params.select_kwargs,
        "localize_peaks_kwargs": params.localize_peaks_kwargs,
        "estimate_motion_kwargs": estimate,
    }
