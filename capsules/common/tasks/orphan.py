"""End a task whose Nextflow or wrapper was killed: it would continue in parallel with the tasks of the next run."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress

import psutil

POLL_S = 1.0
EXIT_CODE = 143


def end_with_nextflow() -> None:
    """Watch the Nextflow that started this task on this machine, and end the task and its children with it.

    Outside of Nextflow, and under a cluster's scheduler, this does nothing.
    """
    if "NXF_TASK_WORKDIR" not in os.environ:
        return
    parents = psutil.Process().parents()
    nextflow = next((parent for parent in parents if parent.name() == "java"), None)
    if nextflow is None and os.environ.get("SPIKERELAY_NEXTFLOW_PID"):
        # It ran on this machine, and ended before this process began.
        os._exit(EXIT_CODE)
    if nextflow is not None:
        # The task's wrapper is between the two: Nextflow starts the task again when it is gone.
        watched = parents[: parents.index(nextflow) + 1]
        threading.Thread(target=_watch, args=(watched,), daemon=True).start()


def _watch(watched: list[psutil.Process]) -> None:
    # is_running is also false when another process has the process id now.
    with suppress(psutil.NoSuchProcess):
        while all(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in watched):
            time.sleep(POLL_S)
    for child in psutil.Process().children(recursive=True):
        child.kill()
    os._exit(EXIT_CODE)
