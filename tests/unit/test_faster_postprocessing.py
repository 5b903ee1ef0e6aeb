"""The faster extensions and metrics of postprocessing give what SpikeInterface's own give."""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
import spikeinterface as si
from scipy.optimize import nnls
from sklearn.decomposition import IncrementalPCA
from spikeinterface import NumpySorting
from spikeinterface.core import analyzer_extension_core
from spikeinterface.metrics.quality import pca_metrics
from spikeinterface.metrics.quality.quality_metrics import ComputeQualityMetrics
from spikeinterface.postprocessing import correlograms
from spikeinterface.postprocessing.amplitude_scalings import AmplitudeScalingNode
from spikeinterface.postprocessing.principal_component import ComputePrincipalComponents
from spikeinterface.sortingcomponents import peak_localization
from spikeinterface.sortingcomponents.peak_localization.method_list import peak_localization_methods

from capsules.common.patches.faster_extensions import speed_up_postprocessing
from capsules.common.patches.faster_metrics import METRICS, speed_up_isolation_metrics
from capsules.common.units import isolation
from capsules.common.units.channel_pca import fit_batch, project
from capsules.common.units.isolation import Neighbourhood
from capsules.common.units.scalings import _fit_positive
from tests.demo import ROOT

EXTENSIONS = {
    "waveforms": {},
    "templates": {},
    "amplitude_scalings": {},
    "spike_locations": {"method": "grid_convolution", "seed": 0},
    "principal_components": {"n_components": 5, "mode": "by_channel_local", "whiten": True},
    "correlograms": {"window_ms": 50.0, "bin_ms": 1.0},
    "auto_correlograms": {"window_ms": 50.0, "bin_ms": 1.0},
    "quality_metrics": {
        "metric_names": [metric.metric_name for metric in METRICS],
        "metric_params": {"nearest_neighbor": {"max_spikes": 700, "n_neighbors": 4}},
        "seed": 0,
    },
}
WORK = {"n_jobs": 2, "pool_engine": "thread", "chunk_duration": "1s", "progress_bar": False}


def make_analyzer():
    """Overlapping units, with spikes at the recording's ends, a unit of three spikes and one without."""
    recording, sorting = si.generate_ground_truth_recording(
        durations=[12.0], num_channels=24, num_units=10, seed=1, generate_sorting_kwargs={"firing_rates": 20.0}
    )
    trains = {f"u{unit}": sorting.get_unit_spike_train(unit) for unit in sorting.unit_ids}
    trains["u0"] = np.unique(np.concatenate([[2, 40], trains["u0"], [299990]]))
    trains |= {"few": np.array([5000, 90000, 200000]), "none": np.zeros(0, int)}
    sorting = NumpySorting.from_unit_dict([trains], recording.sampling_frequency)
    analyzer = si.create_sorting_analyzer(
        sorting, recording, sparse=True, sparsity_kwargs={"method": "radius", "radius_um": 60}, seed=0
    )
    analyzer.compute("random_spikes", seed=0, max_spikes_per_unit=150)
    return analyzer


IN_A_NEW_PROCESS = """
import pickle, sys
from pathlib import Path
from tests.unit.test_faster_postprocessing import compute, make_analyzer
Path(sys.argv[1]).write_bytes(pickle.dumps(compute(make_analyzer())))
"""
"""In this one another test may have replaced SpikeInterface's functions already."""


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The data of all extensions, by SpikeInterface's functions and by ours."""
    file = tmp_path_factory.mktemp("theirs") / "data.pickle"
    subprocess.run([sys.executable, "-W", "ignore", "-c", IN_A_NEW_PROCESS, str(file)], cwd=ROOT, check=True)
    theirs = pickle.loads(file.read_bytes())
    analyzer = make_analyzer()
    with warnings.catch_warnings(), np.errstate(all="ignore"), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        for owner, name in [
            (analyzer_extension_core, "extract_waveforms_to_single_buffer"),
            (peak_localization, "get_localization_pipeline_nodes"),
            (AmplitudeScalingNode, "compute"),
            (ComputePrincipalComponents, "_fit_by_channel_local"),
            (ComputePrincipalComponents, "_transform_waveforms"),
            (correlograms, "_compute_correlograms_one_segment_numba"),
            (correlograms, "_compute_auto_correlograms_one_segment_numba"),
            (ComputeQualityMetrics, "_prepare_data"),
            *((metric, "metric_function") for metric in METRICS),
        ]:
            patch.setattr(owner, name, getattr(owner, name))
        patch.setitem(peak_localization_methods, "grid_convolution", peak_localization_methods["grid_convolution"])
        speed_up_postprocessing()
        speed_up_isolation_metrics()
        ours = compute(analyzer)
    return theirs, ours


