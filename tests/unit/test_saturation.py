"""Saturation is found at the converter's true limits, channel by channel, and kept out of estimates."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from capsules.common.errors import Skip
from capsules.common.recordings.saturation import find_converter_limits, find_saturation, remove_frames
from capsules.job_dispatch.data_check import check_data
from capsules.job_dispatch.params import DataCheck, JobDispatchParams
from capsules.preprocessing import drift, stage
from capsules.preprocessing.params import PARAMS, MotionCorrection
from tests.data import neuropixels_probe
from tests.formats import write_spikeglx_segments
from tests.halves import rest_is_slow
from tests.reach.spy import task_for
from tests.unit.test_job_dispatch import jobs_of

RATE, CHANNELS, SECONDS = 30000, 32, 8
CONVERTERS = {"NP1": (512, 2.34375), "NP2013": (2048, 3.0), "Intan": (32768, 0.195)}
"""Half the number of steps, and microvolts per count."""
RAILED = {
    "3 s": (slice(3 * RATE, 6 * RATE), slice(None)),
    "60 %": (slice(0, 144000), slice(None)),
    "5 channels": (slice(None), slice(8, 13)),
}


@functools.cache
def signal_uv():
    draw = np.random.default_rng(0)
    samples = RATE * SECONDS
    common = draw.normal(0, 12, (samples, 1))
    traces = common + draw.normal(0, 15, (samples, CHANNELS))
    for start in draw.integers(100, samples - 100, 400):
        traces[start : start + 30, int(start) % 30 : int(start) % 30 + 3] -= 400 * np.hanning(30)[:, None]
    return traces


def railed_recording(converter, case):
    """A recording whose converter is at its upper or lower limit in the case's samples and channels."""
    from spikeinterface.core import NumpyRecording

    half, gain = CONVERTERS[converter]
    traces = np.clip(np.round(signal_uv() / gain), -half, half - 1).astype("int16")
    if case is not None:
        when, where = RAILED[case]
        traces[when, where] = half - 1
        traces[when, where][: RATE // 2] = -half
    recording = NumpyRecording([traces], float(RATE))
    recording.set_probe(neuropixels_probe(CHANNELS))
    recording.set_channel_gains(gain)
    recording.set_channel_offsets(0.0)
    return recording


def limits_of(converter):
    half = CONVERTERS[converter][0]
    return find_converter_limits(railed_recording(converter, None), None if half == 32768 else half)


def preprocessed(converter, case, tmp_path, **settings):
    railed_recording(converter, case).save(folder=tmp_path / "data" / "rec")
    params = PARAMS.model_validate(
        {
            "min_preprocessing_duration": 0,
            "motion_correction": {"compute": False},
            "detect_bad_channels": {"method": "mad"},
        }
        | settings
    )
    task = task_for("preprocessing", params, tmp_path, tmp_path / "data", converter_limits=limits_of(converter))
    stage.run(task)
    return task


def test_the_limits_come_from_the_header(tmp_path):
    write_spikeglx_segments(tmp_path, [0.2])
    jobs = jobs_of(tmp_path, input="spikeglx")
    limits = {(job.stream, job.converter_limits) for job in jobs}
    assert {(name[:5], given) for name, given in limits} == {("imec0", (-512, 511)), ("imec1", (-2048, 2047))}


def test_the_limits_in_counts_of_another_size_than_the_converters():
    """Open Ephys writes Neuropixels 1.0 in steps of 0.195 uV: the limits are -6154 and 6142."""
    recording = railed_recording("Intan", None)
    recording.annotate(saturation_threshold_uV=1200.0)
    probe = neuropixels_probe(CHANNELS)
    probe.annotate(adc_bit_depth=10)
    recording.set_probe(probe)
    recording.annotate(saturation_threshold_uV=1200.0)
    low, high = find_converter_limits(recording)
    assert round(-1200 / 0.195) <= low < -1197.7 / 0.195
    assert 1195.4 / 0.195 < high <= round(1197.65 / 0.195)


def test_a_float_recording_has_no_limits():
    from spikeinterface.preprocessing import astype

    assert find_converter_limits(astype(railed_recording("NP1", None), "float32")) is None


@pytest.mark.parametrize("converter", CONVERTERS)
def test_a_sample_that_is_mostly_saturated_is_a_skip(converter):
    found = check_data(railed_recording(converter, "60 %"), [0], DataCheck(), limits_of(converter))
    assert "60% of the samples are at the converter's limits" in found.skip
    assert found.failure is None
    found = check_data(railed_recording(converter, "5 channels"), [0], DataCheck(), limits_of(converter))
    assert (found.skip, found.failure) == (None, None)
    assert "on 5 of 32 channels" in found.warnings[0]
    assert not any("never change" in warning for warning in found.warnings)


def test_job_dispatch_skips_a_probe_on_the_rail(tmp_path):
    railed_recording("Intan", "60 %").save(folder=tmp_path / "rec")
    info = {"reader_type": "spikeinterface", "reader_kwargs": {"file_or_folder_path": "rec"}}
    (job,) = jobs_of(tmp_path, input="spikeinterface", spikeinterface_info=info)
    assert job.failure is None and "converter's limits" in job.skip
    assert JobDispatchParams().data_check.max_saturated_fraction == 0.2


@pytest.mark.parametrize("converter", rest_is_slow(CONVERTERS))
def test_saturated_time_is_reported_and_not_silence(converter, tmp_path):
    record = preprocessed(converter, "3 s", tmp_path).record
    found = record["facts"]["saturation"]
    assert len(found["channels"]) == CHANNELS
    for channel in found["channels"].values():
        assert channel["first_periods_s"][0] == pytest.approx([3, 6], abs=1e-3)
    assert found["excluded_s"] == [pytest.approx([2.95, 6.05], abs=1e-3)]
    (warning,) = [line for line in record["warnings"] if line.startswith("saturated: 32 of 32 channels")]
    assert "3.00 s" in warning
    assert not any("silent" in line for line in record["warnings"])
    assert record["facts"]["bad_channels"] == {}


@pytest.mark.parametrize("converter", rest_is_slow(CONVERTERS))
def test_railed_channels_are_bad_one_by_one(converter, tmp_path):
    facts = preprocessed(converter, "5 channels", tmp_path).record["facts"]
    railed = [str(index) for index in range(8, 13)]
    assert facts["bad_channels"] == {"saturated": railed}
    assert sorted(facts["saturation"]["channels"], key=int) == railed
    assert facts["saturation"]["excluded_s"] == []
    assert facts["channels"] == CHANNELS - 5


@pytest.mark.parametrize("converter", rest_is_slow(CONVERTERS))
def test_a_probe_on_the_rail_for_most_of_the_time_is_skipped(converter, tmp_path):
    with pytest.raises(Skip, match="32 of 32 channels are at the converter's limits"):
        preprocessed(converter, "60 %", tmp_path)


def test_recordings_below_the_limits_are_untouched(tmp_path):
    record = preprocessed("NP1", None, tmp_path).record
    assert record["facts"]["saturation"] == {"limits_counts": [-512, 511], "channels": {}, "excluded_s": []}
    assert not any("saturated" in line for line in record["warnings"])


def test_periods_are_whole_across_chunks_and_short_gaps():
    recording = railed_recording("NP1", None)
    traces = recording.get_traces().copy()
    # At the chunk's edge of 1 s; two runs 5 ms apart are one period, 20 ms apart two.
    for start, end in ((29990, 30010), (60000, 60300), (60450, 60600), (61200, 61201)):
        traces[start:end, 3] = 511
    from spikeinterface.core import NumpyRecording

    found = find_saturation(NumpyRecording([traces], float(RATE)), (-512, 511))
    assert found.periods.tolist() == [(3, 29990, 30010), (3, 60000, 60600), (3, 61200, 61201)]
    assert found.fraction[3] * found.samples == pytest.approx(20 + 300 + 150 + 1)
    assert found.fraction.sum() == found.fraction[3]


def test_peaks_and_noise_of_saturated_time_are_left_out():
    import spikeinterface.preprocessing as spre

    found = find_saturation(railed_recording("NP1", "3 s"), (-512, 511))
    filtered = spre.highpass_filter(railed_recording("NP1", "3 s"), dtype="float32")
    info = drift.estimate_motion(
        filtered, drift.make_recipe(filtered, MotionCorrection(preset="rigid_fast")), excluded=found.frames()
    )
    samples = info["peaks"]["sample_index"]
    ((start, end),) = found.frames()
    assert len(samples) > 100
    assert not ((samples >= start) & (samples < end)).any()
    left = remove_frames(filtered, found.frames())
    assert left.get_num_samples() == filtered.get_num_samples() - (end - start)
    after = left.get_traces()[start : start + 100]
    np.testing.assert_allclose(after, filtered.get_traces()[end : end + 100], atol=0.01)
