"""nextflow_slurm.config with stand-ins for SLURM: what jobs ask for, what is refused. tests/cluster/ has a real one."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from capsules.commands.rerun import rerun_command
from tests.pipeline import slurm_stand_in
from tests.pipeline.nextflow_runs import ROOT, VARIANTS, Pipeline

pytestmark = pytest.mark.pipeline
OPTIONS = (
    "--slurm_queue=work,long", "--slurm_account=ephys", "--slurm_options=--qos=high --constraint=a|b",
    "--slurm_gpu_queue=gpu", "--slurm_gpu_options=--gres=gpu:a100:1", "--n_gpus=2",
    "--n_jobs=3", "--max_memory=3 GB", "--max_time=40 min",
)  # fmt: skip


@pytest.fixture
def pipeline(tmp_path, tiny_session, monkeypatch) -> Pipeline:
    slurm_stand_in.install(tmp_path / "slurm")
    monkeypatch.setenv("PATH", f"{tmp_path / 'slurm'}:/usr/bin:/bin")
    return Pipeline(tmp_path, tiny_session)


def run_here(pipeline, *arguments, text="", **more):
    config = pipeline.config_with(slurm_stand_in.QUICK + text, "nextflow_slurm.config")
    return pipeline.run(*arguments, config=config, **more)


def header(row: dict[str, str]) -> list[str]:
    """What a job asks SLURM for, without its name and log."""
    lines = (Path(row["workdir"]) / ".command.run").read_text().splitlines()
    asked = [line.removeprefix("#SBATCH ").strip() for line in lines if line.startswith("#SBATCH ")]
    return [words for words in asked if not words.startswith(("-J", "-o", "--no-requeue", "--signal"))]


@pytest.mark.slow
@pytest.mark.parametrize("variant", [VARIANTS[0], VARIANTS[-1]], ids="-".join)
def test_jobs_ask_for_what_the_options_and_their_recordings_say(pipeline, variant):
    run = run_here(pipeline, *OPTIONS, sorter="kilosort4", variant=variant)
    assert run.code == 0, run.output
    assert run.status["status"] == "ok"
    common = "--account=ephys --qos=high --constraint=a|b"
    sorts = run.tasks(process="SPIKESORTING_GPU")
    assert len(sorts) == 2
    for row in sorts:
        asked = ["-p gpu", f"{common} --gres=gpu:a100:1", "-c 3", "--mem 3072M", "-t 00:40:00"]
        assert sorted(header(row)) == sorted(asked)
        script = (Path(row["workdir"]) / ".command.run").read_text()
        assert "SPIKERELAY_GPUS" not in script
        assert "CUDA_VISIBLE_DEVICES" not in script
    (row, _) = run.tasks(process="PREPROCESSING")
    megabytes = 2048 + 5 * 4
    preprocessing = [common, "-p work,long", "-c 3", f"--mem {megabytes}M"]
    assert sorted(words for words in header(row) if not words.startswith("-t")) == sorted(preprocessing)
    assert "--n-jobs 3" in (Path(row["workdir"]) / ".command.sh").read_text()
    (row,) = run.tasks(process="NWB_ECEPHYS")
    assert not [words for words in header(row) if words.startswith("-c")]
    (row,) = run.tasks(process="RESOLVE_PARAMS")
    assert header(row) == []


@pytest.mark.slow
def test_a_rerun_names_the_configuration_and_the_options(pipeline):
    assert run_here(pipeline, *OPTIONS, sorter="kilosort4").code == 0
    words = shlex.split(rerun_command(pipeline.results))
    assert words[words.index("-C") + 1] == str(pipeline.folder / "test.config")
    assert set(OPTIONS) <= set(words)
    made = json.loads((pipeline.results / "nextflow" / "run.json").read_text())
    made |= {"config_files": [str(ROOT / "nextflow_slurm.config")], "profile": "apptainer"}
    (pipeline.results / "nextflow" / "run.json").write_text(json.dumps(made))
    again = rerun_command(pipeline.results)
    assert "./nextflow -C nextflow_slurm.config run main_multi_backend.nf -profile apptainer " in again


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--slurm_queue=nosuch",), "--slurm_options: SLURM rejects such a job (sbatch: error: invalid partition"),
        (("--slurm_queue=short",), "--max_time 72 h: the queue short allows 1 h"),
        (("--slurm_queue=x\n touch harmed",), "--slurm_queue: must be names of partitions"),
        (("--slurm_gpu_queue=gpu",), "--slurm_gpu_queue: no job requests a GPU; set --n_gpus"),
        (("--slurm_que=work",), "--slurm_que: unknown option; did you mean 'slurm_queue'"),
        (("--max_cpus=none",), "--max_cpus: must be an integer of at least 1"),
    ],
)
def test_what_the_cluster_would_not_take_is_refused_before_any_job(pipeline, arguments, message):
    run = run_here(pipeline, *arguments)
    assert run.code != 0
    assert message in run.output
    assert {row["process"] for row in run.trace} <= {"RESOLVE_PARAMS"}
    assert not (pipeline.folder / "slurm" / "jobs").exists()
    assert not list(pipeline.folder.rglob("harmed"))


@pytest.mark.slow
def test_a_killed_job_without_an_exit_code_is_tried_again_with_more(pipeline):
    """As SLURM ends a job above its memory: all its processes at once."""
    kill = "process { withName: 'CURATION' { beforeScript = { task.attempt < 3 ? 'kill -9 $$' : '' } } }"
    run = run_here(pipeline, text=kill)
    assert run.code == 0, run.output
    assert run.status["status"] == "ok"
    for id in run.status["recordings"]:
        attempts = sorted(run.tasks(process="CURATION", tag=id), key=lambda row: row["attempt"])
        asked = [re.search(r"--mem (\d+)M", "\n".join(header(row)))[1] for row in attempts]
        assert [int(one) // int(asked[0]) for one in asked] == [1, 2, 3]


@pytest.mark.slow
@pytest.mark.parametrize("variant", [VARIANTS[0], VARIANTS[-1]], ids="-".join)
def test_a_job_that_sbatch_refuses_ends_the_run_with_the_reason(pipeline, variant):
    """Nextflow would wait for ever for a job whose submission failed and was ignored."""
    refused = "process { withName: 'POSTPROCESSING' { clusterOptions = '--constraint=nosuch' } }"
    run = run_here(pipeline, text=refused, variant=variant)
    assert run.code == 1
    assert "Invalid feature specification" in run.output
    again = run_here(pipeline, "-resume", variant=variant)
    assert again.code == 0, again.output
    assert again.tasks(process="SPIKESORTING", status="CACHED")


@pytest.mark.slow
def test_scratch_leaves_the_same_results(pipeline):
    scratch = pipeline.folder / "scratch"
    scratch.mkdir()
    run = run_here(pipeline, f"--slurm_scratch={scratch}")
    assert run.code == 0, run.output
    assert run.status["status"] == "ok"
    assert list(scratch.iterdir()) == []
    (row, _) = run.tasks(process="CURATION")
    assert str(scratch) in (Path(row["workdir"]) / ".command.run").read_text()
    # It looks at the disk of the work folder.
    (row,) = run.tasks(process="JOB_DISPATCH")
    assert str(scratch) not in (Path(row["workdir"]) / ".command.run").read_text()
