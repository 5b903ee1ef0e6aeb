"""`spikerelay demo`: make a SpikeGLX session with two probes, sort it, and compare the units with the true ones."""

from __future__ import annotations

import argparse
import os
import time
import warnings

from capsules.commands.run import LOCAL, launch
from capsules.commands.setup import prepare
from capsules.common.installation import ROOT
from capsules.demo.recordings import ProbeSpec, cached_spikeglx, truth_folders
from capsules.demo.score import score, table

PROBES = [ProbeSpec("imec0", seed=7), ProbeSpec("imec1", seed=8)]


def run(arguments: argparse.Namespace) -> int:
    folder = arguments.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    data, results = folder / "session", folder / "results"
    if not data.exists():
        print("demo: making a SpikeGLX session with two probes (once)", flush=True)
    with warnings.catch_warnings():
        # SpikeInterface warns that generated spikes have no source, of which the user of the demo can change nothing.
        warnings.simplefilter("ignore")
        cached_spikeglx(data, PROBES)
    # Nextflow's records and the work folder are where it is started.
    os.chdir(folder)
    prepare()
    begin = time.monotonic()
    options = {"n_jobs": os.cpu_count(), "sorter": "spykingcircus2", "job_dispatch_args": "--input spikeglx"}
    if code := launch(options, str(data), results, ROOT / LOCAL):
        return code
    minutes = (time.monotonic() - begin) / 60
    print(table(results, score(results, truth_folders(data, PROBES)), minutes))
    print(f"report: {results / 'report.html'}")
    return 0
