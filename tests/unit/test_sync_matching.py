"""Pulses of two streams are matched and their clocks aligned, whatever is wrong with the pulses."""

import numpy as np
import pytest

from capsules.common.sync.pulses import Pulses, find_pulses
from capsules.common.sync.synchronise import align_streams

PROBE, NIDQ = (30000.173, 30000.0), (29999.871, 30000.0)
"""True and nominal rate (Hz)."""
THREE_HOURS_S = 10_800.0
ACCURACY_S = 1e-4


class Instrument:
    """A stream: its true rate, the rate in its header, when it starts on the true clock and by its own clock."""

    def __init__(self, rates_hz=PROBE, start_s=0.0, end_s=130.0, zero_s=0.0, drift=None, name="imec0.ap"):
        (self.rate_hz, self.nominal_hz), self.name, self.drift = rates_hz, name, drift or (lambda t: 0.0)
        self.start_s, self.end_s, self.zero_s = start_s, end_s, zero_s
        self.lost = []

    def lose(self, at_s, length_s, counted=False):
        """Lose samples; `counted`: the clock knows."""
        self.lost.append((at_s, length_s, counted))

    def sample(self, true_s):
        """The count at a time, as a real number."""
        return (true_s + self.drift(true_s)) * self.rate_hz

    def own_s(self, true_s):
        """The time by the stream's own clock, without quantisation."""
        true_s = np.asarray(true_s, dtype=float)
        missed = sum(length_s * (true_s > at_s) for at_s, length_s, counted in self.lost if not counted)
        return self.sample(true_s - missed) / self.nominal_hz + self.zero_s

    def recorded(self, true_s):
        """The pulses that are within the recording and in no gap."""
        inside = (true_s >= self.start_s) & (true_s < self.end_s)
        for at_s, length_s, _ in self.lost:
            inside &= (true_s < at_s) | (true_s > at_s + length_s)
        return true_s[inside]

    def pulses(self, true_s, missing=0.0, doubled=0.0, known=True, seed=0):
        """The pulses as this instrument has them: quantised to its samples."""
        random = np.random.default_rng(seed)
        true_s = self.recorded(np.asarray(true_s, dtype=float))
        true_s = true_s[random.random(len(true_s)) >= missing]
        again = true_s[random.random(len(true_s)) < doubled]
        true_s = np.sort(np.concatenate([true_s, again + random.uniform(2e-3, 0.05, len(again))]))
        own_s = np.ceil((self.own_s(true_s) - self.zero_s) * self.nominal_hz) / self.nominal_hz + self.zero_s
        return Pulses(
            stream=self.name,
            times_s=own_s - 0.5 / self.nominal_hz,
            resolution_s=1 / self.nominal_hz,
            start_s=float(self.own_s(self.start_s)),
            end_s=float(self.own_s(self.end_s)),
            gaps_s=[
                (float(self.own_s(at_s)), float(self.own_s(at_s + long_s))) for at_s, long_s, ok in self.lost if ok
            ],
            start_is_known=known,
        )


def regular(end_s=130.0, period_s=1.0, phase_s=0.37):
    return np.arange(phase_s, end_s, period_s)


def coded(end_s=130.0, seed=7):
    return np.cumsum(np.random.default_rng(seed).uniform(0.4, 1.6, int(end_s)))


PULSES = pytest.mark.parametrize("make", [regular, coded])


def both(true_s, own, reference, known=True, **damage):
    return align_streams(
        own.pulses(true_s, known=known, seed=1, **damage), reference.pulses(true_s, known=known, seed=2, **damage)
    )


def worst_s(alignment, own, reference, exclude=(), start_s=None, end_s=None):
    """The largest error of the map over the recording."""
    assert alignment.status == "aligned", alignment.problems
    times = np.linspace(start_s or own.start_s, end_s or own.end_s, 20_001)
    for low_s, high_s in exclude:
        times = times[(times < low_s) | (times > high_s)]
    return float(np.abs(alignment.map(own.own_s(times)) - reference.own_s(times)).max())


def nidq(**fields):
    return Instrument(NIDQ, name="nidq", **fields)


