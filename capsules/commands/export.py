"""`spikerelay export`: a recording's units as a folder that Phy opens, by SpikeInterface's `export_to_phy`."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path
from typing import Any

from capsules.common.errors import Rejected, SpikeRelayError
from capsules.common.recordings.clock import Clock
from capsules.common.tasks.resources import job_kwargs, use_numba_cache
from capsules.common.units.metrics import labels_of
from capsules.common.untrusted.distrust import load_preprocessed, one_line
from capsules.common.untrusted.places import inside
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("results", type=Path)
    parser.add_argument("--to", required=True, choices=["phy"])
    parser.add_argument("--recording", metavar="ID", help="needed when several have units")
    parser.add_argument("--output", type=Path, metavar="DIR", help="[default: RESULTS/phy/ID]")
    parser.add_argument("--data", type=Path, metavar="DIR", help="the raw data; then the traces are written too")
    parser.add_argument("--n_jobs", type=int, default=os.cpu_count(), metavar="N", help="cores [default: all]")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    id = choose_recording(arguments.results, arguments.recording)
    output = arguments.output or inside(arguments.results, arguments.results / "phy" / id)
    reject_existing(output)
    if arguments.data is not None and not os.path.isdir(arguments.data):
        raise Rejected([f"--data {arguments.data}: no such folder"])
    if arguments.n_jobs < 1:
        raise Rejected([f"--n_jobs: a whole number of at least 1 is needed; got {arguments.n_jobs}"])
    use_numba_cache()
    analyzer = load_labelled_analyzer(arguments.results, id)
    if not analyzer.has_extension("templates"):
        raise SpikeRelayError(f"{id} cannot be exported: Phy needs templates, and postprocessing computed none")
    if arguments.data is not None:
        traces = preprocessed(arguments.results, id, arguments.data, analyzer.get_dtype())
        analyzer.set_temporary_recording(traces)
    with whole_folder(output) as folder:
        write_phy(analyzer, folder, arguments.n_jobs)
        recording = status_of(arguments.results)["recordings"][id]["recording"]
        if (clock := clock_of(arguments.results, recording)) is not None:
            write_seconds(folder, clock)
    what = "with its traces" if arguments.data else "without traces (give --data to write them)"
    if arguments.data and motion_applied(arguments.results, id):
        what = "with its traces as they were before the interpolation along the drift"
    print(f"{id}: {analyzer.get_num_units()} units {what}; phy template-gui {shlex.quote(str(output / 'params.py'))}")
    return 0


def preprocessed(results: Path, id: str, data: Path, dtype: Any) -> Any:
    """The lazy preprocessed recording (BaseRecording) on the raw data, rounded to `dtype` as preprocessing does.

    Raises
    ------
    SpikeRelayError
        When the raw data are not there.
    """
    import numpy as np
    import spikeinterface.preprocessing as spre

    recording = status_of(results)["recordings"][id]["recording"]
    lazy = load_preprocessed(place(results, "preprocessing", "preprocessed.json", recording), data)
    return spre.astype(lazy, dtype, round=np.dtype(dtype).kind == "i")


def motion_applied(results: Path, id: str) -> bool:
    """Whether the sorted traces were interpolated along the drift, which the published recording is not."""
    recording = status_of(results)["recordings"][id]["recording"]
    file = place(results, "preprocessing", "stage.json", recording)
    with one_line(file):
        return read_record(file)["facts"]["motion_applied"]


def write_phy(analyzer: Any, folder: Path, n_jobs: int) -> None:
    """Write what Phy reads; amplitudes and principal components of all spikes as far as they can be had."""
    from spikeinterface.exporters import export_to_phy

    traces = analyzer.has_temporary_recording()
    export_to_phy(
        analyzer,
        folder,
        compute_pc_features=traces and analyzer.has_extension("principal_components"),
        compute_amplitudes=traces or analyzer.has_extension("spike_amplitudes"),
        add_waveforms=analyzer.has_extension("waveforms"),
        copy_binary=traces,
        # The folder is there, and empty.
        remove_if_exists=True,
        use_relative_path=True,
        additional_properties=list(labels_of(analyzer.sorting)),
        verbose=False,
        **job_kwargs(n_jobs, JobKwargs()) | {"progress_bar": sys.stderr.isatty()},
    )


def write_seconds(folder: Path, clock: Clock) -> None:
    """Write the times of a Phy folder's spikes in seconds, right across gaps, to `spike_seconds.npy`.

    Phy itself counts samples (`spike_times.npy`) at one rate.
    """
    import numpy as np

    np.save(folder / "spike_seconds.npy", clock.seconds(np.load(folder / "spike_times.npy")))
