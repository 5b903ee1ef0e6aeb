"""The demo's session: its stimuli, the responses of its units, its clocks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from capsules.commands import demo
from capsules.common.sync.lines import read_line
from capsules.demo.recordings import ProbeSpec, cached_spikeglx, generate_responding, ground_truth, truth_folders
from capsules.demo.stimuli import Response, Stimuli, StreamClock
from capsules.job_dispatch.loaders import LINE_SOURCES
from capsules.job_dispatch.params import JobDispatchParams

SHORT = ProbeSpec("imec1", channels=4, units=3, duration_s=12.0, seed=8, start_s=0.0031, drift_ppm=200.0)
STIMULI = Stimuli(first_s=1.0, responses=(Response(0, 0.02, 0.2, 0.0), Response(1, 0.02, 0.12, 4.0)))


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    return cached_spikeglx(tmp_path_factory.mktemp("demo") / "session", [SHORT], STIMULI)


def count_after(onsets_s, train_s, start_s, stop_s):
    return sum(int(((train_s >= onset + start_s) & (train_s < onset + stop_s)).sum()) for onset in onsets_s)


@pytest.mark.parametrize("spec", demo.PROBES, ids=lambda spec: spec.name)
def test_the_units_of_the_demo_respond_as_specified(spec):
    without = ground_truth(replace(spec, channels=4))[1]
    responding = generate_responding(spec, demo.STIMULI)
    before = [without.get_unit_spike_train(unit) for unit in without.unit_ids]
    after = [responding.get_unit_spike_train(unit) for unit in responding.unit_ids]
    ranks = np.argsort([-len(train) for train in before], kind="stable")
    onsets_s = demo.STIMULI.onsets_s(spec.duration_s)
    for response in demo.STIMULI.responses:
        old_s, new_s = (spec.clock.seconds(trains[ranks[response.rank]]) for trains in (before, after))
        window = response.start_s, response.stop_s
        more = count_after(onsets_s, new_s, *window) - count_after(onsets_s, old_s, *window)
        assert len(new_s) - len(old_s) == more != 0
        if response.spikes:
            assert 0.6 < more / len(onsets_s) / response.spikes < 1.05
        else:
            assert count_after(onsets_s, new_s, *window) == 0
    changed = {response.rank for response in demo.STIMULI.responses}
    for rank in set(range(spec.units)) - changed:
        np.testing.assert_array_equal(after[ranks[rank]], before[ranks[rank]])
    # The refractory period of 3 ms.
    assert all(np.diff(train).min() >= 90 for train in after)


def test_stimuli_are_irregular_and_leave_both_ends_free():
    onsets_s = demo.STIMULI.onsets_s(125.0)
    assert len(onsets_s) > 70
    assert onsets_s[0] == 5.0 and onsets_s[-1] < 123.2
    assert 1.2 <= np.diff(onsets_s).min() < 1.25 and 1.75 < np.diff(onsets_s).max() <= 1.8


def test_the_files_have_the_pulses_on_the_clocks_of_their_streams(session):
    sources = LINE_SOURCES["spikeglx"](session, session, JobDispatchParams(input="spikeglx"))
    lines = {source.stream: source for source in sources}
    stimuli = read_line(lines["nidq"], session, "XD1")
    np.testing.assert_allclose(stimuli.seconds[stimuli.levels == 1], STIMULI.onsets_s(12.0), rtol=0, atol=4e-5)
    np.testing.assert_allclose(np.diff(stimuli.seconds)[::2], 0.1, rtol=0, atol=5e-5)
    pulses_s = 0.37 + np.arange(12)
    for stream, line, clock in (("nidq", "XD0", StreamClock(25000.0)), ("imec1.ap", "SY6", SHORT.clock)):
        sync = read_line(lines[stream], session, line)
        samples = sync.samples[sync.levels == 1]
        np.testing.assert_allclose(clock.seconds(samples), pulses_s[: len(samples)], rtol=0, atol=4.1e-5)
        assert len(samples) == 12


def test_the_true_units_are_on_the_clock_of_their_probe(session):
    import spikeinterface as si

    truth = si.load(truth_folders(session, [SHORT])["imec1"])
    (suppressed,) = (
        unit
        for unit in truth.unit_ids
        if count_after(STIMULI.onsets_s(12.0), SHORT.clock.seconds(truth.get_unit_spike_train(unit)), 0.02, 0.2) == 0
    )
    # 50 ms later, the silence is not that after a stimulus.
    other = StreamClock(30000.0, SHORT.start_s + 0.05).seconds(truth.get_unit_spike_train(suppressed))
    assert count_after(STIMULI.onsets_s(12.0), other, 0.02, 0.2) > 0


def test_a_session_is_made_anew_for_other_stimuli(session, tmp_path):
    made = session.parent / "session.made.json"
    before = made.stat().st_mtime_ns
    making = []
    cached_spikeglx(session, [SHORT], STIMULI, lambda: making.append(True))
    assert making == []
    assert made.stat().st_mtime_ns == before
    folder = cached_spikeglx(tmp_path / "session", [replace(SHORT, duration_s=1.0)])
    assert not list(folder.rglob("*.nidq.*"))
    cached_spikeglx(folder, [replace(SHORT, duration_s=1.0)], STIMULI, lambda: making.append(True))
    assert making == [True]
    assert len(list(folder.rglob("*.nidq.*"))) == 2
