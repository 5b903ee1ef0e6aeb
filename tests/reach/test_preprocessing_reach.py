"""Every parameter of preprocessing: what the library is called with, or what comes out otherwise."""

import pytest

from capsules.common.errors import Skip
from capsules.common.patches import progress
from capsules.common.recordings import motion as recording_motion
from capsules.preprocessing import artifacts, bad_channels, drift, stage, steps
from capsules.preprocessing.params import PARAMS
from tests.leaf_values import LEAVES, other_value
from tests.reach.spy import changed_section, stage_leaves, task_for

PREFIX = "preprocessing"
BASE = {
    "min_preprocessing_duration": 0,
    "t_start": 1.0,
    "t_stop": 3.0,
    "custom_preprocessing_pipeline": None,
    "max_bad_channel_fraction": 1,
    "highpass_spatial_filter__n_channel_pad": 5,
    "motion_correction__detect_kwargs": {"detect_threshold": 6.5},
    "motion_correction__select_kwargs": {},
    "motion_correction__localize_peaks_kwargs": {"radius_um": 61.0},
    "motion_correction__interpolate_motion_kwargs": {"sigma_um": 21.5},
    "motion_correction__preset": "nonrigid_fast_and_accurate",
    "motion_correction__apply": False,
    "motion_correction__compute": False,
}
SELECT = {"n_peaks": 40, "method": "uniform"}
VARIANTS = {
    "bandpass": BASE,
    "highpass": BASE | {"filter_type": "highpass", "denoising_strategy": "cmr"},
    "moved": BASE | {"denoising_strategy": "cmr", "motion_correction__compute": True, "motion_correction__apply": True},
    "selected": BASE
    | {
        "denoising_strategy": "cmr",
        "motion_correction__compute": True,
        "motion_correction__select_kwargs": SELECT,
        "artifacts__detect": True,
    },
    "custom": BASE | {"custom_preprocessing_pipeline": {"common_reference": {"operator": "average"}}},
}


@pytest.fixture(scope="module")
def seen(spy, data, tmp_path_factory):
    import spikeinterface as si
    from spikeinterface.sortingcomponents import motion

    # The other value of `artifacts.times` names it.
    (data / "other").write_text("start_s\n1.5\n")
    for step in FUNCTIONS.values():
        spy.watch(bad_channels if step == "detect_bad_channels" else steps, step)
    spy.watch(stage, "apply_preprocessing_pipeline")
    spy.watch(artifacts, "detect_artifact_periods")
    spy.watch(drift, "detect_peaks")
    spy.watch(motion, "estimate_motion")
    spy.watch(si, "set_global_job_kwargs")
    spy.watch(progress, "show_progress")
    spy.watch(recording_motion, "interpolate_motion")
    spy.watch(drift, "select_peaks")
    tasks = {}
    with pytest.MonkeyPatch.context() as patch:
        # The recording's span is shorter than two windows.
        patch.setattr(drift, "MIN_WINDOW_UM", 0.0)
        for name, overrides in VARIANTS.items():
            folder = tmp_path_factory.mktemp(name)
            tasks[name] = task_for("preprocessing", changed_section(PARAMS, PREFIX, **overrides), folder, data)
            stage.run(tasks[name])
    return spy, tasks


def passed(function, argument=None):
    """The library function gets the changed value under `argument`, or under the parameter's own last name."""

    def check(spy, tasks, name, value):
        assert spy.saw(function, argument or name.split(".")[-1], value), spy.calls.get(function)

    return check


def by_skip(value, text):
    def check(spy, tasks, name, _):
        task = task_for("preprocessing", PARAMS.model_validate({"min_preprocessing_duration": 0} | {name: value}),
                        tasks["highpass"].out.parent / name, tasks["highpass"].data)  # fmt: skip
        with pytest.raises(Skip, match=text):
            stage.run(task)

    return check


def cut(spy, tasks, name, value):
    assert tasks["highpass"].record["facts"]["duration_s"] == 2.0
    assert tasks["highpass"].record["facts"]["start_s"] == 1.0


def dropped_channels(spy, tasks, name, value):
    recording = stage.load_recording(tasks["highpass"].job, tasks["highpass"].data)
    ids = [str(channel) for channel in recording.channel_ids]
    labels = dict.fromkeys(ids, "good") | {ids[0]: "dead", ids[1]: "out"}
    counts = [
        bad_channels.remove_bad_channels(recording, labels, PARAMS.model_validate({name: flag})).get_num_channels()
        for flag in (True, False)
    ]
    assert counts == [14, 15]


def motion_folder(spy, tasks, name, value):
    assert (tasks["moved"].out / "motion" / "peaks.npy").exists()
    assert not (tasks["highpass"].out / "motion").exists()


def interpolated(spy, tasks, name, value):
    assert tasks["moved"].record["facts"]["motion_applied"]
    assert not tasks["selected"].record["facts"]["motion_applied"]
    assert len(spy.calls["interpolate_motion"]) == 1


def chosen_filter(spy, tasks, name, value):
    assert {"HighpassFilterRecording", "BandpassFilterRecording"} <= set(spy.calls)


def chosen_reference(spy, tasks, name, value):
    assert {"CommonReferenceRecording", "HighpassSpatialFilterRecording"} <= set(spy.calls)


