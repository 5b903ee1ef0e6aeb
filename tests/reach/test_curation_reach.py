"""Every parameter of curation: what the library is called with, or what comes out otherwise."""

import pytest

from capsules.common import models, resources
from capsules.common.errors import SpikeRelayError
from capsules.curation import classifiers, stage
from capsules.curation.params import PARAMS
from tests.reach.spy import Spy, stage_leaves, task_for

METRICS = {"quality_metrics": {"metric_names": ["num_spikes", "firing_rate", "snr"]}, "template_metrics": {}}


@pytest.fixture(scope="module")
def analyzed(inputs, truth):
    import spikeinterface as si

    folder = inputs / "postprocessing_r"
    folder.mkdir()
    recording = si.load(inputs / "preprocessing_r" / "traces")
    analyzer = si.create_sorting_analyzer(truth[1], recording, format="memory", sparse=True)
    analyzer.compute({"random_spikes": {}, "waveforms": {}, "templates": {}, "noise_levels": {}, **METRICS})
    analyzer.save_as(folder=folder / "postprocessed.zarr", format="zarr")
    return inputs


def run(inputs, folder, **settings):
    task = task_for("curation", PARAMS.model_validate({"query": None} | settings), folder)
    task.inputs = inputs
    stage.run(task)
    return task


def labels(task, name):
    import spikeinterface as si

    return si.load(task.out / "curated").get_property(name)


def test_query(analyzed, tmp_path):
    assert set(labels(run(analyzed, tmp_path / "a", query="num_spikes > 0"), "default_qc")) == {"good"}
    assert set(labels(run(analyzed, tmp_path / "b", query="num_spikes < 0"), "default_qc")) == {"bad"}
    assert labels(run(analyzed, tmp_path / "c"), "default_qc") is None


@pytest.mark.parametrize("name", ["noise_neural_classifier", "sua_mua_classifier"])
def test_classifiers(name, analyzed, tmp_path, monkeypatch):
    spy = Spy(monkeypatch)
    _have_models(monkeypatch, tmp_path, "other")
    spy.watch(classifiers, "label_units", lambda analyzer, *given: _as_neural(analyzer))
    task = run(analyzed, tmp_path / "out", **{name: "other"})
    argument = {"noise_neural_classifier": "noise_neural", "sua_mua_classifier": "sua_mua"}[name]
    (call,) = spy.calls["label_units"]
    assert call.pop(argument).folder == tmp_path
    assert [given for argument, given in call.items() if argument != "analyzer"] == [None]
    assert set(labels(task, "decoder_label")) == {"neural"}


def _have_models(monkeypatch, folder, *names):
    """Find these models in a folder, which holds none, and take it for one that needs no metrics."""
    monkeypatch.setattr(models, "find", lambda name: folder if name in names else None)
    monkeypatch.setattr(classifiers, "read", lambda folder: classifiers.Classifier(folder, [], {"noise"}, {}))


def _as_neural(analyzer):
    import pandas as pd

    columns = {"unitrefine_label": "neural", "unitrefine_probability": 1.0}
    return pd.DataFrame(columns, index=analyzer.unit_ids), []


@pytest.mark.parametrize(
    ("strategy", "decoder", "bombcell"), [("unitrefine", True, False), ("bombcell", False, True), ("both", True, True)]
)
def test_noise_strategy(strategy, decoder, bombcell, analyzed, tmp_path, monkeypatch):
    _have_models(monkeypatch, tmp_path, PARAMS().noise_neural_classifier, PARAMS().sua_mua_classifier)
    monkeypatch.setattr(classifiers, "label_units", lambda analyzer, *given: _as_neural(analyzer))
    task = run(analyzed, tmp_path / "out", noise_strategy=strategy)
    assert (labels(task, "decoder_label") is not None) == decoder
    assert (labels(task, "bombcell_label") is not None) == bombcell
    assert any("Bombcell's thresholds" in warning for warning in task.record["warnings"]) == bombcell


def test_on_missing_model(analyzed, tmp_path):
    assert labels(run(analyzed, tmp_path / "a", on_missing_model="warn"), "decoder_label") is None
    with pytest.raises(SpikeRelayError, match="neither a folder with a model nor in the local model cache"):
        run(analyzed, tmp_path / "b", noise_neural_classifier="no/model", on_missing_model="refuse")


def test_job_kwargs(analyzed, tmp_path, monkeypatch):
    import spikeinterface as si

    spy = Spy(monkeypatch)
    spy.watch(si, "set_global_job_kwargs")
    spy.watch(resources, "show_progress")
    run(analyzed, tmp_path, job_kwargs={"chunk_duration": "2s", "progress_bar": True})
    assert spy.saw("set_global_job_kwargs", "chunk_duration", "2s")
    assert spy.saw("show_progress", "bars", True)


def test_every_parameter_has_a_test_above():
    covered = {"job_kwargs.chunk_duration", "job_kwargs.progress_bar", "query", "noise_strategy", "on_missing_model"}
    assert set(stage_leaves("curation")) == covered | {"noise_neural_classifier", "sua_mua_classifier"}
