"""Two runs into one folder, results of other data, harmed work files and inputs; stubs do most of the work."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from capsules.common.contract import LOCK, RUN_RECORD
from tests.faults.faulty import RECORDING, Faulty, contents, files_of, wait_for
from tests.pipeline.nextflow_runs import ROOT, VARIANTS

pytestmark = pytest.mark.pipeline
RECORDS = ("trace.txt", "report.html", "timeline.html", "dag.html")


def records(results: Path) -> dict[str, bytes]:
    return {name: (results / "nextflow" / name).read_bytes() for name in RECORDS}


def other_launch(faulty: Faulty, tmp_path_factory, data: Path | None = None) -> Faulty:
    """Another launch folder with the same results folder."""
    folder = tmp_path_factory.mktemp("other")
    return Faulty(folder, data or faulty.data, results_name=os.path.relpath(faulty.results, folder))


def test_second_run_into_the_folder(faulty, tmp_path_factory, same_stub):
    started = faulty.slow()
    refused = other_launch(faulty, tmp_path_factory).run()
    assert refused.code == 1
    assert f"is being written by another run, process {started.process.pid} on " in refused.output
    assert "wait for it, or choose another folder" in refused.output
    assert "JOB_DISPATCH" not in refused.output
    run = started.wait()
    same_stub(run)
    assert len(run.trace) == 11


def test_two_runs_started_at_once(faulty, tmp_path_factory, same_stub):
    pair = [faulty.start(stub=True), other_launch(faulty, tmp_path_factory).start(stub=True)]
    ended = sorted((one.wait() for one in pair), key=lambda run: run.code)
    assert [run.code for run in ended] == [0, 1]
    assert "is being written by another run" in ended[1].output
    same_stub(ended[0])


def test_resumed_while_it_still_runs(faulty, same_stub):
    """The same command twice from the same launch folder."""
    started = faulty.slow()
    refused = faulty.run("-resume")
    assert refused.code == 1
    assert f"is being written by another run, process {started.process.pid} on " in refused.output
    assert "lock" not in refused.output.lower()
    same_stub(started.wait())


def test_lock_of_a_dead_run(faulty, same_stub):
    started = faulty.slow()
    started.kill(signal.SIGKILL)
    assert json.loads((faulty.results / LOCK).read_text())["pid"] == started.process.pid
    same_stub(faulty.run("-resume"))


def test_lock_held_on_another_machine(faulty, same_stub):
    lock = faulty.results / LOCK
    lock.parent.mkdir(parents=True)
    with lock.open("w") as stream:
        stream.write(json.dumps({"host": "node7", "pid": 12, "since": "2026-01-01 00:00:00"}))
        stream.flush()
        fcntl.lockf(stream, fcntl.LOCK_EX)
        refused = faulty.run()
    assert refused.code == 1
    assert "process 12 on node7 since 2026-01-01 00:00:00" in refused.output
    assert f"if that machine is gone, remove {lock}" in refused.output
    same_stub(faulty.run())


def test_results_of_another_data_set(faulty, session, tmp_path_factory, same_stub):
    first = faulty.run()
    before = records(first.results)
    data = tmp_path_factory.mktemp("data") / "other"
    shutil.copytree(session, data)
    refused = other_launch(faulty, tmp_path_factory, data).run()
    assert refused.code == 1
    assert "holds the results of" in refused.output
    assert records(first.results) == before
    assert contents(first.results)
    same_stub(faulty.run("-resume"))


def test_refused_for_a_mistake(faulty, same_stub):
    """The records of the run before are kept aside."""
    first = faulty.run()
    before = records(first.results)
    for _ in range(2):
        assert faulty.run("--curation_args", "--querry 1").code == 1
    assert {name: (first.results / "nextflow" / "before" / name).read_bytes() for name in RECORDS} == before
    same_stub(faulty.run("-resume"))


@pytest.mark.parametrize("name", [RUN_RECORD, LOCK, "status.json"])
def test_broken_record_in_the_results(faulty, same_stub, name):
    file = faulty.results / name
    (faulty.results / "nextflow").mkdir(parents=True)
    (faulty.results / RUN_RECORD).write_text(json.dumps({"data": str(faulty.data.resolve())}))
    file.write_text('{"data": "/so')
    run = faulty.run()
    if name == RUN_RECORD:
        assert run.code == 1
        assert f"{file} is broken: choose another folder or give --overwrite" in run.output
        run = faulty.run("--overwrite")
    same_stub(run)


@pytest.mark.parametrize("place", ["curated", "nextflow/lock.json", "nextflow/trace.txt"])
def test_results_folder_of_somebody_else(faulty, tmp_path, place):
    """A folder with a link that leads out of it, and a status that names what lies there."""
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "Documents").mkdir(parents=True)
    (elsewhere / "Documents" / "letter").write_text("kept")
    status = {"recordings": {"Documents": {"recording": "Documents"}}, "blocks": {}}
    (faulty.results / "nextflow").mkdir(parents=True)
    (faulty.results / RUN_RECORD).write_text(json.dumps({"data": str(faulty.data.resolve())}))
    (faulty.results / "status.json").write_text(json.dumps(status))
    (faulty.results / place).symlink_to(elsewhere if place == "curated" else elsewhere / "Documents" / "letter")
    refused = faulty.run("--overwrite")
    assert refused.code == 1
    assert f"the link {faulty.results / place} leads out of the results folder: remove the link" in refused.output
    assert {path.name: path.read_text() for path in elsewhere.rglob("*") if path.is_file()} == {"letter": "kept"}


def test_results_folder_with_the_users_own_files(faulty, same_stub):
    own = ["params.json", "report.html", "status.json", "nwb/run_g0_recording1.nwb", "nextflow/trace.txt", ".writable"]
    for name in own:
        (faulty.results / name).parent.mkdir(parents=True, exist_ok=True)
        (faulty.results / name).write_text(f"the user's {name}")
    refused = faulty.run()
    assert refused.code == 1
    assert "holds files that the run would replace (nextflow, nwb, params.json, report.html" in refused.output
    assert {name: (faulty.results / name).read_text() for name in own} == {name: f"the user's {name}" for name in own}
    run = faulty.run("--overwrite")
    kept = {path.read_text() for path in faulty.results.rglob("*") if path.is_file() and path.stat().st_size < 100}
    assert {f"the user's {name}" for name in own} <= kept
    assert run.output.count("moved to") >= 1
    for aside in faulty.results.glob("*before_*"):
        assert str(aside) in run.output
        shutil.rmtree(aside)
    (faulty.results / ".writable").unlink()
    same_stub(run)


def test_results_in_the_data_folder(tmp_path, session):
    data = tmp_path / "session"
    shutil.copytree(session, data)
    before = files_of(data)
    for name in ("session", "session/results"):
        refused = Faulty(tmp_path, data, results_name=name).run("--overwrite")
        assert refused.code == 1
        assert "the data folder" in refused.output
        assert files_of(data) == before


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_nextflow_stopped(faulty, same_stub, name):
    started = faulty.slow()
    assert started.kill(signal.Signals[name]) != 0
    assert not (faulty.results / "status.json").exists()
    same_stub(faulty.run("-resume"))


def test_nextflow_killed_while_a_task_starts(faulty, same_stub):
    """The task's Python begins after Nextflow has gone: it ends at once."""
    started = faulty.slow()
    os.kill(started.process.pid, signal.SIGKILL)
    started.process.wait()
    folder = next(file.parent for file in faulty.work.glob("*/*/.command.run") if "sleep 5" in file.read_text())
    code = wait_for(lambda: (folder / ".exitcode").exists() and (folder / ".exitcode").read_text(), "its end", 30)
    assert code == "143"
    assert not list(folder.glob("spikesorting_*"))
    same_stub(faulty.run("-resume"))


