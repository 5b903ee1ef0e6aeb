"""Sorting: read the preprocessed traces, run the chosen sorter, clean its output, save the sorting."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import nullcontext
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any, cast

import numpy as np
from spikeinterface import BaseRecording, BaseSorting, NumpySorting
from spikeinterface import sorters as spikeinterface_sorters
from spikeinterface.curation import remove_duplicated_spikes, remove_excess_spikes

from capsules.common.errors import Skip, SpikeRelayError
from capsules.common.facts import PreprocessingFacts, SpikesortingFacts
from capsules.common.recordings.peaks import estimate_noise_levels
from capsules.common.recordings.traces import load_traces
from capsules.common.tasks import resources
from capsules.common.tasks.free_memory import measure_free_memory
from capsules.common.tasks.spikeinterface_jobs import set_job_kwargs
from capsules.common.tasks.task import Task
from capsules.parameters.rules import check_rate
from capsules.spikesorting import gpu
from capsules.spikesorting.failure import convert_error, read_failure_log
from capsules.spikesorting.params import SpikesortingParams
from capsules.spikesorting.sorters import SORTERS
from capsules.spikesorting.sorters.base import Context, Sorter, SorterParams

SORTER_FOLDER = "sorter"
WORK_ARGUMENTS = ("job_kwargs", "verbose", "chunk_duration", "progress_bar")
"""Arguments that change how the work is done, not which spikes come out."""

Arguments = dict[str, Any]
SortingTask = Task[SpikesortingParams]


def run(task: SortingTask) -> None:
    name = task.params.sorter
    if name is None:
        raise SpikeRelayError("no sorter chosen: set spikesorting.sorter, or give --sorter")
    sorter, params = SORTERS[name], getattr(task.params, name)
    if reason := sorter.unavailable():
        raise SpikeRelayError(reason)
    resources.limit_threads(sorter.threads or task.n_jobs)
    set_job_kwargs(task, params.job_kwargs)
    recording = load_traces(task)
    check_rate("spikesorting", task.params, recording.sampling_frequency)
    _check_traces(recording)
    context = _make_context(task, recording, params)
    with gpu.reserve_gpu() if sorter.uses_gpu(params) else nullcontext():
        arguments = sorter.make_arguments(params, context)
        _report_device(task, sorter, params, arguments, recording)
        _report_arguments(task, sorter, params, arguments, context)
        sorter.patch()
        try:
            sorting = _sort(task, sorter, recording, arguments)
        except Exception as error:
            task.log.exception("the sorter failed")
            log = read_failure_log(task.out / SORTER_FOLDER)
            task.log.error("%s printed:\n%s", name, log.printed)
            shutil.rmtree(task.out / SORTER_FOLDER, ignore_errors=True)
            raise convert_error(sorter, params, error, log) from error
    sorting = _clean(task, sorting, recording)
    if sorting.get_num_units() == 0:
        raise Skip(f"{name} detected no units")
    sorting.save(folder=task.out / "spikesorted")
    task.fact(units=sorting.get_num_units(), spikes=_count_spikes(sorting))


def _check_traces(recording: BaseRecording) -> None:
    """Skip a recording without any signal: the error of a sorter would not name the cause."""
    levels = estimate_noise_levels(recording)
    recording.delete_property("noise_level_mad_raw")
    if not np.isfinite(levels).all():
        raise SpikeRelayError("the traces have NaN or infinite values: check the channels of the raw data")
    if not levels.any():
        raise Skip("no channel has any signal: all of its samples are the same")


def _make_context(task: SortingTask, recording: BaseRecording, params: SorterParams) -> Context:
    preprocessing = task.input_facts(PreprocessingFacts)
    return Context(
        num_channels=recording.get_num_channels(),
        duration_s=recording.get_total_duration(),
        motion_applied=bool(preprocessing.motion_applied),
        referenced=bool(preprocessing.referenced),
        job_kwargs=resources.job_kwargs(task.n_jobs, params.job_kwargs, pool_engine="process"),
        cache_bytes=2 * recording.get_num_samples() * recording.get_num_channels(),
        free_bytes=measure_free_memory(),
        cache_folder=str(task.out / SORTER_FOLDER / "cache"),
        change=task.change,
    )


def _report_device(
    task: SortingTask, sorter: Sorter[Any], params: SorterParams, arguments: Arguments, recording: BaseRecording
) -> None:
    """Record the device; warn when a sorter that is made for GPUs runs on the CPU, with the time that it will take."""
    device = arguments.get("torch_device", sorter.device)
    task.record["device"] = device
    if device != "cpu" and (visible := os.environ.get(gpu.DEVICES_VARIABLE)):
        task.fact(gpu=visible)
    if device != "cpu" or sorter.estimate_cpu_seconds is None:
        return
    seconds = sorter.estimate_cpu_seconds(arguments, recording.get_num_channels(), recording.get_total_duration())
    minutes = seconds / task.n_jobs / 60
    task.fact(estimated_minutes=round(minutes, 1))
    reason = "no GPU was found" if sorter.uses_gpu(params) else "torch_device is cpu"
    if sorter.uses_gpu(params) and gpu.has_gpu():
        reason = "this machine has a GPU, but torch cannot use it (does its version fit the driver?)"
    task.warn(f"{reason}: {sorter.name} runs on the CPU, for roughly {minutes:.0f} min with {task.n_jobs} cores")


def _report_arguments(
    task: SortingTask, sorter: Sorter[Any], params: SorterParams, arguments: Arguments, context: Context
) -> None:
    """Record every argument of the sorter, those that differ from its defaults, its seeds and its version."""
    task.record["seeds"] = sorter.pin_seeds(arguments)
    defaults = sorter.make_arguments(type(params)(), replace(context, change=lambda text: None))
    changed = {
        name: value for name, value in arguments.items() if name not in WORK_ARGUMENTS and value != defaults[name]
    }
    task.fact(
        arguments=_convert_to_json(arguments),
        differing_from_defaults=_convert_to_json(changed | sorter.find_changes(arguments)),
        repeats=sorter.repeats,
    )
    sorter_class = spikeinterface_sorters.sorter_dict[sorter.spikeinterface_name]
    task.leave(SpikesortingFacts(sorter=sorter.name, sorter_version=str(sorter_class.get_sorter_version())))


def _convert_to_json(settings: Arguments) -> Arguments:
    """Convert settings to JSON values; infinity becomes text."""
    finite = {name: str(value) if value in (inf, -inf) else value for name, value in settings.items()}
    return cast(Arguments, json.loads(json.dumps(finite, default=str)))


def _sort(task: SortingTask, sorter: Sorter[Any], recording: BaseRecording, arguments: Arguments) -> BaseSorting:
    """Run the sorter; when the GPU's memory runs out, run it again with settings that need less, and record them."""
    for reduced in [*sorter.reduce_memory(arguments), None]:
        try:
            return _run_sorter(sorter, recording, task.out / SORTER_FOLDER, arguments)
        except Exception as error:
            if reduced is None or not gpu.is_out_of_memory(error):
                raise
        shown = ", ".join(f"{name} = {json.dumps(value)}" for name, value in reduced.items())
        task.change(f"CUDA ran out of memory: sorted again with {shown}")
        arguments = arguments | reduced
        task.fact(arguments=_convert_to_json(arguments))
        gpu.free_memory()
    raise AssertionError("the last attempt returns or raises")


