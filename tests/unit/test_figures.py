"""Figures show what is in the data: tests on their pixels, points and labels."""

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")
from spikeinterface.core.motion import Motion

from capsules.common.recordings.peaks import is_located
from capsules.visualization import channel_figures, drift_figures
from capsules.visualization import trace_figures as figures
from capsules.visualization.layout import make_figure, set_style
from capsules.visualization.params import PARAMS
from capsules.visualization.pictures import Gallery
from capsules.visualization.spectra import compute_density
from capsules.visualization.spike_statistics import SpikeStatistics
from tests.unit.test_report_data import analyzer_of

RATE = 30000.0
DURATION_S = 60.0


@pytest.fixture(autouse=True)
def styled():
    with mpl.rc_context():
        set_style("a test")
        yield


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


def peaks_of(count, slices_s=None):
    from capsules.visualization.recording_data import Peaks

    random = np.random.default_rng(3)
    seconds = np.sort(random.uniform(0, DURATION_S, count))
    return Peaks(seconds, random.uniform(0, 600, count), -random.lognormal(4, 0.4, count), slices_s)


def drift_map(peaks, **settings):
    return drift_figures.draw_drift_map(peaks, DURATION_S, PARAMS.model_validate({"drift": settings}).drift, "uV")


def test_peaks_whose_triangulation_failed_have_no_location():
    locations = np.zeros(3, [("x", "f4"), ("y", "f4"), ("z", "f4")])
    locations[[0, 2]] = [(16, 900, 20), (0, 0, 1)]
    assert is_located(locations).tolist() == [True, False, True]
    # The centre of mass has no distance from the probe, and does not fail.
    assert is_located(locations[["x", "y"]]).all()


@pytest.mark.parametrize(
    ("count", "most", "drawn"), [(14626, 100_000, 14626), (14626, 5000, 4876), (14626, 488, 488), (1, 100, 1)]
)
def test_every_peak_is_drawn_until_there_are_too_many(count, most, drawn, monkeypatch):
    monkeypatch.setattr(drift_figures, "MOST_POINTS", most)
    assert len(drift_map(peaks_of(count)).axes[0].collections[0].get_offsets()) == drawn


def test_more_peaks_than_n_skip_allows_are_drawn_as_density(monkeypatch):
    monkeypatch.setattr(drift_figures, "MOST_POINTS", 100)
    points, density = drift_map(peaks_of(500), n_skip=5).axes[0], drift_map(peaks_of(501), n_skip=5).axes[0]
    assert (len(points.collections), len(points.images)) == (1, 0)
    assert (len(density.collections), len(density.images)) == (0, 1)
    assert points.get_title(loc="left") == "500 peaks, 1 in 5 drawn"
    assert density.get_title(loc="left") == "density of 501 peaks"


def test_the_density_shows_where_peaks_are_and_how_large(monkeypatch):
    """Two stable units of 10 Hz between 100 and 500 um, the upper one larger, and one peak elsewhere."""
    from capsules.visualization.recording_data import Peaks

    monkeypatch.setattr(drift_figures, "MOST_POINTS", 10)
    seconds = np.tile(np.linspace(0.05, 59.95, 600), 2)
    depths, amplitudes = np.repeat([100.0, 500.0], 600), np.repeat([-50.0, -200.0], 600)
    peaks = Peaks(np.append(seconds, 30.0), np.append(depths, 300.0), np.append(amplitudes, -50.0))
    (image,) = drift_map(peaks, n_skip=1, alpha=0.5).axes[0].images
    red, _, _, opacity = np.moveaxis(np.asarray(image.get_array()), -1, 0)
    assert list(image.get_extent()) == [0, 60, 100, 500]
    assert (opacity[0] > 0.75).all() and (opacity[-1] > 0.75).all()
    assert (opacity > 0).sum() == opacity[0].size * 2 + 1
    assert red[-1].max() < red[0].min()
    (faint,) = drift_map(peaks, n_skip=1, alpha=0.1).axes[0].images
    assert np.asarray(faint.get_array())[0, :, 3].max() < 0.3


