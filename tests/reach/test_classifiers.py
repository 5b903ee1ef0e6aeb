"""The classifiers' models: from a folder, the cache or the hub; missing, broken, hostile; and what they tell apart."""

import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from capsules.common import classifier_models as models
from capsules.common.errors import SpikeRelayError
from capsules.curation import classifiers, stage
from capsules.curation.model_safety import decision_trees, within_bounds
from capsules.curation.params import PARAMS
from tests.models import FEATURES, hub, put_in_cache, train, units_and_noise
from tests.reach.conftest import write_record
from tests.reach.spy import task_for

ROOT = Path(__file__).parents[2]
DEFAULT = "SpikeInterface/UnitRefine_noise_neural_classifier"
UNREACHABLE = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "0"}


@pytest.fixture(scope="module")
def lessons():
    return [units_and_noise(seed) for seed in (1, 2)]


@pytest.fixture(scope="module")
def model(lessons, tmp_path_factory):
    analyzers, labels = zip(*lessons, strict=True)
    return train(tmp_path_factory.mktemp("models") / "noise", list(analyzers), list(labels))


@pytest.fixture(scope="module")
def other_model(lessons, tmp_path_factory):
    """A model of every other kind of part that the trainer writes: a network, boosted trees within an imputer."""
    analyzers, labels = zip(*lessons, strict=True)
    kinds = {"imputation_strategies": ["iterative"], "classifiers": {"MLPClassifier": {"alpha": [0.1]}}}
    return train(tmp_path_factory.mktemp("models") / "network", list(analyzers), list(labels), **kinds)


@pytest.fixture(scope="module")
def boosted_model(model, tmp_path_factory):
    """A model with boosted trees that have branches, for which the lessons are too few."""
    import numpy as np
    import pandas as pd
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import Pipeline
    from skops.io import dump

    draw = np.random.default_rng(0)
    table = pd.DataFrame(draw.normal(size=(200, len(FEATURES))), columns=FEATURES)
    folder = shutil.copytree(model, tmp_path_factory.mktemp("models") / "boosted")
    boosted = Pipeline([("classifier", HistGradientBoostingClassifier(max_iter=2))])
    dump(boosted.fit(table, table["snr"] > 0), folder / "best_model.skops")
    return folder


@pytest.fixture(scope="module")
def analyzed(tmp_path_factory):
    """The folders that curation reads, of units that no model learnt from, and what each unit is."""
    analyzer, truth = units_and_noise(9)
    folder = tmp_path_factory.mktemp("analyzed")
    write_record_of_postprocessing(folder, analyzer)
    return folder, truth


def write_record_of_postprocessing(folder, analyzer):
    (folder / "postprocessing_r").mkdir(parents=True)
    analyzer.save_as(folder=folder / "postprocessing_r" / "postprocessed.zarr", format="zarr")
    write_record(folder / "postprocessing_r", "postprocessing", start_s=0.0, sorter="truth", sorter_version="1")


def task_with(inputs, folder, **settings):
    nothing_else = {"query": None, "noise_neural_classifier": None, "sua_mua_classifier": None}
    task = task_for("curation", PARAMS.model_validate(nothing_else | settings), folder)
    task.inputs = inputs
    return task


def curated(inputs, folder, **settings):
    """Curation as the capsule does it, but in this process."""
    task = task_with(inputs, folder, **settings)
    stage.run(task)
    return task


def labels_in(folder):
    import spikeinterface as si

    return si.load(folder / "curated").get_property("decoder_label")


def missing(record):
    """The lines on models that are not on this machine."""
    return [change for change in record["changes"] if change.endswith("its labels are left out")]


def separates(labels, truth):
    """Whether all neurons are called neural and nearly all noise is called noise."""
    pairs = list(zip(labels, truth, strict=True))
    wrong = [true for label, true in pairs if label != true]
    return "neural" not in wrong and len(wrong) <= 1


def python(*words, cwd, **environment):
    command = [sys.executable, "-m", *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def curation_process(inputs, folder, environment, *arguments):
    """Curation as a task runs it, in a process of its own; its record."""
    folder.mkdir()
    (folder / "job.json").write_text(task_for("curation", None, folder).job.model_dump_json())
    given = ("--job", "job.json", "--inputs", inputs, "--output", "out", "--query", "snr > 0", *arguments)
    done = python("capsules.curation", *given, cwd=folder, **environment)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "out" / "curation_r" / "stage.json").read_text())


