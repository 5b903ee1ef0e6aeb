"""`spikerelay export --to phy`: write a recording's units for Phy, with SpikeInterface's `export_to_phy`."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
from spikeinterface import BaseRecording, SortingAnalyzer
from spikeinterface.exporters.to_phy import export_to_phy
from spikeinterface.preprocessing.astype import AstypeRecording

from capsules.common.errors import Rejected, SpikeRelayError
from capsules.common.facts import PreprocessingFacts, facts_of
from capsules.common.recordings.clock import Clock
from capsules.common.tasks.resources import job_kwargs
from capsules.common.units.metrics import get_labels
from capsules.common.untrusted.distrust import load_preprocessed, report_unreadable
from capsules.common.untrusted.places import check_inside
from capsules.parameters.model import JobKwargs
from capsules.results.published import (
    choose_recording,
    clock_of,
    load_labelled_analyzer,
    place,
    read_record,
    reject_existing,
    status_of,
    whole_folder,
)


def run(arguments: argparse.Namespace) -> int:
    id = choose_recording(arguments.results, arguments.recording)
    output = arguments.output or check_inside(arguments.results, arguments.results / "phy" / id)
    reject_existing(output)
    if arguments.data is not None and not os.path.isdir(arguments.data):
        raise Rejected([f"--data {arguments.data}: no such folder"])
    if arguments.n_jobs < 1:
        raise Rejected([f"--n_jobs: must be an integer of at least 1; got {arguments.n_jobs}"])
    analyzer = load_labelled_analyzer(arguments.results, id)
    if not analyzer.has_extension("templates"):
        raise SpikeRelayError(f"{id} cannot be exported: Phy needs templates, which postprocessing did not compute")
    if arguments.data is not None:
        traces = load_traces(arguments.results, id, arguments.data, analyzer.get_dtype())
        analyzer.set_temporary_recording(traces)
    with whole_folder(output) as folder:
        write_phy(analyzer, folder, arguments.n_jobs)
        recording = status_of(arguments.results)["recordings"][id]["recording"]
        if (clock := clock_of(arguments.results, recording)) is not None:
            write_seconds(folder, clock)
    what = "with its traces" if arguments.data else "without traces (give --data to write them)"
    if arguments.data and motion_applied(arguments.results, id):
        what = "with its traces before motion correction"
    print(f"{id}: {analyzer.get_num_units()} units {what}; phy template-gui {shlex.quote(str(output / 'params.py'))}")
    return 0


def load_traces(results: Path, id: str, data: Path, dtype: npt.DTypeLike) -> BaseRecording:
    """The lazy preprocessed recording of the raw data, rounded to `dtype` as preprocessing does.

    Raises
    ------
    SpikeRelayError
        When the raw data are missing.
    """
    recording = status_of(results)["recordings"][id]["recording"]
    lazy = load_preprocessed(place(results, "preprocessing", "preprocessed.json", recording), data)
    return AstypeRecording(lazy, dtype, round=np.dtype(dtype).kind == "i")


def motion_applied(results: Path, id: str) -> bool:
    """Whether the sorted traces were motion-corrected, which the published recording is not."""
    recording = status_of(results)["recordings"][id]["recording"]
    file = place(results, "preprocessing", "stage.json", recording)
    with report_unreadable(file):
        return bool(facts_of(read_record(file), PreprocessingFacts).motion_applied)


def write_phy(analyzer: SortingAnalyzer, folder: Path, n_jobs: int) -> None:
    """Write the folder that Phy reads; with amplitudes and principal components of all spikes where available."""
    traces = analyzer.has_temporary_recording()
    export_to_phy(
        analyzer,
        folder,
        compute_pc_features=traces and analyzer.has_extension("principal_components"),
        compute_amplitudes=traces or analyzer.has_extension("spike_amplitudes"),
        add_waveforms=analyzer.has_extension("waveforms"),
        copy_binary=traces,
        # The folder exists, and is empty.
        remove_if_exists=True,
        use_relative_path=True,
        additional_properties=list(get_labels(analyzer.sorting)),
        verbose=False,
        **job_kwargs(n_jobs, JobKwargs()) | {"progress_bar": sys.stderr.isatty()},
    )


def write_seconds(folder: Path, clock: Clock) -> None:
    """Write the spike times of a Phy folder in seconds, correct across gaps, to `spike_seconds.npy`.

    Phy counts samples (`spike_times.npy`) at one rate.
    """
    np.save(folder / "spike_seconds.npy", clock.seconds(np.load(folder / "spike_times.npy")))
