"""The scoreboard's scores, on trains made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tests.truth import scores
from tests.truth.rows import SESSIONS, hybrid_tool, session_file
from tests.truth.scores import Share

RATE_HZ = 30000.0


def train(count, seed, duration_s=60.0, refractory_ms=3.0):
    """Random spikes that keep a refractory period."""
    spikes = np.sort(np.random.default_rng(seed).integers(0, int(duration_s * RATE_HZ), count))
    return spikes[np.diff(spikes, prepend=-(10**6)) > refractory_ms * RATE_HZ / 1000]


def sorting(**trains):
    from spikeinterface.core import NumpySorting

    return NumpySorting.from_unit_dict([{name: np.asarray(spikes) for name, spikes in trains.items()}], RATE_HZ)


def test_wilson_has_the_published_values():
    """Newcombe (1998), Statistics in Medicine 17, table I."""
    assert scores.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert scores.wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert scores.wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=1e-4)


def test_shares_add_up_and_say_so():
    assert str(Share(1, 2) + Share(2, 2)) == "3/4 (0.30 to 0.95)"
    assert str(Share(0, 0)) == "0/0"


def test_coincident_spikes_are_within_the_distance():
    found = scores.coincident(np.array([0, 100, 213, 400]), np.array([100, 200]), 12)
    assert found.tolist() == [False, True, False, False]
    assert not scores.coincident(np.array([5]), np.array([], dtype=int), 12).any()


def test_two_neurons_stay_two():
    a, b = train(3000, 1, 600.0), train(3000, 2, 600.0)
    assert scores.neurons([a, b], RATE_HZ).tolist() == [0, 1]


def test_units_that_share_spikes_are_one_neuron():
    a, other = train(3000, 1, 600.0), train(3000, 2, 600.0)
    twin = np.sort(np.concatenate([a[::4] + 5, other[: len(a) // 2]]))
    assert scores.neurons([a, twin], RATE_HZ).tolist() == [0, 0]
    few = np.sort(np.concatenate([a[::10] + 5, other]))
    assert scores.neurons([a, few], RATE_HZ).tolist() == [0, 1]


def test_fast_units_share_spikes_by_chance():
    slow, fast = train(3000, 1, 600.0), train(240000, 2, 600.0, refractory_ms=0.0)
    assert scores.coincident(slow, fast, 12).mean() > 0.2
    assert scores.neurons([slow, fast], RATE_HZ).tolist() == [0, 1]


def test_the_halves_of_one_neuron_have_a_dip_and_distant_ones_do_not_count():
    whole = train(20000, 1, 600.0)
    half = np.random.default_rng(0).random(len(whole)) < 0.5
    halves = [whole[half], whole[~half]]
    assert scores.neurons(halves, RATE_HZ).tolist() == [0, 0]
    assert scores.neurons(halves, RATE_HZ, np.full((2, 2), 500.0)).tolist() == [0, 1]


def test_few_spikes_show_no_dip():
    whole = train(200, 1, 600.0)
    assert not scores.has_refractory_dip(whole[::2], whole[1::2], RATE_HZ)


def test_purity_counts_one_neuron_and_completeness_is_apart():
    a, b = train(600, 1), train(600, 2)
    found = sorting(half=a[::2] + 3, mixed=np.sort(np.concatenate([a[1::2], b])))
    units = scores.unit_table(sorting(a=a, b=b), found, np.array([0, 1]))
    assert units.purity["half"] == 1.0
    assert units.completeness["half"] == pytest.approx(0.5, abs=0.05)
    assert units.best_true_unit["mixed"] == "b"
    assert units.purity["mixed"] == pytest.approx(2 / 3, abs=0.05)
    as_one = scores.unit_table(sorting(a=a, b=b), found, np.array([0, 0]))
    assert as_one.purity["mixed"] == 1.0


def test_recall_and_precision_of_good():
    a, b, c = train(600, 1), train(600, 2), train(600, 3)
    mixed = np.sort(np.concatenate([b, c[: len(c) // 3]]))
    true, found = sorting(a=a, b=b, c=c), sorting(first=a, second=b, few=c[:20], dirty=mixed)
    units = scores.unit_table(true, found, np.arange(3))
    units["good"] = [True, False, True, True]
    units["suspicious"] = False
    assert scores.well_found(units) == {"a", "b"}
    assert scores.recall_of_good({"a", "b", "c"}, {"a", "b"}, units) == Share(1, 2)
    assert scores.precision_of_good(units) == Share(1, 2)
    units.loc["dirty", "suspicious"] = True
    assert scores.precision_of_good(units) == Share(1, 1)


def test_split_mixed_and_false_units_are_counted():
    a, b, c = train(600, 1), train(600, 2), train(600, 3)
    split = {"large": a[: len(a) * 2 // 3], "small": a[len(a) * 2 // 3 :]}
    errors = scores.errors_of_sorting(sorting(a=a, b=b), sorting(**split, noise=c, b=b))
    assert errors == {"oversplit": 1, "overmerged": 0, "false": 1}
    mixed = np.sort(np.concatenate([a, b]))
    assert scores.errors_of_sorting(sorting(a=a, b=b), sorting(mixed=mixed))["overmerged"] == 1


def test_an_undefined_clause_is_left_out():
    import pandas as pd

    nan = float("nan")
    metrics = pd.DataFrame({"snr": [9.0, 9.0, 1.0, nan], "amplitude_cutoff": [0.01, nan, nan, 0.5]})
    assert scores.passes("snr > 5 and amplitude_cutoff < 0.1", metrics).tolist() == [True, True, False, False]
    assert scores.passes("snr > 5", metrics).tolist() == [True, True, False, True]


def test_drift_errors_have_no_offset():
    true = np.linspace(0, 30, 50)
    assert scores.drift_error_um(np.stack([true + 7, true - 2], axis=1), true) == pytest.approx(0)
    assert scores.drift_error_um(np.zeros((50, 1)), true) == pytest.approx(np.std(true))


def test_times_in_a_file_are_compared_spike_by_spike():
    true = np.arange(1, 100) * 3000
    frames = true + 2
    assert np.abs(scores.time_errors(frames / RATE_HZ, frames, true, RATE_HZ)).max() == pytest.approx(2)
    late = scores.time_errors(frames / RATE_HZ + 1.2, frames, true, RATE_HZ)
    assert len(late) == len(true)
    assert late.min() > 35000


def test_the_known_pairs_of_a_session_are_one_neuron():
    """Of the similar pairs of both sessions, two share 42 and 44 % of their spikes."""
    if not hybrid_tool().exists():
        pytest.skip(f"no {hybrid_tool()}: no real units")
    import h5py

    shares = []
    for session in SESSIONS:
        with h5py.File(session_file(session), "r") as file:
            seconds = [file[reference][()].ravel() for reference in file["raw_spike_time_s"][0]]
        trains = [np.sort(np.round(train * RATE_HZ).astype(np.int64)) for train in seconds]
        shares += [
            scores.coincident(*sorted((a, b), key=len), 12).mean()
            for i, a in enumerate(trains)
            for b in trains[i + 1 :]
            if len(a) and len(b)
        ]
    assert sum(0.4 < share < 0.46 for share in shares) >= 2