def test_a_column_of_the_density_is_a_slice_that_was_read():
    figure = drift_map(peaks_of(1000, slices_s=np.linspace(0, 55, 12)))
    assert figure.axes[0].images[0].get_array().shape[1] == 12
    assert figure.axes[0].get_title(loc="left") == "density of 1,000 peaks in 12 slices"


def test_peaks_of_the_drift_map_are_visible_and_their_colours_span_the_amplitudes():
    peaks = peaks_of(14626)
    figure = drift_map(peaks)
    drawn = pixels(figure, figure.axes[0]).mean(axis=-1) < 230
    assert drawn.mean() > 0.05
    points = figure.axes[0].collections[0]
    assert (points.norm.vmin, points.norm.vmax) == (pytest.approx(np.percentile(peaks.amplitudes, 1)), 0)
    points = drift_map(peaks, vmin=-70, vmax=-20).axes[0].collections[0]
    assert (points.norm.vmin, points.norm.vmax) == (-70, -20)


def test_motion_is_drawn_where_a_unit_would_be_and_units_at_the_side():
    depths = np.array([100.0, 400.0])
    displacement = np.array([[0.0, 0.0], [5.0, 10.0], [10.0, 20.0]])
    motion = Motion([displacement], [np.array([1.0, 30.0, 59.0])], depths)
    units = drift_figures.UnitDepths(np.array([50.0, 90.0, 300.0]), np.array([80.0, 90.0, 60.0]), np.arange(3) == 1)
    figure = drift_figures.draw_drift_map(peaks_of(500), DURATION_S, PARAMS().drift, "uV", motion, units)
    lines = [line.get_ydata() for line in figure.axes[0].lines if len(line.get_ydata())]
    assert np.array_equal(lines, (depths + displacement).T)
    bad, good = figure.axes[1].collections
    assert np.array_equal(bad.get_offsets(), [[90, 90]])
    assert np.array_equal(good.get_offsets(), [[80, 50], [60, 300]])
    assert figure.axes[1].get_ylim() == figure.axes[0].get_ylim()


@pytest.mark.parametrize(
    ("amplitudes", "limits"),
    [([-50.0, -50.0], (-50, 0)), ([30.0], (0, 30)), ([-10.0, 20.0], (-9.7, 19.7)), ([0.0], (-1, 1))],
)
def test_limits_of_amplitudes_are_apart(amplitudes, limits):
    assert drift_figures.amplitude_limits(np.array(amplitudes)) == pytest.approx(limits)


@pytest.mark.parametrize(("moved_um", "spans_um"), [(0.5, (20, 20.1)), (60.0, (60, 80))])
def test_a_motion_below_the_contact_pitch_looks_small(moved_um, spans_um):
    motion = Motion([np.array([[0.0], [moved_um], [0.0]])], [np.array([1.0, 2.0, 3.0])], np.array([100.0]))
    pitch_um = drift_figures.contact_pitch_um(recording_of(np.zeros((10, 8)), pitch_um=20.0))
    figure = drift_figures.draw_motion(
        peaks_of(500), DURATION_S, motion, PARAMS().motion, "uV", error_um=2.0, pitch_um=pitch_um
    )
    below = figure.axes[1]
    low, high = below.get_ylim()
    assert spans_um[0] <= high - low <= spans_um[1]
    assert len(figure.axes[0].collections[0].get_offsets()) == 500
    band = below.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (pytest.approx(-2), pytest.approx(moved_um + 2))


def test_axes_fill_the_figure_without_overlap():
    figure, axes = make_figure((12, 8), (1, 2), (1, 1, 3), gaps_in=(1.5, 0.5), left_in=1, right_in=0.5)
    boxes = np.array([[axis.get_position().extents for axis in row] for row in axes]) * [12, 8, 12, 8]
    assert boxes[0, 0, 0] == pytest.approx(1) and boxes[0, 1, 2] == pytest.approx(11.5)
    assert boxes[:, 1, 0] - boxes[:, 0, 2] == pytest.approx(1.5)
    assert boxes[:-1, :, 1] - boxes[1:, :, 3] == pytest.approx(0.5)
    assert figure.get_size_inches() == pytest.approx((12, 8))


