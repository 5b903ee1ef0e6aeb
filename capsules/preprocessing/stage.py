"""Preprocessing: filter, align, find bad channels, reference, write the traces once, estimate the drift."""

from __future__ import annotations

from typing import Any

from capsules.common.errors import Skip, SpikeRelayError
from capsules.common.files import write_json
from capsules.common.recordings.motion import motion_corrected
from capsules.common.recordings.probe_names import electrode_names
from capsules.common.recordings.reading import load_recording
from capsules.common.recordings.saturation import (
    RAILED_FRACTION,
    Frames,
    Saturation,
    find_saturation,
    joined_frames,
    without_frames,
)
from capsules.common.recordings.traces import traces_digest
from capsules.common.reference import MIN_REFERENCE_CHANNELS
from capsules.common.tasks.spikeinterface_jobs import set_job_kwargs
from capsules.common.tasks.task import Task
from capsules.parameters.rules import check_rate
from capsules.preprocessing import drift, steps
from capsules.preprocessing.artifacts import (
    artifact_frames,
    blanked,
    frames_around,
    periods_inside,
    read_artifact_times,
    times_file,
)
from capsules.preprocessing.traces import new_folder

MAX_SATURATED_TIME = 0.9
"""Of a longer part nothing is left that noise and bad channels could be estimated from."""
SHOWN_PERIODS = 20
"""So many saturated periods of a channel are listed in stage.json."""
MIN_MOTION_CHANNELS = 6
"""Drift cannot be told from fewer channels: there is too little depth to compare."""


def run(task: Task) -> None:
    set_job_kwargs(task, task.params.job_kwargs)
    import spikeinterface as si

    for warning in task.job.warnings:
        task.warn(warning)
    raw = load_recording(task.job, task.data)
    check_rate("preprocessing", task.params, raw.sampling_frequency)
    _check_probes(raw)
    _check_duration(task, raw)
    raw = _cut(task, raw)
    task.fact(referenced=False)
    saturation = _find_saturation(task, raw)
    chain, excluded = _chain(task, raw, saturation)
    lazy = _in_stored_type(task, chain)
    lazy.dump_to_json(task.out / "preprocessed.json", relative_to=task.data.resolve().parent)
    info = _write(task, lazy, excluded)
    written = si.load(task.out / "traces")
    task.fact(
        channels=written.get_num_channels(),
        duration_s=round(written.get_total_duration(), 3),
        dtype=str(written.get_dtype()),
        start_s=task.params.t_start or 0.0,
        clock=task.job.clock_of_traces(task.params.t_start or 0.0, written.get_num_samples()).model_dump(),
        motion_applied=info is not None and task.params.motion_correction.apply,
        traces_digest=traces_digest(task.out / "traces"),
    )


def _chain(task: Task, raw: Any, saturation: Saturation | None) -> tuple[Any, Frames]:
    """The lazy chain of preprocessing steps, as the parameters ask, and the periods that estimates leave out."""
    params = task.params
    excluded = saturation.frames() if saturation else []
    if params.custom_preprocessing_pipeline is not None:
        task.change("artifacts not looked for: a pipeline of your own is used")
        return _custom(task, raw), excluded
    filtered = steps.filtered(raw, params)
    shifted = steps.aligned(filtered, params)
    if shifted is None:
        task.change("phase shift left out: the recording has no inter_sample_shift")
        shifted = filtered
    labels = _find_bad_channels(task, raw, saturation)
    kept = steps.without(shifted, labels, params)
    silent = _artifacts(task, kept, excluded)
    kept, excluded = blanked(kept, silent), joined_frames([*excluded, *silent])
    if params.denoising_strategy == "cmr" and kept.get_num_channels() < MIN_REFERENCE_CHANNELS:
        few = kept.get_num_channels()
        task.change(f"no common reference: over {few} channels it would take away spikes that all of them see")
    elif kept.get_num_channels() > 1:
        kept = steps.denoised(kept, params, task.change)
        task.fact(referenced=params.denoising_strategy == "cmr")
    if raw.get_dtype().kind != "i" or raw.get_dtype().itemsize > 2:
        return kept, excluded
    steps_per_count = steps.finest_steps(without_frames(kept, excluded), task.job.converter_limits)
    task.fact(steps_per_raw_count=steps_per_count)
    return steps.rounded(kept, steps_per_count), excluded


