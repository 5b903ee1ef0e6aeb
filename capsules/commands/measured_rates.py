"""What each stage takes, as measured: for the expected time of `spikerelay plan` and the time left of the live view."""

from __future__ import annotations

from dataclasses import dataclass

RUN_S = 15.0
"""Nextflow's start, parameters, job dispatch and results: `The whole pipeline compared with one script`."""


@dataclass(frozen=True)
class Rate:
    """Seconds of a task: `start_s`, and for each megabyte of raw traces `serial_s` and, on one core, `parallel_s`."""

    start_s: float
    serial_s: float = 0
    parallel_s: float = 0

    def seconds(self, megabytes: float, cores: int) -> float:
        return self.start_s + megabytes * (self.serial_s + self.parallel_s / cores)


RATES = {
    "preprocessing": Rate(6, 0.015, 0.038),
    "postprocessing": Rate(6, 0.009, 0.027),
    "curation": Rate(7),
    "visualization": Rate(6, 0.0085),
    "events": Rate(4, 0.001),
    "nwb_ecephys": Rate(5, 0.008),
    "nwb_units": Rate(9),
}
"""Stage -> its rate; spike sorting depends on the sorter.

From the sections of docs/benchmarks.md: preprocessing from 384 channels on one and on two cores, postprocessing and
figures from `Postprocessing, figures, report`, curation and units in NWB from `The whole pipeline compared with one
script`, electrodes and LFP from `LFP in the NWB file`.
"""
CPU_SORTERS = {"spykingcircus2": Rate(6, 0, 0.245)}
GPU_SORTERS = {"kilosort4": Rate(6, 0.0315)}
"""Sorter -> its rate on cores or on a GPU; the others were not measured.

SpykingCircus2 from `A Neuropixels-like recording`, Kilosort4 from `On a GPU` (one NVIDIA H200).
"""


IMPORTS_ONLY = Rate(6)
"""For a stage that was added and not measured."""


def choose_rate(stage: str, sorter: str = "", on_gpu: bool = False) -> Rate | None:
    """The rate of a stage; None for a sorter that was not measured on this kind of device."""
    if stage != "spikesorting":
        return RATES.get(stage, IMPORTS_ONLY)
    return (GPU_SORTERS if on_gpu else CPU_SORTERS).get(sorter)