def test_a_folder_with_a_model_tells_noise_from_neurons(model, analyzed, tmp_path):
    inputs, truth = analyzed
    task = curated(inputs, tmp_path, noise_neural_classifier=str(model))
    assert separates(labels_in(task.out), truth)
    import spikeinterface as si

    probability = si.load(task.out / "curated").get_property("decoder_probability")
    assert ((probability >= 0.5) & (probability <= 1)).all()
    assert task.record["warnings"] == []
    used = task.record["facts"]["classifiers"]["noise_neural_classifier"]
    assert used["model"] == str(model)
    assert set(used["trained_with"]) == {"spikeinterface", "scikit-learn"}


@pytest.mark.slow
def test_a_model_of_every_part_that_the_trainer_writes(other_model, analyzed, tmp_path):
    inputs, truth = analyzed
    labels = labels_in(curated(inputs, tmp_path, noise_neural_classifier=str(other_model)).out)
    assert sum(label == true for label, true in zip(labels, truth, strict=True)) >= 0.8 * len(truth)


def test_the_second_model_is_asked_about_what_the_first_calls_neural(model, lessons, analyzed, tmp_path):
    inputs, _ = analyzed
    analyzers, labels = zip(*lessons, strict=True)
    halves = [["sua" if place % 2 else "mua" for place in range(len(units))] for units in labels]
    second = train(tmp_path / "second", list(analyzers), halves)
    both = {"noise_neural_classifier": str(model), "sua_mua_classifier": str(second)}
    first, all_three = curated(inputs, tmp_path / "a", noise_neural_classifier=str(model)), curated(
        inputs, tmp_path / "b", **both
    )  # fmt: skip
    for one, other in zip(labels_in(first.out), labels_in(all_three.out), strict=True):
        assert (other == "noise") if one == "noise" else (other in ("sua", "mua"))
    swapped = curated(inputs, tmp_path / "c", noise_neural_classifier=str(second))
    assert any("has the labels mua, sua, not neural, noise" in warning for warning in swapped.record["warnings"])


def test_a_model_with_integer_labels_is_read(model, analyzed, tmp_path):
    """As UnitRefine's: SpikeInterface's trainer keeps the labels that it was given."""
    inputs, truth = analyzed
    folder = shutil.copytree(model, tmp_path / "integers")
    info = json.loads((folder / models.INFO).read_text())
    meaning = {int(name): label for name, label in info["label_conversion"].items()}
    info["label_conversion"] = {str(name): name for name in meaning}
    (folder / models.INFO).write_text(json.dumps(info))
    task = curated(inputs, tmp_path / "out", noise_neural_classifier=str(folder))
    labels = labels_in(task.out)
    assert set(labels) == {"0", "1"}
    assert separates([meaning[int(label)] for label in labels], truth)
    assert any("has the labels 0, 1, not neural, noise" in warning for warning in task.record["warnings"])


def test_a_hub_name_is_read_from_the_cache_and_the_hub_is_never_asked(model, analyzed, tmp_path):
    inputs, truth = analyzed
    cache = put_in_cache(model, "lab/noise", tmp_path / "home")
    with hub({"lab/noise": model, DEFAULT: model}) as (endpoint, asked):
        arguments = ("--noise_neural_classifier", "lab/noise", "--sua_mua_classifier", DEFAULT)
        record = curation_process(inputs, tmp_path / "cached", endpoint | cache, *arguments)
    assert asked == []
    assert separates(labels_in(tmp_path / "cached" / "out" / "curation_r"), truth)
    # The hub has the other one, but that is for the first process of a run.
    (line,) = missing(record)
    assert line.startswith(
        f"sua_mua_classifier '{DEFAULT}' is neither a folder with a model nor in the local model cache"
    )


@pytest.mark.parametrize("name", ["lab/none", "/no/such/folder", "~/no such folder", "a/b/c"])
def test_a_missing_model_leaves_the_labels_out_or_is_refused(name, analyzed, tmp_path):
    task = curated(analyzed[0], tmp_path / "a", noise_neural_classifier=name)
    assert labels_in(task.out) is None
    (line,) = missing(task.record)
    assert repr(name) in line
    # The run warns of it once, in its first process.
    assert task.record["warnings"] == []
    with pytest.raises(SpikeRelayError, match="fetch-models"):
        curated(analyzed[0], tmp_path / "b", noise_neural_classifier=name, on_missing_model="refuse")
    assert curated(analyzed[0], tmp_path / "c", noise_neural_classifier=name, noise_strategy="bombcell",
                   on_missing_model="refuse").record["status"] == "ok"  # fmt: skip