def own_pipeline(spy, tasks, name, value):
    (call,) = spy.calls["apply_preprocessing_pipeline"]
    assert {"common_reference": {"operator": "average"}} in call.values()


def setting(function, argument, given):
    def check(spy, tasks, name, value):
        assert spy.saw(function, argument, given), spy.calls.get(function)

    return check


def window(argument):
    def check(spy, tasks, name, value):
        span = 7 * 20.0
        (call, *_) = spy.calls["estimate_motion"]
        assert call[argument] == pytest.approx(value * span)

    return check


def looked_for_once(spy, tasks, name, value):
    assert len(spy.calls["detect_artifact_periods"]) == 1


def blanked_time(spy, tasks, name, value):
    settings = tasks["highpass"].params.artifacts
    width_s = (settings.ms_before + settings.ms_after) / 1000
    assert width_s != pytest.approx(0.0035)
    assert tasks["highpass"].record["facts"]["artifacts"]["blanked_s"] == pytest.approx(width_s, abs=1e-4)


def blanked_artifacts(spy, tasks, name, value):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "detect_artifacts", lambda recording, settings: [(300, 900)])
        for blank in (True, False):
            params = {"min_preprocessing_duration": 0, "artifacts": {"blank": blank}, MOTION: {"compute": False}}
            task = task_for("preprocessing", PARAMS.model_validate(params),
                            tasks["highpass"].out.parent / f"blank-{blank}", tasks["highpass"].data)  # fmt: skip
            stage.run(task)
            assert task.record["facts"]["artifacts"].get("blanked_s") == (0.02 if blank else None)


MOTION = "motion_correction"
EVIDENCE = {
    "artifacts.detect": looked_for_once,
    "artifacts.detect_threshold": passed("detect_artifact_periods", "method_kwargs.detect_threshold"),
    "artifacts.freq_max": passed("detect_artifact_periods", "method_kwargs.freq_max"),
    "artifacts.blank": blanked_artifacts,
    "artifacts.times": blanked_time,
    "artifacts.ms_before": blanked_time,
    "artifacts.ms_after": blanked_time,
    "job_kwargs.chunk_duration": passed("set_global_job_kwargs"),
    "job_kwargs.progress_bar": passed("show_progress", "bars"),
    "min_preprocessing_duration": by_skip(10, "min_preprocessing_duration = 10"),
    "t_start": cut,
    "t_stop": cut,
    "custom_preprocessing_pipeline": own_pipeline,
    "denoising_strategy": chosen_reference,
    "filter_type": chosen_filter,
    "remove_out_channels": dropped_channels,
    "remove_bad_channels": dropped_channels,
    "max_bad_channel_fraction": None,
    f"{MOTION}.compute": motion_folder,
    f"{MOTION}.apply": interpolated,
    "highpass_spatial_filter.n_channel_pad": setting("HighpassSpatialFilterRecording", "n_channel_pad", 5),
    f"{MOTION}.preset": setting("estimate_motion", "method", "decentralized"),
    f"{MOTION}.detect_kwargs": setting("detect_peaks", "detection.detect_threshold", 6.5),
    f"{MOTION}.select_kwargs": setting("select_peaks", "n_peaks", 40),
    f"{MOTION}.localize_peaks_kwargs": setting("detect_peaks", "localization.radius_um", 61.0),
    f"{MOTION}.interpolate_motion_kwargs": setting("interpolate_motion", "sigma_um", 21.5),
    f"{MOTION}.estimate_motion_kwargs.win_step_norm": window("win_step_um"),
    f"{MOTION}.estimate_motion_kwargs.win_scale_norm": window("win_scale_um"),
    f"{MOTION}.estimate_motion_kwargs.bin_s": passed("estimate_motion", "bin_s"),
}
FUNCTIONS = {
    "highpass_filter": "HighpassFilterRecording",
    "bandpass_filter": "BandpassFilterRecording",
    "phase_shift": "PhaseShiftRecording",
    "detect_bad_channels": "detect_bad_channels",
    "common_reference": "CommonReferenceRecording",
    "highpass_spatial_filter": "HighpassSpatialFilterRecording",
}
"""Sections that are the arguments of one function or class."""


def too_many_bad(spy, tasks, name, value, monkeypatch):
    import numpy as np

    labels = np.array(["dead"] * 4 + ["good"] * 12)
    monkeypatch.setattr(bad_channels, "detect_bad_channels", lambda recording, **settings: (None, labels))
    for fraction, skipped in ((0.2, True), (0.3, False)):
        params = PARAMS.model_validate({"min_preprocessing_duration": 0, name: fraction, MOTION: {"compute": False}})
        task = task_for("preprocessing", params, tasks["highpass"].out.parent / f"{fraction}", tasks["highpass"].data)
        if skipped:
            with pytest.raises(Skip, match=r"25% of channels are bad"):
                stage.run(task)
        else:
            stage.run(task)


@pytest.mark.parametrize("name", dict.fromkeys([*stage_leaves(PREFIX), *EVIDENCE]))
def test_the_parameter_has_its_effect(name, seen, monkeypatch):
    leaf = LEAVES.get(f"{PREFIX}.{name}")
    value = leaf and other_value(leaf)
    if name == "max_bad_channel_fraction":
        too_many_bad(*seen, name, value, monkeypatch)
        return
    check = EVIDENCE.get(name) or passed(FUNCTIONS[name.split(".")[0]])
    check(*seen, name, value)