@pytest.mark.parametrize("form", ["png", "svg"])
def test_a_figure_that_the_report_does_not_show_is_only_a_file(form, tmp_path):
    gallery = Gallery(tmp_path, form)
    for name, shown in (("shown", True), ("hidden", False)):
        gallery.add(make_figure((3, 2))[0], name, "a caption", in_report=shown)
    assert {file.name for file in tmp_path.iterdir()} == {f"shown.{form}", f"hidden.{form}"} == set(gallery.files)
    (picture,) = gallery.pictures
    assert (picture["file"], picture["caption"]) == (f"shown.{form}", "a caption")
    assert (picture["width"], picture["height"]) == (300, 200)


def test_periods_are_on_the_timeline_of_the_firing_rates():
    from capsules.visualization.recording_data import Period
    from capsules.visualization.unit_figures import draw_firing

    statistics = SpikeStatistics(analyzer_of([np.arange(0, 600_000, 300), np.arange(300_000, 600_000, 3000)], 20.0))
    periods = [Period("saturation", 2, 3), Period("artifact", 5, 5.5), Period("gap", 10, 10, 4)]
    figure = draw_firing(statistics, np.array([200.0, 10.0]), periods)
    strip, total, by_depth, by_unit = figure.axes[:4]
    spans = [path.get_extents().intervalx for bars in strip.collections for path in bars.get_paths()]
    assert np.array(spans) == pytest.approx(np.array([[2, 3], [5, 5.5], [10, 10]]))
    assert strip.get_xlim() == total.get_xlim() == by_depth.get_xlim() == by_unit.get_xlim() == (0, 20)
    (line,) = total.lines
    assert line.get_ydata()[[0, -1]] == pytest.approx([100, 110])
    rates = np.asarray(by_unit.images[0].get_array())
    assert rates[1] == pytest.approx(100) and rates[0][[0, -1]] == pytest.approx([0, 10])
    assert np.asarray(by_depth.images[0].get_array())[[0, -1], -1] == pytest.approx([10, 100])


def test_a_unit_without_a_depth_is_in_no_bin_of_depth():
    from capsules.visualization.unit_figures import draw_firing

    statistics = SpikeStatistics(analyzer_of([np.arange(0, 120_000, 300), np.arange(0, 120_000, 3000)], 4.0))
    figure = draw_firing(statistics, np.array([np.nan, 10.0]), [])
    assert np.asarray(figure.axes[2].images[0].get_array()) == pytest.approx(np.full((1, 4), 10))
    assert len(draw_firing(statistics, np.full(2, np.nan), []).axes) == 3 + 1


def test_summaries_mark_the_refractory_period():
    from capsules.visualization.unit_figures import draw_summaries

    analyzer = analyzer_of([np.arange(0, 600_000, 300)], 20.0)
    (figure,) = draw_summaries(analyzer, SpikeStatistics(analyzer), ["good"])
    bars, refractory = figure.axes[0].collections[:2]
    (left, _), *_ = refractory.get_paths()[0].vertices
    outline = bars.get_paths()[0].vertices
    scale = np.ptp(outline[:, 0]) / 40
    lag_0 = outline[:, 0].min() + 20 * scale
    assert lag_0 - left == pytest.approx(scale)
    high = outline[outline[:, 1] > 0.5, 0]
    assert np.unique(np.round((high - lag_0) / scale, 3)).tolist() == [-10.5, -10, 10, 10.5]


@pytest.mark.parametrize("length", [300, 301])
def test_the_density_is_that_of_welch_with_one_window(length):
    from scipy.signal import welch

    rows = np.random.default_rng(0).normal(5, 3, (4, length)).astype("float32")
    frequencies, density = compute_density(rows, 1000.0)
    expected_frequencies, expected = welch(rows, 1000.0, nperseg=length, axis=1)
    np.testing.assert_allclose(frequencies, expected_frequencies)
    np.testing.assert_allclose(density, expected, rtol=1e-4, atol=1e-9)
