"""Preprocessing: filter, align, detect bad channels, reference, write the traces once, estimate the motion."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import spikeinterface as si
from spikeinterface import BaseRecording
from spikeinterface.core.motion import Motion
from spikeinterface.core.node_pipeline import run_node_pipeline
from spikeinterface.preprocessing import apply_preprocessing_pipeline, save_motion_info
from spikeinterface.preprocessing.astype import AstypeRecording

from capsules.common.errors import Skip, SpikeRelayError
from capsules.common.facts import Artifacts, DetectedPeaks, MotionRange, PreprocessingFacts
from capsules.common.patches.faster_grid_weights import speed_up_grid_weights
from capsules.common.patches.faster_preprocessing import (
    speed_up_channel_labels,
    speed_up_gaussian_filter,
    speed_up_noise_levels,
)
from capsules.common.patches.motion_without_torch import leave_torch_out_of_dredge
from capsules.common.recordings.fused import fuse
from capsules.common.recordings.motion import correct_motion
from capsules.common.recordings.reading import load_recording
from capsules.common.recordings.saturation import Frames, Saturation, join_frames, remove_frames
from capsules.common.recordings.traces import digest_traces
from capsules.common.reference import MIN_REFERENCE_CHANNELS
from capsules.common.tasks.spikeinterface_jobs import set_job_kwargs
from capsules.common.tasks.task import Task
from capsules.parameters.rules import check_rate
from capsules.preprocessing import drift, steps
from capsules.preprocessing.artifact_times import find_times_file, read_artifact_times
from capsules.preprocessing.artifacts import blank_frames, convert_to_frames, detect_artifacts, select_periods
from capsules.preprocessing.bad_channels import (
    convert_to_seconds,
    detect_saturation,
    find_bad_channels,
    remove_bad_channels,
    report_labels,
)
from capsules.preprocessing.params import PreprocessingParams
from capsules.preprocessing.traces import TraceWriter

MIN_MOTION_CHANNELS = 6
"""Fewer channels cover too little depth to estimate motion from."""

PreprocessingTask = Task[PreprocessingParams]


def run(task: PreprocessingTask) -> None:
    set_job_kwargs(task, task.params.job_kwargs)
    speed_up_gaussian_filter()
    speed_up_channel_labels()
    speed_up_noise_levels()
    speed_up_grid_weights()
    leave_torch_out_of_dredge()
    for warning in task.job.warnings:
        task.warn(warning)
    raw = load_recording(task.job, task.data)
    check_rate("preprocessing", task.params, raw.sampling_frequency)
    _check_probes(raw)
    _check_duration(task, raw)
    raw = _cut(task, raw)
    task.leave(PreprocessingFacts(referenced=False))
    saturation = detect_saturation(task, raw)
    lazy, excluded = _preprocess(task, raw, saturation)
    lazy = _convert_to_stored_type(task, lazy)
    lazy.dump_to_json(task.out / "preprocessed.json", relative_to=task.data.resolve().parent)
    fused = fuse(lazy)
    task.fact(fused_steps=fused is not lazy)
    info = _write_traces(task, fused, excluded)
    _report_traces(task, motion_applied=info is not None and task.params.motion_correction.apply)


def _report_traces(task: PreprocessingTask, motion_applied: bool) -> None:
    written = cast(BaseRecording, si.load(task.out / "traces"))
    start_s = task.params.t_start or 0.0
    task.fact(
        channels=written.get_num_channels(),
        duration_s=round(written.get_total_duration(), 3),
        dtype=str(written.get_dtype()),
    )
    task.leave(
        PreprocessingFacts(
            start_s=start_s,
            clock=task.job.own_clock_of_traces(start_s, written.get_num_samples()),
            motion_applied=motion_applied,
            traces_digest=digest_traces(task.out / "traces"),
        )
    )


def _preprocess(
    task: PreprocessingTask, raw: BaseRecording, saturation: Saturation | None
) -> tuple[BaseRecording, Frames]:
    """The lazy chain of the steps that the parameters ask for, and the periods that estimates exclude."""
    params = task.params
    excluded = saturation.frames() if saturation else []
    if (pipeline := params.custom_preprocessing_pipeline) is not None:
        task.change("artifact detection is skipped: custom_preprocessing_pipeline is set")
        return _apply_custom_pipeline(task, raw, pipeline), excluded
    filtered = steps.filter_traces(raw, params)
    aligned = steps.align_channels(filtered, params)
    if aligned is None:
        task.change("phase shift is skipped: the recording has no inter_sample_shift")
        aligned = filtered
    labels = find_bad_channels(task, raw, saturation)
    clean = remove_bad_channels(aligned, labels, params)
    blanked = _report_artifacts(task, clean, excluded)
    clean, excluded = blank_frames(clean, blanked), join_frames([*excluded, *blanked])
    clean = _denoise(task, clean)
    if raw.get_dtype().kind != "i" or raw.get_dtype().itemsize > 2:
        return clean, excluded
    steps_per_count = steps.choose_steps_per_count(remove_frames(fuse(clean), excluded), task.job.converter_limits)
    task.fact(steps_per_raw_count=steps_per_count)
    return steps.round_to_int16(clean, steps_per_count), excluded


def _denoise(task: PreprocessingTask, recording: BaseRecording) -> BaseRecording:
    channels, strategy = recording.get_num_channels(), task.params.denoising_strategy
    if strategy == "cmr" and channels < MIN_REFERENCE_CHANNELS:
        task.change(
            f"common referencing is skipped: with {channels} channels (fewer than {MIN_REFERENCE_CHANNELS}) it would "
            "remove spikes that all of them record"
        )
        return recording
    if channels < 2:
        return recording
    task.leave(PreprocessingFacts(referenced=strategy == "cmr"))
    return steps.denoise(recording, task.params, task.change)


def _report_artifacts(task: PreprocessingTask, filtered: BaseRecording, saturated: Frames) -> Frames:
    """Detect and report the artifacts of a filtered recording; returns the periods that the parameters ask to blank."""
    settings, rate_hz = task.params.artifacts, filtered.sampling_frequency
    artifacts = detect_artifacts(fuse(filtered), settings) if settings.detect else []
    if artifacts is None:
        task.change("artifact detection is skipped: the recording is silent for most of the time")
        artifacts = []
    facts: dict[str, Any] = {"detected_s": convert_to_seconds(artifacts, rate_hz)}
    if artifacts:
        task.warn(
            f"artifacts: most channels are larger than usual in {len(artifacts)} periods, "
            f"{_total_s(artifacts, rate_hz):.2f} s in all, first at {artifacts[0][0] / rate_hz:.2f} s"
        )
    blanked = [*artifacts, *saturated] if settings.blank else []
    if settings.times is not None:
        facts["given"], listed = _read_listed_artifacts(task, settings.times, filtered.get_num_samples())
        facts["listed_s"] = convert_to_seconds(listed, rate_hz)
        blanked += listed
    blanked = join_frames(blanked)
    if blanked:
        blanked_s = _total_s(blanked, rate_hz)
        facts["blanked_s"] = round(blanked_s, 4)
        task.change(f"{blanked_s:.2f} s of the traces are set to zero in {len(blanked)} periods, as `artifacts` asks")
    task.leave(PreprocessingFacts(artifacts=Artifacts.model_validate(facts)))
    return blanked


def _total_s(frames: Frames, rate_hz: float) -> float:
    return sum(end - start for start, end in frames) / rate_hz


def _read_listed_artifacts(task: PreprocessingTask, name: str, num_samples: int) -> tuple[dict[str, int], Frames]:
    """How many periods the file `artifacts.times` lists, and the samples of this recording that they cover."""
    settings = task.params.artifacts
    periods = read_artifact_times(find_times_file(task.data, task.job.session, name))
    clock = task.job.clock_of_traces(task.params.t_start or 0.0, num_samples)
    inside = select_periods(periods, clock, settings)
    outside = len(periods) - len(inside)
    if outside:
        task.warn(
            f"artifacts.times: {outside} of {len(periods)} periods are outside this recording, "
            f"which is from {clock.starts_s[0]:.3f} to {clock.end_s:.3f} s"
        )
    return {"periods": len(periods), "outside": outside}, convert_to_frames(inside, clock, settings)


def _apply_custom_pipeline(task: PreprocessingTask, raw: BaseRecording, pipeline: dict[str, Any]) -> BaseRecording:
    lazy: BaseRecording = apply_preprocessing_pipeline(raw, pipeline)
    remaining = set(lazy.channel_ids)
    labels = {str(channel): "good" if channel in remaining else "removed" for channel in raw.channel_ids}
    report_labels(task, raw, labels)
    return lazy


def _convert_to_stored_type(task: PreprocessingTask, lazy: BaseRecording) -> BaseRecording:
    """Traces that the steps did not round are written as float32."""
    if lazy.get_dtype() == "int16":
        return lazy
    task.change("traces are written as float32: as 16-bit integers they would lose scale or range")
    return AstypeRecording(lazy, "float32")


def _write_traces(task: PreprocessingTask, lazy: BaseRecording, excluded: Frames) -> drift.MotionInfo | None:
    """Write the traces and estimate the motion in one pass; interpolated traces need the motion first."""
    params, folder = task.params.motion_correction, task.out / "traces"
    recipe = _make_recipe(task, lazy)
    info, final = None, lazy
    if recipe is not None and params.apply:
        info = _estimate_motion(task, lazy, recipe, excluded=excluded)
        final = _interpolate(task, lazy, info["motion"])
    writer = TraceWriter(final, folder, excluded)
    if recipe is not None and not params.apply:
        info = _estimate_motion(
            task, lazy, recipe, nodes=[writer], load_written=lambda: si.load(folder), excluded=excluded
        )
    else:
        run_node_pipeline(final, [writer], {}, job_name="write traces")
    if writer.clipped:
        task.fact(clipped_samples=writer.clipped)
        fraction = writer.clipped / (lazy.get_num_samples() * lazy.get_num_channels())
        task.warn(f"{writer.clipped} samples ({fraction:.2g} of all) are beyond 16 bits and were clipped")
    if writer.silent_s:
        task.warn(f"{writer.silent_s:.1f} s are silent on every channel: noise levels and thresholds may be too low")
    return info


def _interpolate(task: PreprocessingTask, lazy: BaseRecording, motion: Motion) -> BaseRecording:
    """Interpolate the traces along the estimated motion."""
    params = task.params.motion_correction
    task.change("preprocessed.json describes the traces before the interpolation, which cannot be written as JSON")
    moved: BaseRecording = correct_motion(lazy, motion, params.preset, params.interpolate_motion_kwargs.model_dump())
    return steps.round_to_int16(moved) if lazy.get_dtype() == "int16" else moved


def _make_recipe(task: PreprocessingTask, lazy: BaseRecording) -> drift.Recipe | None:
    """How the motion is estimated; None when it is not."""
    if not task.params.motion_correction.compute:
        return None
    if lazy.get_num_channels() < MIN_MOTION_CHANNELS:
        task.change(f"motion estimation is skipped: fewer than {MIN_MOTION_CHANNELS} channels")
        return None
    return drift.make_recipe(lazy, task.params.motion_correction, task.change)


def _estimate_motion(
    task: PreprocessingTask, lazy: BaseRecording, recipe: drift.Recipe, **settings: Any
) -> drift.MotionInfo:
    """Estimate the motion and save it with its peaks; `settings` are those of `drift.estimate_motion`."""
    # The estimate draws from numpy's global generator in places that take no seed.
    np.random.seed(0)
    task.record["seeds"]["motion"] = 0
    info = drift.estimate_motion(lazy, recipe, **settings)
    save_motion_info(info, task.out / "motion")
    range_um, interval_um = drift.estimate_range(lazy, info, recipe)
    if interval_um is not None:
        interval_um = round(interval_um[0], 2), round(interval_um[1], 2)
    preset = task.params.motion_correction.preset
    task.leave(
        PreprocessingFacts(
            motion=MotionRange(preset=preset, range_um=round(range_um, 2), range_interval_um=interval_um),
            peaks=DetectedPeaks(count=len(info["peaks"]), settings=recipe.peak_settings()),
        )
    )
    return info


def _check_probes(raw: BaseRecording) -> None:
    """Fail early for several probes in one recording, which no sorter takes."""
    count = len(raw.get_probegroup().probes) if raw.has_probe() else 1
    if count > 1:
        raise SpikeRelayError(
            f"{count} probes in one recording: each probe drifts independently, and sorters take one at a time; "
            "set job_dispatch.split_groups to true"
        )


def _cut(task: PreprocessingTask, raw: BaseRecording) -> BaseRecording:
    """Cut the recording to `t_start` and `t_stop`."""
    start_s, stop_s, end_s = task.params.t_start or 0.0, task.params.t_stop, raw.get_total_duration()
    if start_s >= end_s:
        raise Skip(f"{end_s:.1f} s long: nothing is left from t_start = {start_s:g} s on")
    if stop_s is not None and stop_s > end_s:
        task.change(f"t_stop = {stop_s:g} s is after the end of the recording, {end_s:.3f} s, which is used instead")
    return steps.cut(raw, task.params.t_start, stop_s)


def _check_duration(task: PreprocessingTask, raw: BaseRecording) -> None:
    if task.job.clip_s is not None:
        task.change("minimum durations do not apply: debug is on")
    elif raw.get_total_duration() < task.params.min_preprocessing_duration:
        raise Skip(
            f"{raw.get_total_duration():.1f} s long, shorter than min_preprocessing_duration = "
            f"{task.params.min_preprocessing_duration:g} s"
        )
