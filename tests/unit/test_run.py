"""`spikerelay run`: the folders, options and profiles of its command line, and the Nextflow command that it starts."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from capsules.commands import run as run_module
from capsules.common.errors import Rejected
from capsules.common.installation import ROOT
from capsules.resolve_params.resolve import resolve
from capsules.resolve_params.stage import resolve_run

SORTER = ("--sorter", "spykingcircus2")


@pytest.fixture
def started(monkeypatch, tmp_path):
    """The command, environment and results folder of each Nextflow that would be started in a folder with `däta 1`."""
    calls = []
    monkeypatch.setattr(run_module, "start", lambda *call: calls.append(call) or 3)
    monkeypatch.setattr(run_module, "prepare", lambda: None)
    monkeypatch.chdir(tmp_path)
    for name in ("DATA_PATH", "RESULTS_PATH"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "däta 1").mkdir()
    (tmp_path / "däta 1" / "structure.oebin").touch()
    return calls


def test_the_nextflow_command(started, spikerelay, tmp_path):
    words = ["däta 1", *SORTER, "--n-jobs", "4", "--resume", "-w", "w", "--overwrite", "here/my results"]
    words += ["--set", "curation.query=snr > 5", "--set", "preprocessing.motion_correction.preset=dredge"]
    code, said, complaint = spikerelay("run", *words, "--", "-ansi-log", "false")
    assert (code, complaint) == (3, "")
    ((command, environment, results),) = started
    assert results == tmp_path / "here" / "my results"
    assert (environment["DATA_PATH"], environment["RESULTS_PATH"]) == (str(tmp_path / "däta 1"), str(results))
    assert command[:5] == [
        str(ROOT / "nextflow"), "-C", str(ROOT / "nextflow_local.config"), "run", str(ROOT / "main_multi_backend.nf"),
    ]  # fmt: skip
    assert command[5:] == [
        "-w", str(tmp_path / "w"), "-resume", "--sorter=spykingcircus2", "--n_jobs=4", "--overwrite",
        "--set='curation.query=snr > 5' preprocessing.motion_correction.preset=dredge", "-ansi-log", "false",
    ]  # fmt: skip
    (line,) = [line for line in said.splitlines() if line.startswith("DATA_PATH=")]
    assert shlex.split(line)[2:] == command
    assert environment["SPIKERELAY_COMMAND"].endswith(f"\ncd {shlex.quote(str(tmp_path))}\n{line}\n")


def test_results_are_named_after_the_data(started, spikerelay, tmp_path, monkeypatch):
    assert spikerelay("run", tmp_path / "däta 1", *SORTER)[1].startswith(f"Results: {tmp_path / 'däta 1_results'}\n")
    (tmp_path / "rats.csv").write_text("session,data\nrat,däta 1\n")
    spikerelay("run", "--sessions", "rats.csv", *SORTER)
    spikerelay("run", "--sessions", "rats.csv", "all", *SORTER)
    monkeypatch.setenv("DATA_PATH", str(tmp_path / "däta 1"))
    monkeypatch.setenv("RESULTS_PATH", str(tmp_path / "other"))
    spikerelay("run", *SORTER)
    assert [results.name for _, _, results in started] == ["däta 1_results", "rats_results", "all", "other"]
    assert "DATA_PATH" not in started[1][1]


def test_profiles(started, spikerelay):
    spikerelay("run", "däta 1", "--sorter", "kilosort25", "--profile", "slurm,apptainer_all", "--slurm-queue", "work")
    command = started[0][0]
    assert command[2] == str(ROOT / "nextflow_slurm.config")
    assert command[5:7] == ["-profile", "apptainer_all"]
    assert "--slurm_queue=work" in command


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "DATA is missing: spikerelay run DATA [RESULTS]"),
        (["däta 1", "--profile", "slrm"], "must be of slurm, docker, apptainer; got 'slrm'; did you mean 'slurm'?"),
        (["däta 1", "--slurm-queue", "work", *SORTER], "--slurm_queue: needs --profile slurm"),
        (["nowhere", *SORTER], "DATA {folder}/nowhere: no such folder"),
        (["empty", *SORTER], "DATA {folder}/empty: the folder is empty"),
        (
            ["mine", *SORTER],
            "DATA {folder}/mine: no recording of a known format (aind, spikeglx, openephys, nwb): name",
        ),
        (["two", *SORTER], "DATA {folder}/two has several formats, nwb and spikeglx: name one"),
        (["nowhere", *SORTER, "--dry-run"], "DATA {folder}/nowhere: no such folder"),
        (["däta 1", "däta 1/results", *SORTER, "--dry-run"], "is inside the data folder"),
        (["däta 1", "mine", *SORTER], "RESULTS {folder}/mine is not a results folder"),
        (["däta 1", "däta 1/results", *SORTER], "is inside the data folder"),
        (["däta 1"], "no sorter chosen: give --sorter"),
        (["--sessions", "rats.csv", "däta 1", "results"], "rats.csv names the data folders: leave out DATA"),
        (["däta 1", *SORTER, "--set", "preset=dredge"], "did you mean 'preprocessing.motion_correction.preset'?"),
        (["däta 1", *SORTER, "--params", "my.json"], "my.json: No such file or directory"),
    ],
)
def test_a_mistake_is_rejected_before_nextflow_starts(words, complaint, started, spikerelay, tmp_path):
    files = ("mine/report.html", "two/a.nwb", "two/x.ap.bin")
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    (tmp_path / "empty").mkdir()
    code, _, said = spikerelay("run", *words)
    assert (code, complaint.replace("{folder}", str(tmp_path)) in said) == (2, True), said
    assert not started


def test_nextflows_spelling_of_resume_works_too(started, spikerelay):
    assert spikerelay("run", "däta 1", *SORTER, "-resume")[0] == 3
    assert "-resume" in started[0][0]


def test_folders_of_the_environment_are_named_by_their_variables(started, spikerelay, tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_PATH", str(tmp_path / "nowhere"))
    monkeypatch.setenv("RESULTS_PATH", str(tmp_path / "däta 1"))
    (tmp_path / "däta 1" / "report.html").touch()
    _, _, said = spikerelay("run", *SORTER)
    assert f"DATA_PATH={tmp_path}/nowhere: no such folder\n" in said
    assert f"RESULTS_PATH={tmp_path}/däta 1 is not a results folder" in said
    assert "--data is missing" in (monkeypatch.delenv("DATA_PATH") or spikerelay("plan", *SORTER)[2])
    assert spikerelay("plan", "--data", "nowhere", *SORTER)[2] == f"--data {tmp_path}/nowhere: no such folder\n"
    assert spikerelay("inspect", "nowhere")[2] == f"DATA {tmp_path}/nowhere: no such folder\n"


def test_a_second_run_into_the_results_of_a_run_that_lives(started, spikerelay, tmp_path):
    lock = tmp_path / "results" / "nextflow" / "lock.json"
    lock.parent.mkdir(parents=True)
    lock.write_text('{"host": "machine", "pid": 7, "since": "2026-11-28 01:00:00"}')
    command = f"import fcntl, sys; f = open({str(lock)!r}, 'r+'); fcntl.lockf(f, fcntl.LOCK_EX); "
    command += "print(flush=True); sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", command], **pipes) as owner:
        owner.stdout.readline()
        code, _, said = spikerelay("run", "däta 1", "results", *SORTER)
        owner.communicate(b"")
    assert (code, started) == (2, [])
    assert f"RESULTS {tmp_path}/results is being written by another run, process 7 on machine since 2026" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--sortr", "kilosort4"], "unknown argument '--sortr'; did you mean '--sorter'?"),
        (["--no-split-segments"], "it is a stage's flag: write --set job_dispatch.split_segments=false"),
        (["--debug-duration=60"], "it is a stage's flag: write --set job_dispatch.debug_duration=VALUE"),
    ],
)
def test_an_unknown_flag(started, spikerelay, capsys, words, message):
    with pytest.raises(SystemExit) as ended:
        spikerelay("run", "däta 1", *words)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_a_dry_run_is_the_plan(started, spikerelay, tiny_session, tmp_path):
    code, said, _ = spikerelay("run", tiny_session, *SORTER, "--set", "curation.min_spikes=7", "--dry-run")
    assert code == 0
    assert "2 recordings in " in said and "curation.min_spikes: 50 -> 7 (--set)" in said
    assert not started and not list(tmp_path.glob("*_results"))


def test_the_results_keep_the_command_of_the_run(started, tmp_path, monkeypatch):
    results = tmp_path / "results"
    monkeypatch.setenv("DATA_PATH", str(tmp_path / "däta 1"))
    monkeypatch.setenv("RESULTS_PATH", str(results))
    monkeypatch.setenv("SPIKERELAY_COMMAND", "#!/usr/bin/env bash\ntrue\n")
    run = {"options": {"sorter": "spykingcircus2", "set": "curation.min_spikes=7"}, "launch_folder": str(tmp_path)}
    params = json.loads(resolve_run(run)["sessions"][0]["params"])
    assert params["params"]["curation"]["min_spikes"] == 7
    assert params["origins"]["curation.min_spikes"] == "--set"
    assert (results / "nextflow" / "command.sh").read_text() == "#!/usr/bin/env bash\ntrue\n"
    monkeypatch.delenv("SPIKERELAY_COMMAND")
    resolve_run(run)
    assert not (results / "nextflow" / "command.sh").exists()


@pytest.mark.parametrize(("command", "code"), [("exit 3", 3), ("kill -9 $$", 137)])
def test_the_exit_code_is_nextflows(command, code, tmp_path):
    assert run_module.start(["sh", "-c", command], dict(os.environ), tmp_path) == code


def test_a_signal_is_passed_on(tmp_path):
    """A batch system ends the command: Nextflow ends its tasks, and its exit code is the command's."""
    script = "trap 'touch ended; exit 5' TERM; touch began; while :; do sleep 0.05; done"
    code = "import os, sys; from pathlib import Path; from capsules.commands.run import start; "
    code += f"sys.exit(start(['sh', '-c', {script!r}], dict(os.environ), Path()))"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)})
    while not (tmp_path / "began").exists():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 5
    assert (tmp_path / "ended").exists()