def _artifacts(task: Task, filtered: Any, saturated: Frames) -> Frames:
    """Report the artefacts of a filtered recording; returns the periods that the parameters ask to set to zero."""
    settings, rate = task.params.artifacts, filtered.sampling_frequency
    found = artifact_frames(filtered, settings) if settings.detect else []
    if found is None:
        task.change("artifacts not looked for: the recording is silent for most of the time")
        found = []
    facts = {"detected_s": _in_seconds(found, rate)}
    if found:
        length_s = sum(end - start for start, end in found) / rate
        task.warn(
            f"artifacts: most channels are larger than usual in {len(found)} periods, {length_s:.2f} s in all, first "
            f"at {found[0][0] / rate:.2f} s"
        )
    silent = [*found, *saturated] if settings.blank else []
    if settings.times is not None:
        facts["given"], around = _given_times(task, filtered.get_num_samples())
        silent += around
    silent = joined_frames(silent)
    if silent:
        blanked_s = sum(end - start for start, end in silent) / rate
        facts["blanked_s"] = round(blanked_s, 4)
        task.change(f"{blanked_s:.2f} s of the traces are zero, in {len(silent)} periods, as `artifacts` asks")
    task.fact(artifacts=facts)
    return silent


def _given_times(task: Task, num_samples: int) -> tuple[dict[str, int], Frames]:
    """How many periods `artifacts.times` names, and the samples of this recording that they cover."""
    settings = task.params.artifacts
    periods = read_artifact_times(times_file(task.data, task.job.session, settings.times))
    clock = task.job.clock_of_traces(task.params.t_start or 0.0, num_samples)
    inside = periods_inside(periods, clock, settings)
    if len(inside) < len(periods):
        task.warn(
            f"artifacts.times: {len(periods) - len(inside)} of {len(periods)} periods lie outside this recording, "
            f"which is from {clock.starts_s[0]:.3f} to {clock.end_s:.3f} s"
        )
    counts = {"periods": len(periods), "outside": len(periods) - len(inside)}
    return counts, frames_around(inside, clock, settings)


def _in_seconds(frames: Frames, rate: float) -> list[list[float]]:
    return [[round(start / rate, 4), round(end / rate, 4)] for start, end in frames]


def _custom(task: Task, raw: Any) -> Any:
    """The user's own pipeline."""
    import spikeinterface.preprocessing as spre

    lazy = spre.apply_preprocessing_pipeline(raw, task.params.custom_preprocessing_pipeline)
    kept = set(lazy.channel_ids)
    labels = {str(channel): "good" if channel in kept else "removed" for channel in raw.channel_ids}
    _report_labels(task, raw, labels)
    return lazy


def _in_stored_type(task: Task, lazy: Any) -> Any:
    """The recording in the sample type that it is written in: int16 unless it is something else by now."""
    import spikeinterface.preprocessing as spre

    if lazy.get_dtype() == "int16":
        return lazy
    task.change("traces are written as float32: as 16-bit integers they would lose scale or range")
    return spre.astype(lazy, "float32")


def _write(task: Task, lazy: Any, excluded: Frames) -> dict[str, Any] | None:
    """Write the traces once, and estimate the drift in the same pass; interpolated traces need it known before."""
    import spikeinterface as si
    from spikeinterface.core.node_pipeline import run_node_pipeline

    params, folder = task.params.motion_correction, task.out / "traces"
    recipe = _recipe(task, lazy)
    if recipe is not None and not params.apply:
        writer = new_folder(lazy, folder, excluded)
        info = _estimate(task, lazy, recipe, also=[writer], again=lambda: si.load(folder), excluded=excluded)
    else:
        info, final = None, lazy
        if recipe is not None:
            info = _estimate(task, lazy, recipe, excluded=excluded)
            final = _interpolated(task, lazy, info["motion"])
        writer = new_folder(final, folder, excluded)
        run_node_pipeline(final, [writer], {}, job_name="write traces")
    if writer.clipped:
        task.fact(clipped_samples=writer.clipped)
        fraction = writer.clipped / (lazy.get_num_samples() * lazy.get_num_channels())
        task.warn(f"{writer.clipped} samples ({fraction:.2g} of all) are beyond 16 bits and were clipped")
    if writer.silent_s:
        task.warn(f"{writer.silent_s:.1f} s are silent on every channel: noise levels and thresholds may be too low")
    return info


