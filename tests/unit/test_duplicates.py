import numpy as np

from capsules.postprocessing.duplicates import duplicated_units, shared_spikes, template_correlation


def test_correlation_of_equal_scaled_opposite_and_flat_templates():
    shape = np.sin(np.linspace(0, 6, 40)).reshape(20, 2)
    templates = np.stack([shape, 3 * shape, -shape, np.zeros_like(shape)])
    correlation = template_correlation(templates)
    np.testing.assert_allclose(correlation[0], [1, 1, -1, 0], atol=1e-9)


def test_the_unit_with_fewer_spikes_goes():
    correlation = np.array([[1, 0.95, 0.1], [0.95, 1, 0.2], [0.1, 0.2, 1]])
    assert duplicated_units(correlation, np.array([10, 500, 30]), 0.9) == [(0, 1)]
    assert duplicated_units(correlation, np.array([10, 500, 30]), 0.96) == []


def test_a_removed_unit_removes_no_other():
    """0 is like 1 and 1 is like 2, but 0 and 2 differ: 1, between them, goes with 0 as its twin; 2 stays."""
    correlation = np.array([[1, 0.95, 0.5], [0.95, 1, 0.95], [0.5, 0.95, 1]])
    assert duplicated_units(correlation, np.array([300, 200, 100]), 0.9) == [(1, 0)]


def test_a_shifted_template_is_found_within_the_lag():
    shape = np.zeros((60, 3))
    shape[20:35] = -np.hanning(15)[:, None] * [1.0, 0.5, 0.2]
    templates = np.stack([shape, np.roll(shape, 5, axis=0)])
    assert template_correlation(templates)[0, 1] < 0.9
    assert template_correlation(templates, max_lag=5)[0, 1] > 0.98


def test_shared_spikes():
    of, among = np.array([100, 200, 300, 400]), np.array([95, 212, 301, 999])
    assert shared_spikes(of, among, 12) == 0.75
    assert shared_spikes(of, among, 4) == 0.25
    assert shared_spikes(of, np.array([100]), 0) == 0.25
