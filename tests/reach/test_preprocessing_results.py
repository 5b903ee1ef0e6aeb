"""Every parameter of preprocessing changes what comes out: traces, channels, motion, or whether it runs at all."""

from __future__ import annotations

import functools
import hashlib
import json

import numpy as np
import pytest

from capsules.common.errors import Skip, SpikeRelayError
from capsules.parameters.model import set_dotted
from capsules.preprocessing import bad_channels, stage
from capsules.preprocessing.params import PARAMS
from tests.data import neuropixels_probe
from tests.leaf_values import LEAVES
from tests.reach.spy import stage_leaves, task_for

CHANNELS, DEAD, NOISY, LOUD, OUT = 32, 5, 9, 16, (28, 29, 30, 31)
"""What is wrong with single channels; LOUD is coherent with its neighbours, but four times as large."""

PREFIX = "preprocessing"
MOTION = "motion_correction"
# Looking for artefacts takes as long as all else.
BASE = {"min_preprocessing_duration": 0, f"{MOTION}.compute": False, "artifacts.detect": False}
DESTRIPE = {"denoising_strategy": "destripe", "highpass_spatial_filter.n_channel_pad": 8}
MOVING = {f"{MOTION}.compute": True}
APPLIED = MOVING | {f"{MOTION}.apply": True}
# Otherwise the traces that aligning takes beyond the chunk are margin enough.
ALIGNED = {"phase_shift.margin_ms": 1.0}

