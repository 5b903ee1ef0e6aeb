"""The sorters' own parameters: Kilosort4's table against the document it was made from, all against the libraries."""

import json
import subprocess
import sys
from math import inf
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from capsules.common.patches.repeatable_sorters import stopping_in_order
from capsules.spikesorting.params import SpikesortingParams
from capsules.spikesorting.sorters import SORTERS
from capsules.spikesorting.sorters.base import JOB_KWARGS_REPLACED, Context
from capsules.spikesorting.sorters.kilosort4 import REPLACED
from capsules.spikesorting.sorters.kilosort4_parameters import (
    DEFAULT_SETTINGS,
    EXTRA_PARAMETERS,
    MAIN_PARAMETERS,
    compare_settings,
)
from tests.halves import rest_is_slow

ROOT = Path(__file__).parents[2]
SEED = json.loads((ROOT / "tests" / "facts" / "kilosort4_parameters.json").read_text())
TABLE = MAIN_PARAMETERS | EXTRA_PARAMETERS
SETTINGS_SCHEMA = json.loads((ROOT / "pipeline" / "default_params_schema.json").read_text())["properties"][
    "spikesorting"
]["properties"]["kilosort4"]["properties"]["sorter"]
FACTS = ("gui_name", "type", "min", "max", "exclude", "default", "step")

NEWER = {"batch_downsampling", "cluster_init_seed"}
"""Parameters that the installed Kilosort has beyond the document."""
REFERENCE_DIFFERS = {"cluster_downsampling": (1, 20)}
"""Parameter -> (the document's default, the installed Kilosort's, which is ours); `docs/sorters.md` says why."""


def number(value):
    return {"inf": inf, "-inf": -inf}.get(value, value) if isinstance(value, str) else value


SEEDED = [(part, name) for part in SEED for name in SEED[part]]


def test_the_document_has_39_parameters():
    assert [len(SEED["MAIN_PARAMETERS"]), len(SEED["EXTRA_PARAMETERS"])] == [8, 31]


@pytest.mark.parametrize(("part", "name"), SEEDED)
def test_a_parameter_of_the_document_is_in_the_table(part, name):
    ours = {"MAIN_PARAMETERS": MAIN_PARAMETERS, "EXTRA_PARAMETERS": EXTRA_PARAMETERS}[part][name]
    expected = SEED[part][name]
    assert ours["type"].__name__ == expected["type"]
    assert ours["exclude"] == [number(value) for value in expected["exclude"]]
    for fact in ("gui_name", "min", "max", "step"):
        assert ours[fact] == number(expected[fact]), fact
    assert len(ours["description"]) > 20
    default = number(expected["default"])
    assert REFERENCE_DIFFERS.get(name, (default, default)) == (default, DEFAULT_SETTINGS[name])


def test_the_table_against_the_installed_kilosort():
    from kilosort import parameters as installed

    theirs = installed.MAIN_PARAMETERS | installed.EXTRA_PARAMETERS
    changes = [f"{name} is new: add it to kilosort4_parameters.py" for name in theirs if name not in TABLE]
    changes += [f"{name} is gone from Kilosort: it can no longer be passed" for name in TABLE if name not in theirs]
    for name in set(theirs) & set(TABLE):
        for fact in FACTS:
            ours, installed_one = TABLE[name][fact], theirs[name][fact]
            if ours != installed_one:
                changes.append(f"{name}: {fact} is {ours!r} here and {installed_one!r} in the installed Kilosort")
    assert not changes, "\n".join(changes)
    assert set(TABLE) - {name for _, name in SEEDED} == NEWER


@pytest.mark.parametrize("name", sorted(set(TABLE) - set(REPLACED)))
def test_the_schema_has_the_tables_bounds(name):
    """Verdicts at and around every bound and excluded value follow the table."""
    entry, node = TABLE[name], SETTINGS_SCHEMA["properties"][name]
    validator = jsonschema.Draft7Validator(node)
    assert node["default"] == (None if entry["default"] == inf else entry["default"])
    assert validator.is_valid(node["default"])
    if entry["type"] in (int, float):
        for edge in {entry["min"], entry["max"], *entry["exclude"]} - {inf, -inf}:
            for value in (edge - 1, edge, edge + 1):
                allowed = entry["min"] <= value <= entry["max"] and value not in entry["exclude"]
                assert validator.is_valid(value) == allowed, value
        assert not validator.is_valid("1")
        assert not validator.is_valid(True)
    if entry["type"] is int:
        assert not validator.is_valid(entry["default"] + 0.5 if entry["default"] else 1.5)


