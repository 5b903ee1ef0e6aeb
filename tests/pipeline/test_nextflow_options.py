"""The workflow's help, and options that arrive as texts, as they do from Nextflow 26.04."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.pipeline.nextflow_runs import EACH_VARIANT, ROOT, Pipeline

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
