"""The docs' commands, run as they stand."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from capsules.commands.demo import PROBES, STIMULI
from tests.data import ProbeSpec, write_spikeglx
from tests.notebooks import run_notebook
from tests.pipeline.nextflow_runs import ROOT, Pipeline, checkout
from tests.reach.spy import task_for


@pytest.mark.slow
def test_adding_a_parameter(tmp_path):
    """docs/configuring.md: its diff applies, and everything that is generated has the new parameter."""
    diff = re.search(r"```diff\n(.*?)```", (ROOT / "docs" / "configuring.md").read_text(), re.DOTALL)[1]
    for name in ("capsules", "pipeline", "docs", "params_app"):
        shutil.copytree(ROOT / name, tmp_path / name)
    subprocess.run(["git", "apply", "-"], input=diff, text=True, check=True, cwd=tmp_path)
    generate = [sys.executable, "-m", "capsules.generate"]
    subprocess.run(generate, check=True, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path)})
    defaults = json.loads((tmp_path / "pipeline" / "default_params.json").read_text())
    assert defaults["visualization"]["motion"]["point_size"] == 3.0
    schema = json.loads((tmp_path / "pipeline" / "default_params_schema.json").read_text())["properties"]
    assert schema["visualization"]["properties"]["motion"]["properties"]["point_size"]["exclusiveMinimum"] == 0
    assert (
        "`motion.point_size` | `3.0` | number (pt), > 0 | `--point-size` |"
        in (tmp_path / "docs" / "parameters.md").read_text()
    )
    assert subprocess.run([*generate, "--check"], check=False, cwd=tmp_path).returncode == 0


@pytest.mark.slow
def test_adding_a_sorter(tmp_path):
    """docs/sorters.md: its file is all that a further sorter needs, from the schema to the sorted units."""
    from spikeinterface.core import generate_ground_truth_recording

    from tests.reach.conftest import write_record

    code = re.search(r"```python\n(.*?)```", (ROOT / "docs" / "sorters.md").read_text(), re.DOTALL)[1]
    checkout = tmp_path / "checkout"
    for name in ("capsules", "pipeline", "docs", "params_app"):
        shutil.copytree(ROOT / name, checkout / name)
    (checkout / "capsules" / "spikesorting" / "sorters" / "simple.py").write_text(code)

    def run(*words):
        command = [sys.executable, "-m", *map(str, words)]
        return subprocess.run(command, check=True, cwd=checkout, env=os.environ | {"PYTHONPATH": str(checkout)})

    run("capsules.generate")
    defaults = json.loads((checkout / "pipeline" / "default_params.json").read_text())
    assert defaults["spikesorting"]["simple"]["sorter"] == {"detect_threshold": 5.0, "peak_sign": "neg"}
    done = tmp_path / "preprocessing_r"
    recording, _ = generate_ground_truth_recording(num_channels=4, num_units=3, durations=[10.0], seed=0)
    recording.save(folder=done / "traces")
    write_record(done, "preprocessing", motion_applied=False, referenced=True)
    job = task_for("preprocessing", None, tmp_path).job
    (tmp_path / "job.json").write_text(job.model_dump_json())
    given = ("--job", tmp_path / "job.json", "--inputs", tmp_path, "--output", tmp_path)
    run("capsules.spikesorting", *given, "--sorter", "simple", "--simple.sorter.detect_threshold", "6")
    record = json.loads((tmp_path / "spikesorting_r" / "stage.json").read_text())
    assert (record["status"], record["facts"]["sorter"]) == ("ok", "simple")
    assert record["facts"]["differing_from_defaults"] == {"detect_threshold": 6.0}
    assert record["facts"]["units"] >= 1


@pytest.mark.slow
@pytest.mark.pipeline
def test_adding_a_stage(tmp_path, tiny_session):
    """docs/extending.md: its files and its diff make a stage that works alone and in the workflow."""
    from spikeinterface.core import generate_sorting

    from tests.reach.conftest import write_record

    page = (ROOT / "docs" / "extending.md").read_text()
    root = checkout(tmp_path / "checkout")
    capsule = root / "capsules" / "spike_counts"
    capsule.mkdir()
    files = ("__init__.py", "params.py", "stage.py", "__main__.py")
    for name, code in zip(files, re.findall(r"```python\n(.*?)```", page, re.DOTALL), strict=True):
        assert f"`{name}`" in page or f"`capsules/spike_counts/{name}`" in page
        (capsule / name).write_text(code)
    diff = re.search(r"```diff\n(.*?)```", page, re.DOTALL)[1]
    subprocess.run(["git", "apply", "-"], input=diff, text=True, check=True, cwd=root)

    def run(*words):
        environment = os.environ | {"PYTHONPATH": str(root)}
        subprocess.run([sys.executable, "-m", *map(str, words)], check=True, cwd=root, env=environment)

    run("capsules.generate")
    curated = tmp_path / "curation_r"
    sorting = generate_sorting(num_units=3, sampling_frequency=30000.0, durations=[4.0], seed=0)
    sorting.save(folder=curated / "curated")
    write_record(curated, "curation")
    (tmp_path / "job.json").write_text(task_for("curation", None, tmp_path).job.model_dump_json())
    given = ("--job", tmp_path / "job.json", "--inputs", tmp_path, "--output", tmp_path)
    run("capsules.spike_counts", *given, "--bin", "0.5")
    lines = (tmp_path / "spike_counts_r" / "spike_counts.csv").read_text().splitlines()
    counts = [[int(count) for count in line.split(",")[1:]] for line in lines[1:]]
    assert list(map(sum, zip(*counts, strict=True))) == [
        len(sorting.get_unit_spike_train(unit)) for unit in sorting.unit_ids
    ]
    assert len(counts) == 8

    ran = Pipeline(tmp_path, tiny_session, root).run("--spike_counts_args", "--bin 10")
    assert ran.code == 0, ran.output
    for id, entry in ran.status["recordings"].items():
        assert entry["stages"]["spike_counts"]["status"] == "ok"
        assert (ran.results / "spike_counts" / f"{id}.csv").exists()
        assert ran.record("spike_counts", id)["params"] == {"bin_s": 10.0}


@pytest.mark.slow
def test_the_chain_by_hand(tmp_path):
    """docs/stages.md: every stage alone, without Nextflow."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "spikerelay").symlink_to(tmp_path / "checkout")
    # As the demo, without its second probe.
    write_spikeglx(tmp_path / "checkout" / ".demo" / "session", PROBES[:1], stimuli=STIMULI)
    commands = re.search(r"```\n(.*?)```", (ROOT / "docs" / "stages.md").read_text(), re.DOTALL)[1]
    commands = commands.replace(". .venv/bin/activate", f". {ROOT}/.venv/bin/activate")
    commands = commands.replace("/tmp/chain", str(tmp_path / "chain"))
    done = subprocess.run(
        ["bash", "-euc", commands], env=os.environ | {"HOME": str(home)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    from pynwb import read_nwb

    nwbfile = read_nwb(tmp_path / "chain" / "nwb_units_run_g0_recording1" / "file.nwb")
    assert len(nwbfile.units) >= 8
    assert len(nwbfile.events["nidq_XD1"]["timestamp"]) == len(STIMULI.onsets_s(PROBES[0].duration_s))


def commands_of(page: str) -> list[str]:
    """The blocks of `spikerelay` commands of a page."""
    blocks = re.findall(r"^```\n(.*?)^```", (ROOT / "docs" / page).read_text(), re.DOTALL | re.MULTILINE)
    return [block for block in blocks if block.startswith("spikerelay ")]


def run_commands(commands: list[str], folder: Path) -> str:
    """Run blocks of commands in a folder, with `/data` in it; each must succeed. Returns what they print."""
    program = folder / "bin" / "spikerelay"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m capsules "$@"\n')
    program.chmod(0o755)
    environment = os.environ | {"PATH": f"{program.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    printed = []
    for command in commands:
        script = command.replace("/data/", f"{folder}/data/")
        done = subprocess.run(
            ["bash", "-euc", script], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        printed.append(done.stdout)
    return "\n".join(printed)


@pytest.mark.slow
@pytest.mark.pipeline
def test_the_quick_start(tmp_path):
    """docs/quick_start.md: every command after the installation, on the demo and on a session of the user."""
    write_spikeglx(tmp_path / "data" / "session", [ProbeSpec("imec0", channels=16, units=5)])
    commands = commands_of("quick_start.md")
    assert len(commands) == 5
    printed = run_commands([*commands, f"{commands[-1].rstrip()} --resume"], tmp_path)
    assert "spikesorting: kept from an earlier run" in printed
    assert re.search(r"labelled good: \d+ of 20 true units", printed)
    # The demo's two recordings and that of the user.
    for results, count in (("spikerelay_demo/results", 2), ("data/trial", 1), ("data/results", 1)):
        assert (tmp_path / results / "report.html").is_file()
        recordings = json.loads((tmp_path / results / "status.json").read_text())["recordings"]
        assert [entry["status"] for entry in recordings.values()] == ["ok"] * count
        assert all(entry["good_units"] >= 4 for entry in recordings.values())


@pytest.mark.slow
@pytest.mark.pipeline
def test_the_tutorial(tmp_path, monkeypatch):
    """docs/tutorial.md: its commands, then its notebook on their results, in which units respond."""
    import matplotlib

    matplotlib.use("agg")
    commands = commands_of("tutorial.md")
    assert len(commands) == 4
    printed = run_commands(commands, tmp_path)
    (clocks,) = re.findall(r"```\n(run_g0_recording1:\n.*?)```", (ROOT / "docs" / "tutorial.md").read_text(), re.DOTALL)
    assert clocks in printed
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {}
    shown = run_notebook(ROOT / "docs" / "tutorial.ipynb", scope)
    assert "2 recordings" in shown[0]
    rates = scope["rates"]["change_hz"].sort_values()
    # One unit is suppressed, three respond, and the others do neither.
    assert rates.iloc[0] < -6 and rates.iloc[-3] > 12
    assert rates.iloc[1:-3].abs().max() < 6
    report = (tmp_path / "spikerelay_demo" / "results" / "report.html").read_text()
    assert 'data-panel="responses"' in report
    scope["plt"].close("all")
