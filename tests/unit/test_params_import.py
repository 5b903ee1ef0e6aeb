"""`spikerelay params import`: AIND's params files and Kilosort4's settings become ours, and nothing is silent."""

from __future__ import annotations

import json
import pickle
from copy import deepcopy

import numpy as np
import pytest

from capsules.commands.params_import import settle, translate_file
from capsules.common.errors import Rejected, SpikeRelayError
from capsules.common.untrusted.pickles import load_pickled_dict
from capsules.parameters.foreign.aind import SECTIONS, translate_aind
from capsules.parameters.foreign.kilosort4 import translate_settings
from capsules.parameters.model import get_dotted, set_dotted
from capsules.resolve_params.params import PipelineParams
from capsules.resolve_params.params_file import differences, validate_file, whole_file_problems
from capsules.spikesorting.sorters.kilosort4_parameters import Kilosort4Settings
from tests.aind_params import KILOSORT4, VERSION_1_2, VERSION_1_3

KNOWN = list(Kilosort4Settings.model_fields)
KS4 = "spikesorting.kilosort4.sorter"
METRICS = "postprocessing.extensions.quality_metrics.metric_params"


def imported(document):
    """The parameters, and every line that the command prints."""
    work = translate_aind(document)
    lines = settle(work)
    assert not whole_file_problems(PipelineParams.model_validate(work.params))
    return work.params, lines + [change.text for change in work.changes]


def leaf_values(document, path=()):
    """Every value of a document that is not an object, and every empty object."""
    if not isinstance(document, dict) or not document:
        yield ".".join(path), document
        return
    for name, value in document.items():
        yield from leaf_values(value, (*path, name))


@pytest.mark.parametrize("document", [VERSION_1_2, VERSION_1_3], ids=["1.2", "1.3"])
def test_every_key_of_the_shipped_defaults_arrives_or_has_a_line(document):
    params, lines = imported(document)
    for dotted, value in leaf_values(document):
        same = get_dotted(params, dotted, ...) == value
        around = [dotted.rsplit(".", number)[0] for number in range(4)]
        no_limit = value is None and ".bombcell." in dotted
        always = dotted.endswith("amplitude_median.abs")
        assert same or no_limit or always or any(name in line for name in around for line in lines), dotted


@pytest.mark.parametrize("document", [VERSION_1_2, VERSION_1_3], ids=["1.2", "1.3"])
def test_an_imported_file_is_imported_unchanged(document):
    params, _ = imported(document)
    assert imported(params)[0] == params


def test_the_defaults_of_1_3_keep_their_values():
    params, lines = imported(VERSION_1_3)
    changed = {dotted: value for dotted, (_, value) in differences(PipelineParams.model_validate(params)).items()}
    query = "rp_contamination <= 0.5 and presence_ratio >= 0.8 and amplitude_cutoff <= 0.1"
    expected = {
        "job_dispatch.input": "aind",
        f"{KS4}.nblocks": 5,
        f"{KS4}.do_CAR": True,
        "spikesorting.kilosort4.min_drift_channels": 96,
        "spikesorting.lupin.sorter.template_matching_engine": "circus-omp",
        "postprocessing.extensions.valid_unit_periods": {},
        f"{METRICS}.nearest_neighbor.n_neighbors": 5,
        "curation.query": query,
        "curation.noise_strategy": "both",
        "curation.bombcell.mua.rp_contamination.less": 0.1,
        "curation.bombcell.mua.sliding_rp_violation.less": None,
        "curation.bombcell.mua.l_ratio.less": None,
    }
    assert {dotted: changed.get(dotted, ...) for dotted in expected} == expected
    # Their filter, bad channels, motion and NWB settings are ours.
    assert not [dotted for dotted in changed if dotted.startswith(("preprocessing.", "nwb."))]
    assert any(f'{METRICS}.snr.peak_sign = "neg", not "both"' in line for line in lines)
    assert not [line for line in lines if "so the default" in line]


def test_the_defaults_of_1_2_keep_their_values():
    params, lines = imported(VERSION_1_2)
    assert params["job_dispatch"]["split_segments"] is True
    assert params["curation"]["query"] == VERSION_1_2["curation"]["query"]
    assert params["postprocessing"]["extensions"]["amplitude_scalings"] is None
    assert get_dotted(params, f"{METRICS}.nn_advanced.radius_um") == 100
    assert not any("lupin" in line for line in lines)