def _run_sorter(sorter: Sorter[Any], recording: BaseRecording, folder: Path, arguments: Arguments) -> BaseSorting:
    """Run a sorter through SpikeInterface and load its sorting into memory.

    Its working folder is removed unless the arguments ask to keep something in it.
    """
    sorting = spikeinterface_sorters.run_sorter(
        sorter.spikeinterface_name,
        recording,
        folder=folder,  # type: ignore[arg-type]  # SpikeInterface takes a Path, though it declares a str.
        remove_existing_folder=True,
        **arguments,
    )
    sorting = NumpySorting.from_sorting(sorting, copy_spike_vector=True)
    if not sorter.keeps_files(arguments):
        shutil.rmtree(folder, ignore_errors=True)
    return sorting


def _clean(task: SortingTask, sorting: BaseSorting, recording: BaseRecording) -> BaseSorting:
    """Remove spikes beyond the end of the recording, duplicated spikes and empty units; record how many.

    A spike is a duplicate when its unit has another one at the same sample.
    """
    inside = remove_excess_spikes(sorting, recording)
    single = remove_duplicated_spikes(inside, censored_period_ms=0.0)
    cleaned: BaseSorting = single.remove_empty_units()
    task.fact(
        excess_spikes_removed=_count_spikes(sorting) - _count_spikes(inside),
        duplicated_spikes_removed=_count_spikes(inside) - _count_spikes(single),
        empty_units_removed=single.get_num_units() - cleaned.get_num_units(),
    )
    return cleaned


def _count_spikes(sorting: BaseSorting) -> int:
    return len(sorting.to_spike_vector())