@PULSES
def test_two_clocks(make):
    own, reference = Instrument(), nidq()
    alignment = both(make(), own, reference)
    assert worst_s(alignment, own, reference) < 2e-5
    assert alignment.drift_ppm == pytest.approx(1e6 * (NIDQ[0] / PROBE[0] - 1), abs=0.3)
    assert alignment.matched == alignment.pulses == alignment.reference_pulses
    assert alignment.problems == []
    assert alignment.residual_max_us < 70
    assert (alignment.period_s is None) == (make is coded)


@PULSES
@pytest.mark.parametrize("zero_s", [-0.4, -0.2, 0.39])
def test_missing_and_doubled_pulses_and_a_wrong_start(make, zero_s):
    own, reference = Instrument(zero_s=zero_s), nidq()
    alignment = both(make(), own, reference, missing=0.03, doubled=0.03)
    assert worst_s(alignment, own, reference) < 3e-5
    assert alignment.offset_s == pytest.approx(-zero_s, abs=1e-3)
    assert any("no partner" in problem for problem in alignment.problems)


@PULSES
def test_a_late_start_and_an_early_end(make):
    own, reference = Instrument(start_s=41.3, end_s=99.0), nidq()
    alignment = both(make(), own, reference, missing=0.03, doubled=0.03)
    assert worst_s(alignment, own, reference) < 3e-5
    swapped = both(make(), reference, own, missing=0.03)
    assert worst_s(swapped, reference, own, start_s=41.3, end_s=99.0) < 3e-5


@PULSES
@pytest.mark.parametrize("lossy", ["own", "reference"])
def test_a_gap_that_the_clock_knows(make, lossy):
    own, reference = Instrument(), nidq()
    (own if lossy == "own" else reference).lose(60.2, 1.2, counted=True)
    alignment = both(make(), own, reference, missing=0.03, doubled=0.03)
    assert worst_s(alignment, own, reference) < 3e-5


def test_lost_samples_that_no_clock_knows_are_found_by_coded_pulses():
    own, reference = Instrument(), nidq()
    own.lose(60.2, 1.2)
    alignment = both(coded(), own, reference, missing=0.03)
    assert worst_s(alignment, own, reference, exclude=[(57, 65)]) < 5e-5
    assert any("samples were lost" in problem for problem in alignment.problems)


def test_lost_samples_that_no_clock_knows_make_regular_pulses_ambiguous():
    own, reference = Instrument(), nidq()
    own.lose(60.2, 1.2)
    alignment = both(regular(), own, reference, missing=0.03)
    assert alignment.status == "ambiguous"
    assert "lost" in alignment.problems[0]
    assert "periods" in alignment.problems[0]


def test_a_lost_packet_is_a_step():
    """0.4 ms: 12 samples."""
    own, reference = Instrument(), nidq()
    own.lose(60.6, 4e-4)
    alignment = both(regular(), own, reference)
    assert worst_s(alignment, own, reference, exclude=[(60.3, 61.4)]) < 4e-5
    (problem,) = [problem for problem in alignment.problems if "step" in problem]
    assert 0.35 < float(problem.split("by ")[1].split(" ms")[0]) < 0.45


@PULSES
def test_three_hours_within_a_tenth_of_a_millisecond(make):
    own = Instrument(end_s=THREE_HOURS_S, drift=lambda t: 1e-6 * 3000 * np.sin(2 * np.pi * t / THREE_HOURS_S))
    reference = nidq(end_s=THREE_HOURS_S, drift=lambda t: -1e-6 * 900 * np.cos(t / 900))
    reference.lose(4000.5, 1.2, counted=True)
    alignment = both(make(THREE_HOURS_S), own, reference, missing=0.03, doubled=0.03)
    assert worst_s(alignment, own, reference) < 2e-5 < ACCURACY_S
    assert len(alignment.residuals) == 500
    assert max(abs(residual_us) for _, residual_us in alignment.residuals) == pytest.approx(
        alignment.residual_max_us, abs=0.01
    )


def test_three_hours_of_regular_pulses_with_a_pause_of_twenty_minutes():
    own, reference = Instrument(end_s=THREE_HOURS_S), nidq(end_s=THREE_HOURS_S)
    times = regular(THREE_HOURS_S)
    times = times[(times < 3000) | (times > 4200)]
    assert worst_s(both(times, own, reference, missing=0.03), own, reference) < 2e-5