def _interpolated(task: Task, lazy: Any, motion: Any) -> Any:
    """The recording moved along the drift."""
    params = task.params.motion_correction
    task.change("preprocessed.json describes the traces before the interpolation, which cannot be written as JSON")
    moved = motion_corrected(lazy, motion, params.preset, params.interpolate_motion_kwargs.model_dump())
    return steps.rounded(moved) if lazy.get_dtype() == "int16" else moved


def _recipe(task: Task, lazy: Any) -> drift.Recipe | None:
    """How the drift is estimated; None when it is not."""
    params = task.params.motion_correction
    if not params.compute:
        return None
    if lazy.get_num_channels() < MIN_MOTION_CHANNELS:
        task.change(f"motion not estimated: fewer than {MIN_MOTION_CHANNELS} channels")
        return None
    return drift.recipe(lazy, params, task.change)


def _estimate(task: Task, lazy: Any, recipe: drift.Recipe, **passes: Any) -> dict[str, Any]:
    """Estimate the drift, and save it with the peaks that it was told from; `passes` as `drift.estimate_motion`."""
    import numpy as np
    import spikeinterface.preprocessing as spre

    # The estimate draws from numpy's global generator in places that take no seed.
    np.random.seed(0)
    task.record["seeds"]["motion"] = 0
    info = drift.estimate_motion(lazy, recipe, **passes)
    spre.save_motion_info(info, task.out / "motion")
    range_um, interval = drift.range_interval(lazy, info, recipe)
    task.fact(
        motion={
            "preset": task.params.motion_correction.preset,
            "range_um": round(range_um, 2),
            "range_interval_um": interval and [round(end, 2) for end in interval],
        },
        peaks={"count": len(info["peaks"]), "settings": recipe.peak_settings()},
    )
    return info


def _find_saturation(task: Task, raw: Any) -> Saturation | None:
    """Saturated periods per channel, reported; None without limits or saturation."""
    import numpy as np

    limits = task.job.converter_limits
    if limits is None:
        return None
    found = find_saturation(raw, limits)
    rate, railed, affected = raw.sampling_frequency, found.railed(), np.flatnonzero(found.fraction)
    if len(affected) == 0:
        task.fact(saturation={"limits_counts": limits, "channels": {}, "excluded_s": []})
        return None
    channels = {}
    for index in affected:
        periods = found.periods[found.periods["channel_index"] == index]
        channels[str(raw.channel_ids[index])] = {
            "fraction": round(float(found.fraction[index]), 6),
            "periods": len(periods),
            "first_periods_s": [
                [round(start / rate, 4), round(end / rate, 4)] for _, start, end in periods[:SHOWN_PERIODS].tolist()
            ],
        }
    frames = found.frames()
    excluded_s = _in_seconds(frames, rate)
    task.fact(saturation={"limits_counts": limits, "channels": channels, "excluded_s": excluded_s})
    lost = sum(end - start for start, end in frames) / found.samples
    if railed.all() or railed.mean() > task.params.max_bad_channel_fraction:
        raise Skip(
            f"{railed.sum()} of {len(railed)} channels are at the converter's limits "
            f"({limits[0]:.0f} and {limits[1]:.0f} counts) for more than {RAILED_FRACTION:.0%} of the time"
        )
    if lost > MAX_SATURATED_TIME:
        raise Skip(f"the converter is saturated for {lost:.0%} of the time: too little is left for estimates")
    seconds = found.fraction.max() * found.samples / rate
    where = f"first from {frames[0][0] / rate:.2f} to {frames[0][1] / rate:.2f} s" if frames else "most of the time"
    task.warn(
        f"saturated: {len(affected)} of {len(railed)} channels reach the converter's limits, for up to "
        f"{seconds:.2f} s, {where}; such time is not used for estimates of noise, drift and bad channels"
    )
    return found


