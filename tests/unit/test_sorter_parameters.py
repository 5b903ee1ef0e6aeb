"""The sorters' own parameters: Kilosort4's compared with the document that they come from, all with the libraries."""

import json
import subprocess
import sys
from math import inf
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from capsules.common.patches.repeatable_sorters import make_stop_in_order
from capsules.spikesorting.params import SpikesortingParams
from capsules.spikesorting.sorters import SORTERS
from capsules.spikesorting.sorters.base import JOB_KWARGS_REPLACED, Context
from capsules.spikesorting.sorters.kilosort4 import find_changes
from capsules.spikesorting.sorters.kilosort4_parameters import KILOSORT_NAMES, REPLACED
from tests.halves import rest_is_slow

ROOT = Path(__file__).parents[2]
SEED = json.loads((ROOT / "tests" / "facts" / "kilosort4_parameters.json").read_text())
DOCUMENTED = SEED["MAIN_PARAMETERS"] | SEED["EXTRA_PARAMETERS"]
SETTINGS_SCHEMA = json.loads((ROOT / "pipeline" / "default_params_schema.json").read_text())["properties"][
    "spikesorting"
]["properties"]["kilosort4"]["properties"]["sorter"]
TYPES = {"int": "integer", "float": "number", "bool": "boolean", "list": "array"}

NEWER = {"batch_downsampling", "cluster_init_seed"}
"""Parameters that the installed Kilosort has beyond the document."""
REFERENCE_DIFFERS = {"cluster_downsampling": (1, 20)}
"""Parameter -> (the document's default, the installed Kilosort's, which is ours); `docs/sorters.md` says why."""


def number(value):
    return {"inf": inf, "-inf": -inf}.get(value, value) if isinstance(value, str) else value


def installed_table():
    from kilosort import parameters

    return {
        name: entry | {"type": entry["type"].__name__}
        for name, entry in (parameters.MAIN_PARAMETERS | parameters.EXTRA_PARAMETERS).items()
    }


def differences(name, entry):
    """What the schema of a parameter has otherwise than an entry of Kilosort's table; JSON has null for infinity."""
    node = SETTINGS_SCHEMA["properties"][name]
    validator = jsonschema.Draft7Validator(node)
    default, low, high = (number(entry[key]) for key in ("default", "min", "max"))
    excluded = [number(value) for value in entry["exclude"]]
    if (node["gui_name"], node["step"]) != (entry["gui_name"], entry["step"]):
        yield f"{name}: gui_name or step is not {entry['gui_name']!r}, {entry['step']!r}"
    if TYPES[entry["type"]] not in node["type"]:
        yield f"{name}: the type is not {entry['type']}"
    if node["default"] != (None if default == inf else default) or not validator.is_valid(node["default"]):
        yield f"{name}: the default is not {default!r}"
    if entry["type"] in ("int", "float"):
        for edge in {low, high, *excluded} - {inf, -inf}:
            for value in (edge - 1, edge, edge + 1):
                if validator.is_valid(value) != (low <= value <= high and value not in excluded):
                    yield f"{name}: the bounds are not {low} to {high} without {excluded}, for {value}"
        if validator.is_valid("1") or validator.is_valid(True):
            yield f"{name}: is valid as a text or a boolean"
    if entry["type"] == "int" and validator.is_valid(default + 0.5 if default else 1.5):
        yield f"{name}: is valid as a fraction"


def test_the_document_has_39_parameters():
    assert [len(SEED["MAIN_PARAMETERS"]), len(SEED["EXTRA_PARAMETERS"])] == [8, 31]
    assert set(KILOSORT_NAMES) == set(DOCUMENTED) - set(REPLACED) | NEWER


@pytest.mark.parametrize("name", sorted(set(DOCUMENTED) - set(REPLACED)))
def test_a_parameter_is_as_in_the_document(name):
    entry = dict(DOCUMENTED[name])
    if name in REFERENCE_DIFFERS:
        reference, ours = REFERENCE_DIFFERS[name]
        assert entry["default"] == reference
        entry["default"] = ours
    assert list(differences(name, entry)) == []
    assert len(SETTINGS_SCHEMA["properties"][name]["description"]) > 20


