"""Set up SpikeInterface for a task: its cores, and its progress in the log."""

from __future__ import annotations

from typing import Any

import spikeinterface as si

from capsules.common.patches import progress
from capsules.common.tasks import resources
from capsules.common.tasks.task import Task
from capsules.parameters.model import JobKwargs


def set_job_kwargs(task: Task[Any], settings: JobKwargs) -> dict[str, Any]:
    """Set SpikeInterface's global `job_kwargs` for a task, and return them."""
    job_kwargs = resources.job_kwargs(task.n_jobs, settings)
    si.set_global_job_kwargs(**job_kwargs)
    progress.show_progress(settings.progress_bar, task.log)
    return job_kwargs