def test_metrics_that_a_model_needs_and_that_were_not_computed_are_named(model, tmp_path):
    analyzer, _ = units_and_noise(9, units=2)
    analyzer.compute("quality_metrics", metric_names=["num_spikes"], delete_existing_metrics=True)
    analyzer.delete_extension("template_metrics")
    write_record_of_postprocessing(tmp_path / "inputs", analyzer)
    task = curated(tmp_path / "inputs", tmp_path, noise_neural_classifier=str(model))
    assert labels_in(task.out) is None
    (warning,) = task.record["warnings"]
    assert "it needs metrics that were not computed; " in warning
    assert "quality_metrics: isi_violation, snr" in warning
    assert "template_metrics: half_width, peak_to_trough_duration, waveform_ratios" in warning


def with_node(model, folder, **node):
    """A copy of a model in which a part of the pipeline is another node."""
    shutil.copytree(model, folder)
    with zipfile.ZipFile(model / "best_model.skops") as source:
        parts = {name: source.read(name) for name in source.namelist()}
    schema = json.loads(parts["schema.json"])
    schema["content"]["content"]["verbose"] = {"__id__": 7, **node}
    with zipfile.ZipFile(folder / "best_model.skops", "w") as target:
        for name, content in (parts | {"schema.json": json.dumps(schema)}).items():
            target.writestr(name, content)
    return folder


