"""NWB, first half: a file per block with devices, electrodes, LFP and, on request, raw traces of every probe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from neuroconv.tools.nwb_helpers import configure_and_write_nwbfile
from neuroconv.tools.spikeinterface import add_recording_to_nwbfile
from neuroconv.tools.spikeinterface.spikeinterface import add_recording_metadata_to_nwbfile
from pynwb import NWBFile
from spikeinterface import BaseRecording

from capsules.common.errors import RecordedFailure, Skip, SpikeRelayError
from capsules.common.patches import progress
from capsules.common.recordings.job import Job
from capsules.common.recordings.reading import keep_first_seconds, load_lfp_segments, load_segments
from capsules.common.recordings.times import set_times_like
from capsules.common.tasks import full_disk
from capsules.common.tasks.task import Task
from capsules.nwb_ecephys.analog import add_analog
from capsules.nwb_ecephys.events import add_events
from capsules.nwb_ecephys.lfp import chunk_shapes, filter_lfp, read_agar_surfaces, resample_to_lfp, save_to_scratch
from capsules.nwb_ecephys.notes import add_segments, clock_notes, scale_notes, unaligned_lines
from capsules.nwb_ecephys.params import NwbEcephysParams
from capsules.nwb_ecephys.probes import keep_electrode_ids, probe_metadata, set_electrode_properties, unknown_groups
from capsules.nwb_ecephys.session import Metadata, add_devices, make_nwbfile, session_metadata

BUFFER_GB = 0.25

NwbTask = Task[NwbEcephysParams]


@dataclass
class Probe:
    """A job's recordings for the file, one for each segment; `lfp` is empty when none is written.

    `raw` has the electrodes, also where its traces are not written.
    """

    job: Job
    raw: list[BaseRecording]
    write_raw: bool
    lfp: list[BaseRecording] = field(default_factory=list)


def run(task: NwbTask) -> None:
    jobs = [job for job in task.jobs if job.skip is None and job.failure is None]
    for job in task.jobs:
        if job not in jobs:
            task.warn(f"{job.id} is left out: {job.skip or job.failure}")
    if not jobs:
        raise Skip("no recording of this block can be written")
    for line in unaligned_lines(jobs):
        task.warn(line)
    progress.show_progress(False, task.log)
    agar = read_agar_surfaces(task.params.surface_channel_agar_probes_indices, task.jobs)
    metadata = session_metadata(task, jobs)
    for problem in unknown_groups(metadata, task.jobs):
        task.warn(problem)
    # In the task's folder: /tmp may be small.
    with TemporaryDirectory(dir=task.out, prefix=".lfp") as scratch:
        probes, failures = open_probes(task, jobs, agar, Path(scratch))
        if not probes:
            raise SpikeRelayError("\n".join(failures))
        try:
            write_file(task, probes, metadata, failures)
        except Exception as error:
            # Raw traces are read only now: write a file without the unreadable ones, or raise the error.
            if full_disk.is_full(error) or not leave_out_unreadable(task, probes, failures):
                raise
            write_file(task, probes, metadata, failures)
    task.fact(probes=[probe.job.id for probe in probes], backend=task.params.backend)
    if failures:
        raise RecordedFailure("; ".join(failures))


def open_probes(task: NwbTask, jobs: list[Job], agar: dict[str, int], scratch: Path) -> tuple[list[Probe], list[str]]:
    """Open each job's traces and read its LFP; and a line on each part that cannot be read."""
    probes: list[Probe] = []
    failures: list[str] = []
    for job in jobs:
        with _record_failure(task, f"{job.stream} is not in this file", failures):
            raw = _prepare(task, load_segments(job, task.data), job)
            probes.append(Probe(job, raw, task.params.write_raw))
            if task.params.write_lfp:
                with _record_failure(task, f"the LFP of {job.stream} is not in this file", failures):
                    probes[-1].lfp = _make_lfp(task, job, raw, agar.get(job.id), scratch)
    return probes, failures


@contextmanager
def _record_failure(task: NwbTask, consequence: str, failures: list[str]) -> Iterator[None]:
    """Record that a part cannot be read, and continue with the other parts."""
    try:
        yield
    except SpikeRelayError:
        raise
    # Readers raise errors of any class.
    except Exception as error:
        task.log.exception(consequence)
        failures.append(f"{consequence}: {type(error).__name__}: {error}")


