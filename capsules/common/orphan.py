"""End a task whose Nextflow is gone: a killed Nextflow leaves its local tasks running beside those of the next run."""

from __future__ import annotations

import os
import threading
import time

POLL_S = 1.0
EXIT_CODE = 143


def end_with_nextflow() -> None:
    """Watch the Nextflow that started this task on this machine, and end the task and its children with it.

    Outside of Nextflow, and under a cluster's scheduler, there is nothing to watch.
    """
    if "NXF_TASK_WORKDIR" not in os.environ:
        return
    import psutil

    nextflow = next((parent for parent in psutil.Process().parents() if parent.name() == "java"), None)
    if nextflow is None and os.environ.get("SPIKERELAY_NEXTFLOW_PID"):
        # It was on this machine, and went before this process began.
        os._exit(EXIT_CODE)
    if nextflow is not None:
        threading.Thread(target=_watch, args=(nextflow,), daemon=True).start()


def _watch(nextflow) -> None:
    import psutil

    # is_running also tells when the process id has passed to another process.
    while nextflow.is_running() and nextflow.status() != psutil.STATUS_ZOMBIE:
        time.sleep(POLL_S)
    for child in psutil.Process().children(recursive=True):
        child.kill()
    os._exit(EXIT_CODE)