def test_what_the_file_lacks_is_theirs_not_ours():
    params, _ = imported({"spikesorting": {"sorter": "kilosort4", "kilosort4": {"sorter": {"Th_learned": 7}}}})
    assert params["spikesorting"]["kilosort4"] == {
        "sorter": {"Th_learned": 7, "do_CAR": True},
        "min_drift_channels": 96,
    }
    assert list(params["spikesorting"]) == ["sorter", "kilosort4"]
    assert params["job_dispatch"] == {"input": "aind"}
    whole, _ = imported({"spikesorting": {"sorter": "kilosort4"}})
    assert get_dotted(whole, f"{KS4}.nblocks") == 5
    later, _ = imported({"pipeline_version": "1.3.0", "curation": {}})
    assert later["curation"]["query"].startswith("rp_contamination")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"snr": {"greater": 5, "less": None}, "d_prime": {"less": 0.2}}, "snr >= 5 and d_prime <= 0.2"),
        ({"snr": {">": 5, "<=": 50}}, "snr > 5 and snr <= 50"),
        ({"snr": "> 5"}, "snr > 5"),
        (
            {"amplitude_median": {"greater": 30, "abs": True}},
            "(amplitude_median >= 30 or amplitude_median <= -30)",
        ),
        (
            {"amplitude_median": {"less": 300, "abs": True}},
            "(amplitude_median <= 300 and amplitude_median >= -300)",
        ),
        ("snr > 5", "snr > 5"),
    ],
)  # fmt: skip
def test_a_query_may_be_thresholds(query, expected):
    params, _ = imported({"curation": {"query": query}})
    assert params["curation"]["query"] == expected


def test_extensions_that_the_file_does_not_name_are_off():
    named = {"random_spikes": {}, "templates": {}}
    params, lines = imported(VERSION_1_3 | {"postprocessing": {"extensions": named}})
    extensions = params["postprocessing"]["extensions"]
    assert {name for name, settings in extensions.items() if settings is not None} == set(named)
    # Its metrics are not computed, in AIND's pipeline either.
    assert params["curation"]["query"] is None
    assert any(line.startswith("curation.query: left out, so that no unit is labelled by a query") for line in lines)


def test_labels_to_remove_become_switches():
    steps = {"detect_and_remove_bad_channels": {"n_neighbors": 5, "channel_filters": ["noise", "dead"]}}
    params, _ = imported({"preprocessing": {"remove_out_channels": True, "default_preprocessing_pipeline": steps}})
    assert params["preprocessing"] == {"detect_bad_channels": {"n_neighbors": 5}, "remove_out_channels": False}
    steps["detect_and_remove_bad_channels"]["channel_filters"] = ["dead"]
    params, lines = imported({"preprocessing": {"default_preprocessing_pipeline": steps}})
    assert params["preprocessing"]["remove_bad_channels"] is False
    assert "noisy and dead channels are removed together or not at all: none is removed" in lines


def test_what_we_reject_is_left_out_with_the_reason():
    document = {
        "preprocessing": {"filter_type": "lowpass", "no_such_key": 1},
        "postprocessing": {"extensions": VERSION_1_3["postprocessing"]["extensions"] | {"no_such_extension": {}}},
        "curation": {"query": "snr > 5 or"},
        "visualization": 3,
    }
    metrics = ["num_spikes", "no_such_metric", "snr", "another"]
    document = deepcopy(document)
    set_dotted(document, "postprocessing.extensions.quality_metrics.metric_names", metrics)
    params, lines = imported(document)
    assert params["preprocessing"] == {}
    assert get_dotted(params, "postprocessing.extensions.quality_metrics.metric_names") == ["num_spikes", "snr"]
    assert 'preprocessing.filter_type: left out, so the default "highpass" applies' in "\n".join(lines)
    assert params["curation"]["query"] is None
    metric_names = ("metric_names.1", "metric_names.3")
    for name in ("no_such_key", "no_such_extension", *metric_names, "curation.query", "visualization"):
        assert any(f"{name}: left out" in line for line in lines), name


@pytest.mark.parametrize("value", [5, [[]], {"x": {"y": None}}], ids=repr)
def test_any_value_anywhere_is_translated_or_left_out(value):
    """Each section and each part of the shipped file in turn is replaced by something else."""
    paths = [*SECTIONS, *{dotted.rsplit(".", 1)[0] for dotted, _ in leaf_values(VERSION_1_3) if "." in dotted}]
    for dotted in [*paths, "curation.noise_strategy", "curation.query", f"{METRICS}.snr.peak_sign"]:
        document = deepcopy(VERSION_1_3)
        set_dotted(document, dotted, value)
        try:
            imported(document)
        except Rejected as refusal:
            # A rule that what remains of the file breaks; the message names the parameters.
            assert "needs" in str(refusal) or "same" in str(refusal), dotted


def test_the_command_prints_each_change_and_writes_a_valid_file(tmp_path, spikerelay):
    source, output = tmp_path / "aind.json", tmp_path / "params.json"
    source.write_text(json.dumps(VERSION_1_3))
    code, said, _ = spikerelay("params", "import", source, "--output", output)
    assert (code, said.splitlines()[0].startswith("AIND's params file 1.3.1: ")) == (0, True)
    for line in ("renamed:", "left out:", "behaves differently:", 'mp_context = "spawn": the pipeline chooses it'):
        assert line in said
    validate_file(output)
    code, _, complaint = spikerelay("params", "import", source, "--output", output)
    assert (code, "exists: remove it" in complaint) == (2, True)
    code, said, changes = spikerelay("params", "import", source)
    assert (code, json.loads(said), "renamed:" in changes) == (0, json.loads(output.read_text()), True)