def _find_bad_channels(task: Task, raw: Any, saturation: Saturation | None) -> dict[str, str]:
    params = task.params
    if params.detect_bad_channels.seed is None:
        task.change("detect_bad_channels.seed = 0 in place of null, so that a second run gives the same")
    task.record["seeds"]["detect_bad_channels"] = params.detect_bad_channels.seed or 0
    reason = None
    if raw.get_num_channels() < 2:
        reason = "one channel has no neighbours"
    elif params.detect_bad_channels.method == "coherence+psd" and not raw.has_scaleable_traces():
        reason = "coherence+psd needs traces in uV, and the recording has no gains"
    if reason:
        task.change(f"bad channels not looked for: {reason}")
        labels = {str(channel): "good" for channel in raw.channel_ids}
    elif saturation is None:
        labels = steps.channel_labels(raw, params)
    else:
        railed = dict.fromkeys(raw.channel_ids[saturation.railed()], "saturated")
        unsaturated = without_frames(raw.remove_channels(list(railed)), saturation.frames())
        labels = {str(channel): label for channel, label in railed.items()} | steps.channel_labels(unsaturated, params)
        labels = {str(channel): labels[str(channel)] for channel in raw.channel_ids}
    bad = _report_labels(task, raw, labels)
    fraction = sum(map(len, bad.values())) / len(labels)
    if fraction > params.max_bad_channel_fraction:
        told = ", ".join(f"{len(channels)} {label}" for label, channels in bad.items())
        raise Skip(
            f"{fraction:.0%} of channels are bad ({told}), more than "
            f"max_bad_channel_fraction = {params.max_bad_channel_fraction}"
        )
    return labels


def _report_labels(task: Task, raw: Any, labels: dict[str, str]) -> dict[str, list[str]]:
    """Write down the labels of channels and, for the NWB file, of electrodes; returns label -> bad channels."""
    write_json(task.out / "bad_channels.json", labels)
    bad = _by_label(labels)
    names = electrode_names(task.job, raw.channel_ids, raw.get_probegroup() if raw.has_probe() else None)
    by_electrode = zip(names, labels.values(), strict=True)
    task.fact(bad_channels=bad, bad_electrodes={name: label for name, label in by_electrode if label != "good"})
    return bad


def _by_label(labels: dict[str, str]) -> dict[str, list[str]]:
    """Label -> its channels, without the good ones."""
    bad = sorted(set(labels.values()) - {"good"})
    return {label: [channel for channel, given in labels.items() if given == label] for label in bad}


def _check_probes(raw: Any) -> None:
    """Fail for several probes in one recording, before hours are spent on it: no sorter takes them."""
    count = len(raw.get_probegroup().probes) if raw.has_probe() else 1
    if count > 1:
        raise SpikeRelayError(
            f"{count} probes in one recording: they move each on its own, and sorters take one at a time; "
            "leave job_dispatch.split_groups on"
        )


def _cut(task: Task, raw: Any) -> Any:
    """The recording between `t_start` and `t_stop`."""
    start, stop, end = task.params.t_start or 0.0, task.params.t_stop, raw.get_total_duration()
    if start >= end:
        raise Skip(f"{end:.1f} s long: nothing is left from t_start = {start:g} s on")
    if stop is not None and stop > end:
        task.change(f"t_stop = {stop:g} s is beyond the end of the recording, {end:.3f} s: it is taken to the end")
    return steps.between(raw, task.params.t_start, stop)


def _check_duration(task: Task, raw: Any) -> None:
    if task.job.clip_s is not None:
        task.change("minimum durations do not apply: debug is on")
    elif raw.get_total_duration() < task.params.min_preprocessing_duration:
        raise Skip(
            f"{raw.get_total_duration():.1f} s long, shorter than min_preprocessing_duration = "
            f"{task.params.min_preprocessing_duration:g} s"
        )