def compute(analyzer):
    # SpikeInterface's components in one process: it starts new ones for every unit.
    return {
        name: analyzer.compute(
            name, save=False, **settings, **(WORK | {"n_jobs": 1 if "principal" in name else 2})
        ).data
        for name, settings in EXTENSIONS.items()
    }


def test_the_waveforms_are_the_same_and_their_memory_ends_with_them(both):
    theirs, ours = (data["waveforms"]["waveforms"] for data in both)
    np.testing.assert_array_equal(ours, theirs)
    assert ours.base is not None
    assert ours.flags.writeable


def test_the_scales_of_templates(both):
    theirs, ours = (data["amplitude_scalings"] for data in both)
    assert ours["collision_mask"].any()
    assert not ours["collision_mask"].all()
    np.testing.assert_array_equal(ours["collision_mask"], theirs["collision_mask"])
    np.testing.assert_allclose(ours["amplitude_scalings"], theirs["amplitude_scalings"], rtol=1e-5, atol=1e-6)
    assert ours["amplitude_scalings"].dtype == theirs["amplitude_scalings"].dtype


def test_the_locations_of_spikes(both):
    theirs, ours = (data["spike_locations"]["spike_locations"] for data in both)
    assert ours.dtype == theirs.dtype
    for axis in "xyz":
        # A template at the limit of those that count may be in or out.
        assert np.mean(np.abs(ours[axis] - theirs[axis]) > 0.01) < 0.01


def test_the_principal_components(both):
    theirs, ours = (data["principal_components"] for data in both)
    assert ours.keys() == theirs.keys()
    np.testing.assert_allclose(ours["pca_projection"], theirs["pca_projection"], atol=2e-3)
    models = [name for name in ours if name.startswith("pca_model")]
    for name in models:
        assert vars(ours[name]).keys() == vars(theirs[name]).keys()
    assert any(hasattr(ours[name], "components_") for name in models)


@pytest.mark.parametrize("name", ["correlograms", "auto_correlograms"])
def test_the_correlograms(both, name):
    theirs, ours = (data[name] for data in both)
    for part in ours:
        np.testing.assert_array_equal(ours[part], theirs[part])


def test_the_isolation_metrics(both):
    theirs, ours = (data["quality_metrics"]["metrics"] for data in both)
    assert list(ours.columns) == list(theirs.columns)
    assert ours["d_prime"].notna().sum() >= 10
    # Those of the unit of three spikes are due to rounding.
    assert theirs.loc["few", "isolation_distance"] > 1e12
    for column in ours:
        ours.loc["few", column], theirs.loc["few", column] = 0, 0
        np.testing.assert_allclose(ours[column].astype(float), theirs[column].astype(float), rtol=2e-4, err_msg=column)


def test_an_incremental_fit_of_components():
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(12, 12))
    # The second batch has fewer rows than columns; the third's last component is due to rounding.
    batches = [rng.normal(size=(rows, 12)) @ mixing + 3 for rows in (40, 6, 90)]
    theirs, ours = (IncrementalPCA(n_components=4, whiten=True) for _ in range(2))
    for batch in batches:
        theirs.partial_fit(batch)
        fit_batch(ours, batch.copy())
        assert vars(ours).keys() == vars(theirs).keys()
        for name in (name for name in vars(theirs) if name.endswith("_")):
            value = getattr(theirs, name)
            np.testing.assert_allclose(getattr(ours, name), value, rtol=1e-8, atol=1e-10, err_msg=name)
    np.testing.assert_allclose(project(ours, batches[0]), theirs.transform(batches[0]), rtol=1e-8, atol=1e-10)