# Parameter -> (what else is set, the changed value, what differs then).
FOUND = {"artifacts.detect": True, "artifacts.blank": True, "artifacts.detect_threshold": 1.0}
TIMED = {"artifacts.times": "times.csv"}
CASES = {
    "job_kwargs.chunk_duration": ({}, "0.5s", "nothing"),
    "job_kwargs.progress_bar": ({}, True, "nothing"),
    "min_preprocessing_duration": ({}, 10, "skip"),
    "t_start": ({}, 1.0, "traces"),
    "t_stop": ({}, 3.0, "traces"),
    "custom_preprocessing_pipeline": ({}, {"common_reference": {"operator": "average"}}, "traces"),
    "denoising_strategy": ({"highpass_spatial_filter.n_channel_pad": 8}, "destripe", "traces"),
    "filter_type": ({}, "bandpass", "traces"),
    "highpass_filter.freq_min": ({}, 500.0, "traces"),
    "highpass_filter.margin_ms": (ALIGNED, 0.1, "traces"),
    "bandpass_filter.freq_min": ({"filter_type": "bandpass"}, 500.0, "traces"),
    "bandpass_filter.freq_max": ({"filter_type": "bandpass"}, 3000.0, "traces"),
    "bandpass_filter.margin_ms": (ALIGNED | {"filter_type": "bandpass"}, 0.1, "traces"),
    "phase_shift.margin_ms": ({}, 1.0, "traces"),
    "detect_bad_channels.method": ({}, "mad", "channels"),
    "detect_bad_channels.dead_channel_threshold": ({}, -1.5, "channels"),
    "detect_bad_channels.noisy_channel_threshold": ({}, 9.0, "channels"),
    "detect_bad_channels.outside_channel_threshold": ({}, -2.0, "channels"),
    "detect_bad_channels.outside_channels_location": ({}, "bottom", "channels"),
    "detect_bad_channels.n_neighbors": ({}, 1, "channels"),
    # Which chunks are looked at; channels that are plainly bad are so in all of them.
    "detect_bad_channels.seed": ({}, 7, "nothing"),
    "remove_out_channels": ({}, False, "channels"),
    "remove_bad_channels": ({}, False, "channels"),
    "max_bad_channel_fraction": ({}, 0.1, "skip"),
    "common_reference.reference": ({}, "local", "traces"),
    "common_reference.operator": ({}, "average", "traces"),
    "artifacts.detect": (FOUND, True, "traces"),
    "artifacts.detect_threshold": (FOUND, 2.0, "traces"),
    "artifacts.freq_max": (FOUND, 5.0, "traces"),
    "artifacts.blank": (FOUND, True, "traces"),
    "artifacts.times": ({}, "times.csv", "traces"),
    "artifacts.ms_before": (TIMED, 5.0, "traces"),
    "artifacts.ms_after": (TIMED, 5.0, "traces"),
    "highpass_spatial_filter.n_channel_pad": (DESTRIPE, 4, "traces"),
    "highpass_spatial_filter.n_channel_taper": (DESTRIPE, 2, "traces"),
    # SpikeInterface (0.105.3) asks along which axis the contacts are in order, and puts them in order by depth else.
    "highpass_spatial_filter.direction": (DESTRIPE, "x", "nothing"),
    "highpass_spatial_filter.apply_agc": (DESTRIPE, False, "traces"),
    "highpass_spatial_filter.agc_window_length_s": (DESTRIPE, 0.1, "traces"),
    "highpass_spatial_filter.highpass_butter_order": (DESTRIPE, 2, "traces"),
    "highpass_spatial_filter.highpass_butter_wn": (DESTRIPE, 0.1, "traces"),
    f"{MOTION}.compute": ({}, True, "motion"),
    f"{MOTION}.apply": (MOVING, True, "traces"),
    f"{MOTION}.preset": (MOVING, "kilosort_like", "motion"),
    f"{MOTION}.detect_kwargs": (MOVING, {"detect_threshold": 30}, "motion"),
    f"{MOTION}.select_kwargs": (MOVING, {"n_peaks": 5}, "motion"),
    f"{MOTION}.localize_peaks_kwargs": (MOVING, {"method": "center_of_mass"}, "motion"),
    f"{MOTION}.estimate_motion_kwargs.win_step_norm": (MOVING, 0.5, "motion"),
    f"{MOTION}.estimate_motion_kwargs.win_scale_norm": (MOVING, 0.5, "motion"),
    f"{MOTION}.estimate_motion_kwargs.bin_s": (MOVING, 0.5, "motion"),
    f"{MOTION}.estimate_motion_kwargs": (MOVING, {"rigid": True}, "motion"),
    f"{MOTION}.interpolate_motion_kwargs": (
        MOVING | {f"{MOTION}.apply": True},
        {"border_mode": "force_zeros"},
        "traces",
    ),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """4 s of 32 channels with a signal in common, spikes of units that move, and five kinds of channels."""
    from spikeinterface.core import NumpyRecording

    draw = np.random.default_rng(0)
    samples = 120000
    common = np.cumsum(draw.normal(0, 3, samples)) * 0.05 + draw.normal(0, 4, samples)
    traces = common[:, None] + draw.normal(0, 4, (samples, CHANNELS))
    depths = neuropixels_probe(CHANNELS).contact_positions[:, 1]
    shape = -np.hanning(30)
    for unit in range(8):
        for start in draw.integers(100, samples - 100, 120):
            depth = 40 + 30 * unit + 25 * start / samples
            traces[start : start + 30] += shape[:, None] * 250 * np.exp(-(((depths - depth) / 25) ** 2))
    traces[:, DEAD] = draw.normal(0, 1, samples)
    traces[:, NOISY] = common + draw.normal(0, 60, samples)
    traces[:, LOUD] = 4 * common
    traces[:, OUT] = draw.normal(0, 4, (samples, len(OUT)))
    recording = NumpyRecording([np.round(traces / 0.195).astype("int16")], 30000.0)
    recording.set_probe(neuropixels_probe(CHANNELS))
    recording.set_channel_gains(0.195)
    recording.set_channel_offsets(0.0)
    recording.set_property("inter_sample_shift", np.arange(CHANNELS) / CHANNELS)
    folder = tmp_path_factory.mktemp("results") / "data"
    recording.save(folder=folder / "rec")
    (folder / "times.csv").write_text("start_s\n1\n2\n")
    return folder


@pytest.fixture(scope="module")
def labels_once(module_patch):
    """The same recording and settings have the same labels; looking at it takes most of the time."""
    looked, known = bad_channels.label_channels, {}

    def labels(recording, params):
        key = (recording.get_num_samples(), params.detect_bad_channels.model_dump_json())
        if key not in known:
            known[key] = looked(recording, params)
        return known[key]

    module_patch.setattr(bad_channels, "label_channels", labels)


@pytest.fixture(scope="module")
def outcome(data, labels_once, tmp_path_factory):
    """What comes out with settings, given as JSON: a skip's reason, or channels, traces and motion."""

    @functools.cache
    def run(settings):
        import spikeinterface as si
        import spikeinterface.preprocessing as spre

        document: dict = {}
        for name, value in json.loads(settings).items():
            set_dotted(document, name, value)
        task = task_for("preprocessing", PARAMS.model_validate(document), tmp_path_factory.mktemp("run"), data)
        try:
            stage.run(task)
        except Skip as skip:
            return {"skip": str(skip)}
        traces = si.load(task.out / "traces")
        found = {"skip": None, "channels": traces.channel_ids.tolist(), "traces": _digest(traces.get_traces())}
        found["motion"] = None
        if (task.out / "motion").exists():
            info = spre.load_motion_info(task.out / "motion")
            found["motion"] = _digest(info["peaks"], info["peak_locations"], *info["motion"].displacement)
        return found

    return lambda settings: run(json.dumps(BASE | settings))


def _digest(*arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()


LONG = {
    f"{group}.{name}"
    for group, names in {
        "detect_bad_channels": "noisy_channel_threshold outside_channel_threshold outside_channels_location "
        "n_neighbors seed",
        "artifacts": "detect detect_threshold freq_max",
        "highpass_spatial_filter": "n_channel_taper apply_agc direction agc_window_length_s highpass_butter_order "
        "highpass_butter_wn",
        MOTION: "preset detect_kwargs select_kwargs localize_peaks_kwargs estimate_motion_kwargs.win_step_norm "
        "estimate_motion_kwargs.win_scale_norm estimate_motion_kwargs.bin_s interpolate_motion_kwargs",
    }.items()
    for name in names.split()
}
"""What takes seconds and is in `make test-full` alone; of each group, `make test` has one or two."""


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in CASES])
def test_a_change_changes_the_result(name, outcome):
    settings, value, kind = CASES[name]
    before = outcome({key: given for key, given in settings.items() if key != name})
    after = outcome(settings | {name: value})
    different = {key for key in {*before, *after} if before.get(key) != after.get(key)}
    if kind == "nothing":
        assert different <= {"traces"}
        assert ("traces" in different) <= (name == "job_kwargs.chunk_duration")
    elif kind == "skip":
        assert after["skip"]
        assert not before["skip"]
    else:
        assert kind in different
        assert after["skip"] is None


