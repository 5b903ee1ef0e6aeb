"""Postprocessing with the manual's defaults on known units: every extension, every metric, against SpikeInterface."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.data import ProbeSpec, as_counts, ground_truth
from tests.reach.conftest import write_record
from tests.reach.spy import task_for

MANUAL = json.loads((Path(__file__).parents[1] / "facts" / "manual_defaults.json").read_text())["postprocessing"]
PRESENCE = {"bin_duration_s": 30}
MANUAL["extensions"]["quality_metrics"]["metric_params"]["presence_ratio"] = PRESENCE
COMPUTED = sorted([*MANUAL["extensions"], "amplitude_scalings"])
"""The manual's extensions, and the one that SpikeInterface's `amplitude_cutoff` is to need."""
SPEC = ProbeSpec(channels=16, units=6, duration_s=150.0, seed=3)
"""`drift` needs two whole bins of 60 s, `presence_ratio` five of its bins, `amplitude_cutoff` 500 spikes of a unit."""

QUALITY_COLUMNS = {
    "num_spikes": ["num_spikes"],
    "firing_rate": ["firing_rate"],
    "presence_ratio": ["presence_ratio"],
    "snr": ["snr"],
    "isi_violation": ["isi_violations_ratio", "isi_violations_count"],
    "rp_violation": ["rp_contamination", "rp_violations"],
    "sliding_rp_violation": ["sliding_rp_violation"],
    "amplitude_cutoff": ["amplitude_cutoff"],
    "amplitude_median": ["amplitude_median"],
    "amplitude_cv": ["amplitude_cv_median", "amplitude_cv_range"],
    "synchrony": ["sync_spike_2", "sync_spike_4", "sync_spike_8"],
    "firing_range": ["firing_range"],
    "drift": ["drift_ptp", "drift_std", "drift_mad"],
    "isolation_distance": ["isolation_distance"],
    "l_ratio": ["l_ratio"],
    "d_prime": ["d_prime"],
    "nearest_neighbor": ["nn_hit_rate", "nn_miss_rate"],
    "silhouette": ["silhouette"],
}
"""The manual's metric -> its columns; none of them is NaN for any unit here."""
TEMPLATE_COLUMNS = {
    "peak_to_trough_duration": None,
    "trough_half_width": None,
    "peak_half_width": None,
    "repolarization_slope": None,
    "recovery_slope": None,
    "num_positive_peaks": None,
    "num_negative_peaks": None,
    "main_to_next_extremum_duration": None,
    "peak_before_to_trough_ratio": None,
    "peak_after_to_trough_ratio": None,
    "peak_before_to_peak_after_ratio": None,
    "main_peak_to_trough_ratio": None,
    "trough_width": None,
    "peak_before_width": "generated spikes have no peak before the trough",
    "peak_after_width": "the peak after a trough may be too low to have a width",
    "waveform_baseline_flatness": None,
    "velocity_above": None,
    "velocity_below": None,
    "exp_decay": None,
    "spread": None,
}
"""Template metric -> why it is NaN for some unit here; None: it never is."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The earlier stages' folders: recording and true units."""
    import spikeinterface as si

    folder = tmp_path_factory.mktemp("metrics")
    recording, truth = ground_truth(SPEC)
    as_counts(recording).save(folder=folder / "preprocessing_r" / "traces", n_jobs=2, progress_bar=False)
    write_record(folder / "preprocessing_r", "preprocessing", start_s=0.0, motion_applied=False)
    # Without the generated units' properties: a main channel that is given would be taken instead of looked for.
    trains = {unit: truth.get_unit_spike_train(unit) for unit in truth.unit_ids}
    si.NumpySorting.from_unit_dict([trains], 30000.0).save(folder=folder / "spikesorting_r" / "spikesorted")
    write_record(folder / "spikesorting_r", "spikesorting", sorter="spykingcircus2", sorter_version="1")
    return folder


@pytest.fixture(scope="module")
def task(folder):
    """The capsule's run, with the manual's section as it stands there."""
    from capsules.postprocessing import stage
    from capsules.postprocessing.params import PARAMS

    task = task_for("postprocessing", PARAMS.model_validate(MANUAL), folder)
    task.inputs = folder
    stage.run(task)
    return task


@pytest.fixture(scope="module")
def analyzer(task):
    import spikeinterface as si

    return si.load(task.out / "postprocessed.zarr", load_extensions=True)


