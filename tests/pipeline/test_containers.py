"""Kilosort2.5 in its container image. A stand-in for the engine notes its arguments and runs the command here."""

from __future__ import annotations

import json
import os
import re
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from tests.pipeline import slurm_stand_in
from tests.pipeline.nextflow_runs import ROOT, VARIANTS, Pipeline

pytestmark = pytest.mark.pipeline
TAG = re.search(r"^CONTAINER_TAG=(.+)$", (ROOT / "capsule_versions.env").read_text(), re.MULTILINE)[1]
ENGINE = """#!{python}
import json, os, sys

with open({calls!r}, "a") as stream:
    stream.write(json.dumps(sys.argv[1:]) + "\\n")
words = sys.argv[2:]
if sys.argv[1] not in ("run", "exec"):
    sys.exit(0)
# Of the environment a container sees only what it is handed; its own PATH finds its own Python.
handed = {{name[13:]: value for name, value in os.environ.items() if name.startswith("APPTAINERENV_")}}
for flag, word in zip(words, words[1:]):
    if flag in ("-e", "--env"):
        name, equals, value = word.partition("=")
        if equals or name in os.environ:
            handed[name] = value if equals else os.environ[name]
command = words[words.index("/bin/bash"):]
os.execve(command[0], command, handed | {{"PATH": "{path}"}})
"""


@pytest.fixture
def pipeline(tmp_path, tiny_session) -> Pipeline:
    return Pipeline(tmp_path, tiny_session)


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """Put both engines on PATH; gives a function that reads what they were called with."""
    folder, noted = tmp_path / "engines", tmp_path / "calls.jsonl"
    folder.mkdir()
    text = ENGINE.format(python=sys.executable, calls=str(noted), path=f"{ROOT / '.venv' / 'bin'}:/usr/bin:/bin")
    for name in ("docker", "apptainer"):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.delenv("KILOSORT2_5_PATH", raising=False)
    return lambda: [json.loads(line) for line in noted.read_text().splitlines()] if noted.exists() else []


IMAGES = {
    "docker": f"spikerelay-kilosort25:{TAG}",
    "apptainer": f"{ROOT}/.containers/spikerelay-kilosort25_{TAG}.sif",
}
CODE = (ROOT / "capsules", ROOT / "pipeline")
GPU = {"docker": ["--gpus", "all"], "apptainer": ["--nv"]}


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "variant"), list(zip(GPU, (VARIANTS[0], VARIANTS[-1]), strict=True)), ids=list(GPU))
def test_kilosort25_alone_runs_in_its_image(pipeline, calls, engine, variant):
    run = pipeline.run("-profile", engine, sorter="kilosort25", variant=variant)
    assert run.code == 0, run.output
    assert run.status["status"] == "ok", run.output
    started = [call for call in calls() if call[0] in ("run", "exec")]
    assert len(started) == len(run.tasks(process="SPIKESORTING")) == 2, run.output
    for call in started:
        options = call[: call.index("/bin/bash")]
        assert options[-1] == IMAGES[engine]
        assert " ".join(GPU[engine]) in " ".join(options)
        seen = {Path(word.split(":")[0]) for flag, word in pairwise(options) if flag in ("-v", "-B")}
        assert seen >= {pipeline.data, run.results, *CODE}
        # Nextflow hands over the work folder, or the part of it that holds all of the task's files.
        (work,) = seen - {pipeline.data, run.results, *CODE}
        assert work.is_relative_to(pipeline.folder / "work")
    note, *_ = json.loads((run.results / "params.json").read_text())["notes"]
    assert note.startswith(f"kilosort25 runs in its container image, by {engine}")


@pytest.mark.slow
def test_the_sessions_of_a_sheet_need_no_data_folder_of_the_run(pipeline, calls):
    (pipeline.folder / "sheet.csv").write_text(f"session,data\none,{pipeline.data}\n")
    pipeline.data = ""
    run = pipeline.run("-profile", "apptainer", "--sessions", "sheet.csv", sorter="kilosort25")
    assert run.code == 0, run.output
    started = [call for call in calls() if call[0] == "exec"]
    assert [call[call.index("/bin/bash") - 1] for call in started] == [IMAGES["apptainer"]] * 2


@pytest.mark.slow
def test_other_sorters_run_in_none(pipeline, calls):
    run = pipeline.run("-profile", "docker")
    assert run.code == 0, run.output
    assert len(run.tasks(process="SPIKESORTING", status="COMPLETED")) == 2
    assert calls() == []
    notes = json.loads((run.results / "params.json").read_text())["notes"]
    assert not any("container image" in note for note in notes)


@pytest.mark.slow
def test_without_an_engine_the_run_is_refused_before_any_other_task(pipeline, calls):
    run = pipeline.run(sorter="kilosort25")
    assert run.code != 0
    assert "kilosort25 needs a CUDA GPU and one of these: the executable ks2_5_compiled on PATH" in run.output
    assert "-profile docker" in run.output
    assert {row["process"] for row in run.trace} <= {"RESOLVE_PARAMS"}
    assert calls() == []


def test_the_dockerfile_copies_what_is_there():
    text = (ROOT / "pipeline" / "Dockerfile").read_text()
    copied = re.findall(r"^COPY ([^-].+) \S+$", text, re.MULTILINE)
    names = [name for line in copied for name in line.split()]
    # What the set-up needs: the versions, the package and its readme, the set-up itself.
    assert set(names) == {
        "capsule_versions.env",
        "pyproject.toml",
        "hatch_build.py",
        "README.md",
        "spikerelay.py",
        "capsules",
        "pipeline",
    }
    assert all((ROOT / name).exists() for name in names)
    stages = re.findall(r"^FROM \S+ AS (\S+)$", text, re.MULTILINE)
    assert {"cpu", "cuda", "kilosort25"} <= set(stages)
    assert set(re.findall(r"--from=(\S+)", text)) <= set(stages)
    for script in re.findall(r"^RUN /opt/spikerelay/(\S+)$", text, re.MULTILINE):
        assert os.access(ROOT / script, os.X_OK)


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "variant"), list(zip(GPU, (VARIANTS[0], VARIANTS[-1]), strict=True)), ids=list(GPU))
def test_every_job_of_a_cluster_runs_in_an_image(pipeline, calls, engine, variant):
    """With stand-ins for SLURM too."""
    slurm_stand_in.install(pipeline.folder / "engines")
    config = pipeline.config_with(slurm_stand_in.QUICK, "nextflow_slurm.config")
    profile = ("-profile", f"{engine}_all", "--n_gpus", "1")
    run = pipeline.run(*profile, config=config, sorter="kilosort4,lupin", variant=variant)
    assert run.code == 0, run.output
    assert run.status["status"] == "ok", run.output
    started = [call for call in calls() if call[0] in ("run", "exec")]
    images = Counter(call[: call.index("/bin/bash")][-1] for call in started)
    jobs = [row for row in run.trace if row["process"] != "RESOLVE_PARAMS"]
    name = {"docker": "spikerelay-{}:" + TAG, "apptainer": f"{ROOT}/.containers/spikerelay-{{}}_{TAG}.sif"}[engine]
    assert images == {name.format("cuda"): 2, name.format("cpu"): len(jobs) - 2}