def test_a_fit_of_as_many_waveforms_as_components_is_scikit_learns():
    rows = np.random.default_rng(0).normal(size=(4, 12))
    theirs, ours = (IncrementalPCA(n_components=4) for _ in range(2))
    theirs.partial_fit(rows)
    fit_batch(ours, rows)
    np.testing.assert_array_equal(ours.components_, theirs.components_)


def test_least_squares_without_negative_coefficients():
    rng = np.random.default_rng(0)
    for size in (1, 2, 3, 6, 10):
        for _ in range(50):
            design = rng.normal(size=(40, size)) + rng.uniform(0, 2)
            target = design @ rng.normal(size=size) + rng.normal(size=40)
            np.testing.assert_allclose(
                _fit_positive(design.T @ design, design.T @ target), nnls(design, target)[0], rtol=1e-6, atol=1e-8
            )


def test_least_squares_of_equal_variables():
    one = np.random.default_rng(0).normal(size=40)
    design = np.column_stack([one, one, np.zeros(40)])
    fitted = _fit_positive(design.T @ design, design.T @ (2 * one))
    np.testing.assert_allclose(fitted.sum(), 2)


def spikes_near(own, others, seed=0, features=6):
    """A neighbourhood, and the same spikes in the order of time with their units, the measured one 0."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(len(others) + 1), [own, *others]))
    spikes = rng.normal(size=(len(labels), features)).astype("float32") + rng.normal(size=(len(others) + 1, features))[
        labels
    ].astype("float32")
    parts = [spikes[labels == label].astype(float) for label in range(len(others) + 1)]
    in_groups = np.concatenate([np.flatnonzero(labels == label) for label in range(1, len(others) + 1)] or [[]])
    order = np.argsort(np.argsort(in_groups))
    return Neighbourhood(parts[0], parts[1:], order), spikes, labels


@pytest.mark.parametrize(("own", "others"), [(80, [60, 120]), (700, [300, 20, 500]), (5, [200]), (2, [50, 50])])
@pytest.mark.parametrize("most", [10000, 150])
def test_nearest_neighbours(own, others, most):
    near, spikes, labels = spikes_near(own, others)
    ours = isolation.compute_nearest_neighbor(near, most, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_allclose(ours, pca_metrics.nearest_neighbors_metrics(spikes, labels, 0, most, 4))


@pytest.mark.parametrize(("own", "others"), [(80, [60, 120]), (5, [200]), (7, [50, 50])])
def test_other_isolation_metrics(own, others):
    near, spikes, labels = spikes_near(own, others)
    np.testing.assert_allclose(
        isolation.compute_mahalanobis(near), pca_metrics.mahalanobis_metrics(spikes, labels, 0), rtol=1e-5
    )
    np.testing.assert_allclose(
        isolation.compute_d_prime(near), pca_metrics.d_prime_metric(spikes, labels, 0), rtol=1e-4
    )
    np.testing.assert_allclose(
        isolation.compute_silhouette(near), pca_metrics.simplified_silhouette_score(spikes, labels, 0), rtol=1e-5
    )


def test_the_full_silhouette_is_undefined_where_spikeinterface_fails():
    near, spikes, labels = spikes_near(50, [60])
    with pytest.raises(ValueError, match="broadcast"):
        pca_metrics.silhouette_score(spikes, labels, 0)
    assert np.isnan(isolation.compute_full_silhouette(near))
    near, spikes, labels = spikes_near(50, [50])
    np.testing.assert_allclose(
        isolation.compute_full_silhouette(near), pca_metrics.silhouette_score(spikes, labels, 0), rtol=1e-5
    )


def test_a_unit_alone_is_undefined():
    near, _, _ = spikes_near(50, [])
    assert near.units == 1
    assert np.isnan(isolation.compute_mahalanobis(near)).all()
    assert np.isnan(isolation.compute_d_prime(near))
    assert np.isnan(isolation.compute_silhouette(near))
