"""The fused chain of preprocessing gives the traces of SpikeInterface's own steps."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import spikeinterface as si
from scipy.signal import butter, sosfiltfilt
from spikeinterface import NumpyRecording
from spikeinterface.preprocessing import common_reference, highpass_filter, phase_shift

from capsules.common.recordings.fused import FusedRecording, UnknownStepError, fuse
from capsules.common.recordings.medians import take_median
from capsules.preprocessing import steps
from capsules.preprocessing.artifacts import blank_frames
from capsules.preprocessing.params import PreprocessingParams

RATE_HZ = 30000.0
TOLERANCE = 0.25
"""In raw counts."""
CHUNKS = [(0, 15000), (15000, 30000), (29990, 30020), (30020, 44000), (0, 44000)]


@pytest.fixture(scope="module", params=[24])
def raw(request) -> si.BaseRecording:
    """Slow waves of hundreds of counts, an offset, noise, spikes and a step; with the delays of a multiplexer."""
    channels, samples = request.param, 44000
    rng = np.random.default_rng(0)
    times_s = np.arange(samples) / RATE_HZ
    waves = 400 * np.sin(2 * np.pi * 3 * times_s) + 60 * np.sin(2 * np.pi * 50 * times_s)
    noise = rng.normal(scale=8, size=(samples, channels)) + rng.normal(scale=4, size=(samples, 1))
    # As a converter's filter before it does.
    noise = sosfiltfilt(butter(3, 10000, fs=RATE_HZ, output="sos"), noise, axis=0)
    traces = noise + waves[:, np.newaxis]
    traces[rng.integers(0, samples, 400), rng.integers(0, channels, 400)] -= 150
    traces[20000:, 3] += 700
    recording = NumpyRecording([traces.round().astype("int16") + np.int16(37)], RATE_HZ)
    recording.set_property("inter_sample_shift", np.tile(np.arange(12) / 13, channels // 12 + 1)[:channels])
    recording.set_channel_gains(2.34)
    recording.set_channel_offsets(0.0)
    recording.set_dummy_probe_from_locations(np.column_stack([np.zeros(channels), 20.0 * np.arange(channels)]))
    return recording


def chain(
    raw, filter_type="highpass", shifted=True, operator="median", removed=True, blanked=False, margin_ms=5.0
) -> si.BaseRecording:
    params = PreprocessingParams(filter_type=filter_type)
    params.highpass_filter.margin_ms = params.bandpass_filter.margin_ms = margin_ms
    lazy = steps.filter_traces(raw, params)
    if shifted:
        lazy = steps.align_channels(lazy, params)
    if removed:
        lazy = lazy.remove_channels(raw.channel_ids[[2, 9]])
    if blanked:
        lazy = blank_frames(lazy, [(100, 400), (29000, 30010)])
    return common_reference(lazy, operator=operator) if operator else lazy


COMBINATIONS = list(
    product(["highpass", "bandpass"], [True, False], ["median", "average", None], [True, False], [False, True])
)


@pytest.mark.parametrize(
    ("filter_type", "shifted", "operator", "removed", "blanked"),
    [
        # Every fifth one has each setting several times.
        pytest.param(*combination, marks=[] if index % 5 == 0 else pytest.mark.slow)
        for index, combination in enumerate(COMBINATIONS)
    ],
)
def test_every_combination_is_that_of_spikeinterface(raw, filter_type, shifted, operator, removed, blanked):
    fused = fuse(chain(raw, filter_type, shifted, operator, removed, blanked))
    # With its default of 5 ms, SpikeInterface's filter errs by a count at the ends of each chunk.
    lazy = chain(raw, filter_type, shifted, operator, removed, blanked, margin_ms=50.0)
    assert isinstance(fused, FusedRecording)
    for start, end in CHUNKS:
        ours, theirs = (one.get_traces(start_frame=start, end_frame=end) for one in (fused, lazy))
        assert ours.dtype == theirs.dtype == np.float32
        assert np.abs(ours - theirs).max() < TOLERANCE


@pytest.mark.parametrize("steps_per_count", [1, 16])
def test_rounded_traces_differ_by_rounding_at_most(raw, steps_per_count):
    lazy = steps.round_to_int16(chain(raw), steps_per_count)
    ours, theirs = fuse(lazy).get_traces(), lazy.get_traces()
    assert ours.dtype == np.int16
    assert np.abs(ours.astype(int) - theirs).max() <= max(1, TOLERANCE * steps_per_count)


def test_large_samples_are_clipped_like_those_of_spikeinterface(raw):
    lazy = steps.round_to_int16(chain(raw, operator=None), 512)
    ours, theirs = fuse(lazy).get_traces(), lazy.get_traces()
    assert (theirs == -32768).any()
    assert np.abs(ours.astype(int) - theirs).max() <= TOLERANCE * 512


def test_some_channels_and_any_division_into_chunks_are_the_same_traces(raw):
    fused = fuse(steps.round_to_int16(chain(raw), 16))
    whole = fused.get_traces()
    some = fused.channel_ids[[7, 1]]
    assert (fused.get_traces(channel_ids=some) == whole[:, [7, 1]]).all()
    parts = [fused.get_traces(start_frame=start, end_frame=start + 11000) for start in range(0, 44000, 11000)]
    assert np.abs(np.concatenate(parts).astype(int) - whole).max() <= TOLERANCE * 16


def test_a_short_recording_is_that_of_spikeinterface(raw):
    lazy = chain(raw.frame_slice(1000, 6000))
    assert (fuse(lazy).get_traces() == lazy.get_traces()).all()


def test_long_requests_are_computed_in_parts(raw, monkeypatch):
    fused = fuse(chain(raw))
    whole = fused.get_traces()
    monkeypatch.setattr("capsules.common.recordings.fused.BLOCK_VALUES", 1)
    assert np.abs(fused.get_traces() - whole).max() < TOLERANCE


def test_a_filter_that_rounds(raw):
    lazy = highpass_filter(raw, freq_min=300.0)
    ours = fuse(lazy)
    assert isinstance(ours, FusedRecording) and ours.get_dtype() == np.int16
    assert np.abs(ours.get_traces().astype(int) - lazy.get_traces()).max() <= 1


def test_other_chains_are_left_to_spikeinterface(raw):
    floats = chain(si.preprocessing.astype(raw, "float32"))
    others = [
        raw,
        floats,
        common_reference(chain(raw, operator=None), reference="local"),
        common_reference(chain(raw, operator=None), reference="single", ref_channel_ids=[raw.channel_ids[0]]),
        # Rounded between two steps.
        phase_shift(highpass_filter(raw, freq_min=300.0)),
        chain(si.append_recordings([raw, raw])),
        si.preprocessing.whiten(chain(raw)),
    ]
    for other in others:
        assert fuse(other) is other
        with pytest.raises(UnknownStepError):
            FusedRecording(other)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 8, 63, 64, 383, 384])
@pytest.mark.parametrize("kind", ["normal", "far from zero", "few values", "outliers", "constant"])
def test_the_median_is_that_of_numpy(size, kind):
    rng = np.random.default_rng(size)
    for _ in range(50):
        row = rng.normal(size=size) * 8
        row = {
            "normal": row,
            "far from zero": row + 5000,
            "few values": np.round(row / 6),
            "outliers": np.where(rng.random(size) < 0.2, row * 1000, row),
            "constant": np.full(size, 3.7),
        }[kind].astype("float32")
        assert take_median(row) == pytest.approx(np.median(row), rel=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_median_of_what_is_not_finite_is_nan(bad):
    assert np.isnan(take_median(np.array([1.0, 2.0, bad, 4.0], "float32")))
