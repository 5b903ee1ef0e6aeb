"""Sorting: read the preprocessed traces, run the chosen sorter, clean its output, save the sorting."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

from capsules.common.errors import RecordedFailure, Skip, SpikeRelayError
from capsules.common.resources import job_kwargs, limit_threads
from capsules.common.rules import check_rate
from capsules.common.task import Task
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
    limit_threads(sorter.threads or task.n_jobs)
    task.use_spikeinterface(params.job_kwargs)
    import spikeinterface as si

    recording = si.load(task.input("preprocessing", "traces"))
    check_rate("spikesorting", task.params, recording.sampling_frequency)
    context = _context(task, recording, params)
    arguments = sorter.arguments(params, context)
    task.record["seeds"] = sorter.pin_seeds(arguments)
    task.record["device"] = arguments.get("torch_device", "cpu")
    differing = differing_from_defaults(sorter, params, arguments, context)
    task.fact(sorter=name, arguments=_plain(arguments), differing_from_defaults=_plain(differing))
    try:
        sorting = run_sorter(sorter, recording, task.out / SORTER_FOLDER, arguments)
    except Exception as error:
        task.log.exception("the sorter failed")
        shutil.rmtree(task.out / SORTER_FOLDER, ignore_errors=True)
        if any(text in str(error) for text in sorter.finds_nothing):
            raise Skip(f"{name} found no spikes") from error
        failure = SpikeRelayError if params.raise_if_fails else RecordedFailure
        # SpikeInterface's message is the sorter's whole traceback, which stands in the log; its last line is the cause.
        raise failure(f"{name} failed: {str(error).strip().splitlines()[-1]}") from error
    sorting = clean(task, sorting, recording)
    if sorting.get_num_units() == 0:
        raise Skip(f"{name} found no unit")
    sorting.save(folder=task.out / "spikesorted")
    task.fact(units=sorting.get_num_units(), spikes=int(sorting.to_spike_vector().size))


def differing_from_defaults(sorter: Sorter, params: Any, arguments: dict[str, Any], context: Context) -> dict[str, Any]:
    """The arguments that the default parameters would not give here, and those that the sorter's table tells."""
    plain = sorter.arguments(type(params)(), replace(context, change=lambda text: None))
    own = {name: value for name, value in arguments.items() if name not in AROUND and value != plain[name]}
    return own | (sorter.differing(arguments) if sorter.differing else {})


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings as JSON can hold them; infinity becomes text."""
    finite = {name: str(value) if value in (inf, -inf) else value for name, value in settings.items()}
    return json.loads(json.dumps(finite, default=str))


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
    """Remove empty units and spikes beyond the end of the recording, and record how many."""
    from spikeinterface.curation import remove_excess_spikes

    before = sorting.to_spike_vector().size
    sorting = remove_excess_spikes(sorting, recording)
    excess = int(before - sorting.to_spike_vector().size)
    units = sorting.get_num_units()
    sorting = sorting.remove_empty_units()
    task.fact(empty_units_removed=units - sorting.get_num_units(), excess_spikes_removed=excess)
    return sorting


def _context(task: Task, recording: Any, params: Any) -> Context:
    preprocessing = task.input_record("preprocessing")
    return Context(
        num_channels=recording.get_num_channels(),
        motion_applied=preprocessing["facts"]["motion_applied"],
        referenced=preprocessing["facts"]["referenced"],
        job_kwargs=job_kwargs(task.n_jobs, params.job_kwargs, pool_engine="process"),
        change=task.change,
    )
