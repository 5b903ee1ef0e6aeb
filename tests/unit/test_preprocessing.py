import numpy as np
import pytest

from capsules.preprocessing import steps
from capsules.preprocessing.params import MotionCorrection, PreprocessingParams
from capsules.preprocessing.stage import traces_digest


@pytest.fixture(scope="module")
def recording():
    from spikeinterface.core import generate_recording

    recording = generate_recording(num_channels=16, durations=[2.0], sampling_frequency=30000.0, seed=0)
    recording = recording.astype("int16")
    recording.set_property("inter_sample_shift", np.arange(16) / 16)
    return recording


def test_the_chain_equals_plain_spikeinterface_calls(recording):
    import spikeinterface.preprocessing as spre

    params = PreprocessingParams()
    ours = steps.denoised(steps.aligned(steps.filtered(recording, params), params), params, print)
    plain = spre.highpass_filter(recording, freq_min=300.0, margin_ms=5.0)
    plain = spre.common_reference(spre.phase_shift(plain, margin_ms=100.0), reference="global", operator="median")
    assert np.array_equal(ours.get_traces(), plain.get_traces())


def test_only_the_labels_asked_for_are_removed(recording):
    channels = [str(channel) for channel in recording.channel_ids]
    labels = dict.fromkeys(channels, "good") | {channels[0]: "dead", channels[1]: "noise", channels[15]: "out"}
    for settings, kept in (
        ({}, 13),
        ({"remove_out_channels": False}, 14),
        ({"remove_bad_channels": False}, 15),
        ({"remove_bad_channels": False, "remove_out_channels": False}, 16),
    ):
        assert steps.without(recording, labels, PreprocessingParams(**settings)).get_num_channels() == kept


def test_window_norms_are_fractions_of_the_probes_span(recording):
    motion = MotionCorrection(estimate_motion_kwargs={"win_step_norm": 0.5, "win_scale_norm": 0.25, "rigid": True})
    span = np.ptp(recording.get_channel_locations()[:, 1])
    arguments = steps.motion_arguments(recording, motion)["estimate_motion_kwargs"]
    assert arguments == {"win_step_um": 0.5 * span, "win_scale_um": 0.25 * span, "rigid": True}


def test_the_digest_sees_a_change_at_either_end(tmp_path):
    file = tmp_path / "traces.raw"
    content = bytearray(np.arange(2**21, dtype="int32").tobytes())
    file.write_bytes(content)
    first = traces_digest(tmp_path)
    assert traces_digest(tmp_path) == first
    for place in (0, -1):
        changed = content.copy()
        changed[place] ^= 1
        file.write_bytes(changed)
        assert traces_digest(tmp_path) != first


def test_motion_windows_are_left_to_the_preset_when_no_norm_is_given(recording):
    motion = MotionCorrection(estimate_motion_kwargs={"win_step_norm": None, "win_scale_norm": None})
    assert steps.motion_arguments(recording, motion)["estimate_motion_kwargs"] == {}


def test_traces_move_against_the_drift(recording):
    from spikeinterface.core.motion import Motion

    from capsules.common.motion import motion_corrected

    depths = recording.get_channel_locations()[:, 1]
    for shift, same in ((0.0, True), (20.0, False)):
        motion = Motion([np.full((3, 2), shift)], [np.array([0.5, 1.0, 1.5])], np.array([depths.min(), depths.max()]))
        moved = motion_corrected(recording, motion, "dredge_fast", {}).get_traces()
        assert np.allclose(moved, recording.get_traces(), atol=1) == same
