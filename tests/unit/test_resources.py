import os
import subprocess
import sys
from pathlib import Path

import pytest

from capsules.common.tasks import resources
from capsules.common.tasks.orphan import EXIT_CODE
from capsules.common.tasks.resources import THREAD_VARIABLES

COMPILES = """
from capsules.common.tasks.resources import use_numba_cache
use_numba_cache()
import numpy as np
from spikeinterface.postprocessing.isi import _compute_isi_histograms_numba as compiled
bins = np.array([0, 10, 20])
compiled(np.zeros((1, 2), "int64"), np.array([1, 5, 9]), np.zeros(3, "int64"), bins)
print("HITS", sum(compiled.stats.cache_hits.values()), "MISSES", sum(compiled.stats.cache_misses.values()))
"""


@pytest.mark.slow
def test_compiled_code_lasts_from_one_process_to_the_next(tmp_path):
    def hits_and_misses():
        done = subprocess.run(
            [sys.executable, "-c", COMPILES],
            env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    assert hits_and_misses() == "HITS 0 MISSES 1"
    assert hits_and_misses() == "HITS 1 MISSES 0"


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch])
def test_compiled_code_is_kept_by_the_process_where_its_folder_cannot_be_written(make, tmp_path, monkeypatch):
    """A folder of another user, and one that cannot be made."""
    make(tmp_path / "cache")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache" / "numba"))
    monkeypatch.setattr(resources, "cache_compiled_code", lambda: None)
    monkeypatch.setattr("atexit.register", lambda function, folder, **_: ended.append(folder))
    ended, said = [], []
    resources.use_numba_cache(said.append)
    assert ended == [os.environ["NUMBA_CACHE_DIR"]] and Path(ended[0]).stat().st_mode & 0o777 == 0o700
    Path(ended[0]).rmdir()
    assert said == [
        f"compiled code cannot be kept in {tmp_path}/cache/numba, which is not writable: each task compiles it again, "
        "for up to a minute; set NUMBA_CACHE_DIR to a folder of yours"
    ]


LIBRARIES = "import numba, numpy, torch, threadpoolctl"
LIMIT = "from capsules.common.tasks.resources import limit_threads; limit_threads(1)"


@pytest.mark.parametrize("first, second", [(LIMIT, LIBRARIES), (LIBRARIES, LIMIT)])
def test_every_library_keeps_to_the_tasks_cores(first, second):
    code = f"""
{first}
{second}
assert numba.get_num_threads() == 1
assert torch.get_num_threads() == 1
assert all(pool["num_threads"] == 1 for pool in threadpoolctl.threadpool_info()), threadpoolctl.threadpool_info()
"""
    environment = {name: value for name, value in os.environ.items() if name not in THREAD_VARIABLES}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def test_a_task_ends_with_its_nextflow(tmp_path):
    """A process named java stands in for Nextflow; when it is killed, the task below it ends within seconds."""
    java = tmp_path / "java"
    java.symlink_to("/bin/bash")
    script = (
        "import time; from capsules.common.tasks.orphan import end_with_nextflow; "
        "end_with_nextflow(); print('up', flush=True); time.sleep(60)"
    )
    command = [str(java), "-c", f'"{sys.executable}" -c "{script}"; echo "ended $?" > {tmp_path / "end"}']
    parent = subprocess.Popen(
        command, env=os.environ | {"NXF_TASK_WORKDIR": str(tmp_path)}, stdout=subprocess.PIPE, text=True
    )
    import psutil

    assert parent.stdout.readline() == "up\n"
    (task,) = psutil.Process(parent.pid).children()
    parent.kill()
    assert task.wait(timeout=20) in (None, EXIT_CODE)


PASS = """
import logging, sys, time
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
from capsules.common.patches import progress
progress.PROGRESS_INTERVAL_S = 0.2
if sys.argv[1] == "terminal":
    sys.stderr.isatty = lambda: True
progress.show_progress(sys.argv[2] == "bars", logging.getLogger())
from spikeinterface.core import generate_recording
from spikeinterface.core.job_tools import TimeSeriesChunkExecutor
recording = generate_recording(durations=[8.0], num_channels=2)
work = lambda segment, start, end, worker: time.sleep(0.1)
TimeSeriesChunkExecutor(
    recording, work, dict, (), job_name="work", progress_bar=True, n_jobs=1, chunk_duration="1s"
).run()
"""


@pytest.mark.parametrize(
    ("where", "wanted", "bar"),
    [("terminal", "bars", True), ("terminal", "lines", False), ("file", "bars", False), ("file", "lines", False)],
)
def test_progress_is_a_bar_for_a_person_and_lines_for_a_log(where, wanted, bar):
    done = subprocess.run([sys.executable, "-c", PASS, where, wanted], capture_output=True, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("work") and line.endswith("of 8 chunks")]
    assert ("it/s" in done.stderr) == bar
    assert bar == (not lines)
    if not bar:
        assert 1 <= len(lines) <= 6
        assert lines[-1].endswith("8 of 8 chunks")