def write_file(task: NwbTask, probes: list[Probe], metadata: Metadata, failures: list[str]) -> None:
    """Write the file of these probes; an unfinished one is replaced."""
    jobs = [probe.job for probe in probes]
    scale = scale_notes((probe.job, probe.raw[0]) for probe in probes)
    nwbfile = make_nwbfile(task, jobs, metadata, [*clock_notes(jobs), *scale, *failures])
    add_segments(nwbfile, jobs)
    for probe in probes:
        _add_probe(nwbfile, probe, metadata, task.params)
    add_events(task, nwbfile, jobs)
    add_analog(task, nwbfile, jobs)
    keep_electrode_ids(nwbfile, metadata)
    add_devices(nwbfile, metadata)
    file = task.out / "file.nwb"
    configure_and_write_nwbfile(nwbfile, nwbfile_path=file, backend=task.params.backend)


def leave_out_unreadable(task: NwbTask, probes: list[Probe], failures: list[str]) -> bool:
    """Read all raw traces, and leave out those that cannot be read; return whether there are any."""
    before = len(failures)
    for probe in probes:
        if probe.write_raw:
            probe.write_raw = False
            with _record_failure(task, f"the raw traces of {probe.job.stream} are not in this file", failures):
                for segment in probe.raw:
                    read_through(segment)
                probe.write_raw = True
    return len(failures) > before


def read_through(recording: BaseRecording) -> None:
    """Read all traces of a recording of one segment, and keep none."""
    frames = recording.get_num_samples()
    step = max(1, int(BUFFER_GB * 1e9 / (recording.get_num_channels() * recording.get_dtype().itemsize)))
    for start in range(0, frames, step):
        recording.get_traces(start_frame=start, end_frame=min(start + step, frames))


def _add_probe(nwbfile: NWBFile, probe: Probe, metadata: Metadata, params: NwbEcephysParams) -> None:
    """Add a probe's electrodes, its raw traces on request, and its LFP; both are read when the file is written."""
    raw = probe.raw[0]
    own = probe_metadata(raw, probe.job, metadata)
    (group,) = own["Ecephys"]["ElectrodeGroups"].values()
    # An electrode without a location has that of its group.
    areas = [group["location"] if area == "unknown" else area for area in raw.get_property("brain_area")]
    for segment in probe.raw:
        segment.set_property("brain_area", areas)
    add_recording_metadata_to_nwbfile(raw, nwbfile=nwbfile, metadata=own)
    for index, segment in enumerate(probe.raw if probe.write_raw else []):
        # A series has one offset for all channels.
        varying = segment.has_scaleable_traces() and len(set(segment.get_channel_offsets())) > 1
        add_recording_to_nwbfile(
            segment,
            nwbfile=nwbfile,
            metadata=own,
            metadata_key=f"raw{index}",
            iterator_options={"buffer_gb": BUFFER_GB},
            data_representation="physical_units" if varying else "digital_counts",
        )
    for index, lfp in enumerate(probe.lfp):
        add_recording_to_nwbfile(
            lfp,
            nwbfile=nwbfile,
            metadata=own,
            metadata_key=f"lfp{index}",
            parent_container="processing/LFP",
            iterator_options=chunk_shapes(lfp, params),
        )


def _make_lfp(
    task: NwbTask, job: Job, raw: list[BaseRecording], surface_index: int | None, scratch: Path
) -> list[BaseRecording]:
    """Make a job's LFP by segments, from the instrument's LF stream where there is one, else from the wide band."""
    stream = load_lfp_segments(job, task.data)
    sources = raw if stream is None else _prepare(task, stream, job)
    changes: list[str] = []
    bands = []
    for index, source in enumerate(sources):
        slow = resample_to_lfp(source, stream is not None, task.params, surface_index, changes.append)
        kept = save_to_scratch(slow, source.sampling_frequency, scratch / f"{job.id}-{index}", task.n_jobs)
        set_times_like(kept, source)
        bands.append(filter_lfp(kept, source.get_dtype(), task.params, changes.append))
        # A segment that is too short for the filters fails here, not while the file is written.
        bands[-1].get_traces(end_frame=1, channel_ids=bands[-1].channel_ids[:1])
    for change in dict.fromkeys(changes):
        task.change(change)
    return bands


def _prepare(task: NwbTask, segments: list[BaseRecording], job: Job) -> list[BaseRecording]:
    """Give the segments the properties of their electrodes, and cut them for a stub."""
    if task.params.stub:
        segments = keep_first_seconds(segments, task.params.stub_seconds)
    return [set_electrode_properties(segment, job) for segment in segments]