def test_every_parameter_is_as_in_the_installed_kilosort():
    # `clear_cache` is an argument of `run_kilosort`, not of its table.
    installed, ours = installed_table(), {*KILOSORT_NAMES, *REPLACED} - {"clear_cache"}
    changes = [f"{name} is new: add it to kilosort4_parameters.py" for name in installed if name not in ours]
    changes += [f"{name} is gone from Kilosort: it can no longer be passed" for name in ours if name not in installed]
    for name in set(installed) & set(KILOSORT_NAMES):
        changes += differences(name, installed[name])
    assert not changes, "\n".join(changes)


def test_changes_are_the_arguments_that_differ_from_kilosorts_defaults():
    arguments = SORTERS["kilosort4"].make_arguments(SORTERS["kilosort4"].params(), context([]))
    assert find_changes(arguments) == {}
    changed = {"Th_universal": 7, "max_cluster_subset": None}
    assert find_changes(arguments | changed | {"nskip": 25, "do_CAR": False}) == changed


def context(changes, **settings):
    usual = {
        "num_channels": 32,
        "duration_s": 60.0,
        "motion_applied": False,
        "referenced": False,
        "cache_bytes": 10**9,
        "free_bytes": 10**10,
    }
    return Context(**(usual | settings), job_kwargs={}, cache_folder="sorter/cache", change=changes.append)


@pytest.mark.parametrize(
    ("mode", "free_bytes", "chosen"),
    [
        ("memory", 2 * 10**9, "memory"),
        ("memory", 1.9e9, "folder"),
        ("no-cache", 1, "no-cache"),
        ("folder", 10**12, "folder"),
    ],
)
def test_spykingcircus2_caches_on_disk_what_memory_does_not_hold(mode, free_bytes, chosen):
    changes = []
    params = SORTERS["spykingcircus2"].params.model_validate({"sorter": {"cache_preprocessing": {"mode": mode}}})
    arguments = SORTERS["spykingcircus2"].make_arguments(params, context(changes, free_bytes=free_bytes))
    folder = {"folder": "sorter/cache"} if chosen == "folder" else {}
    assert arguments["cache_preprocessing"] == {"mode": chosen, "memory_limit": 0.5} | folder
    assert [change.split(":")[0] for change in changes] == ["cache_preprocessing.mode = folder"] * (mode != chosen)


@pytest.mark.parametrize(
    ("duration_s", "settings", "batching", "count"),
    [(2000, {}, "full", 0), (2001, {}, "online", 1), (2001, {"batching_mode": "full"}, "full", 0)],
)
@pytest.mark.parametrize("preset", ["dredge", "dredge_fast", "rigid_fast"])
def test_spykingcircus2_estimates_the_motion_of_a_long_recording_in_stretches(
    preset, duration_s, settings, batching, count
):
    from spikeinterface.preprocessing.motion import motion_options_preset

    assert motion_options_preset[preset]["estimate_motion_kwargs"]["method"] == "dredge_ap"
    correction = {"preset": preset, "estimate_motion_kwargs": settings}
    params = SORTERS["spykingcircus2"].params.model_validate({"sorter": {"motion_correction": correction}})
    changes = []
    arguments = SORTERS["spykingcircus2"].make_arguments(params, context(changes, duration_s=duration_s))
    assert arguments["motion_correction"]["estimate_motion_kwargs"]["batching_mode"] == batching
    assert len([change for change in changes if "in parts of 1000 s" in change]) == count


@pytest.mark.parametrize(("free_mb", "scratch_mb"), [(2000, 0), (1999, 1000)])
def test_the_forecast_has_the_cache_that_memory_does_not_hold(monkeypatch, free_mb, scratch_mb):
    module = "capsules.spikesorting.sorters.spykingcircus2.measure_free_memory"
    monkeypatch.setattr(module, lambda: free_mb * 10**6)
    sorter = SORTERS["spykingcircus2"]
    assert sorter.estimate_scratch(sorter.params(), 1000) == scratch_mb