def test_a_file_of_something_else_is_rejected(tmp_path, spikerelay):
    source = tmp_path / "other.json"
    for content, words in (
        ('{"a": 1}', "no key is known"),
        ("[1]", "a JSON object is needed"),
        ("{", "not JSON"),
        ('{"curation": {"query": null, "query": "snr > 5"}}', "is given twice"),
        ('{"curation": {"query": NaN}}', "NaN is not JSON"),
    ):
        source.write_text(content)
        code, _, complaint = spikerelay("params", "import", source)
        assert (code, words in complaint) == (2, True), complaint
    assert spikerelay("params", "import", tmp_path / "none.json")[0] == 2


SETTINGS = {
    "n_chan_bin": 385,
    "fs": 30000.0,
    "batch_size": 60000,
    "nblocks": 1,
    "Th_universal": 9,
    "Th_learned": 8,
    "tmin": 10,
    "tmax": float("inf"),
    "nt": 61,
    "nt0min": 20,
    "artifact_threshold": float("inf"),
    "max_channel_distance": None,
    "duplicate_spike_bins": 7,
    "probe_name": "neuropixPhase3B1_kilosortChanMap.mat",
    "torch_device": "cuda",
}


def test_kilosort_settings_become_the_sorters(tmp_path):
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(SETTINGS))
    name, work = translate_file(file)
    assert (name, settle(work)) == ("Kilosort4's settings", [])
    assert work.params["preprocessing"] == {"t_start": 10}
    sorter = work.params["spikesorting"]["kilosort4"]["sorter"]
    assert sorter == {
        "batch_size": 60000,
        "nblocks": 1,
        "Th_universal": 9,
        "Th_learned": 8,
        "nt": 61,
        "nt0min": None,
        "artifact_threshold": None,
        "max_channel_distance": 32,
        "duplicate_spike_ms": 0.233333,
    }
    lines = "\n".join(change.text for change in work.changes)
    for key in SETTINGS:
        assert key in sorter or key in lines


def test_shipped_kilosort_settings_are_all_known():
    work = translate_settings(KILOSORT4, KNOWN)
    assert settle(work) == []
    assert not [change for change in work.changes if "no such setting" in change.text]


def save_ops(file, ops):
    np.save(file, np.array(ops))
    return file


def test_ops_of_a_sorting_are_imported(tmp_path):
    ops = SETTINGS | {"settings": SETTINGS | {"Th_learned": np.float64(7)}}
    ops |= {"do_CAR": False, "invert_sign": np.bool_(True)}
    ops |= {"Wrot": np.eye(4), "probe": {"xc": np.arange(4.0)}, "dshift": None}
    name, work = translate_file(save_ops(tmp_path / "ops.npy", ops))
    assert (name, settle(work)) == ("Kilosort4's ops.npy", [])
    sorter = work.params["spikesorting"]["kilosort4"]["sorter"]
    assert (sorter["Th_learned"], sorter["do_CAR"], sorter["invert_sign"]) == (7, False, True)
    rest = next(change.text for change in work.changes if "results or the probe" in change.text)
    assert rest.startswith("3 entries") and "Wrot" in rest


class Hostile:
    def __reduce__(self):
        return (print, ("this must not run",))


def test_ops_that_would_run_code_are_rejected(tmp_path, capsys, spikerelay):
    for number, ops in enumerate(({"settings": Hostile()}, {"settings": SETTINGS, "x": [Hostile()]})):
        file = save_ops(tmp_path / f"{number}.npy", ops)
        with pytest.raises(SpikeRelayError, match=r"would run builtins\.print: it is not read"):
            load_pickled_dict(file)
    assert "must not run" not in capsys.readouterr().out
    assert spikerelay("params", "import", file)[0] == 1


def test_other_numpy_files_are_rejected(tmp_path):
    np.save(tmp_path / "numbers.npy", np.arange(3))
    (tmp_path / "text.npy").write_text("no array")
    save_ops(tmp_path / "list.npy", [1, 2, None])
    whole = save_ops(tmp_path / "ops.npy", {"settings": SETTINGS}).read_bytes()
    (tmp_path / "cut.npy").write_bytes(whole[:-20])
    (tmp_path / "bare.npy").write_bytes(pickle.dumps({"settings": SETTINGS}))
    for name in ("numbers", "text", "list", "cut", "bare", "absent"):
        with pytest.raises(SpikeRelayError, match=rf"{name}\.npy: "):
            load_pickled_dict(tmp_path / f"{name}.npy")
