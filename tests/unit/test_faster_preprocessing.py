"""The faster steps of preprocessing give what SpikeInterface's own give."""

from __future__ import annotations

import numpy as np
import pytest
import spikeinterface as si
from spikeinterface import NumpyRecording
from spikeinterface.core.node_pipeline import ExtractDenseWaveforms, PeakRetriever, run_node_pipeline
from spikeinterface.preprocessing import gaussian_filter
from spikeinterface.preprocessing.detect_bad_channels import detect_bad_channels_ibl, shrinking_median_filter
from spikeinterface.preprocessing.filter_gaussian import GaussianFilterRecordingSegment
from spikeinterface.sortingcomponents.peak_localization.grid import LocalizeGridConvolution

from capsules.common.patches import faster_grid_weights, faster_preprocessing
from capsules.common.recordings import medians
from capsules.common.recordings.grid_convolution import GridConvolution, NoWaveforms

RATE_HZ = 30000.0
IBL = {
    "fs": RATE_HZ,
    "psd_hf_threshold": 0.02,
    "dead_channel_thr": -0.5,
    "noisy_channel_thr": 1.0,
    "outside_channel_thr": -0.3,
    "n_neighbors": 11,
    "nyquist_threshold": 0.8,
    "welch_window_ms": 10.0,
}


@pytest.mark.parametrize(("freq_min", "freq_max"), [(None, 20.0), (300.0, 6000.0), (300.0, None)])
@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_the_gaussian_filter(monkeypatch, freq_min, freq_max, dtype):
    rng = np.random.default_rng(0)
    recording = NumpyRecording([(rng.normal(size=(20001, 5)) * 100).astype(dtype)], RATE_HZ)
    filtered = gaussian_filter(recording, freq_min=freq_min, freq_max=freq_max)
    chunks = [(0, 7000), (7000, 15000), (15000, 20001)]
    theirs = [filtered.get_traces(start_frame=start, end_frame=end) for start, end in chunks]
    monkeypatch.setattr(GaussianFilterRecordingSegment, "get_traces", GaussianFilterRecordingSegment.get_traces)
    faster_preprocessing.speed_up_gaussian_filter()
    for (start, end), expected in zip(chunks, theirs, strict=True):
        traces = filtered.get_traces(start_frame=start, end_frame=end)
        assert traces.dtype == expected.dtype
        assert np.abs(traces.astype(float) - expected).max() < (1e-3 if dtype == "float32" else 1.5)


@pytest.mark.parametrize("location", ["top", "bottom", "both"])
def test_the_labels_of_channels(location):
    rng = np.random.default_rng(1)
    seen = set()
    for outside in (0, 6, 14):
        common = rng.normal(size=(9000, 1)) * 10
        raw = common + rng.normal(size=(9000, 64)) * 1.5
        raw[:, 20] = rng.normal(size=9000) * 0.1
        raw[:, 40] += rng.normal(size=9000) * 40
        raw[:, 30] *= 4
        raw[:, 64 - outside :] = rng.normal(size=(9000, outside))
        raw[:, :outside] = rng.normal(size=(9000, outside))
        raw = raw.astype("float32")
        ours = faster_preprocessing._label_channels(raw, **IBL, outside_channels_location=location)
        assert (ours == detect_bad_channels_ibl(raw, **IBL, outside_channels_location=location)).all()
        seen |= set(ours.tolist())
    assert seen == {0, 1, 2, 3}


@pytest.mark.parametrize("length", [300, 299])
def test_the_power_of_high_frequencies_is_that_of_welch(length):
    from scipy.signal import welch

    rows = np.random.default_rng(0).normal(size=(3, 9000)).astype("float32")
    frequencies, power = welch(rows, fs=RATE_HZ, axis=1, window="hann", nperseg=length)
    expected = power[:, frequencies > 12000].mean(axis=1)
    assert faster_preprocessing._estimate_high_power(rows, RATE_HZ, length, 12000) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("dtype", ["int16", "float32"])
@pytest.mark.parametrize("settings", [{}, {"percentile": 20.0, "radius_um": 60.0}, {"percentile": 100.0}])
def test_the_localization_by_convolution_with_a_grid(dtype, settings):
    recording, _ = si.generate_ground_truth_recording(durations=[3.0], num_channels=32, num_units=8, seed=0)
    traces = (recording.get_traces() * 10).astype(dtype)
    scaled = NumpyRecording([traces], recording.sampling_frequency)
    scaled.set_probe(recording.get_probe(), in_place=True)
    samples, channels = np.nonzero(traces < np.quantile(traces, 0.0005))
    inside = (samples > 50) & (samples < len(traces) - 50)
    peaks = np.zeros(inside.sum(), si.core.node_pipeline.base_peak_dtype)
    peaks["sample_index"], peaks["channel_index"] = samples[inside], channels[inside]
    found = {}
    for localize, extract in ((LocalizeGridConvolution, ExtractDenseWaveforms), (GridConvolution, NoWaveforms)):
        source = PeakRetriever(scaled, peaks)
        waveforms = extract(scaled, parents=[source], ms_before=0.1, ms_after=0.3)
        nodes = [source, waveforms, localize(scaled, parents=[source, waveforms], **settings)]
        found[localize] = run_node_pipeline(scaled, nodes, {"n_jobs": 1, "progress_bar": False})
    theirs, ours = found.values()
    assert len(ours) > 500
    for axis in "xyz":
        difference = np.abs(theirs[axis] - ours[axis])
        # A template that is exactly at the threshold counts or not.
        assert np.quantile(difference, 0.99) < 1e-3 and difference.max() < 5


@pytest.mark.parametrize("settings", [{}, {"sigma_3d": 20.0, "z_list_um": np.array([0.0, 30.0])}])
def test_the_weights_of_the_grid(settings):
    rng = np.random.default_rng(0)
    contacts, templates = rng.uniform(0, 200, (48, 2)), rng.uniform(-50, 250, (500, 2))
    distances = np.linalg.norm(contacts[:, np.newaxis] - templates, axis=2)
    theirs, depths_um = faster_grid_weights._plain_weights(distances, **settings)
    ours, same_depths_um = faster_grid_weights._weigh(distances, **settings)
    assert (depths_um == same_depths_um).all() and ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-7)


def test_other_weights_are_those_of_spikeinterface():
    distances = np.random.default_rng(0).uniform(0, 100, (8, 20))
    theirs, _ = faster_grid_weights._plain_weights(distances, mode="gaussian_2d")
    assert (faster_grid_weights._weigh(distances, mode="gaussian_2d")[0] == theirs).all()


@pytest.mark.parametrize("size", [1, 4, 11])
def test_the_smoothing_by_a_median(size):
    values = np.random.default_rng(0).normal(size=40).astype("float32")
    assert (medians.smooth_by_median(values, size) == shrinking_median_filter(values, size)).all()
