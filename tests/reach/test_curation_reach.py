"""Every parameter of curation: what the library is called with, or what comes out otherwise."""

import pytest

from capsules.common import classifier_models as models
from capsules.common.errors import SpikeRelayError
from capsules.common.patches import progress
from capsules.curation import classifiers, stage
from capsules.curation.params import PARAMS, Bombcell, Suspicious
from capsules.curation.suspicion import find_suspicious
from tests.reach.conftest import write_record
from tests.reach.spy import Spy, stage_leaves, task_for

BOMBCELL_LEAVES = [name for name in stage_leaves("curation") if name.startswith("bombcell.")]

METRICS = {
    "quality_metrics": {"metric_names": ["num_spikes", "firing_rate", "snr", "rp_violation", "drift"]},
    "template_metrics": {},
}


@pytest.fixture(scope="module")
def analyzed(inputs, truth):
    import spikeinterface as si

    folder = inputs / "postprocessing_r"
    folder.mkdir()
    recording = si.load(inputs / "preprocessing_r" / "traces")
    analyzer = si.create_sorting_analyzer(truth[1], recording, format="memory", sparse=True)
    analyzer.compute({"random_spikes": {}, "waveforms": {}, "templates": {}, "noise_levels": {}, "spike_locations": {}})
    analyzer.compute({"amplitude_scalings": {}, **METRICS})
    analyzer.save_as(folder=folder / "postprocessed.zarr", format="zarr")
    write_record(folder, "postprocessing", start_s=0.0, sorter="truth", sorter_version="1")
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
    assert set(labels(run(analyzed, tmp_path / "a", query="num_spikes > 0", min_spikes=0), "default_qc")) == {"good"}
    assert set(labels(run(analyzed, tmp_path / "b", query="num_spikes < 0"), "default_qc")) == {"bad"}
    assert labels(run(analyzed, tmp_path / "c"), "default_qc") is None


def test_min_spikes(analyzed, tmp_path):
    task = run(analyzed, tmp_path, query="num_spikes > 0", min_spikes=10**6)
    assert set(labels(task, "default_qc")) == {"undetermined"}
    assert task.record["facts"]["undetermined_units"] == 4
    assert all("min_spikes 1000000" in reason for reason in labels(task, "default_qc_reason"))


def test_undefined_metric(analyzed, tmp_path):
    """The recording is too short for `drift_ptp`."""
    found = {
        undefined: labels(run(analyzed, tmp_path / undefined, query="drift_ptp < 1 and num_spikes > 0",
                              undefined_metric=undefined, min_spikes=0), "default_qc")
        for undefined in ("leave_out", "reject", "undetermined")
    }  # fmt: skip
    assert {undefined: set(names) for undefined, names in found.items()} == {
        "leave_out": {"good"}, "reject": {"bad"}, "undetermined": {"undetermined"}
    }  # fmt: skip


SUSPICIONS = {
    "max_contamination": (0.1, 0.3, "contamination at least"),
    "min_amplitude_separation": (3.0, 5.0, "two groups of amplitudes"),
    "min_amplitude_share": (0.2, 0.4, "two groups of amplitudes"),
    "min_waveform_separation": (4.0, 12.0, "two groups of waveforms"),
    "min_waveform_share": (0.2, 0.4, "two groups of waveforms"),
    "max_position_range_um": (50.0, 70.0, "position ranges over 60 um"),
    "min_nn_hit_rate": (0.5, 0.3, "40% of nearest neighbours belong to the unit (limit 50%)"),
    "max_amplitude_range": (0.5, 0.9, "amplitude ranges over"),
}
"""Threshold -> a value that marks the unit made below, one that does not, and the reason."""


