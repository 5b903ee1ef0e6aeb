"""Every parameter of postprocessing: what SpikeInterface is called with, or what comes out otherwise."""

import pytest

from capsules.common.patches import progress
from capsules.postprocessing import stage
from capsules.postprocessing.extension_params import DEFAULT_METRICS, PrincipalComponents
from capsules.postprocessing.params import PARAMS
from tests.leaf_values import LEAVES, other_value
from tests.reach.spy import changed_section, stage_leaves, task_for

PREFIX = "postprocessing"
METRICS = "extensions.quality_metrics.metric_params"
ALL_COMPUTED = {
    "use_motion_corrected": False,
    "extensions__quality_metrics__metric_names": DEFAULT_METRICS[::-1],
    "extensions__spike_amplitudes__peak_sign": "pos",
    **{
        f"extensions__quality_metrics__metric_params__{name}__peak_sign": "pos"
        for name in ("snr", "amplitude_cutoff", "amplitude_median")
    },
}


@pytest.fixture(scope="module")
def seen(spy, inputs, tmp_path_factory):
    """Run the stage with every parameter changed; extensions are only computed as far as the stage needs them."""
    import spikeinterface as si

    real = si.SortingAnalyzer.compute

    def compute_what_is_needed(analyzer, extensions, **kwargs):
        wanted = ("random_spikes", "templates")
        if set(extensions) == set(wanted):
            real(analyzer, {name: {} for name in wanted})

    spy.watch(si.SortingAnalyzer, "compute", compute_what_is_needed)
    spy.watch(si, "create_sorting_analyzer")
    spy.watch(si, "set_global_job_kwargs")
    spy.watch(progress, "show_progress")
    for variant, overrides in {
        # In counts there are no template metrics.
        "radius": {"sparsity__method": "radius", "return_in_uV": True},
        "channels": {"sparsity__method": "best_channels", "sparsity__num_channels": 7},
    }.items():
        params = changed_section(PARAMS, PREFIX, **ALL_COMPUTED, **overrides)
        task = task_for("postprocessing", params, tmp_path_factory.mktemp(variant))
        task.inputs = inputs
        stage.run(task)
    return spy


def computed(spy):
    """Extension -> the arguments that it was last computed with."""
    return {name: arguments for call in spy.calls["compute"] for name, arguments in call["input"].items()}


def sparsity(spy, key):
    return [call["sparsity_kwargs"].get(key) for call in spy.calls["create_sorting_analyzer"]]


ELSEWHERE = {
    "job_kwargs.chunk_duration": lambda spy, value: spy.saw("set_global_job_kwargs", "chunk_duration", value),
    "job_kwargs.progress_bar": lambda spy, value: spy.saw("show_progress", "bars", value),
    "sparsity.method": lambda spy, value: sparsity(spy, "method") == ["radius", "best_channels"],
    "sparsity.radius_um": lambda spy, value: sparsity(spy, "radius_um") == [value, None],
    "sparsity.num_channels": lambda spy, value: sparsity(spy, "num_channels") == [None, 7],
    "return_in_uV": lambda spy, value: spy.saw("create_sorting_analyzer", "return_in_uV", value),
    "extensions.spike_amplitudes.peak_sign": lambda spy, value: spy.saw("create_sorting_analyzer", "peak_sign", "pos"),
    "extensions.quality_metrics.metric_names": lambda spy, value: (
        computed(spy)["quality_metrics"]["metric_names"][0] == "silhouette"
    ),
    f"{METRICS}.snr.peak_mode": lambda spy, value: (
        computed(spy)["quality_metrics"]["metric_params"]["snr"] == {"method": value}
    ),
    f"{METRICS}.silhouette.method": lambda spy, value: (
        computed(spy)["quality_metrics"]["metric_params"]["silhouette"] == {"method": "full"}
    ),
    # One sign for the whole analyzer: any other here is refused (`test_verdicts`), the same goes with the analyzer's.
    **{
        f"{METRICS}.{name}.peak_sign": lambda spy, value: spy.saw("create_sorting_analyzer", "peak_sign", "pos")
        for name in ("snr", "amplitude_cutoff", "amplitude_median")
    },
}
BY_OUTPUT = {"use_motion_corrected", "duplicate_threshold", "duplicate_shared_spikes"}
"""The latter two: `test_planted_duplicates.py`."""


@pytest.mark.parametrize("name", [name for name in stage_leaves(PREFIX) if name not in BY_OUTPUT])
def test_the_parameter_reaches_the_library(name, seen):
    value = other_value(LEAVES[f"{PREFIX}.{name}"])
    if name in ELSEWHERE:
        assert ELSEWHERE[name](seen, value)
        return
    found = computed(seen)
    path = name.removeprefix("extensions.").split(".")
    if path[0] == "noise_levels":
        path.insert(1, "random_slices_kwargs")
    for key in path:
        found = found[key]
    assert (found.tolist() if hasattr(found, "tolist") else found) == value


def run(inputs, folder, **settings):
    task = task_for("postprocessing", PARAMS.model_validate(settings), folder)
    task.inputs = inputs
    stage.run(task)
    return task


ONLY_TEMPLATES = {"extensions": {name: None for name in PARAMS().extensions.model_dump() if name not in
                                 ("random_spikes", "templates", "waveforms")}}  # fmt: skip


def test_use_motion_corrected_moves_the_traces(inputs, tmp_path, monkeypatch):
    import shutil

    import numpy as np
    import spikeinterface as si
    import spikeinterface.preprocessing as spre
    from spikeinterface.core.motion import Motion

    folder = tmp_path / "inputs"
    shutil.copytree(inputs, folder)
    depths = si.load(inputs / "preprocessing_r" / "traces").get_channel_locations()[:, 1]
    motion = Motion([np.full((3, 2), 30.0)], [np.array([1.0, 2.0, 3.0])], np.array([depths.min(), depths.max()]))
    info = {"parameters": {}, "run_times": {}, "peaks": np.zeros(1), "peak_locations": np.zeros(1), "motion": motion}
    spre.save_motion_info(info, folder / "preprocessing_r" / "motion")
    templates = []
    for corrected in (False, True):
        task = run(folder, tmp_path / f"{corrected}", use_motion_corrected=corrected, **ONLY_TEMPLATES)
        analyzer = si.load(task.out / "postprocessed.zarr")
        templates.append(analyzer.get_extension("templates").get_data())
    assert not np.allclose(*templates)


def test_an_extension_that_is_null_is_not_computed(inputs, tmp_path):
    task = run(inputs, tmp_path, **ONLY_TEMPLATES)
    assert task.record["facts"]["extensions"] == ["random_spikes", "templates", "waveforms"]


@pytest.mark.parametrize("mode", PrincipalComponents.model_fields["mode"].annotation.__args__)
def test_every_mode_of_the_components_is_computed(mode, inputs, tmp_path):
    extensions = ONLY_TEMPLATES["extensions"] | {"principal_components": {"mode": mode}}
    assert "principal_components" in run(inputs, tmp_path, extensions=extensions).record["facts"]["extensions"]


@pytest.mark.slow
def test_spikeinterface_takes_every_changed_value(inputs, tmp_path):
    """Every extension and metric is computed for real, with every setting changed."""
    params = changed_section(PARAMS, PREFIX, **ALL_COMPUTED, sparsity__method="radius", return_in_uV=True)
    task = task_for("postprocessing", params, tmp_path)
    task.inputs = inputs
    stage.run(task)
    assert (task.out / "postprocessed.zarr").exists()