def test_compare_settings_tells_changes_and_strangers():
    settings = DEFAULT_SETTINGS | {"Th_universal": 7, "no_such": 1, "nskip": 25}
    assert compare_settings(settings) == ({"Th_universal": 7}, ["no_such"])
    assert compare_settings({}) == ({}, [])


def context(changes, **settings):
    return Context(**({"num_channels": 32, "motion_applied": False, "referenced": False} | settings), job_kwargs={},
                   change=changes.append)  # fmt: skip


@pytest.mark.parametrize("sorter", SORTERS)
def test_every_argument_is_one_that_spikeinterface_takes_and_none_is_left_to_it(sorter):
    from spikeinterface.sorters import get_default_sorter_params

    known = set(get_default_sorter_params(SORTERS[sorter].spikeinterface_name))
    arguments = SORTERS[sorter].arguments(SORTERS[sorter].params(), context([]))
    assert set(arguments) - {"verbose"} <= known
    assert known - set(arguments) <= set(JOB_KWARGS_REPLACED), "SpikeInterface has parameters that the model lacks"


EQUAL_BUT = {
    "kilosort4": {"torch_device": ("cpu", "auto")},
    "kilosort25": {"delete_tmp_files": (True, ["matlab_files"]), "delete_recording_dat": (True, False)},
    "lupin": {"seed": (0, None), "save_array": (False, True)},
    "spykingcircus2": {"matching": ({"matching_kwargs": {}}, {})},
    "tridesclous2": {"seed": (0, None), "save_array": (False, True)},
}
"""Sorter -> argument -> (what we pass on purpose, SpikeInterface's default); the rest is the same."""


@pytest.mark.parametrize("sorter", SORTERS)
def test_the_defaults_are_spikeinterfaces_but_for_those_named(sorter):
    from spikeinterface.sorters import get_default_sorter_params

    theirs = get_default_sorter_params(SORTERS[sorter].spikeinterface_name)
    arguments = SORTERS[sorter].arguments(SORTERS[sorter].params(), context([]))
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
    assert SORTERS["kilosort4"].arguments(params, context([]))["artifact_threshold"] == inf
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
        arguments = SORTERS[sorter].arguments(SORTERS[sorter].params(**wanted), context(changes, **settings))
        assert not arguments.get("do_correction", arguments.get("apply_motion_correction"))
        assert any(said in change for change in changes)
    skipping = SORTERS[sorter].params(skip_motion_correction=True, **wanted)
    arguments = SORTERS[sorter].arguments(skipping, context([]))
    assert not arguments.get("do_correction", arguments.get("apply_motion_correction"))


@pytest.mark.parametrize("sorter", ["lupin", "spykingcircus2", "tridesclous2"])
def test_a_null_seed_becomes_0_and_says_so(sorter):
    changes = []
    params = SORTERS[sorter].params(sorter={"seed": None})
    assert SORTERS[sorter].arguments(params, context(changes))["seed"] == 0
    assert any("seed = 0" in change for change in changes)


def test_the_seed_reaches_the_draws_that_spikeinterface_makes_without_one():
    code = """
import numpy as np
from spikeinterface.core import generate_recording, get_random_data_chunks
from spikeinterface.sortingcomponents.peak_selection import select_peaks
from capsules.spikesorting.sorters.components import repeatable
recording = generate_recording(num_channels=2, durations=[5.0], seed=0)
peaks = np.zeros(1000, dtype=[("sample_index", "int64"), ("channel_index", "int64"), ("amplitude", "float64"),
                              ("segment_index", "int64")])
peaks["sample_index"] = np.arange(1000)
def draws():
    chosen = select_peaks(peaks, method="uniform", n_peaks=50, select_per_channel=False)
    return get_random_data_chunks(recording, chunk_size=100).tobytes() + chosen.tobytes()
assert draws() != draws()
repeatable("lupin")({"seed": 3})
three = draws()
assert three == draws()
repeatable("lupin")({"seed": 4})
assert three != draws()
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


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
        found = stopping_in_order(run_node_pipeline)(
            recording, [detector, waveforms], work | {"n_jobs": workers}, **some
        )
        for one, other in zip(expected, found, strict=True):
            np.testing.assert_array_equal(one, other)
    peaks = stopping_in_order(run_node_pipeline)(recording, [detector], work | {"n_jobs": 2}, **some)
    np.testing.assert_array_equal(peaks, expected[0])
