"""What holds for every stage: its command line, its refusals, its output, and that the next stage takes it."""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from capsules.common.contract import SECTION_OF_STAGE, STAGES
from capsules.common.tasks.perform import perform
from capsules.common.tasks.task import Task
from capsules.parameters.model import leaves

CAPSULES = Path(__file__).parents[2] / "capsules"
WITH_PARAMS = sorted(SECTION_OF_STAGE)
HELP_LIMIT_S = 1.0
"""CPU seconds. On a quiet machine a start takes a third of it; docs/benchmarks.md has that."""
COMPOSERS = {"resolve_params", "generate", "commands", "load", "demo", "setup", "__main__"}
"""The places that may know all stages: they put the pipeline's parameters or its results together."""


def command(stage: str, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess:
    words = [sys.executable, "-m", f"capsules.{stage}", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, check=False, cwd=cwd)


@pytest.fixture(scope="session")
def job(tmp_path_factory, tiny_session) -> Path:
    folder = tmp_path_factory.mktemp("job")
    done = command("job_dispatch", "--input", "spikeglx", "--data", tiny_session, "--output", folder)
    assert done.returncode == 0, done.stderr
    file = folder / "job.json"
    file.write_text(json.dumps(json.loads((folder / "job_dispatch_job_dispatch" / "jobs.json").read_text())[0]))
    return file


@pytest.mark.parametrize("stage", STAGES)
def test_help_is_quick_and_names_every_parameter(stage):
    before = os.times()
    shown = command(stage, "--help")
    after = os.times()
    # Not the time on the clock, which on a busy machine is that of the others.
    assert after.children_user + after.children_system - before.children_user - before.children_system < HELP_LIMIT_S
    assert shown.returncode == 0
    if stage in WITH_PARAMS:
        text = " ".join(shown.stdout.split())
        for leaf in leaves(importlib.import_module(f"capsules.{stage}.params").PARAMS):
            assert f"--{leaf.dotted}" in text
            assert leaf.unit is None or f"unit: {leaf.unit}" in text
            for flag in leaf.flags:
                assert flag in text
        assert text.count("default:") >= len(list(leaves(importlib.import_module(f"capsules.{stage}.params").PARAMS)))


COMMANDS = ["--help", "doctor --help", "validate --help", "plan --help", "curate --help", "curate", "nosuch"]


@pytest.mark.parametrize(
    ("module", "words"),
    [*((f"capsules.{stage}", "--help") for stage in STAGES), ("capsules.resolve_params", "--help")]
    + [("capsules", words) for words in COMMANDS],
)
def test_help_and_mistakes_import_nothing_heavy(module, words):
    code = f"""
import sys
sys.argv = ["x", *{words.split()}]
try:
    import runpy; runpy.run_module({module!r}, run_name="__main__")
except SystemExit:
    pass
heavy = {{"numpy", "scipy", "spikeinterface", "torch", "numba", "pandas", "matplotlib", "pynwb", "neuroconv"}}
print("HEAVY", sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout


@pytest.mark.parametrize("stage", WITH_PARAMS)
def test_bad_parameters_are_refused(stage, tmp_path):
    params = tmp_path / "params.json"
    params.write_text('{"no_such_parameter": 1}')
    refused = command(stage, "--params", params, "--output", tmp_path)
    assert refused.returncode == 2
    assert "no_such_parameter: unknown parameter" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert command(stage, "--no-such-flag", "1").returncode == 2


@pytest.mark.parametrize(
    "stage", [stage.name for stage in STAGES.values() if stage.takes and stage.level == "recording"]
)
def test_a_missing_input_is_named(stage, job, tmp_path):
    failed = command(stage, "--job", job, "--inputs", tmp_path, "--output", tmp_path)
    assert failed.returncode == 1
    assert f"run capsules.{STAGES[stage].takes[0]} first" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert not list(tmp_path.glob(f"{stage}_*"))


def test_a_missing_job_file_is_named(tmp_path):
    refused = command("preprocessing", "--job", tmp_path / "none.json")
    assert refused.returncode == 2
    assert "none.json" in refused.stderr


@pytest.mark.parametrize("stage", [stage.name for stage in STAGES.values() if stage.level != "run"])
def test_a_stub_has_every_part_and_the_next_stage_takes_it(stage, job, tmp_path):
    for name in (*_before(stage), stage):
        done = command(
            name, "--job", job, "--inputs", tmp_path, "--output", tmp_path, "--publish", tmp_path / "p", "--stub-run"
        )
        assert done.returncode == 0, done.stderr
    (folder,) = tmp_path.glob(f"{stage}_*")
    assert {path.name for path in folder.iterdir()} == {part.name for part in STAGES[stage].parts}
    record = json.loads((folder / "stage.json").read_text())
    assert record["status"] == "ok"
    assert {"stage", "id", "params", "versions", "code", "device", "seeds", "seconds", "peak_memory_mb"} <= set(record)
    id = folder.name.removeprefix(f"{stage}_")
    places = {part.place(stage, id) for part in STAGES[stage].parts} - {None}
    assert {path.name.replace("%", "/") for path in (tmp_path / "p").iterdir()} == places


def test_a_skip_passes_on_through_every_later_stage(job, tmp_path, tiny_session):
    reason = "shorter than min_preprocessing_duration"
    data = ("--data", tiny_session)
    for stage in ("preprocessing", "spikesorting", "postprocessing", "curation"):
        done = command(stage, "--job", job, "--inputs", tmp_path, "--output", tmp_path, *data)
        assert done.returncode == 0, done.stderr
        (folder,) = tmp_path.glob(f"{stage}_*")
        record = json.loads((folder / "stage.json").read_text())
        assert record["status"] == "skipped"
        assert reason in record["reason"]
    shown = command("visualization", "--job", job, "--inputs", tmp_path, "--output", tmp_path, *data)
    assert shown.returncode == 0, shown.stderr
    (folder,) = tmp_path.glob("visualization_*")
    assert json.loads((folder / "stage.json").read_text())["status"] == "ok"
    assert list((folder / "visualization").glob("traces_*.png"))


def test_output_is_whole_or_absent(tmp_path, monkeypatch):
    """A stage that fails leaves no folder of its final name, and its mark says why; a good one removes the mark."""
    monkeypatch.setenv("RESULTS_PATH", str(tmp_path / "results"))
    monkeypatch.setenv("NXF_TASK_WORKDIR", str(tmp_path))
    stage, mark = STAGES["curation"], tmp_path / "results" / "nextflow" / "failed" / "curation_x.json"

    def attempt(run):
        out = tmp_path / ".partial"
        out.mkdir(exist_ok=True)
        task = Task(stage, "x", [_job("x")], None, tmp_path, None, out, 1)
        monkeypatch.setattr("capsules.common.tasks.perform._pass_on_skips", lambda task: None)
        return perform(task, run, tmp_path)

    def fails(task):
        note = json.loads(mark.read_text())
        assert (note["kind"], note["folder"]) == ("killed", str(task.out))
        (task.out / "curated").mkdir()
        raise ValueError("no good")

    def succeeds(task):
        (task.out / "curated").mkdir(exist_ok=True)

    assert attempt(fails) == 1
    assert not (tmp_path / "curation_x").exists()
    left = json.loads(mark.read_text())
    assert (left["kind"], left["reason"]) == ("failed", "ValueError: no good")
    assert any("Traceback" in line for line in left["log"])
    assert attempt(lambda task: (task.out / "curated").rmdir()) == 1
    assert "did not write curated" in json.loads(mark.read_text())["reason"]
    assert attempt(succeeds) == 0
    assert (tmp_path / "curation_x" / "stage.json").exists()
    assert not mark.exists()


def test_stages_import_common_and_never_each_other():
    for file in CAPSULES.rglob("*.py"):
        room = file.relative_to(CAPSULES).parts[0].removesuffix(".py")
        if room in COMPOSERS:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            modules = [node.module] if isinstance(node, ast.ImportFrom) else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for module in modules:
                found = re.match(r"capsules\.(\w+)", module or "")
                assert found is None or found[1] in (room, "common", "parameters"), f"{file} imports {module}"


def test_every_stage_has_a_capsule_and_every_capsule_a_stage():
    folders = {path.name for path in CAPSULES.iterdir() if path.is_dir() and (path / "stage.py").exists()}
    assert folders == set(STAGES) | {"resolve_params"}


def _before(stage: str) -> list[str]:
    """The stages that must have run, earliest first."""
    order = []
    for name in STAGES[stage].takes:
        order += [other for other in (*_before(name), name) if other not in order]
    return order


def _job(id: str):
    from capsules.common.recordings.job import Job, Reader

    return Job(
        id=id,
        session="s",
        block="b",
        stream="s",
        segments=[0],
        reader=Reader(name="none", kwargs={}),
        sampling_frequency_hz=30000.0,
        num_channels=1,
        duration_s=1.0,
        dtype="int16",
        megabytes=1.0,
    )