def test_task_killed_three_times(faulty, same_stub):
    """As the kernel kills what wants more memory than there is."""
    config = faulty.config_with("process { withName: 'CURATION' { beforeScript = 'exit 137' } }")
    failed = faulty.run(config=config)
    assert failed.code == 1
    assert f"{RECORDING}: failed in curation" in failed.output
    assert "and run the same command with -resume" in failed.output
    resumed = faulty.run("-resume")
    assert resumed.tasks(process="POSTPROCESSING", status="CACHED")
    same_stub(resumed)


def test_results_removed_during_a_run(faulty, same_stub):
    started = faulty.slow()
    shutil.rmtree(faulty.results)
    started.wait()
    # What the rest of the run wrote there could be the user's.
    refused = faulty.run("-resume")
    assert refused.code == 1 and "give --overwrite, which moves them aside" in refused.output
    same_stub(faulty.run("-resume", "--overwrite"))


def test_results_removed_between_the_runs(faulty, same_stub):
    faulty.run()
    shutil.rmtree(faulty.results)
    resumed = faulty.run("-resume")
    assert {row["process"] for row in resumed.tasks(status="COMPLETED")} == {"RESOLVE_PARAMS", "JOB_DISPATCH"}
    same_stub(resumed)


def test_work_folder_removed_between_the_runs(faulty, same_stub):
    faulty.run()
    shutil.rmtree(faulty.work)
    same_stub(faulty.run("-resume"))


def test_nextflow_cache_removed_between_the_runs(faulty, same_stub):
    faulty.run()
    shutil.rmtree(faulty.folder / ".nextflow")
    same_stub(faulty.run("-resume"))


def test_broken_stage_json(faulty, same_stub):
    faulty.slow().kill(signal.SIGKILL)
    (file,) = faulty.work.glob("*/*/preprocessing_*/stage.json")
    file.write_text(file.read_text()[:40])
    failed = faulty.run("-resume")
    assert failed.code == 1
    assert "a work file was changed after it was written (stage.json cannot be read" in failed.output
    assert f"remove {file.parents[1]} and run the same command with -resume" in failed.output
    shutil.rmtree(file.parents[1])
    same_stub(faulty.run("-resume"))