@pytest.mark.parametrize("sorter", SORTERS)
def test_every_argument_is_one_that_spikeinterface_takes_and_none_is_left_to_it(sorter):
    from spikeinterface.sorters import get_default_sorter_params

    known = set(get_default_sorter_params(SORTERS[sorter].spikeinterface_name))
    arguments = SORTERS[sorter].make_arguments(SORTERS[sorter].params(), context([]))
    assert set(arguments) - {"verbose"} <= known
    assert known - set(arguments) <= set(JOB_KWARGS_REPLACED), "SpikeInterface has parameters that the model lacks"


EQUAL_BUT = {
    "kilosort4": {"torch_device": ("cpu", "auto")},
    "kilosort25": {"delete_tmp_files": (True, ["matlab_files"]), "delete_recording_dat": (True, False)},
    "lupin": {"seed": (0, None), "save_array": (False, True)},
    "spykingcircus2": {
        "matching": ({"matching_kwargs": {}}, {}),
        "motion_correction": ({"estimate_motion_kwargs": {"batching_mode": "full"}}, {}),
    },
    "tridesclous2": {"seed": (0, None), "save_array": (False, True)},
}
"""Sorter -> argument -> (what we pass on purpose, SpikeInterface's default); the rest is the same."""


@pytest.mark.parametrize("sorter", SORTERS)
def test_the_defaults_are_spikeinterfaces_but_for_those_named(sorter):
    from spikeinterface.sorters import get_default_sorter_params

    theirs = get_default_sorter_params(SORTERS[sorter].spikeinterface_name)
    arguments = SORTERS[sorter].make_arguments(SORTERS[sorter].params(), context([]))
    for name in set(arguments) & set(theirs) - set(JOB_KWARGS_REPLACED) - {"job_kwargs"}:
        ours, default = arguments[name], theirs[name]
        if name in EQUAL_BUT[sorter]:
            chosen, expected = EQUAL_BUT[sorter][name]
            default = default | chosen if isinstance(default, dict) else chosen
            assert isinstance(theirs[name], dict) or list_or(theirs[name]) == expected
        assert list_or(ours) == list_or(default), name


def list_or(value):
    return list(value) if isinstance(value, tuple) else value


def test_null_is_infinity_where_json_has_none():
    params = SpikesortingParams().kilosort4
    assert SORTERS["kilosort4"].make_arguments(params, context([]))["artifact_threshold"] == inf
    assert (
        SpikesortingParams(kilosort4={"sorter": {"max_cluster_subset": None}}).kilosort4.sorter.max_cluster_subset
        is None
    )


DRIFT_ON = {name: {"sorter": {"apply_motion_correction": True}} for name in ("lupin", "tridesclous2")}
"""Sorters that correct no drift unless told to."""


@pytest.mark.parametrize("sorter", SORTERS)
def test_drift_correction_goes_off_and_says_so(sorter):
    wanted = DRIFT_ON.get(sorter, {})
    for settings, said in (({"num_channels": 4}, "4 channels"), ({"motion_applied": True}, "applied the motion")):
        changes = []
        arguments = SORTERS[sorter].make_arguments(SORTERS[sorter].params(**wanted), context(changes, **settings))
        assert not arguments.get("do_correction", arguments.get("apply_motion_correction"))
        assert any(said in change for change in changes)
    skipping = SORTERS[sorter].params(skip_motion_correction=True, **wanted)
    arguments = SORTERS[sorter].make_arguments(skipping, context([]))
    assert not arguments.get("do_correction", arguments.get("apply_motion_correction"))


@pytest.mark.parametrize("sorter", ["lupin", "spykingcircus2", "tridesclous2"])
def test_a_null_seed_becomes_0_and_says_so(sorter):
    changes = []
    params = SORTERS[sorter].params(sorter={"seed": None})
    assert SORTERS[sorter].make_arguments(params, context(changes))["seed"] == 0
    assert any("seed = 0" in change for change in changes)


