"""Kilosort2.5, through its compiled executable or MATLAB; it needs a CUDA GPU.

Pachitariu, Steinmetz, Kadir, Carandini and Harris, NeurIPS 2016; drift correction: Steinmetz et al., Science 2021.
"""

import os
import shutil
from pathlib import Path
from typing import Any, ClassVar, Literal

from capsules.parameters.model import Section, param
from capsules.spikesorting.sorters.base import JOB_KWARGS_REPLACED, Context, Sorter, SorterParams

TEMPORARY = ("matlab_files", "temp_wh.dat")
"""What SpikeInterface can delete after the sorting: MATLAB's files and the filtered traces."""


class Kilosort25Settings(Section):
    """Kilosort2.5's own parameters, and those of its SpikeInterface wrapper."""

    replaced: ClassVar[dict[str, str]] = JOB_KWARGS_REPLACED

    detect_threshold: float = param(
        6,
        "Detection threshold of the spikes that drift is estimated from. Lower it when there are too few. The "
        "default of 6 is SpikeInterface's.",
        gt=0,
    )
    projection_threshold: list[float] = param(
        [10, 4],
        "Threshold on the projections onto the templates, first and last pass. Lower it to detect more spikes, and "
        "more noise. The default is 10 and 4.",
        min_length=2,
        max_length=2,
    )
    preclust_threshold: float = param(
        8,
        "Threshold of the spikes that the first clusters are computed from. Lower it when there are too few. The "
        "default of 8 is Kilosort's.",
        gt=0,
    )
    whiteningRange: float = param(
        32.0,
        "Number of channels that each channel is whitened against. Lower it on probes with few channels. The "
        "default of 32 is Kilosort's.",
        ge=1,
    )
    momentum: list[float] = param(
        [20.0, 400.0],
        "Number of spikes that a template is averaged over, in the first and in the last pass. Increase it for "
        "slower changes of templates. The default is 20 and 400.",
        min_length=2,
        max_length=2,
    )
    car: bool | None = param(
        None,
        "Subtract the common reference. Turn it off when the traces are referenced elsewhere. The default (null) "
        "subtracts it unless preprocessing did.",
    )
    minFR: float = param(
        0.1,
        "Clusters with a lower rate are removed. Lower it to keep units that fire rarely. The default is 0.1.",
        unit="Hz",
        ge=0,
    )
    minfr_goodchannels: float = param(
        0.1,
        "Channels with fewer spikes are removed. Lower it to keep channels with few spikes; 0 keeps all. The "
        "default is 0.1.",
        unit="Hz",
        ge=0,
    )
    nblocks: int = param(
        5,
        "Blocks of the drift correction; 0 turns it off, 1 makes it rigid. Use 0 for tetrodes and sparse probes. "
        "The default of 5 suits long dense probes.",
        ge=0,
    )
    sig: float = param(
        20,
        "Distance over which traces are smoothed along the drift. Increase it on sparse probes. The default is 20.",
        unit="um",
        gt=0,
    )
    freq_min: float = param(
        150,
        "Cut-off of the sorter's own high-pass filter. Lower it when wide spikes lose amplitude. The default is 150.",
        unit="Hz",
        gt=0,
    )
    sigmaMask: float = param(
        30,
        "Distance within which a spike's remaining variance is computed. Increase it on sparse probes. The default "
        "is 30.",
        unit="um",
        gt=0,
    )
    lam: float = param(
        10.0,
        "Weight of the amplitude penalty; 0 is none, 50 is large. Lower it when amplitudes vary, as in bursts. The "
        "default is 10.",
        ge=0,
    )
    nPCs: int = param(
        3,
        "Number of principal components of a waveform. Increase it to separate similar waveforms. The default is 3.",
        ge=1,
    )
    ntbuff: int = param(
        64,
        "Samples beyond each batch, for whitening and detection. Increase it when spikes at the ends of batches are "
        "missed. The default is 64.",
        ge=0,
    )
    nfilt_factor: int = param(
        4,
        "Largest number of clusters per good channel, temporary ones included. Increase it for dense activity. The "
        "default is 4.",
        ge=1,
    )
    NT: int | None = param(
        None,
        "Samples in a batch, rounded down to a multiple of 32. Lower it when the memory of the GPU runs out. The "
        "default (null) computes it.",
        ge=32,
    )
    AUCsplit: float = param(
        0.9,
        "Area under the curve above which a cluster is split at the end. Lower it to split more clusters. The "
        "default is 0.9.",
        ge=0,
        le=1,
    )
    do_correction: bool = param(
        True, "Correct the drift. Turn it off for tetrodes, arrays and short sparse probes. On by default."
    )
    wave_length: int = param(
        61,
        "Samples in a waveform; an even number is raised by one. Increase it for slower spikes. The default of 61 "
        "is 2 ms at 30 kHz.",
        ge=1,
        le=81,
    )
    keep_good_only: bool = param(
        False,
        "Keep only the units that Kilosort labels good. Turn it on to get fewer units. Off by default, because "
        "curation labels all units and removes none.",
    )
    skip_kilosort_preprocessing: bool = param(
        False,
        "Skip Kilosort's own filter and whitening. Turn it on only for traces that are whitened already. Off by "
        "default.",
    )
    scaleproc: float | None = param(
        None,
        "Scale of whitened 16-bit data. Set it with `skip_kilosort_preprocessing`, to the scale of your data. The "
        "default (null) is 200.",
    )
    save_rez_to_mat: bool = param(
        False, "Save Kilosort's `rez` structure. Turn it on to open the results in MATLAB. Off by default."
    )
    delete_tmp_files: bool | list[Literal["matlab_files", "temp_wh.dat"]] = param(
        True,
        "Delete the sorter's temporary files: all, none, or those named of `matlab_files` and `temp_wh.dat`. Turn "
        "it off to study a sorting. On by default.",
    )
    delete_recording_dat: bool = param(
        True,
        "Delete the binary file that was written for the sorter. Turn it off to open it in Phy. On by default, "
        "because it is as large as the traces.",
    )


