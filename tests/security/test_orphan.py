"""A task whose wrapper was killed alone ends with all that it started."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time

import psutil

from tests.security.test_foreign_results import ROOT

TASK = """
import subprocess, time
from capsules.common.tasks.orphan import end_with_nextflow
end_with_nextflow()
subprocess.Popen(["sleep", "60"])
print("started", flush=True)
time.sleep(60)
"""


def runs(process):
    return process.is_running() and process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD, "terminated")


def test_a_task_ends_soon_after_its_wrapper(tmp_path):
    (tmp_path / "task.py").write_text(TASK)
    # By its name it is Nextflow's Java.
    shutil.copy("/bin/bash", tmp_path / "java")
    wrapped = f"bash -c '{sys.executable} {tmp_path / 'task.py'}; true'; true"
    (tmp_path / "wrapper").write_text(wrapped)
    command = [tmp_path / "java", "-c", f"bash {tmp_path / 'wrapper'}; sleep 60; true"]
    environment = os.environ | {"NXF_TASK_WORKDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as nextflow:
        try:
            assert nextflow.stdout.readline() == "started\n"
            wrapper, *_, task, child = psutil.Process(nextflow.pid).children(recursive=True)
            assert task.name().startswith("python") and child.name() == "sleep"
            wrapper.kill()
            deadline = time.monotonic() + 2
            while time.monotonic() < deadline and any(map(runs, (task, child))):
                time.sleep(0.05)
            assert not any(map(runs, (task, child)))
            assert nextflow.poll() is None
        finally:
            for process in psutil.Process(nextflow.pid).children(recursive=True):
                process.kill()
            nextflow.kill()
