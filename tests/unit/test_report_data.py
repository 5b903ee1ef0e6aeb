"""What visualization computes for the report: from spike trains, LFP and the facts of preprocessing."""

from __future__ import annotations

import base64

import numpy as np
import pandas as pd
import pytest

from capsules.common.facts import MotionRange, PreprocessingFacts
from capsules.common.units.metric_names import metric_columns
from capsules.visualization import lfp, peaks
from capsules.visualization.metric_info import describe_metrics
from capsules.visualization.params import DriftDetection, DriftLocalization
from capsules.visualization.recording_data import (
    Peaks,
    Period,
    image_drift,
    join_close_periods,
    list_periods,
    motion_error_um,
)
from capsules.visualization.spike_statistics import AUTO_BINS, CROSS_BINS, SpikeStatistics
from capsules.visualization.unit_data import collect_unit_data

RATE = 30000.0


def analyzer_of(trains, duration_s, extensions=()):
    """An analyzer of noise with these spike trains (samples)."""
    import spikeinterface as si

    noise = np.random.default_rng(0).normal(0, 5, (int(duration_s * RATE), 4)).astype("float32")
    recording = si.NumpyRecording([noise], RATE)
    recording.set_channel_gains(1.0)
    recording.set_channel_offsets(0.0)
    recording.set_dummy_probe_from_locations(np.array([[0.0, 20.0 * channel] for channel in range(4)]))
    sorting = si.NumpySorting.from_unit_dict([dict(enumerate(trains))], RATE)
    analyzer = si.create_sorting_analyzer(sorting, recording, sparse=False, format="memory")
    analyzer.compute({name: {} for name in extensions})
    return analyzer


def random_trains(counts, duration_s, seed=0):
    random = np.random.default_rng(seed)
    return [np.sort(random.choice(int(duration_s * RATE), count, replace=False)) for count in counts]


def unpack(text, kind, shape):
    return np.frombuffer(base64.b64decode(text), dtype=f"<{kind}").reshape(shape)


def test_correlograms_count_every_lag_once():
    trains = random_trains([400, 300, 0], 4.0)
    statistics = SpikeStatistics(analyzer_of(trains, 4.0))
    own, cross = statistics.autocorrelograms, statistics.cross_correlograms(np.array([[0, 1], [1, 2]]))
    assert (own.width_ms, own.start_ms, own.counts.shape) == (0.5, -50.0, (3, 2 * AUTO_BINS))
    assert (cross.width_ms, cross.start_ms, cross.counts.shape) == (0.5, -25.0, (2, 2 * CROSS_BINS))
    for unit in range(3):
        lags = (trains[unit][None] - trains[unit][:, None])[~np.eye(len(trains[unit]), dtype=bool)]
        right = np.histogram(lags[lags >= 0], bins=np.arange(AUTO_BINS + 1) * 15 - 0.5)[0]
        assert np.array_equal(own.counts[unit], np.append(right[::-1], right))
    lags = trains[1][None] - trains[0][:, None]
    edges = np.arange(-CROSS_BINS, CROSS_BINS + 1) * 15 - 0.5
    assert np.array_equal(cross.counts[0], np.histogram(lags, bins=edges)[0])
    assert cross.counts[1].sum() == 0


def test_amplitude_density_holds_every_spike_and_no_outlier_hides_the_others():
    statistics = SpikeStatistics(analyzer_of(random_trains([900, 5, 0], 4.0), 4.0))
    statistics.amplitudes = [np.random.default_rng(1).normal(-80, 5, 900), np.full(5, -30.0), np.zeros(0)]
    statistics.amplitudes[0][7] = -5000
    density = statistics.amplitude_density
    assert density.counts.sum(axis=(1, 2)).tolist() == [900, 5, 0]
    assert -130 < density.lowest[0] < density.highest[0] < -60
    assert density.counts[0].sum(axis=1).argmax() in range(4, 20)
    assert (density.lowest < density.highest).all()


