"""Kilosort2.5 through SpikeInterface's own wrapper, with a stand-in for the executable that needs a GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from math import inf
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from capsules.common.errors import RecordedFailure, SpikeRelayError
from capsules.spikesorting import stage
from capsules.spikesorting.params import PARAMS
from capsules.spikesorting.sorters.kilosort25 import SORTER, Kilosort25Settings
from tests.reach import kilosort25_stand_in as stand_in
from tests.reach.spy import changed_section, task_for

ROOT = Path(__file__).parents[2]


def put_on_path(name: str, folder: Path, monkeypatch) -> None:
    """Make the stand-in the one command of this name."""
    file = folder / "bin" / name
    file.parent.mkdir()
    file.write_text(f"#!{sys.executable}\n{Path(stand_in.__file__).read_text()}")
    file.chmod(0o755)
    (folder / "given").mkdir()
    monkeypatch.setenv("STAND_IN_KEEPS", str(folder / "given"))
    # What is on the machine's own PATH, a real Kilosort perhaps, has no part in it.
    monkeypatch.setenv("PATH", f"{file.parent}:/usr/bin:/bin")


@pytest.fixture
def executable(tmp_path, monkeypatch):
    """The stand-in as `ks2_5_compiled`; the folder where it leaves what it was given."""
    put_on_path("ks2_5_compiled", tmp_path, monkeypatch)
    return tmp_path / "given"


def given_ops(folder: Path) -> dict:
    return scipy.io.loadmat(folder / "ops.mat", simplify_cells=True)["ops"]


def settings(**chosen) -> dict:
    return {"sorter": "kilosort25", "kilosort25": {"sorter": chosen}}


def capsule(inputs, folder, *arguments, document=None):
    """`python -m capsules.spikesorting --sorter kilosort25`, as in docs/stages.md."""
    job = task_for("spikesorting", PARAMS(), folder).job
    (folder / "job.json").write_text(job.model_dump_json())
    (folder / "params.json").write_text(json.dumps(document or {}))
    files = ["--job", folder / "job.json", "--params", folder / "params.json", "--inputs", inputs, "--output", folder]
    command = [sys.executable, "-m", "capsules.spikesorting", "--sorter", "kilosort25", *files, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def record(folder: Path, name: str = "spikesorting_r") -> dict:
    return json.loads((folder / name / "stage.json").read_text())


def sort(inputs, folder, document):
    """The stage in this process; gives its task."""
    task = task_for("spikesorting", PARAMS.model_validate(document), folder)
    task.inputs = inputs
    stage.run(task)
    return task


def check_sorted(folder: Path) -> None:
    import spikeinterface as si

    sorting = si.load(folder / "spikesorted")
    spikes = {int(unit): sorting.get_unit_spike_train(unit).tolist() for unit in sorting.unit_ids}
    # Kilosort's own removal of spikes that it found twice is turned off in its master file.
    assert spikes == {0: [100, 900, 30000, 90000], 1: [500, 700], 4: [250, 400, 60000]}
    assert sorting.sampling_frequency == 30000


def test_the_capsule_by_its_command_line(inputs, tmp_path, executable):
    done = capsule(inputs, tmp_path)
    assert done.returncode == 0, done.stderr
    check_sorted(tmp_path / "spikesorting_r")
    written = record(tmp_path)
    assert written["status"] == "ok"
    assert written["device"] == "cuda"
    facts = written["facts"]
    assert (facts["units"], facts["spikes"]) == (3, 9)
    # Cluster 2 has no spike in any file, so that SpikeInterface's reader knows no such unit; 3 lost its only one.
    assert (facts["excess_spikes_removed"], facts["empty_units_removed"]) == (2, 1)
    assert facts["duplicated_spikes_removed"] == 1
    assert not (tmp_path / "spikesorting_r" / "sorter").exists()
    assert "car = false: preprocessing subtracted the common reference" in written["changes"]
    assert given_ops(executable)["CAR"] == 0


@pytest.mark.slow
def test_matlab_runs_it_where_nothing_is_compiled(inputs, tmp_path, monkeypatch):
    put_on_path("matlab", tmp_path, monkeypatch)
    kilosort = tmp_path / "Kilosort-2.5"
    kilosort.mkdir()
    monkeypatch.setenv("KILOSORT2_5_PATH", str(kilosort))
    assert "main_kilosort.m" in SORTER.unavailable()
    (kilosort / "main_kilosort.m").write_text("")
    assert SORTER.unavailable() is None
    done = capsule(inputs, tmp_path)
    assert done.returncode == 0, done.stderr
    check_sorted(tmp_path / "spikesorting_r")


def same(value):
    return value


IN_OPS = {
    "detect_threshold": ("spkTh", lambda value: -value),
    "projection_threshold": ("Th", same),
    "preclust_threshold": ("ThPre", same),
    "whiteningRange": ("whiteningRange", same),
    "momentum": ("momentum", same),
    "car": ("CAR", same),
    "minFR": ("minFR", same),
    "minfr_goodchannels": ("minfr_goodchannels", same),
    "nblocks": ("nblocks", same),
    "sig": ("sig", same),
    "freq_min": ("fshigh", same),
    "sigmaMask": ("sigmaMask", same),
    "lam": ("lam", same),
    "nPCs": ("nPCs", same),
    "ntbuff": ("ntbuff", same),
    "nfilt_factor": ("nfilt_factor", same),
    "NT": ("NT", lambda value: value // 32 * 32),
    "AUCsplit": ("AUCsplit", same),
    "do_correction": ("do_correction", same),
    "wave_length": ("nt0", lambda value: value + 1 - value % 2),
    "skip_kilosort_preprocessing": ("skip_kilosort_preprocessing", same),
    "scaleproc": ("scaleproc", same),
    "save_rez_to_mat": ("save_rez_to_mat", same),
}
"""Our parameter -> the field of Kilosort's `ops`, and what SpikeInterface makes of the value."""
BY_OUTCOME = {"keep_good_only", "delete_tmp_files", "delete_recording_dat"}
"""Parameters that SpikeInterface itself acts on; the tests below see their effect."""


