import subprocess
import sys
from typing import get_args

import numpy as np
import pytest

from capsules.common.errors import SpikeRelayError
from capsules.common.recordings.peaks import complete_settings
from capsules.common.recordings.traces import digest_traces
from capsules.preprocessing import bad_channels, drift, steps
from capsules.preprocessing.params import MotionCorrection, PreprocessingParams
from capsules.preprocessing.traces import TraceWriter
from tests.halves import rest_is_slow


@pytest.fixture(scope="module")
def recording():
    from spikeinterface.core import generate_recording

    recording = generate_recording(num_channels=16, durations=[2.0], sampling_frequency=30000.0, seed=0)
    recording = recording.astype("int16")
    recording.set_property("inter_sample_shift", np.arange(16) / 16)
    return recording


def test_the_chain_equals_plain_spikeinterface_calls(recording):
    """Those that keep float32 to the end exactly; those that cut to integers after each of three steps within two."""
    import spikeinterface.preprocessing as spre

    params = PreprocessingParams()
    aligned = steps.align_channels(steps.filter_traces(recording, params), params)
    ours = steps.round_to_int16(steps.denoise(aligned, params, print))
    for dtype, tolerance in (("float32", 0), (None, 2)):
        plain = spre.highpass_filter(recording, freq_min=300.0, margin_ms=5.0, dtype=dtype)
        plain = spre.common_reference(spre.phase_shift(plain, margin_ms=100.0), reference="global", operator="median")
        plain = np.round(plain.get_traces()).astype(int)
        assert np.abs(ours.get_traces() - plain).max() <= tolerance


def test_a_pulse_beyond_16_bits_does_not_wrap_around():
    """From one rail to the other: 64,000 counts when the filter has taken the rail away."""
    from spikeinterface.core import NumpyRecording

    traces = np.full((3000, 4), -32000, dtype="int16")
    traces[1500:1510] = 32000
    recording = NumpyRecording([traces], 30000.0)
    filtered = steps.round_to_int16(steps.filter_traces(recording, PreprocessingParams())).get_traces()
    assert filtered[1500:1510].min() == 32767


def test_only_the_labels_asked_for_are_removed(recording):
    channels = [str(channel) for channel in recording.channel_ids]
    labels = dict.fromkeys(channels, "good") | {channels[0]: "dead", channels[1]: "noise", channels[15]: "out"}
    for settings, kept in (
        ({}, 13),
        ({"remove_out_channels": False}, 14),
        ({"remove_bad_channels": False}, 15),
        ({"remove_bad_channels": False, "remove_out_channels": False}, 16),
    ):
        remaining = bad_channels.remove_bad_channels(recording, labels, PreprocessingParams(**settings))
        assert remaining.get_num_channels() == kept


@pytest.mark.parametrize(("span_um", "scale_um", "changes"), [(3840, 960, 0), (480, 120, 0), (240, 100, 1)])
def test_window_norms_are_fractions_of_the_probes_span(span_um, scale_um, changes):
    from spikeinterface.core import generate_recording

    recording, recorded = generate_recording(num_channels=4, durations=[1.0]), []
    recording.set_dummy_probe_from_locations(np.linspace((0, 0), (0, span_um), 4))
    motion = MotionCorrection(estimate_motion_kwargs={"win_step_norm": 0.5, "win_scale_norm": 0.25, "rigid": True})
    estimate = drift.make_recipe(recording, motion, recorded.append).estimate
    assert (estimate["win_step_um"], estimate["win_scale_um"], estimate["rigid"]) == (0.5 * span_um, scale_um, True)
    assert len(recorded) == changes


def test_the_digest_sees_a_change_at_either_end(tmp_path):
    file = tmp_path / "traces.raw"
    content = bytearray(np.arange(2**21, dtype="int32").tobytes())
    file.write_bytes(content)
    first = digest_traces(tmp_path)
    assert digest_traces(tmp_path) == first
    for place in (0, -1):
        changed = content.copy()
        changed[place] ^= 1
        file.write_bytes(changed)
        assert digest_traces(tmp_path) != first


def test_motion_windows_are_left_to_the_preset_when_no_norm_is_given(recording):
    motion = MotionCorrection(estimate_motion_kwargs={"win_step_norm": None, "win_scale_norm": None})
    estimate = drift.make_recipe(recording, motion).estimate
    assert (estimate["win_step_um"], estimate["win_scale_um"]) == (400.0, 400.0)


