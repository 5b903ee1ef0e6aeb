import os
import subprocess
import sys

from capsules.common.orphan import EXIT_CODE
from capsules.common.resources import THREAD_VARIABLES

COMPILES = """
from capsules.common.resources import use_numba_cache
use_numba_cache()
import numpy as np
from spikeinterface.postprocessing.isi import _compute_isi_histograms_numba as compiled
bins = np.array([0, 10, 20])
compiled(np.zeros((1, 2), "int64"), np.array([1, 5, 9]), np.zeros(3, "int64"), bins)
print("HITS", sum(compiled.stats.cache_hits.values()), "MISSES", sum(compiled.stats.cache_misses.values()))
"""


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


def test_every_library_keeps_to_the_tasks_cores():
    code = """
from capsules.common.resources import limit_threads
limit_threads(1)
import numba, numpy, torch, threadpoolctl
assert numba.config.NUMBA_NUM_THREADS == 1
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
        "import time; from capsules.common.orphan import end_with_nextflow; "
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