def test_rates_and_depths_over_time():
    statistics = SpikeStatistics(analyzer_of([np.arange(0, 120_000, 3000), np.arange(60_000, 120_000, 300)], 4.0))
    statistics.depths_um = [np.linspace(0, 39, 40), np.full(200, 7.0)]
    times = statistics.bins(120)
    assert (times.count, times.width_s) == (4, 1.0)
    assert statistics.rates(times).tolist() == [[10, 10, 10, 10], [0, 0, 100, 100]]
    depths = statistics.mean_depths_um(times)
    assert depths[0] == pytest.approx([4.5, 14.5, 24.5, 34.5])
    assert np.isnan(depths[1, :2]).all() and depths[1, 2:] == pytest.approx(7)


def test_a_spike_whose_triangulation_failed_does_not_move_the_depth():
    analyzer = analyzer_of([np.arange(3000, 120_000, 3000)], 4.0, ("random_spikes", "templates"))
    analyzer.compute({"spike_locations": {"method": "monopolar_triangulation"}})
    before = SpikeStatistics(analyzer).depths_um[0]
    analyzer.get_extension("spike_locations").data["spike_locations"][5] = 0
    after = SpikeStatistics(analyzer).depths_um[0]
    assert np.isnan(after[5]) and np.array_equal(np.delete(after, 5), np.delete(before, 5))


def test_violations_of_two_units_as_one():
    """Of ten spikes each, three of the second come 0.5 ms after one of the first; alone, none violates."""
    first = np.arange(10) * 3000
    second = np.append(first[:3] + 15, first[3:] + 1500)
    statistics = SpikeStatistics(analyzer_of([first, second], 4.0))
    assert statistics.violation_share([0]) == statistics.violation_share([1]) == 0
    assert statistics.violation_share([0, 1]) == pytest.approx(3 / 20)


def test_the_data_of_the_units_is_complete_and_small():
    names = ("random_spikes", "templates", "spike_amplitudes", "noise_levels", "unit_locations", "spike_locations")
    analyzer = analyzer_of(random_trains([500, 400, 3], 8.0), 8.0, (*names, "template_similarity"))
    candidate = {"units": ["2", "0"], "correlation": 0.95, "distance_um": 20.0, "refractory_ratio": 0.1}
    metrics = pd.DataFrame({"snr": [1.0, 2.0, np.nan]})
    contacts = [str(channel) for channel in analyzer.channel_ids]
    statistics = SpikeStatistics(analyzer)
    data = collect_unit_data(analyzer, statistics, {}, metrics, contacts, [candidate])
    assert data["ids"] == ["0", "1", "2"] and data["integer_ids"]
    assert data["metrics"]["snr"] == [1, 2, None] and data["metric_info"]["snr"]["meaning"]
    (merge,) = data["merges"]
    assert merge["units"] == [2, 0] and merge["dip"] == pytest.approx(0.9)
    assert data["pairs"]["index"] == [[0, 1], [0, 2], [1, 2]]
    counts = unpack(data["pairs"]["counts"], "u2", (3, data["pairs"]["bins"]))
    assert np.array_equal(counts[0], statistics.cross_correlograms(np.array([[0, 1]])).counts[0])
    density = data["amplitudes"]["density"]
    shades = unpack(density["values"], "u1", (3, *density["shape"]))
    assert shades.max(axis=(1, 2)).tolist() == [255, 255, 255]
    assert data["amplitudes"]["counts"] == [200, 200, 3]
    waves = unpack(data["waveforms"]["values"], "i2", (3, *data["waveforms"]["shape"]))
    assert (data["waveforms"]["start_ms"], data["waveforms"]["end_ms"]) == (-1.0, 2.0)
    assert waves.shape[1:] == (2, 90, 4)
    rates = unpack(data["rates"]["hz"], "f4", (3, data["rates"]["bins"]))
    assert rates.sum(axis=1) * data["rates"]["width_s"] == pytest.approx([500, 400, 3])


