"""Sorting: read the preprocessed traces, run the chosen sorter, clean its output, save the sorting."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import nullcontext
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

from capsules.common.errors import Skip, SpikeRelayError
from capsules.common.recordings.peaks import noise_levels
from capsules.common.recordings.traces import written_traces
from capsules.common.tasks import resources
from capsules.common.tasks.spikeinterface_jobs import set_job_kwargs
from capsules.common.tasks.task import Task
from capsules.parameters.rules import check_rate
from capsules.spikesorting import gpu
from capsules.spikesorting.failure import ending, failure_log
from capsules.spikesorting.sorters import SORTERS
from capsules.spikesorting.sorters.base import Context, Sorter

SORTER_FOLDER = "sorter"
AROUND = ("job_kwargs", "verbose", "chunk_duration", "progress_bar")
"""Arguments about the work and not about the spikes."""


def run(task: Task) -> None:
    name = task.params.sorter
    if name is None:
        raise SpikeRelayError("no sorter chosen: set spikesorting.sorter, or give --sorter")
    sorter, params = SORTERS[name], getattr(task.params, name)
    if reason := sorter.unavailable():
        raise SpikeRelayError(reason)
    resources.limit_threads(sorter.threads or task.n_jobs)
    set_job_kwargs(task, params.job_kwargs)
    recording = written_traces(task)
    check_rate("spikesorting", task.params, recording.sampling_frequency)
    _check_traces(recording)
    context = _context(task, recording, params)
    with gpu.own_gpu() if sorter.uses_gpu(params) else nullcontext():
        arguments = sorter.arguments(params, context)
        _note_device(task, sorter, params, arguments, recording)
        task.record["seeds"] = sorter.pin_seeds(arguments)
        differing = differing_from_defaults(sorter, params, arguments, context)
        task.fact(sorter=name, arguments=_plain(arguments), differing_from_defaults=_plain(differing))
        task.fact(repeats=sorter.repeats, sorter_version=sorter_version(sorter))
        try:
            sorting = sort(task, sorter, recording, arguments)
        except Exception as error:
            task.log.exception("the sorter failed")
            log = failure_log(task.out / SORTER_FOLDER)
            task.log.error("%s printed:\n%s", name, log.printed)
            shutil.rmtree(task.out / SORTER_FOLDER, ignore_errors=True)
            raise ending(sorter, params, error, log) from error
    sorting = clean(task, sorting, recording)
    if sorting.get_num_units() == 0:
        raise Skip(f"{name} found no unit")
    sorting.save(folder=task.out / "spikesorted")
    task.fact(units=sorting.get_num_units(), spikes=int(sorting.to_spike_vector().size))


def _check_traces(recording: Any) -> None:
    """Skip a recording that has no signal to sort: sorters fail on it in ways that tell nothing."""
    import numpy as np

    levels = noise_levels(recording)
    recording.delete_property("noise_level_mad_raw")
    if not np.isfinite(levels).all():
        raise SpikeRelayError("the traces hold values that are no numbers: look for the channels where they come from")
    if not levels.any():
        raise Skip("no channel has any signal: all of its samples are the same")


def _note_device(task: Task, sorter: Sorter, params: Any, arguments: dict[str, Any], recording: Any) -> None:
    """Record the device, and say so when a sorter that is made for GPUs works on the CPU, and for how long."""
    device = arguments.get("torch_device", sorter.device)
    task.record["device"] = device
    if device != "cpu" and (visible := os.environ.get(gpu.DEVICES_VARIABLE)):
        task.fact(gpu=visible)
    if device != "cpu" or sorter.cpu_seconds is None:
        return
    seconds = sorter.cpu_seconds(arguments, recording.get_num_channels(), recording.get_total_duration())
    minutes = seconds / task.n_jobs / 60
    task.fact(estimated_minutes=round(minutes, 1))
    why = "no GPU was found" if sorter.uses_gpu(params) else "torch_device is cpu"
    if sorter.uses_gpu(params) and gpu.unused_gpu():
        why = "this machine has a GPU, but torch cannot use it (does its version fit the driver?)"
    task.warn(f"{why}: {sorter.name} runs on the CPU, for roughly {minutes:.0f} min with {task.n_jobs} cores")


def sort(task: Task, sorter: Sorter, recording: Any, arguments: dict[str, Any]) -> Any:
    """Run the sorter; when the GPU's memory runs out, again with what it needs less of, which is recorded."""
    for changed in [*sorter.when_memory_is_short(arguments), None]:
        try:
            return run_sorter(sorter, recording, task.out / SORTER_FOLDER, arguments)
        except Exception as error:
            if changed is None or not gpu.out_of_memory(error):
                raise
        shown = ", ".join(f"{name} = {json.dumps(value)}" for name, value in changed.items())
        task.change(f"CUDA ran out of memory: sorted again with {shown}")
        arguments = arguments | changed
        task.fact(arguments=_plain(arguments))
        gpu.free_memory()
    raise AssertionError("the last attempt returns or raises")


