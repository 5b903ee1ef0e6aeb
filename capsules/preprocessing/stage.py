"""Preprocessing: filter, align, find bad channels, reference, write the traces once, estimate the drift."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

from capsules.common.errors import Skip
from capsules.common.job import load_recording
from capsules.common.motion import motion_corrected
from capsules.common.rules import check_rate
from capsules.common.task import Task, write_json
from capsules.preprocessing import steps


def run(task: Task) -> None:
    job_kwargs = task.use_spikeinterface(task.params.job_kwargs)
    for warning in task.job.warnings:
        task.warn(warning)
    raw = load_recording(task.job, task.data)
    check_rate("preprocessing", task.params, raw.sampling_frequency)
    _check_duration(task, raw)
    raw = _cut(task, raw)
    lazy = _chain(task, raw)
    lazy.dump_to_json(task.out / "preprocessed.json", relative_to=task.data.resolve().parent)
    saved = steps.as_int16(lazy).save(folder=task.out / "traces", format="binary", **job_kwargs)
    task.fact(
        channels=saved.get_num_channels(),
        duration_s=round(saved.get_total_duration(), 3),
        start_s=task.params.t_start or 0.0,
        motion_applied=False,
        referenced=task.params.denoising_strategy == "cmr" and task.params.custom_preprocessing_pipeline is None,
    )
    if task.params.motion_correction.compute:
        _correct_motion(task, saved)
    task.fact(traces_digest=traces_digest(task.out / "traces"))


def _chain(task: Task, raw: Any) -> Any:
    """The lazy chain of preprocessing steps, as the parameters ask."""
    params = task.params
    if params.custom_preprocessing_pipeline is not None:
        import spikeinterface.preprocessing as spre

        write_json(task.out / "bad_channels.json", {str(channel): "good" for channel in raw.channel_ids})
        return spre.apply_preprocessing_pipeline(raw, params.custom_preprocessing_pipeline)
    filtered = steps.filtered(raw, params)
    shifted = steps.aligned(filtered, params)
    if shifted is None:
        task.change("phase shift left out: the recording has no inter_sample_shift")
        shifted = filtered
    labels = _find_bad_channels(task, raw)
    kept = steps.without(shifted, labels, params)
    if kept.get_num_channels() < 2:
        task.change("no common reference: of one channel it would leave nothing")
        return kept
    return steps.denoised(kept, params, task.change)


def _find_bad_channels(task: Task, raw: Any) -> dict[str, str]:
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
    else:
        labels = steps.channel_labels(raw, params)
    write_json(task.out / "bad_channels.json", labels)
    bad = {label: sum(value == label for value in labels.values()) for label in ("dead", "noise", "out")}
    task.fact(bad_channels=bad)
    fraction = sum(bad.values()) / len(labels)
    if fraction > params.max_bad_channel_fraction:
        raise Skip(
            f"{fraction:.0%} of channels are bad ({bad['dead']} dead, {bad['noise']} noisy, {bad['out']} out of the "
            f"brain), more than max_bad_channel_fraction = {params.max_bad_channel_fraction}"
        )
    return labels


def _cut(task: Task, raw: Any) -> Any:
    """The recording between `t_start` and `t_stop`."""
    start, stop, end = task.params.t_start or 0.0, task.params.t_stop, raw.get_total_duration()
    if start >= end:
        raise Skip(f"{end:.1f} s long: nothing is left from t_start = {start:g} s on")
    if stop is not None and stop > end:
        task.change(f"t_stop = {stop:g} s is beyond the end of the recording, {end:.3f} s: it is taken to the end")
    return steps.between(raw, task.params.t_start, stop)


def _correct_motion(task: Task, saved: Any) -> None:
    """Estimate the drift from the written traces, and interpolate them along it when the parameters ask."""
    import numpy as np
    import spikeinterface.preprocessing as spre

    params = task.params.motion_correction
    if saved.get_num_channels() < MIN_MOTION_CHANNELS:
        task.change(f"motion not estimated: fewer than {MIN_MOTION_CHANNELS} channels")
        return
    # The estimate draws from numpy's global generator in places that take no seed.
    np.random.seed(0)
    task.record["seeds"]["motion"] = 0
    info = steps.estimate_motion(saved, steps.motion_arguments(saved, params))
    spre.save_motion_info(info, task.out / "motion")
    motion = info["motion"]
    drift = np.ptp(np.concatenate([np.ravel(displacement) for displacement in motion.displacement]))
    task.fact(motion={"preset": params.preset, "range_um": round(float(drift), 2)})
    if params.apply:
        corrected = motion_corrected(saved, motion, params.preset, params.interpolate_motion_kwargs.model_dump())
        steps.as_int16(corrected).save(folder=task.out / "corrected", format="binary")
        shutil.rmtree(task.out / "traces")
        (task.out / "corrected").rename(task.out / "traces")
        task.fact(motion_applied=True)
        task.change("preprocessed.json describes the traces before the interpolation, which cannot be written as JSON")


MIN_MOTION_CHANNELS = 6
"""Drift cannot be told from fewer channels: there is too little depth to compare."""


def _check_duration(task: Task, raw: Any) -> None:
    if task.job.clip_s is not None:
        task.change("minimum durations do not apply: debug is on")
    elif raw.get_total_duration() < task.params.min_preprocessing_duration:
        raise Skip(
            f"{raw.get_total_duration():.1f} s long, shorter than min_preprocessing_duration = "
            f"{task.params.min_preprocessing_duration:g} s"
        )


def traces_digest(folder: Path, blocks: int = 64, block_bytes: int = 1 << 20) -> str:
    """A digest of written traces, from evenly spaced blocks, so that it costs the same for any length."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.raw")):
        size = file.stat().st_size
        digest.update(size.to_bytes(8, "little"))
        with file.open("rb") as stream:
            for index in range(blocks):
                stream.seek(max(0, size - block_bytes) * index // max(1, blocks - 1))
                digest.update(stream.read(block_bytes))
    return digest.hexdigest()