def test_every_metric_is_described():
    columns = [column for metrics in metric_columns().values() for names in metrics.values() for column in names]
    described = describe_metrics(columns, in_uv=True)
    assert all(info["meaning"] for info in described.values())
    in_seconds = {name for name, info in described.items() if info["unit"] == "s"}
    assert {name for name in columns if "duration" in name or "width" in name} == in_seconds
    assert {described[name]["unit"] for name in columns if name.startswith("drift_")} == {"um"}
    assert describe_metrics(["amplitude_median"], in_uv=False)["amplitude_median"] == {
        "meaning": "Median of the amplitude distributions for each unit in counts",
        "unit": "counts",
    }


def lfp_recording(power_db, rate_hz=2500.0, duration_s=20.0, white=0.0):
    """A recording with 1/f noise of these powers on contacts 20 um apart."""
    import spikeinterface as si

    random, count = np.random.default_rng(0), int(duration_s * rate_hz)
    frequencies = np.fft.rfftfreq(count, 1 / rate_hz)
    spectrum = np.fft.rfft(random.normal(size=(count, len(power_db))), axis=0) / np.maximum(frequencies, 0.5)[:, None]
    traces = np.fft.irfft(spectrum, count, axis=0) * 100 * 10 ** (np.asarray(power_db) / 20)
    traces += white * random.normal(size=traces.shape)
    recording = si.NumpyRecording([traces.astype("float32")], rate_hz)
    recording.set_channel_gains(1.0)
    recording.set_channel_offsets(0.0)
    recording.set_dummy_probe_from_locations(np.array([[0.0, 20.0 * channel] for channel in range(len(power_db))]))
    return recording


ALL = np.ones(40, dtype=bool)


@pytest.mark.parametrize("stream", ["LF stream", "wide band"])
def test_the_surface_is_where_power_drops(stream):
    recording = lfp_recording(np.where(np.arange(40) < 28, 20.0, 0.0), duration_s=24.0)
    power = lfp.measure_lfp([recording], stream, ALL, outside=3)
    assert power.surface_um == 550
    assert "20 dB lower above 550 um" in power.surface_reason and "3 channels as outside" in power.surface_reason
    assert power.source == f"{stream}, 12 snippets of 2 s"
    for values in power.bands_db.values():
        assert np.median(values[:28]) - np.median(values[28:]) == pytest.approx(20, abs=2)


@pytest.mark.parametrize(
    ("power_db", "reason"),
    [(np.zeros(40), "may all be in the brain"), (np.linspace(30, 0, 40), "gradually"), (np.arange(40) / 2, "brain")],
)
def test_no_surface_is_made_up(power_db, reason):
    power = lfp.measure_lfp([lfp_recording(power_db)], "LF stream", ALL)
    assert power.surface_um is None and reason in power.surface_reason


def test_channels_that_are_not_good_do_not_count():
    good = np.arange(40) != 20
    power = lfp.measure_lfp([lfp_recording(np.where(good, 0.0, 90.0))], "LF stream", good)
    assert len(power.depths_um) == 39 and 400 not in power.depths_um


def test_there_is_no_lfp_in_a_silent_stream_or_in_a_band_without_low_frequencies():
    silent = lfp_recording(np.full(40, -400.0))
    assert lfp.measure_lfp([silent], "LF stream", ALL) == "the LF stream is silent"
    white = lfp_recording(np.full(40, -100.0), white=10.0)
    assert "no more power" in lfp.measure_lfp([white], "wide band", ALL)
    assert "shorter" in lfp.measure_lfp([lfp_recording(np.zeros(40), duration_s=1.0)], "LF stream", ALL)