def differing_from_defaults(sorter: Sorter, params: Any, arguments: dict[str, Any], context: Context) -> dict[str, Any]:
    """The arguments that the default parameters would not give here, and those that the sorter's table tells."""
    plain = sorter.arguments(type(params)(), replace(context, change=lambda text: None))
    own = {name: value for name, value in arguments.items() if name not in AROUND and value != plain[name]}
    return own | (sorter.differing(arguments) if sorter.differing else {})


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings as JSON can hold them; infinity becomes text."""
    finite = {name: str(value) if value in (inf, -inf) else value for name, value in settings.items()}
    return json.loads(json.dumps(finite, default=str))


def sorter_version(sorter: Sorter) -> str:
    """The sorter's version, as SpikeInterface tells it."""
    from spikeinterface.sorters import sorter_dict

    return str(sorter_dict[sorter.spikeinterface_name].get_sorter_version())


def run_sorter(sorter: Sorter, recording: Any, folder: Path, arguments: dict[str, Any]) -> Any:
    """Run a sorter through SpikeInterface and hold its sorting in memory.

    Its working folder is removed unless the arguments ask to keep something in it.
    """
    import spikeinterface as si
    from spikeinterface.sorters import run_sorter as spikeinterface_run_sorter

    sorting = spikeinterface_run_sorter(
        sorter.spikeinterface_name, recording, folder=folder, remove_existing_folder=True, **arguments
    )
    sorting = si.NumpySorting.from_sorting(sorting, copy_spike_vector=True)
    if not sorter.keeps_files(arguments):
        shutil.rmtree(folder, ignore_errors=True)
    return sorting


def clean(task: Task, sorting: Any, recording: Any) -> Any:
    """Remove spikes beyond the end of the recording, spikes that a unit has twice, and empty units; record how many.

    A spike is there twice when its unit has another one at the same sample.
    """
    from spikeinterface.curation import remove_duplicated_spikes, remove_excess_spikes

    within = remove_excess_spikes(sorting, recording)
    single = remove_duplicated_spikes(within, censored_period_ms=0.0)
    kept = single.remove_empty_units()
    given, inside, left = (int(found.to_spike_vector().size) for found in (sorting, within, single))
    task.fact(
        excess_spikes_removed=given - inside,
        duplicated_spikes_removed=inside - left,
        empty_units_removed=single.get_num_units() - kept.get_num_units(),
    )
    return kept


def _context(task: Task, recording: Any, params: Any) -> Context:
    preprocessing = task.input_record("preprocessing")
    return Context(
        num_channels=recording.get_num_channels(),
        motion_applied=preprocessing["facts"]["motion_applied"],
        referenced=preprocessing["facts"]["referenced"],
        job_kwargs=resources.job_kwargs(task.n_jobs, params.job_kwargs, pool_engine="process"),
        change=task.change,
    )
