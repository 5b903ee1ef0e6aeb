"""Figures show what is in the data: tests on their pixels, points and labels."""

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")
import matplotlib.pyplot as plt

from capsules.visualization import channel_figures, figures
from capsules.visualization.params import PARAMS

RATE = 30000.0


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def recording_of(traces_uv, pitch_um=20.0):
    """Traces (samples, channels) in counts of 1 uV, on a linear probe."""
    from probeinterface import generate_linear_probe
    from spikeinterface.core import NumpyRecording

    channels = traces_uv.shape[1]
    recording = NumpyRecording([traces_uv.astype("float32")], RATE)
    recording.set_channel_gains(1.0)
    recording.set_channel_offsets(0.0)
    probe = generate_linear_probe(num_elec=channels, ypitch=pitch_um)
    probe.set_device_channel_indices(np.arange(channels))
    recording.set_probe(probe)
    return recording


def pixels(figure, axis):
    """The RGB pixels within an axis, (rows, columns, 3) from 0 to 255."""
    figure.canvas.draw()
    whole = np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(int)
    box = axis.get_window_extent()
    return whole[len(whole) - int(box.y1) : len(whole) - int(box.y0), int(box.x0) : int(box.x1)]


def test_negative_peaks_are_drawn_as_often_as_they_occur():
    """One sample in 50 ms on each channel: far narrower than a pixel, and mostly negative."""
    traces = np.random.default_rng(0).normal(0, 5, (15000, 32))
    negative = np.arange(300, 15000, 1500)
    traces[negative] = -100
    traces[[1000]] = 100
    figure = figures.draw_traces({"raw": (recording_of(traces), 0.0)}, 0.5)
    image = pixels(figure, figure.axes[0])
    red, blue = image[..., 0] - image[..., 2] > 60, image[..., 2] - image[..., 0] > 60
    assert blue.sum() == pytest.approx(len(negative) * red.sum(), rel=0.5)
    assert blue.any(axis=1).mean() > 0.95
    assert red.sum() > 0


@pytest.mark.parametrize("samples", [1, 7, 320, 321, 15000])
def test_signed_extremes_are_the_samples_of_largest_magnitude(samples):
    values = np.random.default_rng(1).normal(size=(samples, 3))
    reduced = figures.signed_extremes(values, 320)
    assert reduced.shape == (min(samples, 320), 3)
    assert np.isin(reduced, values).all()
    largest = np.take_along_axis(values, np.abs(values).argmax(axis=0)[None], axis=0)
    assert (reduced == largest).any(axis=0).all()


def test_line_noise_is_a_line_in_the_spectrum_with_plain_labels():
    """50 Hz of a tenth of the noise's amplitude; the figures do not parse formulas."""
    seconds = np.arange(int(8 * RATE)) / RATE
    noise = np.random.default_rng(2).normal(0, 10, (len(seconds), 4))
    found = channel_figures.measure_channels(recording_of(noise + np.sin(2 * np.pi * 50 * seconds)[:, None]))
    with mpl.rc_context({"text.parse_math": False}):
        figure = channel_figures.draw_spectra({"raw": found})
        figure.canvas.draw()
        labels = [text.get_text() for text in figure.axes[1].get_xticklabels(which="both") if text.get_text()]
    assert {"10", "100", "1000"} <= set(labels)
    assert all(label.isdigit() for label in labels)
    curve = next(line for line in figure.axes[1].lines if line.get_label() == "median channel")
    frequencies, decibels = curve.get_data()
    around = (frequencies > 30) & (frequencies < 80)
    assert frequencies[around][decibels[around].argmax()] == pytest.approx(50, abs=2)
    assert decibels[around].max() > np.median(decibels[around]) + 6
    shades = np.ma.getdata(figure.axes[0].collections[0].get_array()).reshape(4, -1)
    edges = figure.axes[0].collections[0].get_coordinates()[0, :, 0]
    column = np.searchsorted(edges, 50) - 1
    assert (shades[:, column - 1 : column + 2].max(axis=1) > np.median(shades, axis=1) + 4).all()


def peaks_of(count):
    from spikeinterface.core.node_pipeline import base_peak_dtype

    random = np.random.default_rng(3)
    peaks = np.zeros(count, dtype=base_peak_dtype)
    peaks["sample_index"] = np.sort(random.integers(0, int(60 * RATE), count))
    return peaks, random.uniform(0, 600, count), -random.lognormal(4, 0.4, count)


@pytest.mark.parametrize(
    ("count", "most", "drawn"), [(14626, 100_000, 14626), (14626, 5000, 4876), (14626, 100, 488), (1, 100, 1)]
)
def test_every_peak_is_drawn_until_there_are_too_many(count, most, drawn, monkeypatch):
    monkeypatch.setattr(figures, "MOST_POINTS", most)
    figure = figures.draw_drift_map(*peaks_of(count), RATE, PARAMS().drift)
    assert len(figure.axes[0].collections[0].get_offsets()) == drawn


def test_peaks_of_the_drift_map_are_visible_and_their_colours_span_the_amplitudes():
    peaks, depths, amplitudes = peaks_of(14626)
    figure = figures.draw_drift_map(peaks, depths, amplitudes, RATE, PARAMS().drift)
    drawn = pixels(figure, figure.axes[0]).mean(axis=-1) < 230
    assert drawn.mean() > 0.05
    points = figure.axes[0].collections[0]
    assert (points.norm.vmin, points.norm.vmax) == (pytest.approx(np.percentile(amplitudes, 1)), 0)
    settings = PARAMS.model_validate({"drift": {"vmin": -70, "vmax": -20}}).drift
    points = figures.draw_drift_map(peaks, depths, amplitudes, RATE, settings).axes[0].collections[0]
    assert (points.norm.vmin, points.norm.vmax) == (-70, -20)


@pytest.mark.parametrize(
    ("amplitudes", "limits"),
    [([-50.0, -50.0], (-50, 0)), ([30.0], (0, 30)), ([-10.0, 20.0], (-9.7, 19.7)), ([0.0], (-1, 1))],
)
def test_limits_of_amplitudes_are_apart(amplitudes, limits):
    assert figures.amplitude_limits(np.array(amplitudes)) == pytest.approx(limits)


@pytest.mark.parametrize(("moved_um", "spans_um"), [(0.5, (20, 20.1)), (60.0, (60, 70))])
def test_a_motion_below_the_contact_pitch_looks_small(moved_um, spans_um):
    from spikeinterface.core.motion import Motion

    peaks, depths, amplitudes = peaks_of(500)
    motion = Motion([np.array([[0.0], [moved_um], [0.0]])], [np.array([1.0, 2.0, 3.0])], np.array([100.0]))
    info = {"motion": motion, "peaks": peaks, "peak_locations": {"y": depths}}
    pitch_um = figures.contact_pitch_um(recording_of(np.zeros((10, 8)), pitch_um=20.0))
    figure = figures.draw_motion(info, amplitudes, RATE, PARAMS().motion, pitch_um)
    low, high = figure.axes[1].get_ylim()
    assert spans_um[0] <= high - low <= spans_um[1]
    assert len(figure.axes[0].collections[0].get_offsets()) == 500