@pytest.mark.parametrize(
    ("module", "name", "loader", "rest"),
    [
        ("posix", "system", "FunctionNode", {}),
        ("builtins", "eval", "FunctionNode", {}),
        ("subprocess", "Popen", "ObjectNode", {"content": None}),
        ("this", "s", "TypeNode", {}),
        ("operator", "methodcaller", "OperatorFuncNode", {"attrs": {"__class__": "tuple", "__module__": "builtins",
                                                                    "__loader__": "TupleNode", "content": []}}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_hostile_model_is_refused_and_nothing_of_it_is_imported(
    module, name, loader, rest, model, analyzed, tmp_path
):
    node = {"__class__": name, "__module__": module, "__loader__": loader} | rest
    hostile = with_node(model, tmp_path / "hostile", **node)
    with pytest.raises(classifiers.ModelError, match=rf"not trusted: {module}\.{name}"):
        curated(analyzed[0], tmp_path, noise_neural_classifier=str(hostile))
    assert "this" not in sys.modules


def test_a_pipeline_that_calls_a_function_is_refused(model, analyzed, tmp_path):
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer
    from skops.io import dump

    hostile = shutil.copytree(model, tmp_path / "hostile")
    dump(Pipeline([("step", FunctionTransformer(os.system))]), hostile / "best_model.skops")
    with pytest.raises(SpikeRelayError, match=r"best_model.skops holds types that are not trusted: posix\.system"):
        curated(analyzed[0], tmp_path, noise_neural_classifier=str(hostile))


def with_trees(model, folder, change):
    """A copy of a model whose decision trees were changed."""
    from skops.io import dump, get_untrusted_types, load

    shutil.copytree(model, folder)
    file = folder / "best_model.skops"
    pipeline = load(file, trusted=get_untrusted_types(file=file))
    for tree, _ in decision_trees(pipeline):
        change(tree)
    dump(pipeline, file)
    return folder


def setting(field, value):
    """Change the first node of a tree of either kind."""

    def change(tree):
        if hasattr(tree, "nodes"):
            tree.nodes[field][0] = value
        else:
            state = tree.__getstate__()
            state["nodes"][field][0] = value
            tree.__setstate__(state)

    return change


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("model", "feature", 1_000_000),
        ("model", "feature", -3),
        ("model", "left_child", 1_000_000),
        ("model", "right_child", -7),
        ("model", "right_child", 0),
        ("boosted_model", "feature_idx", 1_000_000),
        ("boosted_model", "left", 1_000_000),
        ("boosted_model", "right", 0),
        ("boosted_model", "is_categorical", 1),
    ],
)
def test_a_tree_that_leads_out_of_its_memory_is_refused(kind, field, value, request, tmp_path):
    honest = request.getfixturevalue(kind)
    assert classifiers.read(honest).metrics == FEATURES
    crafted = with_trees(honest, tmp_path / "crafted", setting(field, value))
    with pytest.raises(classifiers.ModelError, match="points outside of its nodes or features"):
        classifiers.read(crafted)


def test_a_tree_that_claims_more_nodes_than_it_has_is_refused():
    assert not within_bounds(SimpleNamespace(capacity=3, node_count=1_000_000), 5)
    assert not within_bounds(SimpleNamespace(capacity=0, node_count=0), 5)


def edited_info(**changes):
    def edit(folder):
        info = json.loads((folder / "model_info.json").read_text()) | changes
        (folder / "model_info.json").write_text(json.dumps(info))

    return edit


def without(name):
    return lambda folder: (folder / name).unlink()


def writing(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def cut(folder):
    content = (folder / "best_model.skops").read_bytes()
    (folder / "best_model.skops").write_bytes(content[: len(content) // 2])


def no_pipeline(folder):
    from sklearn.preprocessing import StandardScaler
    from skops.io import dump

    dump(StandardScaler(), folder / "best_model.skops")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without("best_model.skops"), "it holds 0 .skops files, and exactly one is needed"),
        (writing("second.skops", b""), "it holds 2 .skops files, and exactly one is needed"),
        (writing("best_model.skops", b"no model"), "best_model.skops cannot be read"),
        (writing("best_model.skops", b""), "best_model.skops cannot be read"),
        (cut, "best_model.skops cannot be read"),
        (no_pipeline, "must be an instance of sklearn.pipeline.Pipeline"),
        (without("model_info.json"), "model_info.json: No such file"),
        (writing("model_info.json", b"{"), "model_info.json: Invalid JSON"),
        (writing("model_info.json", b"[]"), "model_info.json: "),
        (edited_info(label_conversion=None), "model_info.json: label_conversion"),
        (edited_info(requirements=3), "model_info.json: requirements"),
        (edited_info(metric_params={"quality_metric_params": {}}), "quality_metric_params.metric_names"),
        (edited_info(label_conversion={"0": "neural"}), "no label for some of its classes"),
    ],
)
def test_a_broken_model_is_refused_with_the_reason(damage, message, model, tmp_path):
    folder = tmp_path / "broken"
    shutil.copytree(model, folder)
    damage(folder)
    with pytest.raises(classifiers.ModelError) as refused:
        classifiers.read(folder)
    assert message in str(refused.value)
    assert str(folder) in str(refused.value)


def test_a_digest_sees_what_a_model_holds(model, tmp_path):
    copy = shutil.copytree(model, tmp_path / "copy")
    assert models.digest_models([copy]) == models.digest_models([model])
    (copy / "notes.txt").write_text("other")
    assert models.digest_models([copy]) == models.digest_models([model])
    edited_info(requirements={"spikeinterface": "0"})(copy)
    digests = [models.digest_models(folders) for folders in ([copy], [model], [None], [model, None], [None, model], [])]
    assert len(set(digests)) == len(digests)


@pytest.fixture
def resolved(tmp_path):
    """What RESOLVE_PARAMS hands on, in a process of its own, with a cache of its own."""
    folders = {"DATA_PATH": str(tmp_path / "data"), "RESULTS_PATH": str(tmp_path / "results")}
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "recording").write_text("")

    def resolve(curation, environment):
        (tmp_path / "params.json").write_text(
            json.dumps({"job_dispatch": {"input": "openephys"}, "curation": {"sua_mua_classifier": None} | curation})
        )
        options = {"sorter": "spykingcircus2", "params_file": "params.json"}
        run = {"options": options, "launch_folder": str(tmp_path), "container_engine": None}
        (tmp_path / "run.json").write_text(json.dumps(run))
        environment = folders | {"HF_HOME": str(tmp_path / "home")} | environment
        (tmp_path / "elsewhere").mkdir(exist_ok=True)
        given = ("capsules.resolve_params", "--run", tmp_path / "run.json")
        done = python(*given, cwd=tmp_path / "elsewhere", **environment)
        assert done.returncode == 0, done.stderr
        run = json.loads((tmp_path / "elsewhere" / "resolved.json").read_text())
        return run if run["problems"] else run | run["sessions"][0]

    return resolve


def notes(run):
    return json.loads(run["params"])["notes"]


def test_a_missing_model_is_fetched_once_and_makes_curation_new(resolved, model):
    offline = resolved({}, {})
    with hub({DEFAULT: model}) as (endpoint, asked):
        unused = resolved({"noise_strategy": "bombcell"}, endpoint)
        assert (asked, notes(unused)) == ([], [])
        first = resolved({}, endpoint)
        files = {path.rpartition("/")[2] for path in asked if "/resolve/" in path}
        asked_at_first = len(asked)
        second = resolved({}, endpoint)
    assert files == {"best_model.skops", "model_info.json"}
    assert len(asked) == asked_at_first
    (note,) = notes(first)
    assert "fetched from the hub into" in note
    assert notes(second) == []
    assert first["code"] == second["code"]
    differing = [stage for stage in first["code"] if first["code"][stage] != offline["code"][stage]]
    assert differing == ["curation"]
    assert json.loads(first["sections"]["curation"])["noise_neural_classifier"] == DEFAULT