def test_the_channels_are_what_was_made_of_them(data, tmp_path):
    task = task_for("preprocessing", PARAMS.model_validate({"min_preprocessing_duration": 0}), tmp_path, data)
    stage.run(task)
    bad = {label: sorted(map(int, channels)) for label, channels in task.record["facts"]["bad_channels"].items()}
    assert bad["noise"] == [NOISY, LOUD]
    assert {*bad["dead"], *bad["out"]} == {DEAD, *OUT}
    assert set(OUT[2:]) <= set(bad["out"])
    labels = json.loads((task.out / "bad_channels.json").read_text())
    assert len(labels) == CHANNELS


def test_every_parameter_of_the_section_has_a_case():
    assert set(stage_leaves(PREFIX)) <= set(CASES)
    leaves = {name: LEAVES.get(f"{PREFIX}.{name}") for name in CASES if name not in BASE}
    assert all(leaf is None or CASES[name][1] != leaf.default for name, leaf in leaves.items())


def test_a_frequency_above_half_the_rate_is_refused(data, tmp_path):
    params = PARAMS.model_validate({"min_preprocessing_duration": 0, "highpass_filter": {"freq_min": 20000.0}})
    with pytest.raises(SpikeRelayError, match="half the sampling rate"):
        stage.run(task_for("preprocessing", params, tmp_path, data))
