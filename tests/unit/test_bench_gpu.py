"""`make bench-gpu`: its target and options, and how it shares the cores and shows its numbers, without any run."""

import json
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.bench import gpu
from tests.bench.gpu_tables import rates_table

ROOT = Path(__file__).parents[2]


def test_the_target_runs_the_module_and_passes_the_options_on():
    # make test is itself a make: a make inside another one also prints the directory that it enters.
    command = ["make", "--dry-run", "--no-print-directory", "bench-gpu", f"PY={sys.executable}", "ARGS=--help"]
    (line,) = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    shown = subprocess.run(line, shell=True, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for part in gpu.PARTS:
        assert f"{part}:" in "".join(shown.split()), part


@pytest.mark.parametrize(
    ("available", "sizes"),
    [(16, [[4, 4, 1, 1]]), (8, [[4, 4], [1, 1]]), (4, [[4], [4], [1, 1]]), (2, [])],
)
def test_runs_side_by_side_share_no_core(available, sizes):
    cores = list(range(100, 100 + available))
    counts = [count for count in (4, 4, 1, 1) if count <= available] if sizes else []
    waves = gpu.share_cores(counts, cores)
    assert [[len(mine) for _, mine in wave] for wave in waves] == sizes
    assert [index for wave in waves for index, _ in wave] == list(range(len(counts)))
    for wave in waves:
        used = [core for _, mine in wave for core in mine]
        assert len(used) == len(set(used))
        assert set(used) <= set(cores)


@pytest.mark.parametrize(
    ("name", "available", "spare"), [("a GPU", 16, True), ("a GPU", 8, True), ("a GPU", 4, False), (None, 16, False)]
)
def test_checks_run_next_to_the_timings_when_their_cores_are_free(name, available, spare, tmp_path):
    assert make_bench(tmp_path, name, available).has_spare_cores() is spare


def test_each_count_of_cores_is_timed_and_the_checks_keep_theirs(tmp_path):
    bench = make_bench(tmp_path, available=16)
    runs = bench.runs_on_fewer_cores()
    assert [count for count, way in runs if way == "capsule"] == [8, 4, 2, 1]
    assert [count for count, way in runs if way == "by hand"] == [4, 1]
    used = {core for wave in bench.share_fewer_cores() for _, cores in wave for core in cores}
    assert used == set(range(12))


def test_an_hour_is_the_line_through_two_recordings():
    rows = [
        {"way": "preprocessing", "duration_s": 60, "wall_s": 10.0},
        {"way": "postprocessing", "duration_s": 60, "wall_s": 20.0},
        {"way": "preprocessing", "duration_s": 300, "wall_s": 34.0},
        {"way": "postprocessing", "duration_s": 300, "failure": "no disk"},
    ]
    shown = rates_table(rows)
    assert "| preprocessing | 3600, by the rate | 364 |" in " ".join(shown.split())
    assert shown.count("by the rate") == 1


def test_a_run_that_fails_or_takes_too_long_leaves_its_reason(tmp_path):
    bench = make_bench(tmp_path)
    fails = [sys.executable, "-c", "raise SystemExit('no such thing')"]
    assert "no such thing" in bench.time("fails", fails, bench.cores)["failure"]
    bench.limit_s = 0.5
    assert "stopped after" in bench.time("sleeps", ["sleep", "60"], bench.cores)["failure"]
    bench.limit_s = 0.0
    assert "not started" in bench.time("late", fails, bench.cores)["failure"]


FAILING_TASK = """
import json, sys
from pathlib import Path
folder = Path(sys.argv[1]) / ".spikesorting_id.partial"
folder.mkdir(parents=True)
steps = [f"CUDA ran out of memory: sorted again with step {step}" for step in range(int(sys.argv[2]))]
changes = ["do_CAR = false: preprocessing subtracted the common reference", *steps]
(folder / "stage.json").write_text(json.dumps({"status": "failed", "reason": "kilosort4 failed", "changes": changes}))
(folder / "log.txt").write_text("log")
sys.exit(1)
"""


@pytest.mark.parametrize(("steps", "problems"), [(3, 0), (2, 1)])
def test_the_steps_are_read_from_a_task_that_failed(steps, problems, tmp_path, monkeypatch):
    bench = make_bench(tmp_path)
    monkeypatch.setattr(gpu, "empty_folder", lambda name: tmp_path / name)
    monkeypatch.setattr(gpu, "other_process", nullcontext)
    command = (sys.executable, "-c", FAILING_TASK)
    monkeypatch.setattr(bench, "sorting_capsule", lambda folder: (*command, folder, str(steps)))
    assert f"Most steps seen: {steps} of 3" in bench.run_out_of_memory()
    (row,) = json.loads((tmp_path / "gpu.json").read_text())["parts"]["memory"]
    assert row["steps"] == [f"sorted again with step {step}" for step in range(steps)]
    assert row["record"]["reason"] == "kilosort4 failed"
    assert (tmp_path / "memory_1_log.txt").exists()
    assert len(bench.problems) == problems


def make_bench(output, name="a GPU", available=0):
    bench = gpu.Bench(None, output, {"gpu": name}, {}, gpu.time.monotonic(), 60.0, [1.0])
    if available:
        bench.cores = list(range(available))
    return bench