def test_a_reference_of_another_rate():
    own, reference = Instrument(), Instrument((10_593.22, 10_593.2), name="nidq")
    assert worst_s(both(regular(), own, reference), own, reference) < ACCURACY_S / 2


@pytest.mark.parametrize("period_s", [0.02, 0.1, 10.0])
def test_other_periods(period_s):
    own, reference = Instrument(end_s=600.0, zero_s=0.3 * period_s), nidq(end_s=600.0)
    alignment = both(regular(600.0, period_s), own, reference, missing=0.03)
    assert worst_s(alignment, own, reference) < 5e-5
    assert alignment.period_s == pytest.approx(period_s, rel=1e-4)


def test_regular_pulses_without_a_shared_zero_are_ambiguous():
    own, reference = Instrument(zero_s=-3.0), nidq()
    alignment = both(regular(), own, reference, known=False, missing=0.03)
    assert alignment.status == "ambiguous"
    assert not alignment.own_s
    assert "offsets_s" in alignment.problems[0]


def test_the_user_resolves_an_ambiguity():
    own, reference = Instrument(zero_s=-3.0), nidq()
    trains = [stream.pulses(regular(), known=False) for stream in (own, reference)]
    assert worst_s(align_streams(*trains, expected_s=2.7), own, reference) < 2e-5
    wrong = align_streams(*trains, expected_s=4.0)
    assert wrong.offset_s == pytest.approx(4.0, abs=0.01)


def test_a_difference_of_half_a_period_is_ambiguous():
    own, reference = Instrument(zero_s=0.47), nidq()
    alignment = both(regular(), own, reference)
    assert alignment.status == "ambiguous"
    assert "half a period" in alignment.problems[0]


def test_pulses_missing_in_the_source_resolve_an_ambiguity():
    """Both streams miss the same ones."""
    own, reference = Instrument(zero_s=-37.0, end_s=600.0), nidq(end_s=600.0)
    times = regular(600.0)
    times = times[np.random.default_rng(3).random(len(times)) > 0.1]
    assert worst_s(both(times, own, reference, known=False), own, reference) < 2e-5


def test_missing_pulses_that_contradict_the_clocks_are_ambiguous():
    own, reference = Instrument(zero_s=2.0, end_s=600.0), nidq(end_s=600.0)
    times = regular(600.0)
    times = times[np.random.default_rng(3).random(len(times)) > 0.1]
    alignment = both(times, own, reference)
    assert alignment.status == "ambiguous"
    assert "shifted by -2 periods of" in alignment.problems[0]


def test_coded_pulses_need_no_shared_zero():
    own, reference = Instrument(zero_s=5000.0), nidq(zero_s=-200.0)
    alignment = both(coded(), own, reference, known=False, missing=0.03, doubled=0.03)
    assert worst_s(alignment, own, reference) < 3e-5


def test_coded_pulses_on_a_grid():
    """Intervals of 1, 2, 3 or 4 times 0.25 s."""
    own, reference = Instrument(zero_s=5000.0), nidq()
    times = np.cumsum(np.random.default_rng(5).integers(1, 5, 200)) * 0.25
    assert worst_s(both(times, own, reference, known=False, missing=0.03), own, reference) < 3e-5


@pytest.mark.parametrize("noisy", ["own", "reference"])
def test_noise_is_no_sync_signal(noisy):
    own, reference = Instrument().pulses(regular()), nidq().pulses(regular())
    noise = own if noisy == "own" else reference
    noise.times_s = np.sort(np.random.default_rng(0).uniform(0, 130, 40_000))
    alignment = align_streams(own, reference)
    assert alignment.status == "failed"
    assert "noise" in alignment.problems[0]


@pytest.mark.parametrize("empty", ["own", "reference"])
def test_a_line_without_pulses(empty):
    own, reference = Instrument().pulses(regular()), nidq().pulses(regular())
    (own if empty == "own" else reference).times_s = np.zeros(0)
    assert align_streams(own, reference).status == "no pulses"


@pytest.mark.parametrize("times", [[50.0], [50.0, 51.0], [50.0, 51.0, 52.0]])
def test_too_few_pulses_are_not_matched(times):
    alignment = both(np.asarray(times), Instrument(), nidq())
    assert alignment.status == "failed"
    assert alignment.problems