def test_traces_move_against_the_drift(recording):
    from spikeinterface.core.motion import Motion

    from capsules.common.recordings.motion import correct_motion

    depths = recording.get_channel_locations()[:, 1]
    for shift, same in ((0.0, True), (20.0, False)):
        motion = Motion([np.full((3, 2), shift)], [np.array([0.5, 1.0, 1.5])], np.array([depths.min(), depths.max()]))
        moved = correct_motion(recording, motion, "dredge_fast", {}).get_traces()
        assert np.allclose(moved, recording.get_traces(), atol=1) == same


@pytest.fixture(scope="module")
def spikes():
    from spikeinterface.core import generate_ground_truth_recording

    recording, _ = generate_ground_truth_recording(num_channels=16, num_units=6, durations=[20.0], seed=1)
    return recording.save(format="memory")


@pytest.mark.parametrize("preset", ["dredge_fast", "rigid_fast"])
@pytest.mark.parametrize("select", [{}, {"method": "uniform", "n_peaks": 40}])
def test_the_drift_of_one_pass_is_that_of_compute_motion(spikes, preset, select, tmp_path):
    """The traces that the same pass writes are the recording's, in chunks that do not divide it."""
    import spikeinterface as si
    import spikeinterface.preprocessing as spre

    si.set_global_job_kwargs(n_jobs=2, pool_engine="thread", chunk_duration="0.7s")
    recipe = drift.make_recipe(spikes, MotionCorrection(preset=preset, select_kwargs=select))
    folder = tmp_path / "traces"
    ours = drift.estimate_motion(spikes, recipe, [TraceWriter(spikes, folder)], lambda: si.load(folder))
    written = si.load(folder)
    assert np.array_equal(written.get_traces(), spikes.get_traces())
    assert not {"provenance.json"} & {file.name for file in folder.iterdir()}
    assert np.array_equal(written.get_channel_locations(), spikes.get_channel_locations())
    if select:
        # compute_motion (0.105.3) cannot select.
        assert 0 < len(ours["peaks"]) < 40 * 16
        return
    estimate = {name: value for name, value in recipe.estimate.items() if name.startswith("win_s")}
    plain, info = spre.compute_motion(
        spikes, preset=preset, estimate_motion_kwargs=estimate, output_motion_info=True, n_jobs=1
    )
    assert len(info["peaks"]) == pytest.approx(len(ours["peaks"]), rel=0.01)
    np.testing.assert_allclose(plain.displacement[0], ours["motion"].displacement[0], atol=1.0)


def test_the_motions_range_has_an_interval_that_narrows_with_more_peaks():
    """A probe that moves by 30 um, seen by few and by many noisy peaks."""
    from spikeinterface.core import generate_recording
    from spikeinterface.core.node_pipeline import base_peak_dtype

    recording = generate_recording(num_channels=16, durations=[60.0], sampling_frequency=1000.0, seed=0)
    depths = recording.get_channel_locations()[:, 1]
    draw = np.random.default_rng(0)
    recipe = drift.make_recipe(recording, MotionCorrection(preset="rigid_fast", estimate_motion_kwargs={"bin_s": 5.0}))
    moved = 30.0
    widths = {}
    for count in (1500, 30000):
        peaks = np.zeros(count, dtype=base_peak_dtype)
        peaks["sample_index"] = np.sort(draw.integers(0, 60000, count))
        peaks["amplitude"] = -draw.lognormal(4, 0.3, count)
        locations = np.zeros(count, dtype=[("x", "float64"), ("y", "float64")])
        unit = draw.choice(np.linspace(depths.min() + 40, depths.max() - 40, 6), count)
        locations["y"] = unit + moved * peaks["sample_index"] / 60000 + draw.normal(0, 12, count)
        from spikeinterface.sortingcomponents.motion import estimate_motion

        info = {"peaks": peaks, "peak_locations": locations}
        info["motion"] = estimate_motion(recording, peaks, locations, **recipe.estimate)
        range_um, (low_um, high_um) = drift.estimate_range(recording, info, recipe)
        assert 0 <= low_um <= range_um <= high_um
        widths[count] = high_um - range_um
    assert low_um < moved * 11 / 12 + 3 and high_um > moved * 11 / 12 - 5
    assert widths[1500] > widths[30000]
    info["peaks"], info["peak_locations"] = peaks[:100], locations[:100]
    assert drift.estimate_range(recording, info, recipe) == (range_um, None)


PRESETS = get_args(MotionCorrection.model_fields["preset"].annotation)
SLOW = ("nonrigid_accurate", "nonrigid_fast_and_accurate")


