"""The live view of a run: its progress from the files that a run leaves, as a screen and as lines of a log."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import shlex
import struct
import subprocess
import sys
import termios
from argparse import Namespace
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fcntl import ioctl
from pathlib import Path

import pytest
from rich.console import Console

from capsules.commands import status
from capsules.commands.live import keep_running, read_nextflow_lines
from capsules.commands.live_estimate import estimate_left_s, expect_seconds
from capsules.commands.live_events import list_events
from capsules.commands.live_progress import (
    KILLED_EXITS,
    RETRIES,
    Row,
    RunProgress,
    StageProgress,
    read_progress,
)
from capsules.commands.live_view import describe, format_seconds, render, shorten_names
from capsules.common.contract import RECORDING_STAGES
from capsules.common.errors import Rejected
from capsules.common.tasks.progress_line import Step, read_step
from capsules.results.summary import describe_run

ROOT = Path(__file__).parents[2]
IDS = [f"run_g0_imec{index}.ap_recording1" for index in range(3)]
BLOCK = "run_g0_recording1"
TRACE = ["task_id", "process", "tag", "status", "exit", "attempt", "submit", "start", "complete", "workdir"]
"""Of the trace's columns, those that are read, and some others."""
BEGIN = datetime(2026, 11, 27, 12, 0, 0)
LOCK_AND_WAIT = (
    "import fcntl, sys; f = open(sys.argv[1], 'r+'); fcntl.lockf(f, fcntl.LOCK_EX); print(); sys.stdin.read()"
)


