"""The wheel, without the clone: it brings the workflow, its configurations, the schema and the editor."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from capsules.common.tasks.resources import numba_cache_folder
from tests.pipeline.nextflow_runs import ROOT, TIMEOUT_S, VARIANTS

pytestmark = [pytest.mark.slow, pytest.mark.pipeline]


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The `bin` of an environment that has the wheel and, through a link, what the clone's has except this package."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder), "."]
    subprocess.run(build, cwd=ROOT, check=True)
    environment = folder / "my envirönment"
    venv.create(environment, symlinks=True)
    packages = next(environment.glob("lib/python3*/site-packages"))
    libraries = folder / "libraries"
    libraries.mkdir()
    for path in next((ROOT / ".venv").glob("lib/python3*/site-packages")).iterdir():
        if "spikerelay" not in path.name:
            (libraries / path.name).symlink_to(path)
    (packages / "libraries.pth").write_text(f"{libraries}\n")
    (wheel,) = folder.glob("*.whl")
    python = environment / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", wheel], check=True)
    (environment / "share" / "nextflow").mkdir(parents=True)
    (environment / "share" / "nextflow" / VARIANTS[0][0]).symlink_to(
        ROOT / ".venv" / "share" / "nextflow" / VARIANTS[0][0]
    )
    return environment / "bin"


def call(installed, folder, *words, **variables):
    """Run `spikerelay` of the environment; compiled code is the clone's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SPIKERELAY", "PYTHON"))}
    given = {"NUMBA_CACHE_DIR": str(numba_cache_folder()), "PATH": "/usr/bin:/bin"} | variables
    command = [str(installed / "spikerelay"), *map(str, words)]
    return subprocess.run(
        command, cwd=folder, env=kept | given, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


def test_a_run_from_the_wheel(installed, tiny_session, tmp_path):
    folder = tmp_path / "my földer"
    folder.mkdir()
    (folder / "dätä 1").symlink_to(tiny_session)
    words = ("dätä 1", "--sorter", "spykingcircus2", "--set", "curation.min_spikes=7")
    done = call(installed, folder, "run", *words, "--", "-stub-run", "-ansi-log", "false")
    assert done.returncode == 0, done.stdout + done.stderr
    assert str(ROOT) not in done.stdout
    results = folder / "dätä 1_results"
    assert json.loads((results / "params.json").read_text())["params"]["curation"]["min_spikes"] == 7
    assert len(json.loads((results / "status.json").read_text())["recordings"]) == 2
    again = subprocess.run(
        ["bash", results / "nextflow" / "command.sh"], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert again.returncode == 0, again.stdout + again.stderr


def test_other_commands_of_the_wheel(installed, tmp_path):
    file = tmp_path / "params.json"
    file.write_text('{"curation": {"min_spikes": 7}}')
    assert call(installed, tmp_path, "params", "diff", file).stdout == "curation.min_spikes: 50 -> 7\n"
    doctor = call(installed, tmp_path, "doctor").stdout
    assert "nextflow version 24.10.0" in doctor and "packages missing" not in doctor
    assert not call(installed, tmp_path, "setup").stdout


def test_a_job_of_a_cluster_starts_the_wheel_s_workflow(installed, tmp_path):
    """SPIKERELAY is then the environment: submit_slurm.sh uses its Nextflow, its workflow and its Python."""
    (script,) = installed.parent.glob("lib/python3*/site-packages/capsules/installation/pipeline/submit_slurm.sh")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SPIKERELAY", "PYTHON"))}
    done = subprocess.run(
        ["bash", script, "--help"],
        cwd=tmp_path,
        env=kept | {"SPIKERELAY": str(installed.parent)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "--slurm_queue" in done.stdout


def test_the_names_in_site_packages(installed):
    packages = next(installed.parent.glob("lib/python3*/site-packages"))
    assert {path.name for path in packages.iterdir() if "capsules" in path.name or "spikerelay" in path.name} == {
        "capsules", "spikerelay.py", f"spikerelay-{_version()}.dist-info",
    }  # fmt: skip
    files = packages / "capsules" / "installation"
    assert (files / "params_app" / "index.html").exists()
    assert (files / "pipeline" / "default_params_schema.json").read_bytes() == (
        ROOT / "pipeline" / "default_params_schema.json"
    ).read_bytes()


def _version() -> str:
    from importlib.metadata import version

    return version("spikerelay")
