"""The workflow's help, and options that arrive as texts, as they do from Nextflow 26.04."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.pipeline.nextflow_runs import EACH_VARIANT, ROOT, VARIANTS, Pipeline

pytestmark = pytest.mark.pipeline


@pytest.fixture
def pipeline(tmp_path, tiny_session) -> Pipeline:
    return Pipeline(tmp_path, tiny_session)


@pytest.mark.parametrize("variant", EACH_VARIANT)
def test_help_lists_the_options_and_writes_nothing(pipeline, variant):
    shown = subprocess.run(
        [ROOT / "nextflow", "-C", ROOT / "nextflow_local.config", "run", ROOT / "main_multi_backend.nf", "--help"],
        cwd=pipeline.folder,
        env=os.environ | pipeline.environment(*variant),
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert (ROOT / "pipeline" / "help.txt").read_text().strip() in shown.stdout
    assert not pipeline.results.exists()


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS, ids="-".join)
def test_options_that_arrive_as_texts(pipeline, variant, monkeypatch):
    monkeypatch.setenv("NXF_DISABLE_PARAMS_TYPE_DETECTION", "true")
    options = ("--n_jobs", "1", "--n_gpus", "0", "--max_cpus", "1", "--max_memory", "3 GB", "--max_time", "2 h")
    run = pipeline.run(*options, "--release_intermediates", "false", variant=variant)
    assert run.code == 0, run.output
    assert {row["cpus"] for row in run.trace} == {"1"}
    assert all(Path(row["workdir"], ".exitcode").exists() for row in run.trace)
    (limited,) = {row["memory"] for row in run.tasks(process="SPIKESORTING")}
    assert limited == "3 GB"
    recorded = json.loads((run.results / "nextflow" / "run.json").read_text())["options"]
    assert recorded["n_jobs"] == 1 and recorded["release_intermediates"] is False
    released = pipeline.run(*options, "-resume", "--release_intermediates", variant=variant)
    assert released.code == 0, released.output
    assert "The work files are removed" in released.output
    assert not any(Path(row["workdir"]).exists() for row in run.tasks(process="SPIKESORTING"))
    rejected = pipeline.run("--n_jobs", "many", "--overwrite", "perhaps", variant=variant)
    assert rejected.code == 1
    assert "--n_jobs: must be an integer of at least 1; got 'many'" in rejected.output
    assert "--overwrite: takes no value; got 'perhaps'" in rejected.output