def test_the_seed_reaches_the_draws_that_spikeinterface_makes_without_one():
    code = """
import numpy as np
from spikeinterface.core import generate_recording, get_random_data_chunks
from spikeinterface.sortingcomponents.peak_selection import select_peaks
from capsules.spikesorting.sorters.components import make_repeatable
recording = generate_recording(num_channels=2, durations=[5.0], seed=0)
peaks = np.zeros(1000, dtype=[("sample_index", "int64"), ("channel_index", "int64"), ("amplitude", "float64"),
                              ("segment_index", "int64")])
peaks["sample_index"] = np.arange(1000)
def draws():
    chosen = select_peaks(peaks, method="uniform", n_peaks=50, select_per_channel=False)
    return get_random_data_chunks(recording, chunk_size=100).tobytes() + chosen.tobytes()
assert draws() != draws()
make_repeatable("lupin")({"seed": 3})
three = draws()
assert three == draws()
make_repeatable("lupin")({"seed": 4})
assert three != draws()
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


@pytest.mark.parametrize("mode", ["memory", "folder", "no-cache"])
def test_a_sorter_keeps_its_traces_in_half_precision(mode, tmp_path):
    code = """
import sys
import numpy as np
from spikeinterface import generate_recording
from spikeinterface.sorters.internal import tridesclous2
from capsules.spikesorting.sorters.components import speed_up
mode, folder = sys.argv[1:]
recording = generate_recording(num_channels=4, durations=[3.0], seed=0)
for _ in range(2):
    speed_up("tridesclous2")()
options = {"folder": folder} if mode == "folder" else {}
kept, description = tridesclous2.cache_preprocessing(recording, mode=mode, **options)
assert description["mode"] == mode and kept.get_dtype() == "float32" and kept.get_traces().dtype == "float32"
plain = recording.get_traces()
np.testing.assert_allclose(kept.get_traces(), plain, rtol=0 if mode == "no-cache" else 2**-11, atol=1e-6)
if mode != "no-cache":
    assert kept.get_parent().get_dtype() == "float16"
tridesclous2.clean_cache_preprocessing(description)
"""
    command = [sys.executable, "-c", code, mode, str(tmp_path / "cache")]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2])
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("limit", rest_is_slow([200, 0, 10**6]))
def test_a_search_stops_where_one_worker_would_for_any_number_of_them(limit):
    from spikeinterface import generate_recording
    from spikeinterface.core.node_pipeline import ExtractSparseWaveforms, run_node_pipeline
    from spikeinterface.sortingcomponents.peak_detection.method_list import LocallyExclusivePeakDetector
    from spikeinterface.sortingcomponents.tools import get_shuffled_recording_slices

    recording = generate_recording(num_channels=4, durations=[20.0, 11.3], seed=0)
    detector = LocallyExclusivePeakDetector(recording, noise_levels=np.ones(4), detect_threshold=3, return_output=True)
    waveforms = ExtractSparseWaveforms(
        recording, parents=[detector], ms_before=1, ms_after=1, radius_um=50, return_output=True
    )
    work = {"chunk_duration": "0.5s", "progress_bar": False, "pool_engine": "thread", "max_threads_per_worker": 1}
    some = {
        "skip_after_n_peaks": limit,
        "slices": get_shuffled_recording_slices(recording, job_kwargs=work, seed=1),
    }
    expected = run_node_pipeline(recording, [detector, waveforms], work | {"n_jobs": 1}, **some)
    assert limit < len(expected[0]) < limit + 100 or limit == 10**6
    for workers in (1, 2, 5):
        found = make_stop_in_order(run_node_pipeline)(
            recording, [detector, waveforms], work | {"n_jobs": workers}, **some
        )
        for one, other in zip(expected, found, strict=True):
            np.testing.assert_array_equal(one, other)
    peaks = make_stop_in_order(run_node_pipeline)(recording, [detector], work | {"n_jobs": 2}, **some)
    np.testing.assert_array_equal(peaks, expected[0])