@pytest.mark.parametrize(("first", "second"), [(coded, lambda: coded(seed=8)), (regular, coded)])
def test_pulses_of_two_sources_are_not_matched(first, second):
    alignment = align_streams(Instrument().pulses(first()), nidq().pulses(second()))
    assert alignment.status == "failed"


def test_pulses_that_overlap_nowhere():
    own, reference = Instrument(start_s=200.0, end_s=300.0), nidq()
    assert both(regular(300.0), own, reference).status == "failed"


def test_ten_seconds():
    own, reference = Instrument(end_s=10.0), nidq(end_s=10.0)
    assert worst_s(both(regular(10.0), own, reference), own, reference) < 5e-5


def test_pulses_that_end_early_are_reported():
    own, reference = Instrument(end_s=600.0), nidq(end_s=600.0)
    alignment = both(regular(300.0), own, reference)
    assert worst_s(alignment, own, reference) < 5e-5
    assert any("the last 301 s" in problem for problem in alignment.problems)


@pytest.mark.parametrize("bounce", [False, True])
def test_edges_to_pulses(bounce):
    """Two pulses of 0.5 s; bouncing: each edge three times within 0.4 ms."""
    edges = [(1.0, 1), (1.5, 0), (2.0, 1), (2.5, 0)]
    if bounce:
        edges = [
            (at_s + delay_s, level if count != 1 else 1 - level)
            for at_s, level in edges
            for count, delay_s in enumerate((0, 2e-4, 4e-4))
        ]
    seconds, levels = zip(*edges, strict=True)
    times_s, bounces = find_pulses(seconds, levels, 2e-5)
    assert times_s.tolist() == pytest.approx([1.0 - 1e-5, 2.0 - 1e-5])
    assert bounces == (4 if bounce else 0)


def test_a_short_pulse_is_a_pulse():
    times_s, bounces = find_pulses([1.0, 1.0003, 2.0, 2.0003], [1, 0, 1, 0], 0.0)
    assert times_s.tolist() == [1.0, 2.0]
    assert bounces == 0


def test_a_doubled_edge_is_one_pulse():
    times_s, bounces = find_pulses([1.0, 1.0, 1.5, 2.0], [1, 1, 0, 1], 0.0)
    assert times_s.tolist() == [1.0, 2.0]
    assert bounces == 1


def test_pulses_of_a_slower_line_are_no_frames_of_a_camera():
    """Both regular: each pulse has a frame near it."""
    own, reference = Instrument(), nidq()
    camera = reference.pulses(regular(period_s=1 / 30, phase_s=0.011))
    alignment = align_streams(own.pulses(regular()), camera)
    assert alignment.status in ("ambiguous", "failed")


def test_pulses_that_software_has_timed():
    own, reference = Instrument(end_s=1200.0), nidq(end_s=1200.0)
    pulses = own.pulses(coded(1200.0))
    pulses.times_s += np.random.default_rng(0).normal(0, 2e-4, len(pulses.times_s))
    alignment = align_streams(pulses, reference.pulses(coded(1200.0)))
    assert worst_s(alignment, own, reference) < 1.5e-4
    assert any("jitter" in problem for problem in alignment.problems)
    assert not any("step" in problem for problem in alignment.problems)


@pytest.mark.parametrize("at_s", [4.7, 9.7, 15.2, 20.2])
def test_lost_samples_in_a_short_recording(at_s):
    """All pulses are in one window."""
    own, reference = Instrument(end_s=25.0), nidq(end_s=25.0)
    own.lose(at_s, 1.2)
    assert both(regular(25.0), own, reference).status == "ambiguous"
    alignment = both(coded(25.0), own, reference)
    assert alignment.status == "failed" or worst_s(alignment, own, reference, [(at_s - 2, at_s + 4)]) < 1e-4


def test_pulses_that_the_reference_lacks_for_a_while_are_no_jump():
    own, reference = Instrument(), nidq()
    train = reference.pulses(regular())
    train.times_s = train.times_s[(train.times_s < 40) | (train.times_s > 61)]
    alignment = align_streams(own.pulses(regular()), train)
    assert worst_s(alignment, own, reference) < 3e-5