def test_periods_come_from_the_facts_of_preprocessing():
    clock = {
        "num_samples": 90_000, "sampling_frequency_hz": 30000.0, "samples": [0, 30_000, 60_000],
        "starts_s": [100.0, 104.0, 105.0], "rates_hz": [30000.0] * 3,
    }  # fmt: skip
    facts = PreprocessingFacts.model_validate(
        {
            "saturation": {"limits_counts": (-512, 511), "channels": {}, "excluded_s": [(2.0, 2.5)]},
            "artifacts": {"detected_s": [(0.5, 0.6)], "listed_s": [(1.5, 1.6)]},
            "clock": clock,
        }
    )
    periods = [(period.kind, period.start_s, period.end_s, period.missing_s) for period in list_periods(facts)]
    artifacts = [("artifact", 0.5, 0.6, 0), ("artifact", 1.5, 1.6, 0)]
    assert periods == sorted([*artifacts, ("gap", 1.0, 1.0, 3.0), ("saturation", 2.0, 2.5, 0)], key=lambda one: one[1])
    assert list_periods(PreprocessingFacts()) == []


def test_thousands_of_periods_are_joined_where_a_timeline_shows_them_as_one():
    few = [Period("gap", 10.0, 10.0, 2.0), Period("gap", 10.1, 10.1, 3.0)]
    many = [Period("artifact", start, start + 0.001) for start in np.arange(0, 40, 0.02)] + [Period("artifact", 90, 91)]
    joined = join_close_periods([*few, *many], 100.0)
    artifacts = [period for period in joined if period.kind == "artifact"]
    assert [period for period in joined if period.kind == "gap"] == few
    assert sum(period.count for period in artifacts) == len(many)
    assert [(period.start_s, period.end_s) for period in artifacts] == [(0, pytest.approx(39.981)), (90, 91)]


def test_the_error_of_a_displacement_comes_from_the_interval_of_the_range():
    """Preprocessing's interval is the range with 1.96 standard errors of a difference of two displacements."""
    error_um = 3.0
    margin_um = 1.96 * np.sqrt(2) * error_um
    motion = MotionRange(preset="dredge", range_um=50.0, range_interval_um=(50 - margin_um, 50 + margin_um))
    assert motion_error_um(motion) == pytest.approx(1.96 * error_um)
    assert motion_error_um(motion.model_copy(update={"range_interval_um": None})) is None


def test_the_drift_image_sums_amplitudes_where_peaks_are():
    found = Peaks(np.array([0.5, 0.6, 9.5]), np.array([1.0, 2.0, 99.0]), np.array([-10.0, -30.0, -7.0]))
    image = image_drift(found, 10.0, np.arange(0, 101, 20.0))
    assert image.values.shape == (20, 10) and (image.width_s, image.height_um, image.lowest_um) == (1, 5, 0)
    assert image.values[0, 0] == 40 and image.values[-1, -1] == 7 and image.values.sum() == 47


def test_peaks_of_a_long_recording_are_from_slices_of_it(monkeypatch):
    from capsules.common.recordings.peaks import detect_peaks
    from tests.data import ProbeSpec, ground_truth

    recording = ground_truth(ProbeSpec("imec0", channels=16, units=4, duration_s=8.0, seed=3))[0]
    assert peaks.choose_slices(recording) is None
    monkeypatch.setattr(peaks, "VALUES", 4 * 15_000 * 16)
    starts = peaks.choose_slices(recording)
    assert starts.tolist() == [22_500, 82_500, 142_500, 202_500]
    localization = {"method": "center_of_mass", **DriftLocalization().model_dump()}
    noise = np.full(16, 8.0)
    detection = {"method": "locally_exclusive", **DriftDetection().model_dump(), "radius_um": 100.0}
    monkeypatch.setattr("capsules.common.recordings.peaks.estimate_noise_levels", lambda recording: noise)
    found, locations, samples = peaks._detect_in_slices(recording, starts, detection, localization)
    whole, _ = detect_peaks(recording, detection, localization)
    inside = [(whole["sample_index"] >= start + 60) & (whole["sample_index"] < start + 14_940) for start in starts]
    expected = whole[np.any(inside, axis=0)]
    assert len(expected) > 20 and len(found) == len(locations)
    assert set(zip(samples, found["channel_index"], strict=True)) == set(
        zip(expected["sample_index"], expected["channel_index"], strict=True)
    )
