"""Every parameter of every sorter: what SpikeInterface's `run_sorter` is called with, or what comes out otherwise."""

import json
import shutil

import pytest

from capsules.common.errors import RecordedFailure, Skip, SpikeRelayError
from capsules.spikesorting import gpu, stage
from capsules.spikesorting.params import PARAMS
from capsules.spikesorting.sorters import SORTERS
from tests.leaf_values import LEAVES, other_value
from tests.reach.spy import Spy, changed_section, stage_leaves, task_for

PREFIX = "spikesorting"
DRIFT = ("nblocks", "do_correction", "apply_motion_correction")
DRIFT_ON = {name: {"sorter": {"apply_motion_correction": True}} for name in ("lupin", "tridesclous2")}
"""Sorters that correct no drift unless told to."""
AROUND = ("skip_motion_correction", "min_drift_channels", "raise_if_fails")


@pytest.fixture
def sort(inputs, tmp_path, monkeypatch, truth):
    """Run a sorter's stage with settings; gives the task and what `run_sorter` was called with."""
    import spikeinterface as si
    from spikeinterface import sorters

    def run(sorter, params, outcome=None, sorting=truth[1], given=inputs):
        spy = Spy(monkeypatch)

        def instead(*args, **kwargs):
            if outcome is not None:
                raise outcome
            return sorting

        spy.watch(sorters, "run_sorter", instead)
        spy.watch(si, "set_global_job_kwargs")
        monkeypatch.setattr(stage, "SORTERS", {sorter: _available(SORTERS[sorter])})
        task = task_for("spikesorting", params, tmp_path / sorter)
        task.inputs = given
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
    document = {"sorter": sorter, sorter: {"min_drift_channels": 1} | DRIFT_ON.get(sorter, {}) | around}
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


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("CUDA error: out of memory\nCompile with TORCH_USE_CUDA_DSA", True),
        ("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling cublasCreate(handle)", True),
        ("cuFFT error: CUFFT_ALLOC_FAILED", True),
        ("CUDA error: an illegal memory access was encountered", False),
        ("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes", False),
    ],
)
def test_the_libraries_of_cuda_say_in_many_ways_that_memory_ran_out(message, expected):
    assert gpu.is_out_of_memory(RuntimeError(message)) is expected


OUT_OF_MEMORY = RuntimeError("...\ntorch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB.")


@pytest.mark.parametrize(
    ("clear_cache", "failures", "steps"),
    [
        (False, 0, []),
        (False, 1, [(True, 60000)]),
        (False, 3, [(True, 60000), (True, 30000), (True, 15000)]),
        (True, 1, [(True, 30000)]),
    ],
)
def test_when_cuda_is_out_of_memory_it_is_sorted_again_with_less(
    clear_cache, failures, steps, inputs, tmp_path, monkeypatch, truth
):
    from spikeinterface import sorters

    calls = []

    def fails_at_first(*args, **kwargs):
        calls.append((kwargs["clear_cache"], kwargs["batch_size"]))
        if len(calls) <= failures:
            raise OUT_OF_MEMORY
        return truth[1]

    monkeypatch.setattr(sorters, "run_sorter", fails_at_first)
    params = PARAMS.model_validate({"sorter": "kilosort4", "kilosort4": {"clear_cache": clear_cache}})
    task = task_for("spikesorting", params, tmp_path)
    task.inputs = inputs
    stage.run(task)
    assert calls == [(clear_cache, 60000), *steps]
    told = [change for change in task.record["changes"] if "ran out of memory" in change]
    assert len(told) == failures
    assert task.record["facts"]["arguments"]["batch_size"] == calls[-1][1]


def test_the_ladder_ends_in_the_error_and_no_other_error_climbs_it(sort):
    with pytest.raises(SpikeRelayError, match="CUDA out of memory"):
        sort("kilosort4", PARAMS.model_validate({"sorter": "kilosort4"}), OUT_OF_MEMORY)
    with pytest.raises(SpikeRelayError, match=r"^spykingcircus2 failed: torch.OutOfMemoryError"):
        sort("spykingcircus2", PARAMS.model_validate({"sorter": "spykingcircus2"}), OUT_OF_MEMORY)


def test_what_the_clean_up_removed_is_counted(sort, truth):
    import numpy as np
    import spikeinterface as si

    beyond = truth[0].get_num_samples() + 5
    trains = {"a": [10, 10, 50, 50, 50, 90], "b": [20, 80, beyond], "c": [beyond, beyond], "d": []}
    given = si.NumpySorting.from_unit_dict([{name: np.array(train, "int64") for name, train in trains.items()}], 3e4)
    task, _ = sort("spykingcircus2", PARAMS.model_validate({"sorter": "spykingcircus2"}), sorting=given)
    facts = task.record["facts"]
    assert [facts[f"{name}_removed"] for name in ("excess_spikes", "duplicated_spikes", "empty_units")] == [3, 3, 2]
    kept = si.load(task.out / "spikesorted")
    assert {unit: kept.get_unit_spike_train(unit).tolist() for unit in kept.unit_ids} == {
        "a": [10, 50, 90],
        "b": [20, 80],
    }


@pytest.mark.parametrize(
    ("sorter", "settings", "why"),
    [
        ("kilosort4", {}, "no GPU was found"),
        ("kilosort4", {"torch_device": "cpu"}, "torch_device is cpu"),
        ("spykingcircus2", {}, None),
    ],
)
def test_a_sorter_made_for_gpus_says_that_it_works_on_the_cpu_and_for_how_long(sorter, settings, why, sort):
    task, _ = sort(sorter, PARAMS.model_validate({"sorter": sorter, sorter: {"sorter": settings}}))
    expected = why and f"{why}: kilosort4 runs on the CPU, for roughly 1 min with 1 cores"
    assert task.record["warnings"] == ([expected] if why else [])
    assert ("estimated_minutes" in task.record["facts"]) == bool(why)


def test_traces_without_signal_are_not_handed_to_a_sorter(sort, inputs, tmp_path):
    import numpy as np
    import spikeinterface as si

    for value, ends in ((7, Skip), (np.nan, SpikeRelayError)):
        folder = tmp_path / f"{value}"
        shutil.copytree(inputs, folder)
        shutil.rmtree(folder / "preprocessing_r" / "traces")
        traces = si.load(inputs / "preprocessing_r" / "traces")
        constant = si.NumpyRecording([np.full((30000, 16), value, dtype="float32")], 30000.0)
        constant.set_probegroup(traces.get_probegroup())
        constant.save(folder=folder / "preprocessing_r" / "traces")
        with pytest.raises(ends, match=r"all of its samples are the same|have NaN or infinite values"):
            sort("spykingcircus2", PARAMS.model_validate({"sorter": "spykingcircus2"}), given=folder)
