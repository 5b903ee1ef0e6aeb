"""What a run writes, by the contract, and whether it fits on the disks of its work and results folders.

The run checks it in its second process, where the jobs are known, before any work on them; so does `spikerelay plan`.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capsules.common.contract import STAGES, Output
from capsules.common.files import write_json
from capsules.common.recordings.job import Job, read_jobs
from capsules.resolve_params.params import PipelineParams
from capsules.spikesorting.sorters import SORTERS

MOTION = Output(1, 0, 0.01)
"""The estimated motion, with the peaks that it was estimated from."""
SORTING_STAGES = [stage.name for stage in STAGES.values() if stage.level == "sorting"]
SKIP_CHECK = "--skip_disk_check starts the run regardless"


@dataclass(frozen=True)
class Written:
    """What a stage writes for a recording (by one sorter) or block, in MB: work files, and how much is published."""

    stage: str
    recording: str
    work_mb: float
    published_mb: float


def forecast(jobs: list[Job], params: PipelineParams, sorters: list[str]) -> list[Written]:
    """What every stage writes for the jobs that are neither skipped nor failed."""
    jobs = [job for job in jobs if not job.skip and not job.failure]
    blocks = {block: [job for job in jobs if job.block == block] for block in dict.fromkeys(job.block for job in jobs)}
    whole = STAGES["results"].output.megabytes(sum(job.num_channels for job in jobs), 0)
    return [
        Written("results", "run", whole, whole),
        *(written for job in jobs for written in _of_recording(job, params, sorters)),
        *(written for block, group in blocks.items() for written in _of_block(block, group, params)),
    ]


def _of_recording(job: Job, params: PipelineParams, sorters: list[str]) -> Iterator[Written]:
    megabytes = job.megabytes * _kept_share(job, params)
    peaks = MOTION.megabytes(job.num_channels, megabytes) if params.preprocessing.motion_correction.compute else 0
    traces = STAGES["preprocessing"].output.megabytes(job.num_channels, megabytes)
    yield Written("preprocessing", job.id, traces + peaks, peaks)
    for sorter in sorters:
        for stage in SORTING_STAGES:
            published = STAGES[stage].output.megabytes(job.num_channels, megabytes)
            section = getattr(params.spikesorting, sorter)
            scratch = SORTERS[sorter].estimate_scratch(section, megabytes) if stage == "spikesorting" else 0
            yield Written(stage, job.id, published + scratch, published)


def _kept_share(job: Job, params: PipelineParams) -> float:
    """The share of a recording between `t_start` and `t_stop`."""
    start, stop = params.preprocessing.t_start or 0.0, params.preprocessing.t_stop
    end = job.duration_s if stop is None else min(stop, job.duration_s)
    return max(0.0, end - start) / job.duration_s if job.duration_s else 0.0


def _of_block(block: str, jobs: list[Job], params: PipelineParams) -> Iterator[Written]:
    """The NWB file, at most the size of its uncompressed content, and the LFP as an intermediate file."""
    ecephys, channels = params.nwb.ecephys, sum(job.num_channels for job in jobs)
    raw = scratch = file = 0.0
    for job in jobs:
        seconds = min(job.duration_s, ecephys.stub_seconds) if ecephys.stub else job.duration_s
        raw += job.megabytes * seconds / job.duration_s if job.duration_s else 0.0
    if ecephys.write_lfp and jobs:
        rate_hz = max(job.sampling_frequency_hz for job in jobs)
        lfp = raw * min(1.0, ecephys.lfp.sampling_rate / rate_hz) / max(1, ecephys.lfp_spatial_factor)
        scratch, file = 2 * lfp, lfp / max(1, ecephys.lfp_temporal_factor)
    if ecephys.write_raw:
        file += raw
    sources = {source.stream: source for job in jobs for source in job.event_sources}
    if params.events.analog_to_nwb:
        # At most the whole files of the NI board; a probe's have traces.
        boards = [source for source in sources.values() if not source.stream.endswith(".ap")]
        file += sum(bytes for source in boards for _, bytes, _ in source.files) / 1e6
    file += STAGES["nwb_ecephys"].output.megabytes(channels, 0)
    units = STAGES["nwb_units"].output.megabytes(channels, sum(job.megabytes for job in jobs))
    lines = STAGES["events"].output.megabytes(channels, sum(job.megabytes for job in jobs))
    yield Written("events", block, lines, lines)
    yield Written("nwb_ecephys", block, file + scratch, 0)
    # A zarr store's chunks are linked, an hdf5 file is copied.
    yield Written("nwb_units", block, units + (file if ecephys.backend == "hdf5" else 0), units + file)


def needs(written: list[Written], work: Path, results: Path) -> list[tuple[str, Path, float]]:
    """What is written where: its name, the folder, MB.

    On one file system published files are links, which take no additional space.
    """
    rows = [("work files", work, sum(entry.work_mb for entry in written))]
    if not one_file_system(work, results):
        rows.append(("results", results, sum(entry.published_mb for entry in written)))
    return rows


def shortages(written: list[Written], work: Path, results: Path) -> list[str]:
    """A line for each disk on which what is written does not fit."""
    return [
        f"about {shown_size(megabytes)} of {name} do not fit in {folder}, where {shown_size(free_mb(folder))} are free"
        f": make room, or choose a larger disk with {'-w' if folder is work else 'RESULTS_PATH'}"
        for name, folder, megabytes in needs(written, work, results)
        if megabytes > free_mb(folder)
    ]


def one_file_system(work: Path, results: Path) -> bool:
    return _existing(work).stat().st_dev == _existing(results).stat().st_dev


def free_mb(folder: Path) -> float:
    return shutil.disk_usage(_existing(folder)).free / 1e6


def _existing(folder: Path) -> Path:
    """The folder, or the nearest existing folder above it."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())


def shown_size(megabytes: float) -> str:
    return f"{megabytes / 1000:.1f} GB" if megabytes >= 1000 else f"{megabytes:.0f} MB"


def main(run_file: Path, dispatched: Path, task_folder: Path) -> int:
    """Write `disk.json` into the folder of job dispatch: why the run is rejected, or null.

    Parameters
    ----------
    run_file : Path
        JSON with `params`, `sorters`, and `refuse`: whether a shortage rejects the run.
    dispatched : Path
    task_folder : Path
        Nextflow's own folder of the task, two below the work folder.
    """
    if not (dispatched / "jobs.json").exists():
        return 0
    run: dict[str, Any] = json.loads(run_file.read_text())
    written = forecast(
        read_jobs(dispatched / "jobs.json"), PipelineParams.model_validate(run["params"]), run["sorters"]
    )
    lines = shortages(written, task_folder.parents[1], Path(os.environ["RESULTS_PATH"]))
    reason = "\n".join([*lines, SKIP_CHECK]) if lines and run["refuse"] else None
    write_json(dispatched / "disk.json", {"rejected": reason})
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
