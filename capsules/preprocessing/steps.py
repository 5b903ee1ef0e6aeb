"""The steps of preprocessing: recording in, recording out; nothing here reads or writes files."""

from __future__ import annotations

from collections.abc import Callable
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


def denoised(recording: Any, params: PreprocessingParams, change: Callable[[str], None]) -> Any:
    """Common median reference, or IBL's destriping along the probe; `change` takes what is done otherwise."""
    import spikeinterface.preprocessing as spre

    if params.denoising_strategy == "cmr":
        return spre.common_reference(recording, **params.common_reference.model_dump())
    settings, channels = params.highpass_spatial_filter.model_dump(), recording.get_num_channels()
    for name in ("n_channel_pad", "n_channel_taper"):
        if settings[name] is not None and settings[name] > channels:
            change(f"highpass_spatial_filter.{name} = {channels}: the recording has no more channels")
            settings[name] = channels
    return spre.highpass_spatial_filter(recording, **settings)


def as_int16(recording: Any) -> Any:
    """Round to 16-bit integers, the sample type of the instruments, unless the recording is wider already."""
    import spikeinterface.preprocessing as spre

    return recording if recording.get_dtype() == "int16" else spre.astype(recording, "int16", round=True)


def motion_arguments(recording: Any, params: MotionCorrection) -> dict[str, Any]:
    """The arguments of SpikeInterface's `compute_motion`.

    `win_step_norm` and `win_scale_norm` are fractions of the probe's span along y; SpikeInterface takes micrometres.
    """
    estimate = params.estimate_motion_kwargs.model_dump()
    depths = recording.get_channel_locations()[:, 1]
    span_um = float(depths.max() - depths.min())
    for name in ("win_step", "win_scale"):
        fraction = estimate.pop(f"{name}_norm")
        if fraction is not None:
            estimate[f"{name}_um"] = fraction * span_um
    if estimate["bin_s"] is None:
        del estimate["bin_s"]
    return {
        "preset": params.preset,
        "detect_kwargs": params.detect_kwargs.model_dump(),
        "select_kwargs": params.select_kwargs.model_dump(),
        "localize_peaks_kwargs": params.localize_peaks_kwargs.model_dump(),
        "estimate_motion_kwargs": estimate,
    }


def between(recording: Any, t_start_s: float | None, t_stop_s: float | None) -> Any:
    """The traces from `t_start_s` to `t_stop_s`, counted from the start of the recording."""
    rate = recording.sampling_frequency
    first = round((t_start_s or 0) * rate)
    last = recording.get_num_samples() if t_stop_s is None else round(t_stop_s * rate)
    if (first, last) == (0, recording.get_num_samples()):
        return recording
    return recording.frame_slice(first, min(last, recording.get_num_samples()))


def estimate_motion(recording: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    """Estimate the drift; returns SpikeInterface's `motion_info`, with the motion, the peaks and their places.

    `compute_motion` does it in one pass over the traces. Its way with a choice of peaks is broken in 0.105.3 (it
    calls `detect_peaks` as that was before), so that those steps are called one by one here.
    """
    import spikeinterface.preprocessing as spre

    if arguments["select_kwargs"]:
        info = _estimate_from_selected_peaks(recording, arguments)
    else:
        info = spre.compute_motion(recording, output_motion_info=True, **arguments)[1]
    # Times and numbers of jobs would make equal results differ; stage.json has them.
    return info | {"parameters": arguments, "run_times": {}}


def _estimate_from_selected_peaks(recording: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    import spikeinterface.preprocessing as spre
    from spikeinterface.core import get_noise_levels
    from spikeinterface.sortingcomponents import motion
    from spikeinterface.sortingcomponents.peak_detection import detect_peaks
    from spikeinterface.sortingcomponents.peak_localization import localize_peaks
    from spikeinterface.sortingcomponents.peak_selection import select_peaks

    preset = spre.get_motion_parameters_preset(arguments["preset"])
    detect, select, localize, estimate = (
        preset[name] | arguments[name]
        for name in ("detect_kwargs", "select_kwargs", "localize_peaks_kwargs", "estimate_motion_kwargs")
    )
    noise_levels = get_noise_levels(recording, return_in_uV=False, random_slices_kwargs={"seed": 0})
    method = detect.pop("method")
    peaks = detect_peaks(recording, method=method, method_kwargs=detect | {"noise_levels": noise_levels})
    peaks = select_peaks(peaks, recording=recording, **({"seed": 0} | select))
    method = localize.pop("method")
    # The window is compute_motion's.
    places = localize_peaks(recording, peaks, method=method, method_kwargs=localize, ms_before=0.1, ms_after=0.3)
    return {
        "peaks": peaks,
        "peak_locations": places,
        "motion": motion.estimate_motion(recording, peaks, places, **estimate),
    }