def test_file_times_in_the_future_and_the_past(tmp_path, session, same_stub):
    """As after a clock that was wrong: only that they change counts."""
    data = tmp_path / "session"
    shutil.copytree(session, data)
    faulty = Faulty(tmp_path, data)
    for path, time_s in zip(sorted(data.rglob("*.*")), (4e9, 1.0) * 50, strict=False):
        os.utime(path, (time_s, time_s))
    same_stub(faulty.run())
    resumed = faulty.run("-resume")
    assert resumed.tasks(process="PREPROCESSING", status="CACHED")
    same_stub(resumed)


def test_clock_set_back_during_a_run(faulty, same_stub):
    """Nextflow and its tasks live an hour before the files that are there; by Debian's faketime."""
    if shutil.which("faketime") is None:
        pytest.skip("no faketime: apt-get install faketime")
    assert faulty.run().code == 0
    environment = faulty.environment(*VARIANTS[0])
    command = ["faketime", "--exclude-monotonic", "-f", "-1h", *faulty.command("-resume", "-stub-run")]
    back = subprocess.run(command, cwd=faulty.folder, env=environment, capture_output=True, text=True, check=False)
    assert back.returncode == 0, back.stdout
    same_stub(faulty.run("-resume"))


def test_input_removed_during_a_run(tmp_path, session, same_stub):
    data = tmp_path / "session"
    shutil.copytree(session, data)
    faulty = Faulty(tmp_path, data)
    gone = "process { withName: 'PREPROCESSING' { beforeScript = 'mv %s %s.gone' } }"
    config = faulty.config_with(gone % (data, data))
    failed = faulty.run("--preprocessing_args", "--min-duration-for-preprocessing 5", config=config, stub=False)
    assert failed.code == 1
    assert f"{data} is missing: mount or restore it and run the same command with -resume" in failed.output
    assert "Traceback" not in failed.output
    data.with_name("session.gone").rename(data)
    same_stub(faulty.run())


def test_input_changed_between_the_runs(tmp_path, session, same_stub):
    data = tmp_path / "session"
    shutil.copytree(session, data)
    faulty = Faulty(tmp_path, data)
    faulty.slow().kill(signal.SIGKILL)
    raw = next(data.rglob("*.ap.bin"))
    np.fromfile(raw, "int16")[::-1].tofile(raw)
    resumed = faulty.run("-resume")
    assert not resumed.tasks(process="PREPROCESSING", status="CACHED")
    same_stub(resumed)


def test_input_is_a_dangling_link(tmp_path, session):
    data = tmp_path / "session"
    shutil.copytree(session, data)
    raw = next(data.rglob("*.ap.bin"))
    raw.unlink()
    raw.symlink_to(tmp_path / "unmounted" / raw.name)
    refused = Faulty(tmp_path, data).run()
    assert refused.code == 1
    assert raw.name in refused.output
    assert "Traceback" not in refused.output


def test_input_may_not_be_read(session):
    """A raw file of another user's; asked of job dispatch alone, as someone who is not root."""
    folder = Path("/tmp") / f"spikerelay-unreadable-{os.getpid()}"
    shutil.copytree(session, folder)
    try:
        raw = next(folder.rglob("*.ap.bin"))
        raw.chmod(0)
        command = [sys.executable, "-m", "capsules", "inspect", str(folder)]
        if os.geteuid() == 0:
            command = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", *command]
        shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if "No module named capsules" in shown.stderr or shown.returncode > 2:
            pytest.skip("this checkout cannot be read by another user")
    finally:
        shutil.rmtree(folder)
    assert shown.returncode == 1
    assert "Permission denied" in shown.stdout + shown.stderr
    assert raw.name in shown.stdout + shown.stderr
    assert "Traceback" not in shown.stderr


def test_traces_cut_after_they_were_written(undisturbed, tmp_path, session):
    """SpikeInterface takes a cut file for a shorter recording."""
    from tests.faults.test_disks import Again

    again = Again(undisturbed, "spikesorting", tmp_path / "task", tmp_path / "results")
    (link,) = (tmp_path / "task" / "inputs").iterdir()
    copied = link.resolve()
    link.unlink()
    shutil.copytree(copied, link)
    traces = next(link.glob("traces/*.raw"))
    os.truncate(traces, traces.stat().st_size // 2)
    ended = again.run(session)
    assert ended.returncode == 1
    assert "the traces are not those that preprocessing wrote" in again.mark["reason"]
    traces.unlink()
    shutil.copyfile(next(copied.glob("traces/*.raw")), traces)
    assert again.run(session).returncode == 0
    assert again.is_whole()


def test_leftovers_of_a_killed_task(undisturbed, tmp_path, session):
    """A folder that an earlier attempt left half written is not added to."""
    from tests.faults.test_disks import Again

    again = Again(undisturbed, "curation", tmp_path / "task", tmp_path / "results")
    left = tmp_path / "task" / f".{again.name}.partial" / "curated"
    left.mkdir(parents=True)
    (left / "old.npy").write_bytes(b"half")
    assert again.run(session).returncode == 0
    assert again.is_whole()
    assert "old.npy" not in {Path(name).name for name in files_of(tmp_path / "task" / again.name)}