@pytest.fixture(scope="module")
def plain(folder, task):
    """What a user writes by hand, with the manual's settings under SpikeInterface's names and `stage.json`'s seeds."""
    import spikeinterface as si

    seeds = task.record["seeds"]
    assert set(seeds) == {"sorting_analyzer", "random_spikes", "noise_levels", "spike_locations", "quality_metrics"}
    recording = si.load(folder / "preprocessing_r" / "traces")
    analyzer = si.create_sorting_analyzer(
        si.load(folder / "spikesorting_r" / "spikesorted"),
        recording,
        sparse=True,
        sparsity_kwargs={"method": "radius", "radius_um": 100},
        peak_sign="neg",
        return_in_uV=True,
        seed=seeds["sorting_analyzer"],
    )
    analyzer.compute("random_spikes", max_spikes_per_unit=500, method="uniform", seed=seeds["random_spikes"])
    slices = {"num_chunks_per_segment": 20, "chunk_size": 10000, "seed": seeds["noise_levels"]}
    analyzer.compute("noise_levels", random_slices_kwargs=slices)
    analyzer.compute("waveforms", ms_before=2.0, ms_after=3.0)
    analyzer.compute("templates")
    analyzer.compute("spike_amplitudes")
    analyzer.compute("amplitude_scalings")
    analyzer.compute("template_similarity", method="l1")
    analyzer.compute("correlograms", window_ms=50.0, bin_ms=1.0)
    analyzer.compute("isi_histograms", window_ms=100.0, bin_ms=5.0)
    analyzer.compute("unit_locations", method="monopolar_triangulation")
    analyzer.compute("spike_locations", method="grid_convolution", seed=seeds["spike_locations"])
    analyzer.compute("template_metrics", upsampling_factor=10, include_multi_channel_metrics=True)
    analyzer.compute("principal_components", n_components=5, mode="by_channel_local", whiten=True)
    given = MANUAL["extensions"]["quality_metrics"]["metric_params"]
    unchanged = ("presence_ratio", "isi_violation", "rp_violation", "sliding_rp_violation", "amplitude_cv",
                 "firing_range", "nearest_neighbor")  # fmt: skip
    cutoff = {name: value for name, value in given["amplitude_cutoff"].items() if name != "peak_sign"}
    settings = {name: given[name] for name in unchanged} | {
        "snr": {"method": "extremum"},
        "amplitude_cutoff": cutoff,
        "silhouette": {"method": "simplified"},
    }
    names = [name for name in QUALITY_COLUMNS if name not in ("isolation_distance", "l_ratio")] + ["mahalanobis"]
    analyzer.compute("quality_metrics", metric_names=names, metric_params=settings, seed=seeds["quality_metrics"])
    return analyzer


@pytest.mark.slow
def test_the_whole_manual_is_computed(task):
    assert task.record["facts"]["extensions"] == COMPUTED
    assert task.record["facts"]["units"] == SPEC.units
    assert list(QUALITY_COLUMNS) == MANUAL["extensions"]["quality_metrics"]["metric_names"]


def assert_same(ours, theirs):
    """The same numbers but for the last digits of float32, which the algebra library's threads change."""
    if isinstance(theirs, (dict, list, tuple)):
        assert len(ours) == len(theirs)
        for key in theirs if isinstance(theirs, dict) else range(len(theirs)):
            assert_same(ours[key], theirs[key])
    elif hasattr(theirs, "columns"):
        assert_same(
            {name: ours[name].to_numpy(float) for name in ours}, {name: theirs[name].to_numpy(float) for name in theirs}
        )
    elif hasattr(theirs, "components_"):
        assert_same(ours.components_, theirs.components_)
    elif isinstance(theirs, np.ndarray) and theirs.dtype.names:
        assert_same(
            {name: ours[name] for name in ours.dtype.names}, {name: theirs[name] for name in theirs.dtype.names}
        )
    elif isinstance(theirs, np.ndarray) and theirs.dtype.kind == "f":
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4 * np.nanmax(np.abs(theirs), initial=0))
    else:
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("extension", COMPUTED)
def test_values_are_those_of_plain_spikeinterface(extension, analyzer, plain):
    ours, theirs = (dict(one.get_extension(extension).data) for one in (analyzer, plain))
    for data in (ours, theirs):
        data.pop("runtime_s", None)
    assert_same(ours, theirs)


