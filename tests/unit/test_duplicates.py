import numpy as np
import pytest

from capsules.postprocessing.duplicates import (
    Pair,
    Rating,
    choose_removed,
    compute_shared_spikes,
    correlate_templates,
    count_spike_pairs,
    find_similar_pairs,
    rate_units,
)

RATE_HZ = 30000


def test_correlation_of_equal_scaled_opposite_and_flat_templates():
    shape = np.sin(np.linspace(0, 6, 40)).reshape(20, 2)
    templates = np.stack([shape, 3 * shape, -shape, np.zeros_like(shape)])
    correlation = correlate_templates(templates)
    np.testing.assert_allclose(correlation[0], [1, 1, -1, 0], atol=1e-9)


def train(seed, spikes=600, seconds=60):
    return np.sort(np.random.default_rng(seed).choice(seconds * RATE_HZ, spikes, replace=False))


def test_similar_units_that_share_no_spikes_are_no_duplicates():
    correlation = np.array([[1, 0.99], [0.99, 1]])
    (pair,) = find_similar_pairs(correlation, [train(0), train(1)], 0.9, RATE_HZ)
    assert pair.shared_spikes < 0.05
    assert choose_removed([pair], [Rating(1, 1, 1), Rating(1, 1, 1)], 0.3) == []


def test_what_chance_shares_does_not_count():
    """Of two neurons at 400 Hz a third of the spikes coincide within 0.4 ms, by chance."""
    correlation = np.array([[1, 0.95], [0.95, 1]])
    (pair,) = find_similar_pairs(correlation, [train(0, 24_000), train(1, 24_001)], 0.9, RATE_HZ)
    assert pair.shared_spikes > 0.25
    assert pair.excess == pytest.approx(0, abs=0.02)


def test_half_of_the_smaller_units_spikes_in_common_make_a_duplicate():
    large = train(0, 1000)
    small = np.sort(np.concatenate([large[:100] + 3, train(5, 100)]))
    (pair,) = find_similar_pairs(np.array([[1, 0.95], [0.95, 1]]), [large, small], 0.9, RATE_HZ)
    assert (pair.smaller, pair.larger) == (1, 0)
    assert pair.excess == pytest.approx(0.5, abs=0.03)
    assert choose_removed([pair], [Rating(9, 1, 1), Rating(1, 1, 1)], 0.3) == [(1, 0, pair)]
    assert choose_removed([pair], [Rating(9, 1, 1), Rating(1, 1, 1)], 0.6) == []


def test_units_are_compared_only_above_the_threshold():
    same = train(0)
    assert find_similar_pairs(np.array([[1, 0.89], [0.89, 1]]), [same, same], 0.9, RATE_HZ) == []


def test_a_unit_without_spikes_is_in_no_pair():
    assert find_similar_pairs(np.ones((2, 2)), [train(0), np.array([], dtype=int)], 0.9, RATE_HZ) == []


def test_the_cleaner_unit_is_kept_though_it_has_fewer_spikes():
    """1000 spikes with 60 violations of the refractory period against 700 without: the second is the neuron."""
    ratings = rate_units(np.array([60, 0]), np.array([1000, 700]), np.array([100, 100]), 60.0, 0.001)
    assert ratings[0].quality == 0 < ratings[1].quality
    pair = Pair(1, 0, 0.95, 0.9, 0.0)
    assert choose_removed([pair], ratings, 0.3) == [(0, 1, pair)]


@pytest.mark.parametrize(
    ("amplitudes", "spikes", "kept"),
    [([600, 260], [60, 100], 0), ([100, 105], [30, 20], 0), ([100, 105], [20, 30], 1)],
    ids=["larger amplitude", "more spikes", "more spikes too"],
)
def test_units_of_few_spikes_are_compared_by_amplitude_then_spikes(amplitudes, spikes, kept):
    """The upper bound of their contamination is 1 for all.

    The first: a clean unit, and a mixed one that has half of its spikes and others of smaller amplitude.
    """
    ratings = rate_units(np.zeros(2), np.array(spikes), np.array(amplitudes), 60.0, 0.001)
    assert [rating.quality for rating in ratings] == [0, 0]
    pair = Pair(1, 0, 0.95, 0.9, 0.0)
    assert choose_removed([pair], ratings, 0.3) == [(1 - kept, kept, pair)]


def test_similarity_is_not_transitive_and_the_strongest_pair_decides_first():
    """0 shares 90 % with 1, which shares 40 % with 2: when 1 is gone, 2 stays."""
    pairs = [Pair(2, 1, 0.99, 0.4, 0.0), Pair(1, 0, 0.95, 0.9, 0.0)]
    assert choose_removed(pairs, [Rating(9, 1, 1), Rating(5, 1, 1), Rating(1, 1, 1)], 0.3) == [(1, 0, pairs[1])]


def test_pairs_of_spikes_are_counted_on_both_sides():
    a, b = np.array([100, 1000]), np.array([90, 103, 1020])
    assert count_spike_pairs(a, b, 0, 10) == 2
    assert count_spike_pairs(a, b, 5, 20) == 2


def test_a_shifted_template_is_found_within_the_lag():
    shape = np.zeros((60, 3))
    shape[20:35] = -np.hanning(15)[:, None] * [1.0, 0.5, 0.2]
    templates = np.stack([shape, np.roll(shape, 5, axis=0)])
    assert correlate_templates(templates)[0, 1] < 0.9
    assert correlate_templates(templates, max_lag=5)[0, 1] > 0.98


def test_shared_spikes():
    of, among = np.array([100, 200, 300, 400]), np.array([95, 212, 301, 999])
    assert compute_shared_spikes(of, among, 12) == 0.75
    assert compute_shared_spikes(of, among, 4) == 0.25
    assert compute_shared_spikes(of, np.array([100]), 0) == 0.25