def test_every_parameter_stands_in_ops_or_is_tested_by_its_outcome():
    assert set(IN_OPS) | BY_OUTCOME == set(Kilosort25Settings.model_fields)
    assert not BY_OUTCOME & set(IN_OPS)


def assert_told(ops: dict, values: dict) -> None:
    for name, (field, translated) in IN_OPS.items():
        value = translated(values[name])
        assert np.array_equal(ops[field], value), (name, field, ops[field], value)


@pytest.fixture
def changed_run(inputs, tmp_path, executable):
    """A run with every parameter changed; its task, and the `ops` that Kilosort was given."""
    document = changed_section(PARAMS, "spikesorting", sorter="kilosort25").model_dump(mode="json")
    document["kilosort25"] |= {"skip_motion_correction": False, "min_drift_channels": 1}
    return sort(inputs, tmp_path, document), given_ops(executable)


def test_every_changed_parameter_reaches_kilosort(changed_run):
    task, ops = changed_run
    values = task.params.kilosort25.sorter.model_dump()
    defaults = Kilosort25Settings().model_dump()
    assert [name for name in IN_OPS if values[name] == defaults[name]] == []
    assert_told(ops, values)


def test_every_default_reaches_kilosort(inputs, tmp_path, executable):
    sort(inputs, tmp_path, settings())
    values = Kilosort25Settings().model_dump()
    # Of the nulls: preprocessing subtracted a reference, and SpikeInterface computes the others.
    assert_told(given_ops(executable), values | {"car": False, "NT": 64 * 1024 + 64, "scaleproc": 200})


def test_drift_correction_that_is_skipped_is_turned_off_in_ops(inputs, tmp_path, executable):
    sort(inputs, tmp_path, {"sorter": "kilosort25", "kilosort25": {"skip_motion_correction": True}})
    ops = given_ops(executable)
    assert (ops["nblocks"], ops["do_correction"]) == (0, 0)


def test_a_filter_that_the_rate_does_not_allow_is_refused(inputs, tmp_path, executable):
    with pytest.raises(SpikeRelayError, match="freq_min: must be below half the sampling rate"):
        sort(inputs, tmp_path, settings(freq_min=15000))


def test_kilosort_is_told_of_the_recording(inputs, tmp_path, executable, truth):
    """The traces are read where preprocessing left them, without a copy, and the contacts lie where the probe says."""
    sort(inputs, tmp_path, settings())
    ops = given_ops(executable)
    assert Path(ops["fbinary"]).parent == inputs / "preprocessing_r" / "traces"
    assert (ops["NchanTOT"], ops["Nchan"], ops["fs"]) == (16, 16, 30000)
    assert ops["trange"].tolist() == [0, inf]
    channels = scipy.io.loadmat(executable / "chanMap.mat", simplify_cells=True)
    locations = np.stack([channels["xcoords"], channels["ycoords"]], axis=1)
    assert np.array_equal(locations, truth[0].get_channel_locations())
    assert channels["chanMap"].tolist() == list(range(1, 17))


def test_only_good_units_when_asked_for(changed_run):
    import spikeinterface as si

    assert si.load(changed_run[0].out / "spikesorted").unit_ids.tolist() == [0, 4]


def test_the_copy_for_kilosort_is_kept_when_asked_for(changed_run):
    """Only the own preprocessing's absence makes SpikeInterface write a copy."""
    assert (changed_run[0].out / "sorter" / "sorter_output" / "recording.dat").exists()


@pytest.mark.slow
def test_the_copy_for_kilosort_is_deleted_otherwise(inputs, tmp_path, executable):
    chosen = settings(skip_kilosort_preprocessing=True, scaleproc=200, delete_tmp_files=False)
    task = sort(inputs, tmp_path, chosen)
    assert Path(given_ops(executable)["fbinary"]).name == "recording.dat"
    assert not (task.out / "sorter" / "sorter_output" / "recording.dat").exists()