@pytest.mark.parametrize("metric", QUALITY_COLUMNS)
def test_every_quality_metric_has_a_value_for_every_unit(metric, analyzer):
    table = analyzer.get_extension("quality_metrics").get_data()
    assert set(table.columns) == {column for columns in QUALITY_COLUMNS.values() for column in columns}
    assert not table[QUALITY_COLUMNS[metric]].isna().any(axis=None)


@pytest.mark.parametrize("column", TEMPLATE_COLUMNS)
def test_a_template_metric_is_nan_for_its_reason_alone(column, analyzer, task):
    table = analyzer.get_extension("template_metrics").get_data()
    assert set(table.columns) == set(TEMPLATE_COLUMNS)
    assert table[column].isna().any() == (TEMPLATE_COLUMNS[column] is not None)
    told = task.record["facts"]["nan_template_metrics"]
    assert (column in told) == table[column].isna().all()
    assert told.get(column, "").startswith("a peak on that side") == (column == "peak_before_width")


def test_values_fit_the_truth(analyzer):
    """What was put in: counts, a refractory period of 3 ms, units that stand still and out of the noise."""
    table = analyzer.get_extension("quality_metrics").get_data()
    counts = analyzer.sorting.count_num_spikes_per_unit(outputs="array")
    assert (table["num_spikes"] == counts).all()
    np.testing.assert_allclose(table["firing_rate"], counts / SPEC.duration_s)
    assert (table["isi_violations_count"] == 0).all()
    assert (table["rp_contamination"] == 0).all()
    assert (table["presence_ratio"] == 1).all()
    assert (table["drift_ptp"] < 1).all()
    assert (table["snr"] > 8).all()


RELOAD = """
import json, sys, warnings
warnings.simplefilter("error", UserWarning)
import spikeinterface as si
analyzer = si.load(sys.argv[1], load_extensions=True)
pca = analyzer.get_extension("principal_components")
print(json.dumps({
    "extensions": sorted(analyzer.get_loaded_extension_names()),
    "projections": float(abs(pca.get_projections_one_unit(analyzer.unit_ids[0], sparse=True)[0]).sum()),
    "components": len(pca.get_pca_model()),
    "snr": analyzer.get_extension("quality_metrics").get_data()["snr"].tolist(),
}))
"""


def test_it_loads_from_another_folder_in_another_process(task, analyzer, tmp_path):
    moved = tmp_path / "elsewhere" / "analyzer.zarr"
    shutil.copytree(task.out / "postprocessed.zarr", moved)
    command = [sys.executable, "-c", RELOAD, str(moved)]
    said = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path).stdout
    found = json.loads(said.splitlines()[-1])
    assert found["extensions"] == COMPUTED
    pca = analyzer.get_extension("principal_components")
    projections, _ = pca.get_projections_one_unit(analyzer.unit_ids[0], sparse=True)
    assert found["projections"] == pytest.approx(float(abs(projections).sum()))
    assert found["components"] == SPEC.channels
    assert found["snr"] == analyzer.get_extension("quality_metrics").get_data()["snr"].tolist()


OTHERS = {"amplitude_scalings": {}, "auto_correlograms": {"window_ms": 20.0}, "valid_unit_periods": {}}
"""SpikeInterface's other extensions, by its names, with settings of its own."""


@pytest.mark.slow
def test_any_other_extension_is_computed_by_its_name(folder, tmp_path):
    import spikeinterface as si

    from capsules.postprocessing import stage
    from capsules.postprocessing.params import PARAMS

    needed = ("random_spikes", "waveforms", "templates")
    extensions = dict.fromkeys(MANUAL["extensions"]) | {name: MANUAL["extensions"][name] for name in needed} | OTHERS
    task = task_for("postprocessing", PARAMS.model_validate({"extensions": extensions}), tmp_path)
    task.inputs = folder
    stage.run(task)
    analyzer = si.load(task.out / "postprocessed.zarr", load_extensions=True)
    assert set(analyzer.get_loaded_extension_names()) == {*needed, *OTHERS}
    scalings = analyzer.get_extension("amplitude_scalings").get_data()
    assert np.median(scalings) == pytest.approx(1, abs=0.1)
    assert analyzer.get_extension("auto_correlograms").params["window_ms"] == 20


def test_a_misspelt_extension_is_refused():
    from capsules.parameters.problems import problems_of
    from capsules.postprocessing.params import PARAMS

    (problem,) = problems_of(PARAMS, {"extensions": {"amplitude_scaling": {}}})
    assert "did you mean 'amplitude_scalings'" in str(problem)