@pytest.mark.parametrize(
    ("environment", "told"),
    [({}, "HF_HUB_OFFLINE is set"), (UNREACHABLE, "could not be fetched: [Errno 111] Connection refused")],
    ids=["offline", "unreachable"],
)
def test_a_hub_that_cannot_be_asked(environment, told, resolved):
    run = resolved({}, environment)
    assert run["problems"] == []
    (note,) = notes(run)
    assert told in note
    assert note.startswith(f"curation.noise_neural_classifier: '{DEFAULT}': not on this machine")
    assert note.endswith("its labels are left out")
    (problem,) = resolved({"on_missing_model": "refuse"}, environment)["problems"]
    assert told in problem


@pytest.mark.slow
def test_a_slow_hub_is_not_waited_for(resolved, model):
    with hub({DEFAULT: model}, delay_s=60) as (endpoint, _):
        start = time.monotonic()
        run = resolved({"sua_mua_classifier": "lab/other"}, endpoint)
    assert time.monotonic() - start < models.PATIENCE_S + 5
    assert [note.endswith("did not answer within 5 s; its labels are left out") for note in notes(run)] == [True] * 2


def test_a_relative_folder_starts_where_the_run_was_started(resolved, model, tmp_path):
    shutil.copytree(model, tmp_path / "my models" / "noise")
    run = resolved({"noise_neural_classifier": "my models/noise"}, {})
    section = json.loads(run["sections"]["curation"])
    assert section["noise_neural_classifier"] == str(tmp_path / "my models" / "noise")
    assert notes(run) == []
    edited_info(requirements={"spikeinterface": "0"})(tmp_path / "my models" / "noise")
    assert resolved({"noise_neural_classifier": "my models/noise"}, {})["code"] != run["code"]


@pytest.mark.slow
def test_fetch_models(model, tmp_path):
    environment = {"HF_HOME": str(tmp_path / "home")}
    params = tmp_path / "params.json"
    params.write_text(json.dumps({"curation": {"noise_neural_classifier": "lab/noise", "sua_mua_classifier": None}}))
    shutil.copytree(model, tmp_path / "bare")
    (tmp_path / "bare" / "model_info.json").unlink()
    with hub({"lab/noise": model, DEFAULT: tmp_path / "bare"}) as (endpoint, _):
        defaults = python("capsules", "fetch-models", cwd=tmp_path, **environment, **endpoint)
        named = python("capsules", "fetch-models", "--params", params, cwd=tmp_path, **environment, **endpoint)
    assert defaults.returncode == 1
    assert defaults.stdout.splitlines() == [
        f"{DEFAULT}: the hub's lacks a .skops file or model_info.json",
        "SpikeInterface/UnitRefine_sua_mua_classifier: there is no such folder, and the hub has no such repository "
        "for you",
    ]
    assert (named.returncode, named.stdout.startswith("lab/noise: fetched from the hub into ")) == (0, True)
    again = python("capsules", "fetch-models", "--params", params, cwd=tmp_path, **environment, **UNREACHABLE)
    assert (again.returncode, again.stdout.startswith("lab/noise: in the local model cache, ")) == (0, True)
    params.write_text('{"curation": {"noise_neural_classifier": "bare", "sua_mua_classifier": null}}')
    bare = python("capsules", "fetch-models", "--params", params, cwd=tmp_path, **environment, **UNREACHABLE)
    lacking = f"bare: the folder {tmp_path / 'bare'} lacks a .skops file or model_info.json\n"
    assert (bare.returncode, bare.stdout) == (1, lacking)
    params.write_text('{"curation": {"noise_strategy": "bombcell"}}')
    none = python("capsules", "fetch-models", "--params", params, cwd=tmp_path, **environment)
    assert (none.returncode, none.stdout) == (0, "the parameters use no classifier\n")
    params.write_text('{"curation": {"noise_neural_classifyer": null}}')
    refused = python("capsules", "fetch-models", "--params", params, cwd=tmp_path, **environment)
    assert (refused.returncode, "did you mean 'noise_neural_classifier'?" in refused.stderr) == (2, True)