@pytest.mark.parametrize("name", SUSPICIONS)
def test_suspicious(name, monkeypatch):
    """A unit of 600 spikes in 60 s, 5 violations, moving by 60 um, with two groups of waveforms, and of amplitudes or
    fading ones."""
    import numpy as np
    import pandas as pd

    draw = np.random.default_rng(0)
    times = np.sort(draw.uniform(0, 60, 600))
    groups = np.where(draw.random(600) < 0.3, 0.6, 1.0)
    fading = np.linspace(1.2, 0.4, 600)
    amplitudes = (fading if name == "max_amplitude_range" else groups) + draw.normal(0, 0.1, 600)
    metrics = pd.DataFrame({"rp_violations": [5], "drift_ptp": [60.0], "nn_hit_rate": [0.4]})
    marking, sparing, reason = SUSPICIONS[name]
    components = draw.normal(0, 1.0, (600, 3, 2)) + np.where(groups < 1, 6.0, 0.0)[:, None, None] * [[1, 0]]
    off = dict.fromkeys(limit for limit in SUSPICIONS if not limit.endswith("_share"))
    if name.endswith("_share"):
        off[name.replace("_share", "_separation")] = 2.0
    found = [
        find_suspicious(_Unit(times, amplitudes, components), metrics, Suspicious(**off | {name: value}), pytest.fail)
        for value in (marking, sparing)
    ]
    assert reason in found[0][0][0]
    assert found[1] == [[]]


class _Unit:
    """What `find_suspicious` asks of an analyzer, for one unit."""

    unit_ids, sampling_frequency = ["0"], 30000.0

    sparsity = None

    def __init__(self, times_s, amplitudes, components):
        from types import SimpleNamespace

        import numpy as np

        self.times_s, self.sorting = np.asarray(times_s), self
        spikes = np.zeros(len(times_s), dtype=[("sample_index", "int64"), ("unit_index", "int64")])
        spikes["sample_index"] = self.get_unit_spike_train("0", 0)
        self._extensions = {
            "amplitude_scalings": SimpleNamespace(get_data=lambda **_: {"0": amplitudes}),
            "quality_metrics": SimpleNamespace(params={"metric_params": {}}),
            "principal_components": SimpleNamespace(get_projections_one_unit=lambda unit, sparse: (components, [0])),
            "random_spikes": SimpleNamespace(get_random_spikes=lambda: spikes),
        }

    def has_extension(self, name):
        return name in self._extensions

    def get_extension(self, name):
        return self._extensions[name]

    def get_total_duration(self):
        return 60.0

    def get_unit_spike_train(self, unit, segment_index):
        return self.times_s * self.sampling_frequency

    def count_num_spikes_per_unit(self, outputs):
        return [len(self.times_s)]


def test_slow_changes_of_waveforms_are_no_two_groups():
    """A probe that moves once gives each half of the recording its own waveforms."""
    import numpy as np

    from capsules.curation.suspicion import compute_waveform_features, fit_two_groups

    draw = np.random.default_rng(0)
    times = np.arange(600)
    components = draw.normal(0, 1.0, (600, 4, 3))
    moved = components + np.where(times < 300, 0.0, 8.0)[:, None, None]
    mixed = components + np.where(draw.random(600) < 0.5, 0.0, 8.0)[:, None, None]
    found = {
        name: fit_two_groups(compute_waveform_features(one, times))
        for name, one in (("moved", moved), ("mixed", mixed))
    }
    assert found["moved"] is None or found["moved"][0] < Suspicious().min_waveform_separation
    assert found["mixed"][0] > 10
    assert found["mixed"][1] == pytest.approx(0.5, abs=0.05)
    assert fit_two_groups(compute_waveform_features(np.ones((60, 4, 3)), times[:60])) is None


def test_one_violation_marks_no_unit():
    """Not even a unit of so few spikes that any number of violations is improbable."""
    import numpy as np
    import pandas as pd

    times = np.linspace(0, 60, 60)
    for violations, marked in ((1, False), (2, True)):
        metrics = pd.DataFrame({"rp_violations": [violations], "drift_ptp": [0.0], "nn_hit_rate": [1.0]})
        (reasons,) = find_suspicious(_Unit(times, np.ones(60), np.ones((60, 3, 2))), metrics, Suspicious(), pytest.fail)
        assert bool(reasons) == marked