@pytest.mark.parametrize(
    "preset", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in PRESETS]
)
def test_every_preset_estimates_a_motion(spikes, preset):
    short = spikes.frame_slice(0, 150000)
    info = drift.estimate_motion(short, drift.make_recipe(short, MotionCorrection(preset=preset)))
    assert np.isfinite(info["motion"].displacement[0]).all()


def test_settings_of_peaks_are_equal_when_only_their_spelling_differs():
    full = {"method": "center_of_mass", "radius_um": 75.0, "feature": "ptp", "ms_before": 0.1, "ms_after": 0.3}
    detection = {"method": "locally_exclusive", "detect_threshold": 5}
    assert complete_settings(detection, full) == complete_settings(detection, {"method": "center_of_mass"})
    assert complete_settings(detection, full) != complete_settings(detection, full | {"radius_um": 100.0})


@pytest.mark.parametrize(
    ("method", "imported"), rest_is_slow([("locally_exclusive", False), ("locally_exclusive_torch", True)])
)
def test_torch_is_imported_for_the_methods_that_need_it_only(method, imported):
    program = f"""
import sys
from capsules.common.recordings.peaks import complete_settings
complete_settings({{"method": "{method}"}}, {{"method": "center_of_mass"}})
assert ("torch" in sys.modules) is {imported}
import torch
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_bad_channels_and_destriping_go_shank_by_shank():
    """Shank b's silent channel is found among b's own; destriping leaves the channels in their order."""
    from spikeinterface.core import generate_recording

    recording = generate_recording(num_channels=32, durations=[3.0], seed=0)
    recording.set_property("group", np.array(["a", "b"] * 16))
    recording.set_channel_gains(1.0)
    recording.set_channel_offsets(0.0)
    params = PreprocessingParams(detect_bad_channels={"n_neighbors": 40}, highpass_spatial_filter={"n_channel_pad": 60})
    labels = bad_channels.label_channels(recording, params)
    assert list(labels) == [str(channel) for channel in recording.channel_ids]
    told = []
    params = PreprocessingParams(denoising_strategy="destripe")
    destriped = steps.denoise(recording, params, told.append)
    assert destriped.channel_ids.tolist() == recording.channel_ids.tolist()
    assert np.array_equal(destriped.get_channel_locations(), recording.get_channel_locations())
    assert told == ["highpass_spatial_filter.n_channel_pad = 16: the shank has no more channels"] * 2
    alone = steps.denoise(recording.split_by("group", outputs="dict")["b"], params, told.append)
    shown = destriped.get_traces(start_frame=0, end_frame=3000, channel_ids=alone.channel_ids)
    np.testing.assert_allclose(shown, alone.get_traces(start_frame=0, end_frame=3000), rtol=1e-5, atol=1e-4)


def test_written_traces_are_looked_at(tmp_path):
    """Floats in another order in memory are written as they are; silence is counted, NaN ends the pass."""
    import spikeinterface as si
    from spikeinterface.core import NumpyRecording
    from spikeinterface.core.node_pipeline import run_node_pipeline

    def write(traces, name):
        recording = NumpyRecording([traces], 30000.0)
        writer = TraceWriter(recording, tmp_path / name)
        run_node_pipeline(recording, [writer], {"chunk_duration": "0.1s", "n_jobs": 1})
        assert np.array_equal(si.load(tmp_path / name).get_traces(), traces)
        return writer.silent_s

    traces = np.asfortranarray(np.random.default_rng(0).normal(size=(9000, 3)).astype("float32"))
    assert write(traces, "float") == 0
    traces[3000:6500] = 7
    assert write(traces, "silent") == pytest.approx(0.1)
    traces[4000, 1] = np.nan
    with pytest.raises(SpikeRelayError, match="on channels 1 from about 0 s on"):
        write(traces, "broken")


@pytest.mark.parametrize(
    ("seconds", "given", "mode"), [(1900, {}, "full"), (2100, {}, "online"), (2100, {"batching_mode": "full"}, "full")]
)
def test_the_drift_of_a_long_recording_is_estimated_in_stretches(seconds, given, mode):
    from spikeinterface.core import generate_recording

    changes = []
    recording = generate_recording(num_channels=8, durations=[seconds], sampling_frequency=1000.0)
    recipe = drift.make_recipe(recording, MotionCorrection(estimate_motion_kwargs=given), changes.append)
    assert recipe.estimate.get("batching_mode") == mode
    assert len([text for text in changes if "in parts of" in text]) == (mode == "online")
