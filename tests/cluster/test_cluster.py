"""nextflow_slurm.config on a real SLURM of one node: jobs that end well, are killed, cancelled, lost."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from capsules.commands.demo import PROBES, STIMULI
from capsules.demo.score import score, table
from tests.cluster.slurm import CPUS, wait_for
from tests.data import cached_spikeglx, truth_folders
from tests.pipeline.nextflow_runs import ROOT, VARIANTS, Finished, Pipeline

pytestmark = [pytest.mark.cluster, pytest.mark.pipeline]
IMEC0, IMEC1 = "run_g0_imec0.ap_recording1", "run_g0_imec1.ap_recording1"
RUN_S = 600


class Running:
    """A run that was started, and goes on while the test does something to its jobs."""

    def __init__(self, pipeline: Pipeline, *arguments: str, config: Path, stub: bool = True):
        self.pipeline = pipeline
        self.output = pipeline.folder / "output.txt"
        words = pipeline.command(*arguments, *(["-stub-run"] if stub else []), config=config)
        with self.output.open("w") as stream:
            self.process = subprocess.Popen(
                words, cwd=pipeline.folder, env=pipeline.environment(*VARIANTS[0]), stdout=stream, stderr=stream
            )

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_) -> None:
        self.process.kill()
        self.process.wait()

    def finish(self) -> Finished:
        code = self.process.wait(RUN_S)
        return Finished(code, self.output.read_text(), self.pipeline.results)

    def job(self, slurm, name: str, state: str = "R", seconds: float = RUN_S) -> str:
        """The id of the first job in a state whose name begins so, once there is one."""
        wait_for(lambda: slurm.jobs(name, state) or self.process.poll() is not None, f"a job {name}", seconds)
        assert self.process.poll() is None, self.output.read_text()
        return slurm.jobs(name, state)[0]


def attempts(run: Finished, process: str, tag: str) -> list[dict[str, str]]:
    return sorted(run.tasks(process=process, tag=tag), key=lambda row: int(row["attempt"]))


def slow(process: str, tag: str, seconds: int, last_attempt: int = 1) -> str:
    """Configuration lines that make a recording's first attempts wait before they begin."""
    wait = f"task.tag == '{tag}' && task.attempt <= {last_attempt} ? 'sleep {seconds}' : ''"
    return f"process {{ withName: '{process}' {{ beforeScript = {{ {wait} }} }} }}\n"


def test_the_two_probe_demo(slurm, tmp_path, capsys):
    """By the configuration as it stands, and started as a job itself, by the sample submission script."""
    data, results = ROOT / ".demo" / "session", tmp_path / "results"
    data.parent.mkdir(exist_ok=True)
    cached_spikeglx(data, PROBES, STIMULI)
    start = time.monotonic()
    submit = ["sbatch", "--parsable", "--wait", "--cpus-per-task=1", ROOT / "pipeline" / "submit_slurm.sh"]
    options = ["--n_jobs", "1", "--max_memory", "16 GB", "--max_cpus", str(CPUS), "--sorter", "spykingcircus2"]
    environment = os.environ | {"DATA_PATH": str(data), "RESULTS_PATH": str(results), "SPIKERELAY": str(ROOT)}
    command = [*submit, *options, "--job_dispatch_args", "--input spikeglx"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=1800
    )
    log = "\n".join(file.read_text() for file in tmp_path.glob("spikerelay-*.log"))
    assert done.returncode == 0, done.stderr + log
    run = Finished(done.returncode, log, results)
    assert run.status["status"] == "ok", log
    jobs = [row for row in run.trace if row["process"] != "RESOLVE_PARAMS"]
    assert len(jobs) == 1 + 2 * 5 + 3 + 1
    assert all(row["native_id"].isdigit() for row in jobs)
    scores = score(results, truth_folders(data, PROBES))
    with capsys.disabled():
        print("\n" + table(results, scores, (time.monotonic() - start) / 60))
    assert len(scores) == 2
    assert all(found.fraction >= 0.8 for found in scores.values()), scores


def test_a_job_killed_by_its_memory_limit_succeeds_with_more(pipeline, slurm, config):
    """The first attempt takes 1 GB more than it asked for, the second one just as much."""
    take = (
        "process { withName: 'CURATION' { beforeScript = { task.tag == '%s' ? "
        "'python -c \"import time; taken = b\\\\\"x\\\\\" * 3_000_000_000; time.sleep(6)\"' : '' } } }" % IMEC0
    )
    run = pipeline.run("--n_jobs", "1", config=config(take))
    assert run.code == 0, run.output
    assert run.status["status"] == "ok"
    first, second = attempts(run, "CURATION", IMEC0)
    # Nobody was left to write an exit code.
    assert (first["status"], first["exit"]) == ("FAILED", "-")
    assert not (Path(first["workdir"]) / ".exitcode").exists()
    assert "exceeded memory limit" in (Path(first["workdir"]) / ".command.log").read_text()
    assert second["status"] == "COMPLETED"
    assert float(second["memory"].split()[0]) == pytest.approx(2 * float(first["memory"].split()[0]), rel=0.1)
    assert len(attempts(run, "CURATION", IMEC1)) == 1