@pytest.mark.parametrize(
    ("chosen", "kept"),
    [
        ({}, set()),
        ({"delete_tmp_files": False}, {"ops.mat", "temp_wh.dat"}),
        ({"delete_tmp_files": ["temp_wh.dat"]}, {"ops.mat"}),
        ({"delete_tmp_files": ["matlab_files"]}, {"temp_wh.dat"}),
        ({"save_rez_to_mat": True}, {"ops.mat", "rez.mat"}),
        ({"save_rez_to_mat": True, "delete_tmp_files": False}, {"ops.mat", "rez.mat", "temp_wh.dat"}),
    ],
)
def test_files_are_kept_as_the_parameters_say(inputs, tmp_path, executable, chosen, kept):
    task = sort(inputs, tmp_path, settings(**chosen))
    looked_for = {"ops.mat", "rez.mat", "temp_wh.dat"}
    assert {path.name for path in (task.out / "sorter").rglob("*")} & looked_for == kept
    told = any("save_rez_to_mat" in change for change in task.record["changes"])
    assert told == (chosen == {"save_rez_to_mat": True})


DIES = "ks2_5_compiled: error while loading shared libraries: libmwlaunchermain.so: cannot open shared object file"
FAILS = "Error using gpuDevice (line 26)\nNo supported GPU device was found."


def test_an_executable_that_dies_fails_the_capsule_with_its_message(inputs, tmp_path, executable, monkeypatch):
    monkeypatch.setenv("STAND_IN_DIES", DIES)
    done = capsule(inputs, tmp_path)
    assert done.returncode == 1
    failed = record(tmp_path, ".spikesorting_r.partial")
    assert (failed["status"], failed["reason"]) == ("failed", f"kilosort25 failed: {DIES}")
    assert DIES in (tmp_path / ".spikesorting_r.partial" / "log.txt").read_text()
    assert not (tmp_path / "spikesorting_r").exists()


@pytest.mark.slow
def test_a_failure_that_may_pass_is_recorded(inputs, tmp_path, executable, monkeypatch):
    monkeypatch.setenv("STAND_IN_FAILS", FAILS)
    done = capsule(inputs, tmp_path, "--no-raise-if-fails")
    assert done.returncode == 0, done.stderr
    failed = record(tmp_path)
    reason = "kilosort25 failed: Error using gpuDevice (line 26) No supported GPU device was found."
    assert (failed["status"], failed["reason"]) == ("failed", reason)
    assert "Determining good channels" in (tmp_path / "spikesorting_r" / "log.txt").read_text()


@pytest.mark.parametrize(("raises", "failure"), [(True, SpikeRelayError), (False, RecordedFailure)])
def test_raise_if_fails(inputs, tmp_path, executable, monkeypatch, raises, failure):
    monkeypatch.setenv("STAND_IN_FAILS", FAILS)
    with pytest.raises(failure, match="No supported GPU device"):
        sort(inputs, tmp_path, {"sorter": "kilosort25", "kilosort25": {"raise_if_fails": raises}})


def test_a_failure_after_the_executable_has_pythons_message(inputs, tmp_path, executable, monkeypatch):
    """Output that cannot be read is no fault that the executable's output tells."""
    executable.parent.joinpath("bin", "ks2_5_compiled").write_text("#!/bin/sh\necho found 3 good units\n")
    with pytest.raises(SpikeRelayError, match=r"kilosort25 failed: .*spike_times\.npy"):
        sort(inputs, tmp_path, settings())


def test_the_capsule_refuses_where_nothing_runs_it(inputs, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.delenv("KILOSORT2_5_PATH", raising=False)
    done = capsule(inputs, tmp_path)
    assert done.returncode == 1
    reason = record(tmp_path, ".spikesorting_r.partial")["reason"]
    for name in ("ks2_5_compiled", "KILOSORT2_5_PATH", "-profile docker", "CUDA GPU", "spykingcircus2"):
        assert name in reason


def resolved(tmp_path, container_engine) -> dict:
    """What the first process of a run with this sorter writes."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "raw").write_text("")
    options = {"sorter": "kilosort25", "set": "job_dispatch.input=spikeglx"}
    run = {"options": options, "launch_folder": "/", "container_engine": container_engine}
    (tmp_path / "run.json").write_text(json.dumps(run))
    command = [sys.executable, "-m", "capsules.resolve_params", "--run", tmp_path / "run.json"]
    folders = {"DATA_PATH": str(tmp_path / "data"), "RESULTS_PATH": str(tmp_path / "results")}
    environment = os.environ | folders | {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    run = json.loads((tmp_path / "resolved.json").read_text())
    return run if run["problems"] else run | run["sessions"][0]


def test_a_run_is_refused_before_any_job_where_nothing_runs_it(tmp_path):
    (problem,) = resolved(tmp_path, None)["problems"]
    assert problem == SORTER.unavailable()
    assert "ks2_5_compiled" in problem


def test_a_container_engine_has_what_runs_it(tmp_path):
    run = resolved(tmp_path, "docker")
    assert run["problems"] == []
    note, *_ = json.loads(run["params"])["notes"]
    assert note == "kilosort25 runs in its container image, by docker: not checked on this machine"
