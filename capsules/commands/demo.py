"""`spikerelay demo`: make a SpikeGLX session with two probes and stimuli, sort it, and compare it with the truth."""

from __future__ import annotations

import argparse
import os
import shlex
import time
import warnings
from pathlib import Path

from capsules.commands.run import LOCAL, launch
from capsules.commands.setup import prepare
from capsules.common.installation import ROOT
from capsules.demo.recordings import ProbeSpec, cached_spikeglx, truth_folders
from capsules.demo.score import score, table
from capsules.demo.stimuli import STIMULUS_LINE, SYNC_LINE, Stimuli

PROBES = [
    ProbeSpec("imec0", seed=7, start_s=0.0012, drift_ppm=-4.0),
    ProbeSpec("imec1", seed=8, start_s=0.0031, drift_ppm=20.0),
]
STIMULI = Stimuli()
SETTINGS = ['events.names={"XD%d": "stimulus"}' % STIMULUS_LINE, "visualization.events.line=stimulus"]


def run(arguments: argparse.Namespace) -> int:
    folder = arguments.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    data, results = folder / "session", folder / "results"
    with warnings.catch_warnings():
        # SpikeInterface warns that generated spikes have no source, of which the user of the demo can change nothing.
        warnings.simplefilter("ignore")
        cached_spikeglx(data, PROBES, STIMULI, lambda: print("demo: making a SpikeGLX session (once)", flush=True))
    print(describe_session(data), flush=True)
    if arguments.no_run:
        return 0
    # Nextflow's records and the work folder are where it is started.
    os.chdir(folder)
    prepare()
    begin = time.monotonic()
    options = {
        "n_jobs": os.cpu_count(),
        "sorter": "spykingcircus2",
        "job_dispatch_args": "--input spikeglx",
        "set": shlex.join(SETTINGS),
    }
    if code := launch(options, str(data), results, ROOT / LOCAL):
        return code
    minutes = (time.monotonic() - begin) / 60
    print(table(results, score(results, truth_folders(data, PROBES)), minutes))
    print(f"report: {results / 'report.html'}")
    return 0


def describe_session(data: Path) -> str:
    """What the session contains, a line for each stream."""
    lines = [
        f"  {spec.name}: {spec.channels} channels, {spec.units} true units, {spec.duration_s:g} s; its clock drifts by "
        f"{spec.drift_ppm:+g} ppm from that of nidq"
        for spec in PROBES
    ]
    stimuli = len(STIMULI.onsets_s(max(spec.duration_s for spec in PROBES)))
    units = len(STIMULI.responses)
    return "\n".join(
        [
            f"demo: {data} contains",
            *lines,
            f"  nidq: synchronisation pulses (XD{SYNC_LINE}), and {stimuli} stimuli (XD{STIMULUS_LINE}), to which "
            f"{units} true units of each probe respond",
        ]
    )