# --- --set


def settle(*assignments, **options):
    return resolve({"sorter": "spykingcircus2", "set": shlex.join(assignments)} | options, Path())


def test_set_wins_over_all_others(tmp_path):
    file = tmp_path / "params.json"
    file.write_text('{"spikesorting": {"sorter": "kilosort4"}, "curation": {"min_spikes": 3}}')
    resolved = settle(
        "spikesorting.sorter=lupin", "curation.min_spikes=4", "preprocessing.motion_correction.compute=true",
        params_file=str(file), runmode="fast", curation_args="--min_spikes 5",
    )  # fmt: skip
    assert (resolved.sorters, resolved.params.spikesorting.sorter) == (["lupin"], "lupin")
    assert resolved.params.curation.min_spikes == 4
    assert resolved.params.preprocessing.motion_correction.compute
    assert resolved.origins["curation.min_spikes"] == "--set"


def test_values_are_text_or_json():
    resolved = settle(
        "curation.query=snr > 5",
        "preprocessing.motion_correction.detect_kwargs.detect_threshold=7.5",
        "postprocessing.extensions.principal_components=null",
        'postprocessing.extensions.correlograms={"window_ms": 60}',
        'preprocessing.motion_correction={"preset": "dredge", "detect_kwargs": {"exclude_sweep_ms": 0.2}}',
    )
    assert resolved.params.curation.query == "snr > 5"
    motion, extensions = resolved.params.preprocessing.motion_correction, resolved.params.postprocessing.extensions
    assert (motion.preset, motion.detect_kwargs.model_dump()["detect_threshold"]) == ("dredge", 7.5)
    assert extensions.principal_components is None
    assert (extensions.correlograms.window_ms, extensions.correlograms.bin_ms) == (60, 1.0)