def test_a_test_without_what_it_needs_is_said(analyzed, tmp_path):
    import pandas as pd

    unit = _Unit([0.0], None, None)
    del unit._extensions["amplitude_scalings"], unit._extensions["principal_components"]
    changes = []
    assert find_suspicious(unit, pd.DataFrame(index=["0"]), Suspicious(), changes.append) == [[]]
    assert [change.split(" is not tested")[0].removeprefix("suspicious: ") for change in changes] == [
        "max_contamination", "max_position_range_um", "min_nn_hit_rate", "amplitudes", "waveforms"
    ]  # fmt: skip


def test_suspicious_units_are_properties_with_their_reasons(analyzed, tmp_path):
    task = run(analyzed, tmp_path, query="num_spikes > 0", suspicious={"min_amplitude_separation": 1e-6})
    marked, reasons = labels(task, "suspicious"), labels(task, "suspicious_reason")
    assert marked.dtype == bool
    assert [bool(reason) for reason in reasons] == marked.tolist()
    assert task.record["facts"]["suspicious_units"] == marked.sum()


def test_curation_document_holds_labels_and_reasons(analyzed, tmp_path):
    import json

    from spikeinterface.curation.curation_model import Curation

    task = run(analyzed, tmp_path, query="num_spikes > 100000", min_spikes=0)
    document = json.loads((task.out / "curated" / "curation.json").read_text())
    Curation.model_validate(document)
    own = [entry["labels"] for entry in document["manual_labels"]]
    assert [entry["quality"] for entry in own] == [["bad"]] * 4
    assert [entry["quality_reason"] for entry in own] == [[reason] for reason in labels(task, "default_qc_reason")]
    assert own[0]["quality_reason"][0].startswith("failed: num_spikes > 100000 (")
    assert own[0]["suspicion"] == ["none"]


def test_bombcells_thresholds_are_spikeinterfaces():
    from spikeinterface.curation import bombcell_get_default_thresholds

    assert Bombcell().thresholds() == bombcell_get_default_thresholds()


@pytest.mark.parametrize("name", BOMBCELL_LEAVES)
def test_bombcell(name, analyzed, tmp_path, monkeypatch):
    """Every threshold reaches SpikeInterface; null turns it off."""
    import pandas as pd

    asked = []

    def label(analyzer, thresholds):
        asked.append(thresholds)
        return pd.DataFrame({"bombcell_label": ["good"] * 4}, index=analyzer.unit_ids)

    monkeypatch.setattr(stage, "bombcell_label_units", label)
    part, metric, side = name.removeprefix("bombcell.").split(".")
    other = 0.05 if metric == "rp_contamination" else None
    run(analyzed, tmp_path, noise_strategy="bombcell", bombcell={part: {metric: {side: other}}})
    given = asked[0][part.replace("_", "-")].get(metric, {"greater": None, "less": None})
    assert given[side] == other


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
    monkeypatch.setattr(models, "find_model", lambda name: folder if name in names else None)
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
    spy.watch(progress, "show_progress")
    run(analyzed, tmp_path, job_kwargs={"chunk_duration": "2s", "progress_bar": True})
    assert spy.saw("set_global_job_kwargs", "chunk_duration", "2s")
    assert spy.saw("show_progress", "bars", True)


def test_every_parameter_has_a_test_above():
    covered = {"job_kwargs.chunk_duration", "job_kwargs.progress_bar", "query", "noise_strategy", "on_missing_model"}
    covered |= {"noise_neural_classifier", "sua_mua_classifier", "min_spikes", "undefined_metric", *BOMBCELL_LEAVES}
    assert set(stage_leaves("curation")) == covered | {f"suspicious.{name}" for name in SUSPICIONS}