class Folders:
    """The results and work folders of a run, as Nextflow and the stages write them."""

    def __init__(self, folder: Path):
        self.results, self.work = folder / "results", folder / "work"
        (self.results / "nextflow" / "failed").mkdir(parents=True)
        self.lock = self.results / "nextflow" / "lock.json"
        self.lock.write_text('{"host": "here", "pid": 1}')
        self.lines = ["\t".join(TRACE)]
        self._write_trace()

    def end(self, process: str, tag: str, seconds: float = 60, **columns) -> Path:
        """Add a task to the trace; return its work folder."""
        task = self.work / f"{len(self.lines):02}"
        task.mkdir(parents=True, exist_ok=True)
        times = {"submit": BEGIN, "start": BEGIN, "complete": BEGIN + timedelta(seconds=seconds)}
        row = dict.fromkeys(TRACE, "-") | {name: str(time) for name, time in times.items()}
        row |= {"process": process, "tag": tag, "status": "COMPLETED", "exit": "0", "attempt": "1"}
        self.lines.append("\t".join(str(value) for value in (row | {"workdir": task} | columns).values()))
        self._write_trace()
        return task

    def _write_trace(self) -> None:
        (self.results / "nextflow" / "trace.txt").write_text("\n".join(self.lines) + "\n")

    def dispatch(self, ids=IDS, suffixes=("",), megabytes=100.0) -> None:
        """The tasks that check the parameters and list the recordings."""
        sorters = [{"name": suffix, "suffix": suffix} for suffix in suffixes]
        resolved = self.end("RESOLVE_PARAMS", "-") / "resolved.json"
        resolved.write_text(json.dumps({"sessions": [{"session": "", "sorters": sorters}]}))
        folder = self.end("JOB_DISPATCH", "run") / "job_dispatch_run"
        folder.mkdir()
        jobs = [{"id": id, "block": BLOCK, "megabytes": megabytes} for id in ids]
        (folder / "jobs.json").write_text(json.dumps(jobs))

    def finish(self, stage: str, id: str, status: str = "ok", reason: str | None = None, **columns) -> None:
        task = self.end(f"RECORDINGS:{stage.upper()}", id, **columns)
        (task / f"{stage}_{id}").mkdir()
        (task / f"{stage}_{id}" / "stage.json").write_text(json.dumps({"status": status, "reason": reason}))

    def start(self, stage: str, id: str, log: str = "", kind: str = "killed", reason: str = "stopped") -> Path:
        """The note of a task that runs, or has failed, and its log; return its work folder."""
        out = self.work / f"{stage}_{id}" / f".{stage}_{id}.partial"
        out.mkdir(parents=True, exist_ok=True)
        (out / "log.txt").write_text(log)
        started = (datetime.now(UTC) - timedelta(seconds=43)).isoformat(timespec="seconds")
        note = {"kind": kind, "reason": reason, "folder": str(out), "record": {"started": started}}
        (self.results / "nextflow" / "failed" / f"{stage}_{id}.json").write_text(json.dumps(note))
        return out.parent

    @contextmanager
    def locked(self):
        """A Nextflow that lives."""
        child = subprocess.Popen(
            [sys.executable, "-c", LOCK_AND_WAIT, self.lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        child.stdout.readline()
        try:
            yield
        finally:
            child.communicate()


@pytest.fixture
def run(tmp_path):
    return Folders(tmp_path)


@pytest.fixture
def half_done(run):
    """Of three recordings: one is sorted while its step says how much is done, one was skipped, one failed."""
    run.dispatch()
    run.finish("preprocessing", IDS[0], seconds=100)
    log = "2026-11-27 12:00:00,1 INFO detect peaks (workers: 2 threads): 252 of 300 chunks\n"
    run.start("spikesorting", IDS[0], log)
    for stage in RECORDING_STAGES:
        run.finish(stage, IDS[1], "skipped", f"too short for {stage}")
    run.start("preprocessing", IDS[2], kind="failed", reason="a disk is full: make room")
    return run


def states(progress, index):
    return [stage.state for stage in progress.recordings[index].stages.values()]


def test_the_states_of_a_run_that_runs(half_done):
    progress = read_progress(half_done.results, is_live=True)
    assert [row.id for row in progress.rows] == [*IDS, BLOCK]
    assert states(progress, 0) == ["done", "running", "waiting", "waiting", "waiting"]
    assert states(progress, 1) == ["skipped"] * 5
    assert states(progress, 2) == ["failed", "not reached", "not reached", "not reached", "waiting"]
    assert [row.state for row in progress.rows] == ["running", "skipped", "failed", "waiting"]
    running = progress.recordings[0].stages["spikesorting"]
    assert running.step == Step("detect peaks", 252, 300)
    assert 42 < running.seconds < 60
    assert progress.recordings[0].stages["preprocessing"].seconds == 100
    assert progress.recordings[2].stages["preprocessing"].reason == "a disk is full: make room"
    assert progress.problems == []


def test_a_run_that_was_killed_says_what_it_was_at(half_done):
    progress = read_progress(half_done.results)
    assert (progress.is_live, progress.activity) == (False, "stopped before its end")
    assert states(progress, 0) == ["done", "stopped", "not reached", "not reached", "not reached"]
    assert "the same command with --resume (nextflow: -resume) continues it\n" in describe(progress)
    assert "--resume" in next(list_events(None, progress))
    with half_done.locked():
        assert read_progress(half_done.results).is_live


def test_tasks_that_ctrl_c_reached_are_stopped(run):
    run.dispatch(IDS[:2])
    run.end("RECORDINGS:PREPROCESSING", IDS[0], status="FAILED", exit="130")
    run.end("RECORDINGS:PREPROCESSING", IDS[1], status="ABORTED", exit="-")
    progress = read_progress(run.results)
    assert [row.state for row in progress.recordings] == ["stopped", "stopped"]
    assert "2 recordings: 2 stopped" in describe(progress)


def test_a_killed_task_waits_for_its_next_attempt_and_then_runs(run):
    run.dispatch(IDS[:1])
    task = run.start("preprocessing", IDS[0])
    run.end("RECORDINGS:PREPROCESSING", IDS[0], status="FAILED", exit="137", workdir=task)
    waits = read_progress(run.results, is_live=True).recordings[0].stages["preprocessing"]
    assert (waits.state, "attempt 1 was killed (exit code 137: out of memory)" in waits.reason) == ("waiting", True)
    assert read_progress(run.results, is_live=False).recordings[0].state == "failed"
    run.end("RECORDINGS:PREPROCESSING", IDS[0], status="FAILED", exit="137", workdir=run.work / "another")
    assert states(read_progress(run.results, is_live=True), 0)[0] == "running"
    config = (ROOT / "pipeline" / "base.config").read_text()
    assert f"in [{', '.join([*KILLED_EXITS][:3])}, Integer.MAX_VALUE, null] && task.attempt <= {RETRIES} ?" in config


def test_a_task_that_failed_before_its_stage_began_has_its_last_line(run):
    run.dispatch(IDS[:1])
    task = run.end("RECORDINGS:PREPROCESSING", IDS[0], status="FAILED", exit="1")
    (task / ".command.err").write_text("Traceback\nImportError: libcuda.so.1 is missing\n\n")
    failed = read_progress(run.results, is_live=True).recordings[0].stages["preprocessing"]
    assert failed.reason == f"exit code 1: ImportError: libcuda.so.1 is missing ({task})"


def test_several_sorters_share_the_preprocessing(run):
    run.dispatch(IDS[:1], suffixes=("_lupin", "_kilosort4"))
    run.finish("preprocessing", IDS[0])
    run.finish("spikesorting_gpu", f"{IDS[0]}_kilosort4")
    progress = read_progress(run.results, is_live=True)
    assert [row.id for row in progress.recordings] == [f"{IDS[0]}_lupin", f"{IDS[0]}_kilosort4"]
    assert [states(progress, index)[:2] for index in (0, 1)] == [["done", "waiting"], ["done", "done"]]


def test_the_sessions_of_a_sheet(run):
    run.end("RESOLVE_PARAMS", "-")
    for session in ("day1", "run", "empty"):
        (run.results / session / "nextflow").mkdir(parents=True)
        (run.results / session / "nextflow" / "run.json").write_text("{}")
        folder = run.end("JOB_DISPATCH", session) / "job_dispatch_run"
        folder.mkdir()
        jobs = [] if session == "empty" else [{"id": "a", "block": "b"}]
        (folder / "jobs.json").write_text(json.dumps(jobs))
        record = {"status": "failed", "reason": "nothing to sort"} if session == "empty" else {"status": "ok"}
        (folder / "stage.json").write_text(json.dumps(record))
    run.end("RECORDINGS:PREPROCESSING", "run/a")
    progress = read_progress(run.results, is_live=True)
    assert {row.id: row.stages["preprocessing"].state for row in progress.recordings} == {
        "day1/a": "waiting",
        "run/a": "done",
    }
    assert progress.rejected == ["empty: nothing to sort"]


def test_a_run_that_ended_needs_no_work_folder(run):
    run.dispatch(IDS[:1])
    stages = {stage: {"status": "ok", "seconds": 3.0, "reason": None} for stage in RECORDING_STAGES}
    stages["curation"] = {"status": "skipped", "seconds": 1.0, "reason": "no units"}
    document = {"recordings": {IDS[0]: {"recording": IDS[0], "status": "ok", "stages": stages}}, "blocks": {}}
    (run.results / "status.json").write_text(json.dumps(document))
    assert read_progress(run.results).activity == "stopped before its end"
    run.end("SESSION_RESULTS:RESULTS", "run")
    (run.work / "02" / "job_dispatch_run" / "jobs.json").unlink()
    progress = read_progress(run.results)
    assert (progress.activity, progress.problems) == ("ended", [])
    assert states(progress, 0) == ["done", "done", "done", "skipped", "done"]
    # The time of a task, as the view showed it while the run lived: the stage's record lacks the start of Python.
    run.finish("postprocessing", IDS[0], seconds=5)
    assert read_progress(run.results).recordings[0].stages["postprocessing"].seconds == 5.0


@pytest.mark.parametrize("damage", ["{", "[]", '"x"', '[{"id": 1}]', '{"record": [], "folder": 3}', "\0"])
def test_damaged_files_show_less_and_are_named(half_done, damage):
    files = [*half_done.results.rglob("*.json"), *half_done.work.rglob("*.json")]
    for file in files:
        kept = file.read_text()
        file.write_text(damage)
        os.utime(file, ns=(1, hash(damage) % 10**9))
        progress = read_progress(half_done.results, is_live=True)
        assert all(str(file) in problem for problem in progress.problems)
        assert describe(progress)
        file.write_text(kept)
    (half_done.results / "nextflow" / "trace.txt").write_bytes(b"task_id\tprocess\n\x001\t\n")
    assert read_progress(half_done.results, is_live=True).rows == []
    missing = read_progress(half_done.results / "nowhere")
    assert (missing.activity, missing.rows) == ("no run has begun", [])


def test_a_dispatch_that_failed_is_no_damage(half_done):
    folder = half_done.work / "02" / "job_dispatch_run"
    (folder / "jobs.json").unlink()
    (folder / "stage.json").write_text('{"status": "failed", "reason": "no recording"}')
    assert read_progress(half_done.results, is_live=True).problems == []


def test_missing_work_folders_are_named_once_per_reading(half_done):
    (half_done.work / "02" / "job_dispatch_run" / "jobs.json").unlink()
    (problem,) = read_progress(half_done.results, is_live=True).problems
    assert problem.endswith("jobs.json is missing: the view lists no recordings")


def test_a_line_that_nextflow_is_writing_is_left_for_later(half_done):
    trace = half_done.results / "nextflow" / "trace.txt"
    trace.write_text(trace.read_text() + f"9\taa\t1\tRECORDINGS:SPIKESORTING\t{IDS[0]}\tx\tCOMPL")
    assert states(read_progress(half_done.results, is_live=True), 0)[1] == "running"


@pytest.mark.parametrize(
    ("log", "step"),
    [
        ("t INFO localize: 3 of 9 chunks\nt INFO changed: a\n", Step("localize", 3, 9)),
        ("t INFO localize: 9 of 9 chunks\n", None),
        ("t INFO localize: 3 of 9 chunks of cake\n", None),
        ("", None),
    ],
)
def test_the_step_is_the_last_incomplete_one(log, step):
    assert read_step(log) == step


def test_the_events_of_a_run(half_done):
    progress = read_progress(half_done.results, is_live=True)
    events = list(list_events(None, progress))
    assert events[0] == "running: 3 recordings, 1 NWB file"
    assert f"{IDS[0]}: preprocessing: done in 1:40" in events
    assert f"{IDS[0]}: spikesorting: running" in events
    assert f"{IDS[1]}: preprocessing: skipped: too short for preprocessing" in events
    assert f"{IDS[2]}: preprocessing: failed: a disk is full: make room" in events
    assert list(list_events(progress, read_progress(half_done.results, is_live=True))) == []


def test_a_task_runs_until_the_trace_has_it(half_done):
    before = read_progress(half_done.results, is_live=True)
    (half_done.results / "nextflow" / "failed" / f"spikesorting_{IDS[0]}.json").unlink()
    between = read_progress(half_done.results, is_live=True)
    assert states(between, 0)[1] == "waiting"
    assert states(keep_running(before, between), 0)[1] == "running"
    half_done.finish("spikesorting", IDS[0], seconds=3723)
    after = keep_running(before, read_progress(half_done.results, is_live=True))
    assert list(list_events(between, after)) == [f"{IDS[0]}: spikesorting: done in 1:02:03"]


def progress_of(*seconds: float | None, megabytes: float = 100.0) -> RunProgress:
    """A run whose recordings were preprocessed in so many seconds; None waits."""
    rows = []
    for index, value in enumerate(seconds):
        stages = dict.fromkeys(RECORDING_STAGES, StageProgress("waiting"))
        if value is not None:
            stages["preprocessing"] = StageProgress("done", value)
        rows.append(Row(str(index), stages, megabytes))
    return RunProgress("running", True, rows)


def test_the_time_left_scales_with_this_run():
    assert estimate_left_s(progress_of(None, None)) is None
    first_s, *others_s = (expect_seconds(stage, 100.0) for stage in RECORDING_STAGES)
    rest = sum(others_s)
    assert estimate_left_s(progress_of(first_s)) == pytest.approx(rest)
    assert estimate_left_s(progress_of(10 * first_s)) == pytest.approx(10 * rest)
    two = estimate_left_s(progress_of(first_s, None))
    assert two == pytest.approx(2 * rest + first_s)
    written = Row("block", {"nwb_ecephys": StageProgress("done", 5.0), "nwb_units": StageProgress("waiting")})
    assert estimate_left_s(replace(progress_of(None), blocks=[written])) is None
    done = {stage: StageProgress("done", 5.0) for stage in RECORDING_STAGES}
    assert estimate_left_s(RunProgress("running", True, [Row("a", done)])) == 0


def test_a_stage_that_was_added_and_not_measured_does_not_end_the_view():
    added = replace(progress_of(5.0), blocks=[Row("block", {"spike_counts": StageProgress("waiting")})])
    assert estimate_left_s(added) > 0


@pytest.mark.parametrize(
    ("ids", "names"),
    [
        (IDS[:2], ["imec0.ap", "imec1.ap"]),
        (["a_b_c"], ["a_b_c"]),
        (["a_b", "a_b_kilosort4"], ["b", "b_kilosort4"]),
        (["x_a_x", "x_b_x", "x_x"], ["a_x", "b_x", "x"]),
        ([], []),
    ],
)
def test_short_names_stay_different(ids, names):
    assert list(shorten_names(ids).values()) == names


def test_durations():
    assert [format_seconds(value) for value in (0.4, 59.6, 754, 3753)] == ["0:00", "1:00", "12:34", "1:02:33"]


def recording(name, status="ok", **counts):
    return {"recording": name, "status": status} | counts


def test_a_run_in_one_line():
    counts = {"units": 10, "good_units": 9, "suspicious_good_units": 1}
    other = {"units": 13, "good_units": 11, "suspicious_good_units": 0}
    document = {"recordings": {"a": recording("a", **counts), "b": recording("b", **other)}, "blocks": {}}
    assert describe_run(document) == "2 recordings, 23 units, 20 good, 1 suspicious"
    some = {"a": recording("a", "failed"), "b": recording("b", "skipped"), "c": recording("c", units=1)}
    document = {"recordings": some, "blocks": {"day": {"status": "failed"}}}
    assert describe_run(document) == "3 recordings (1 failed, 1 skipped), 1 unit, 1 NWB file failed"
    both = {name: recording("a", units=2, good_units=None) for name in ("a_lupin", "a_kilosort4")}
    assert describe_run({"recordings": both, "blocks": {}}) == "2 sortings, 4 units"


def test_the_lines_of_nextflow_that_say_why_it_stopped(tmp_path):
    log = tmp_path / "log"
    log.write_text(
        "N E X T F L O W  ~  version 24.10.0\nLaunching `x.nf` [a] DSL2\n"
        "[cb/6939be] Submitted process > RESOLVE_PARAMS\n"
        "--sorter: must be one of a, b\n"
    )
    assert read_nextflow_lines(log) == ["--sorter: must be one of a, b"]
    assert read_nextflow_lines(tmp_path / "nowhere") == []


def run_in_terminal(command: list[str], columns: int, lines: int = 24) -> tuple[int, list[str]]:
    """Run a command in a pseudo-terminal; return its exit code and its last screen, without styles."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    environment = os.environ | {"TERM": "xterm-256color", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, stdin=theirs, env=environment)
    os.close(theirs)
    output = b""
    while select.select([ours], [], [], 120)[0]:
        try:
            output += os.read(ours, 65536)
        except OSError:
            # Linux's end of a pseudo-terminal.
            break
    os.close(ours)
    return process.wait(), re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output.decode()).splitlines()


@pytest.mark.parametrize("columns", [80, 140])
def test_the_screen_fits_the_terminal(half_done, columns):
    with half_done.locked():
        code, lines = run_in_terminal([sys.executable, "-m", "capsules", "status", str(half_done.results)], columns)
    assert code == 1
    assert max(map(len, lines)) <= columns
    text = "\n".join(lines)
    row = next(line for line in lines if line.startswith("imec0.ap"))
    assert row.split() == ["imec0.ap", "done", "1:40", "running", "waiting", "waiting", "waiting"]
    assert "about" in lines[0]
    assert lines[1] == "3 recordings: 1 failed, 1 running, 1 skipped"
    assert re.search(r"imec0.ap +spikesorting +\d:\d\d .*detect peaks: 252", text)
    assert "252 of 300 chunks" in text
    assert "imec1.ap: preprocessing skipped: too short for preprocessing" in text
    assert "imec2.ap: preprocessing failed: a disk is full: make room" in text


DRIVE = """
import subprocess, sys
from pathlib import Path
from capsules.commands import status
from capsules.commands.live import watch
results, log, code = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
# A Nextflow that locks its folder, and ends.
lock = str(results / "nextflow" / "lock.json")
stand_in = f"sleep 0.5; touch {lock}; sleep 1.5; exit {code}"
with log.open("a") as stream:
    process = subprocess.Popen(["sh", "-c", stand_in], stdout=stream)
    watch(process, results, log)
sys.exit(process.returncode)
"""


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_run_is_watched_to_its_end(half_done, tmp_path, is_terminal):
    log = tmp_path / "nextflow.log"
    log.write_text("[cb/6939be] Submitted process > X\nSession aborted -- Cause: no memory\n")
    command = [sys.executable, "-c", DRIVE, str(half_done.results), str(log), "1"]
    if is_terminal:
        code, lines = run_in_terminal(command, 80)
    else:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
        code, lines = done.returncode, done.stdout.splitlines()
        assert done.stderr == ""
        assert all(re.match(r"\d\d:\d\d:\d\d ", line) for line in lines[:-1])
        assert lines[0].endswith("starting Nextflow")
        assert sum("running: 3 recordings" in line for line in lines) == 1
    assert (code, lines[-1]) == (1, "Session aborted -- Cause: no memory")
    assert any("stopped before its end" in line for line in lines)


FAILING = DRIVE.replace(
    "    watch(process",
    """
    from capsules.commands import live
    def fail(*_):
        raise KeyError("units\\x1b[31m")
    live.read_progress = fail
    watch(process""",
).replace("sleep 1.5", "sleep 1.5; echo Nextflow says this")


@pytest.mark.parametrize("is_terminal", [True, False])
def test_where_the_view_fails_the_run_continues_with_nextflows_lines(half_done, tmp_path, is_terminal):
    command = [sys.executable, "-c", FAILING, str(half_done.results), str(tmp_path / "nextflow.log"), "3"]
    if is_terminal:
        code, lines = run_in_terminal(command, 300)
    else:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
        code, lines = done.returncode, done.stdout.splitlines()
        assert done.stderr == ""
    (at,) = (number for number, line in enumerate(lines) if line.startswith("the live view failed (KeyError: "))
    assert f"`spikerelay status {half_done.results}`" in lines[at]
    assert (code, lines[at + 1 :]) == (3, ["Nextflow says this"])


def test_a_run_continues_when_nobody_reads_its_lines(half_done, tmp_path):
    """`spikerelay run ... | head -1`."""
    script = (
        f"{shlex.join([sys.executable, '-c', DRIVE, str(half_done.results), str(tmp_path / 'log'), '3'])} | head -1"
    )
    done = subprocess.run(
        ["bash", "-c", f"{script}; exit ${{PIPESTATUS[0]}}"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert (done.returncode, done.stderr) == (3, "")


def test_many_recordings_fit_in_few_lines(run):
    ids = [f"run_g0_imec{index}_recording1" for index in range(60)]
    run.dispatch(ids)
    run.start("preprocessing", ids[40])
    console = Console(width=80, file=io.StringIO())
    console.print(render(read_progress(run.results, is_live=True), 80, 24))
    lines = console.file.getvalue().splitlines()
    assert len(lines) <= 24
    assert any(line.startswith("imec40") and "running" in line for line in lines)
    assert any(re.match(r"and \d+ waiting", line) for line in lines)


@pytest.mark.parametrize("width", [80, 110])
def test_long_names_are_cut_and_no_state_is(run, width):
    ids = ["a" * 60, "b" * 60]
    run.dispatch(ids)
    run.end("RECORDINGS:VISUALIZATION", ids[0])
    console = Console(width=width, file=io.StringIO())
    console.print(render(read_progress(run.results, is_live=True), width))
    (row,) = [line for line in console.file.getvalue().splitlines() if line.count("waiting") == 4]
    assert re.search(r" done \d+:\d\d$", row.rstrip())
    assert row.startswith("aaa")


def test_status_of_no_results(tmp_path, capsys):
    with pytest.raises(Rejected, match="no such folder"):
        status.run(Namespace(results=tmp_path / "nowhere", watch=False))
    assert status.run(Namespace(results=tmp_path, watch=True)) == 1
    assert capsys.readouterr().out.endswith(
        f"no run has begun\n{tmp_path} has no record of a run: name the results folder of a run\n"
    )