@pytest.mark.parametrize(
    ("assignment", "problem"),
    [
        ("curation.min_spikes", "--set: must be like preprocessing.motion_correction.preset=dredge"),
        (
            "spikesorting.spykingcircus2.detect_threshold=4",
            "did you mean 'spikesorting.spykingcircus2.sorter.detection.method_kwargs.detect_threshold'?",
        ),
        ("nwb.subject.sex=F", "write the subject's data to nwb_metadata.yaml"),
        ("job_dispatch.input=SpikeGLX", "did you mean 'spikeglx'?"),
        ("curation.min_spike=4", "--set: curation.min_spike: unknown parameter; did you mean 'curation.min_spikes'?"),
        ("curation.min_spikes=many", "--set: curation.min_spikes: needs integer; got 'many'"),
        ("curation.min_spikes=-4", "--set: curation.min_spikes: must be integer >= 0; got -4"),
        ("preprocessing.motion_correction.preset=x", "preset: must be one of dredge, "),
        ("preprocessing.motion_correction=x", "needs a JSON object or null; got 'x'"),
        ("preprocessing.motion_correction.detect_kwargs.x=1", "detect_kwargs.x: no such setting in the library"),
        (
            "preprocessing.custom_preprocessing_pipeline.x=1",
            "set preprocessing.custom_preprocessing_pipeline as a whole",
        ),
        ("curation..query=1", "--set: curation..query: unknown parameter"),
        ("$schema=1", "--set: $schema: unknown parameter"),
    ],
)
def test_a_mistake_in_set_is_named(assignment, problem):
    with pytest.raises(Rejected) as refused:
        settle(assignment)
    assert any(problem in text for text in refused.value.problems), refused.value.problems