class Kilosort25Params(SorterParams):
    """Kilosort2.5 and the settings around it."""

    sorter: Kilosort25Settings = param(Kilosort25Settings(), "Kilosort2.5's parameters.")


def make_arguments(params: Kilosort25Params, context: Context) -> dict[str, Any]:
    settings = params.sorter.model_dump()
    settings["car"] = context.subtracts_reference("car", settings["car"])
    if not context.corrects_drift(params):
        settings |= {"nblocks": 0, "do_correction": False}
    if settings["save_rez_to_mat"] and find_deleted(settings) >= {"matlab_files"}:
        # SpikeInterface would delete it with the other MATLAB files.
        settings["delete_tmp_files"] = sorted(find_deleted(settings) - {"matlab_files"})
        context.change("MATLAB's files are kept: save_rez_to_mat is on, and its file is one of them")
    return settings | {
        "chunk_duration": params.job_kwargs.chunk_duration,
        "progress_bar": params.job_kwargs.progress_bar,
    }


def find_deleted(arguments: dict[str, Any]) -> set[str]:
    """Which of `TEMPORARY` the arguments ask to delete."""
    names = arguments["delete_tmp_files"]
    return set(TEMPORARY) if names is True else set(names or ())


def unavailable() -> str | None:
    matlab_code = os.environ.get("KILOSORT2_5_PATH")
    if shutil.which("ks2_5_compiled") or (shutil.which("matlab") and matlab_code and _is_kilosort(matlab_code)):
        return None
    return (
        "kilosort25 needs a CUDA GPU and one of these: the executable ks2_5_compiled on PATH; MATLAB, with "
        "KILOSORT2_5_PATH set to the folder of Kilosort 2.5's main_kilosort.m; or its container image, with "
        "-profile docker or -profile apptainer (docs/containers.md). Install one of them, or choose kilosort4 or "
        "spykingcircus2"
    )


def _is_kilosort(folder: str) -> bool:
    """Whether SpikeInterface accepts this folder as Kilosort's."""
    return any((Path(folder) / name).is_file() for name in ("main_kilosort.m", "master_kilosort.m"))


def keeps_files(arguments: dict[str, Any]) -> bool:
    deletes_all = find_deleted(arguments) == set(TEMPORARY) and arguments["delete_recording_dat"]
    return bool(arguments["save_rez_to_mat"] or not deletes_all)


SORTER = Sorter(
    "kilosort25",
    "kilosort2_5",
    Kilosort25Params,
    make_arguments,
    keeps_files=keeps_files,
    unavailable=unavailable,
    repeats="not measured",
    uses_gpu=lambda params: True,
    has_image=True,
    device="cuda",
    # `fprintf` of 40 dashes and of MATLAB's last error, in SpikeInterface's kilosort2_5_master.m.
    error_mark="-" * 40,
    estimate_scratch=lambda params, megabytes: megabytes,
)
