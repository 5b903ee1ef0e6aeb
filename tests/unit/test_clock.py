"""The map from samples to seconds: fitted to timestamps, cut, joined, and asked both ways."""

import numpy as np
import pytest

from capsules.common.recordings import clock as clocks
from capsules.common.recordings.clock import TOLERANCE_S, concatenate_clocks, count_clock, fit_clock, overlap
from capsules.common.recordings.times import register_clock, set_clock

RATE = 30000.0


def fitted(times):
    return fit_clock(lambda first, end: times[first:end], len(times), RATE)


def jumping(jumps, count=90000, start_s=5.0):
    """Timestamps of `count` samples; sample -> how much later it and all after it are."""
    times = start_s + np.arange(count) / RATE
    for sample, seconds in jumps.items():
        times[sample:] += seconds
    return times


@pytest.mark.parametrize("chunk", [1_000_000, 30000, 29999])
def test_two_gaps_and_one_at_a_chunks_edge(chunk, monkeypatch):
    monkeypatch.setattr(clocks, "CHUNK", chunk)
    times = jumping({30000: 1.2, 75000: 0.01})
    clock, tolerance_s = fitted(times)
    assert tolerance_s == TOLERANCE_S
    assert clock.samples == [0, 30000, 75000]
    assert clock.rates_hz == [RATE] * 3
    np.testing.assert_allclose(clock.gaps(), [[30000, 6.0, 1.2], [75000, 8.7, 0.01]])
    np.testing.assert_allclose(clock.intervals(), [[5.0, 6.0], [7.2, 8.7], [8.71, 9.21]])
    np.testing.assert_allclose(clock.seconds(np.arange(90000)), times, rtol=0, atol=TOLERANCE_S)
    np.testing.assert_array_equal(clock.samples_at(times), np.arange(90000))


def test_times_within_a_gap_and_beyond_the_ends_are_the_nearest_sample():
    clock, _ = fitted(jumping({30000: 1.2}, 60000))
    assert clock.samples_at([0.0, 6.1, 7.1, 99.0]).tolist() == [0, 29999, 30000, 59999]


def test_ordinary_timestamps_are_counted_at_the_nominal_rate():
    clock, _ = fitted(jumping({}))
    assert clock == count_clock(90000, RATE, 5.0)
    assert clock.regular
    assert clock.gaps() == clock.steps_back() == []


def test_a_clock_that_runs_fast_has_its_own_rate():
    times = 5 + np.arange(3_000_000) / (RATE * (1 + 20e-6))
    clock, _ = fitted(times)
    assert clock.samples == [0]
    assert clock.rates_hz == [pytest.approx(RATE * (1 + 20e-6), rel=1e-8)]
    assert not clock.regular
    np.testing.assert_allclose(clock.seconds(np.arange(len(times))), times, rtol=0, atol=TOLERANCE_S)


def test_a_clock_whose_rate_changes_is_followed():
    times = 5 + np.arange(90000) / RATE
    times += 1e-3 * (times - 5) ** 2
    clock, _ = fitted(times)
    assert 1 < len(clock.samples) < 100
    np.testing.assert_allclose(clock.seconds(np.arange(90000)), times, rtol=0, atol=TOLERANCE_S)
    assert clock.gaps() == clock.steps_back() == []


def test_timestamps_that_jitter_are_followed_less_closely():
    times = jumping({30000: 1.2}) + np.random.default_rng(1).normal(0, 1e-4, 90000)
    clock, tolerance_s = fitted(times)
    assert tolerance_s > 1e-4
    assert len(clock.samples) <= clocks.MAX_PIECES
    np.testing.assert_allclose(clock.seconds(np.arange(90000)), times, rtol=0, atol=tolerance_s)
    assert [length for *_, length in clock.gaps() if length > 0.1] == [pytest.approx(1.2, abs=2 * tolerance_s)]


def test_a_step_back_and_a_timestamp_that_is_none():
    clock, _ = fitted(jumping({30000: -0.25}))
    assert clock.steps_back() == [(30000, pytest.approx(6.0), pytest.approx(-0.25))]
    with pytest.raises(ValueError, match="do not increase"):
        fitted(np.full(3000, -1.0))
    times = jumping({})
    times[7] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        fitted(times)


@pytest.mark.parametrize(("first", "count"), [(0, 90000), (0, 30000), (29999, 2), (30000, 45000), (75000, 15000)])
def test_a_part_has_the_same_times(first, count):
    times = jumping({30000: 1.2, 75000: 0.01})
    part = fitted(times)[0].part(first, count)
    assert part.num_samples == count
    np.testing.assert_allclose(part.seconds(np.arange(count)), times[first : first + count], rtol=0, atol=TOLERANCE_S)


def test_concatenated_and_overlapping():
    one, other = count_clock(100, RATE, 1.0), count_clock(50, RATE, 9.0)
    joined = concatenate_clocks([one, other])
    assert (joined.num_samples, joined.samples, joined.starts_s) == (150, [0, 100], [1.0, 9.0])
    assert not overlap([one, other])
    assert overlap([other, one])


def test_spikeinterface_takes_the_times():
    from spikeinterface.core import NumpyRecording, NumpySorting

    times = jumping({30000: 1.2}, 60000)
    clock, _ = fitted(times)
    recording = set_clock(NumpyRecording([np.zeros((60000, 2), "int16")], RATE), clock)
    np.testing.assert_allclose(recording.get_times(), times)
    assert recording.get_end_time() == pytest.approx(times[-1])
    assert recording.time_to_sample_index(times[45000] + 1e-6) == 45000
    spikes = np.array([10, 29999, 30000, 59999])
    sorting = NumpySorting.from_unit_dict([{"a": spikes}], RATE)
    register_clock(sorting, clock)
    np.testing.assert_allclose(sorting.get_unit_spike_train("a", return_times=True), times[spikes])