def test_cancelled_jobs_are_tried_again_and_the_other_probe_goes_on(pipeline, slurm, config):
    """imec1's sort is cancelled once; imec0's each time, which fails it."""
    text = slow("SPIKESORTING", IMEC1, 30) + slow("POSTPROCESSING", IMEC0, 30, last_attempt=3)
    with Running(pipeline, "--n_jobs", "1", config=config(text)) as started:
        slurm.run("scancel", started.job(slurm, f"nf-RECORDINGS_SPIKESORTING_({IMEC1}"))
        for _ in range(3):
            id = started.job(slurm, f"nf-RECORDINGS_POSTPROCESSING_({IMEC0}")
            slurm.run("scancel", id)
            wait_for(lambda id=id: id not in slurm.jobs("nf-"), "the cancelled job's end")
        run = started.finish()
    assert run.code == 1, run.output
    assert [row["exit"] for row in attempts(run, "SPIKESORTING", IMEC1)] == ["143", "0"]
    assert len(attempts(run, "POSTPROCESSING", IMEC0)) == 3
    other, failed = run.status["recordings"][IMEC1], run.status["recordings"][IMEC0]
    assert other["status"] == "ok"
    assert (failed["status"], failed["stage"]) == ("failed", "postprocessing")
    again = pipeline.run("-resume", "--n_jobs", "1", config=config())
    assert again.code == 0, again.output
    assert not again.tasks(process="SPIKESORTING", status="COMPLETED")


def test_a_node_that_is_away_for_a_while(pipeline, slurm, config):
    """slurmd is stopped while a job runs and started again later: that job goes on, the next ones wait."""
    with Running(pipeline, "--n_jobs", "1", config=config(slow("SPIKESORTING", IMEC0, 8))) as started:
        started.job(slurm, f"nf-RECORDINGS_SPIKESORTING_({IMEC0}")
        slurm.stop_daemon("slurmd")
        time.sleep(15)
        slurm.start_node()
        run = started.finish()
    assert run.code == 0, run.output
    assert run.status["status"] == "ok"
    assert len(attempts(run, "SPIKESORTING", IMEC0)) == 1


def test_a_node_that_crashes(pipeline, slurm, config):
    """slurmd and all that runs on the node end at once: what was running there is run again."""
    with Running(pipeline, "--n_jobs", "1", config=config(slow("SPIKESORTING", IMEC0, 60))) as started:
        lost = started.job(slurm, f"nf-RECORDINGS_SPIKESORTING_({IMEC0}")
        slurm.crash_node()
        slurm.start_node()
        run = started.finish()
    assert run.code == 0, run.output
    assert run.status["status"] == "ok"
    first, second = attempts(run, "SPIKESORTING", IMEC0)
    assert (first["native_id"], first["exit"], second["status"]) == (lost, "-", "COMPLETED")


def test_a_controller_that_is_away_for_a_while(pipeline, slurm, config):
    """slurmctld is stopped while jobs are submitted: they are submitted when it is back."""
    with Running(pipeline, "--n_jobs", "1", config=config(slow("SPIKESORTING", IMEC0, 5))) as started:
        started.job(slurm, f"nf-RECORDINGS_SPIKESORTING_({IMEC0}")
        slurm.stop_daemon("slurmctld")
        time.sleep(20)
        slurm.start_controller()
        run = started.finish()
    assert run.code == 0, run.output
    assert run.status["status"] == "ok"
    assert all(row["attempt"] == "1" for row in run.trace)


def test_gpus_are_handed_out_by_the_cluster(pipeline, slurm, config):
    """Each sorting job has one of the node's GPUs (stand-ins for them), and knows which."""
    told = 'echo "gpu $CUDA_VISIBLE_DEVICES ${SPIKERELAY_GPUS:-}"; sleep 5'
    note = f"process {{ withName: 'SPIKESORTING_GPU' {{ beforeScript = '{told}' }} }}"
    run = pipeline.run("--n_jobs", "1", "--n_gpus", "2", config=config(note), sorter="kilosort4")
    assert run.code == 0, run.output
    rows = run.tasks(process="SPIKESORTING_GPU", status="COMPLETED")
    lines = [line for row in rows for line in (Path(row["workdir"]) / ".command.log").read_text().splitlines()]
    assert sorted(line.strip() for line in lines if line.startswith("gpu")) == ["gpu 0", "gpu 1"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--slurm_queue", "nosuch"), "invalid partition specified: nosuch"),
        (("--slurm_queue", "short"), "the queue short allows 1 h"),
        (("--n_jobs", "5"), "--n_jobs 5: SLURM rejects such a job"),
        (("--n_gpus", "1", "--slurm_gpu_options=--gres=gpu:9"), "--slurm_gpu_options: SLURM rejects such a job"),
    ],
)
def test_what_this_cluster_cannot_give_is_refused(pipeline, config, arguments, message):
    run = pipeline.run("--n_jobs", "1", *arguments, config=config(), sorter="kilosort4")
    assert run.code != 0
    assert message in run.output
    assert {row["process"] for row in run.trace} <= {"RESOLVE_PARAMS"}


def test_a_job_that_no_node_can_run_ends_the_run_with_the_reason(pipeline, config):
    big = config(f"process {{ withName: 'CURATION' {{ memory = {{ task.tag == '{IMEC0}' ? 100.GB : 1.GB }} }} }}")
    run = pipeline.run("--n_jobs", "1", config=big)
    assert run.code == 1
    assert "Requested node configuration is not available" in run.output
    again = pipeline.run("-resume", "--n_jobs", "1", "--max_cpus", "4", "--max_memory", "8 GB", config=big)
    assert again.code == 0, again.output
    assert again.status["status"] == "ok"
    notes = json.loads((again.results / "params.json").read_text())["notes"]
    assert not any("at the moment" in note for note in notes)


def test_a_stopped_run_cancels_its_jobs(pipeline, slurm, config):
    with Running(pipeline, "--n_jobs", "1", config=config(slow("SPIKESORTING", IMEC0, 100))) as started:
        started.job(slurm, f"nf-RECORDINGS_SPIKESORTING_({IMEC0}")
        psutil.Process(started.process.pid).terminate()
        started.process.wait(60)
        wait_for(lambda: not slurm.jobs("nf-"), "the end of the run's jobs")
