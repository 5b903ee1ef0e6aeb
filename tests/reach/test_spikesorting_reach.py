"""Every parameter of every sorter: what SpikeInterface's `run_sorter` is called with, or what comes out otherwise."""

import json

import pytest

from capsules.common.errors import RecordedFailure, SpikeRelayError
from capsules.spikesorting import stage
from capsules.spikesorting.params import PARAMS
from capsules.spikesorting.sorters import SORTERS
from tests.leaf_values import LEAVES, other_value
from tests.reach.spy import Spy, changed_section, stage_leaves, task_for

PREFIX = "spikesorting"
DRIFT = ("nblocks", "do_correction", "apply_motion_correction")
AROUND = ("skip_motion_correction", "min_drift_channels", "raise_if_fails")


@pytest.fixture
def sort(inputs, tmp_path, monkeypatch, truth):
    """Run a sorter's stage with settings; gives the task and what `run_sorter` was called with."""
    import spikeinterface as si
    from spikeinterface import sorters

    def run(sorter, params, outcome=None):
        spy = Spy(monkeypatch)

        def instead(*args, **kwargs):
            if outcome is not None:
                raise outcome
            return truth[1]

        spy.watch(sorters, "run_sorter", instead)
        spy.watch(si, "set_global_job_kwargs")
        monkeypatch.setattr(stage, "SORTERS", {sorter: _available(SORTERS[sorter])})
        task = task_for("spikesorting", params, tmp_path / sorter)
        task.inputs = inputs
        stage.run(task)
        return task, spy.calls["run_sorter"][0]

    return run


def _available(sorter):
    from dataclasses import replace

    return replace(sorter, unavailable=lambda: None)


def parameters(sorter, **around):
    section = changed_section(PARAMS, PREFIX, sorter=sorter)
    document = section.model_dump(mode="json")
    document[sorter] |= {"skip_motion_correction": False, "min_drift_channels": 1, "raise_if_fails": True} | around
    return PARAMS.model_validate(document)


@pytest.mark.parametrize("sorter", SORTERS)
def test_every_parameter_of_the_sorter_reaches_it(sorter, sort):
    _, call = sort(sorter, parameters(sorter))
    start = f"{sorter}.sorter."
    names = [name.removeprefix(start) for name in stage_leaves(PREFIX) if name.startswith(start)]
    assert len(names) > 20
    for name in names:
        value = other_value(LEAVES[f"{PREFIX}.{start}{name}"])
        found = call
        for key in name.split("."):
            found = found[key]
        assert found == value, name


def test_spykingcircus2_gets_the_matchings_settings_under_the_name_that_it_reads(sort):
    settings = {"sorter": {"matching": {"method_kwargs": {"max_failures": 7}}}}
    _, call = sort("spykingcircus2", PARAMS.model_validate({"sorter": "spykingcircus2", "spykingcircus2": settings}))
    assert call["matching"]["matching_kwargs"] == {"max_failures": 7}


@pytest.mark.parametrize("sorter", SORTERS)
def test_chunks_and_progress_reach_it(sorter, sort):
    _, call = sort(sorter, parameters(sorter))
    shown = call.get("job_kwargs", call)
    assert (shown["chunk_duration"], shown["progress_bar"]) == ("2s", True)


def test_clear_cache_reaches_kilosort4(sort):
    assert sort("kilosort4", parameters("kilosort4", clear_cache=True))[1]["clear_cache"] is True


@pytest.mark.parametrize("sorter", SORTERS)
@pytest.mark.parametrize(
    ("around", "corrects"),
    [
        ({}, True),
        ({"skip_motion_correction": True}, False),
        ({"min_drift_channels": 16}, True),
        ({"min_drift_channels": 17}, False),
    ],
)
def test_drift_correction_as_the_parameters_say(sorter, around, corrects, sort):
    document = {"sorter": sorter, sorter: {"min_drift_channels": 1} | around}
    task, call = sort(sorter, PARAMS.model_validate(document))
    assert bool(call.get("do_correction", call.get("apply_motion_correction"))) == corrects
    assert any("min_drift_channels = 17" in change for change in task.record["changes"]) == (
        around.get("min_drift_channels") == 17
    )


@pytest.mark.parametrize("sorter", SORTERS)
def test_raise_if_fails(sorter, sort):
    with pytest.raises(SpikeRelayError, match="out of spikes"):
        sort(sorter, PARAMS.model_validate({"sorter": sorter}), RuntimeError("out of spikes"))
    with pytest.raises(RecordedFailure, match="out of spikes"):
        sort(sorter, PARAMS.model_validate({"sorter": sorter, sorter: {"raise_if_fails": False}}),
             RuntimeError("out of spikes"))  # fmt: skip


@pytest.mark.parametrize("debug", [True, False])
def test_the_sorters_folder_is_kept_when_asked_for(debug, inputs, tmp_path, monkeypatch, truth):
    from spikeinterface import sorters

    def leaves_a_file(*args, folder, **kwargs):
        folder.mkdir()
        (folder / "intermediate.npy").write_text("")
        return truth[1]

    monkeypatch.setattr(sorters, "run_sorter", leaves_a_file)
    params = PARAMS.model_validate({"sorter": "spykingcircus2", "spykingcircus2": {"sorter": {"debug": debug}}})
    task = task_for("spikesorting", params, tmp_path)
    task.inputs = inputs
    stage.run(task)
    assert (task.out / "sorter" / "intermediate.npy").exists() == debug


def test_what_differs_from_kilosorts_defaults_stands_in_the_record(sort):
    settings = {"Th_universal": 7, "invert_sign": True}
    task, _ = sort("kilosort4", PARAMS.model_validate({"sorter": "kilosort4", "kilosort4": {"sorter": settings}}))
    assert task.record["facts"]["differing_from_defaults"] == settings
    json.dumps(task.record, allow_nan=False)


def test_every_parameter_of_the_section_has_a_test_above():
    covered = {f"{sorter}.{name}" for sorter in SORTERS for name in AROUND}
    covered |= {f"{sorter}.job_kwargs.{name}" for sorter in SORTERS for name in ("chunk_duration", "progress_bar")}
    covered |= {"sorter", "kilosort4.clear_cache"}
    others = [name for name in stage_leaves(PREFIX) if ".sorter." not in name]
    assert set(others) == covered
