"""NWB, first half: a file per block with devices, electrodes, LFP and, on request, raw traces of every probe."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from capsules.common import resources
from capsules.common.errors import Skip, SpikeRelayError
from capsules.common.job import Job, load_lfp, load_recording, stream_stem
from capsules.common.nwb import electrode_group, electrode_names
from capsules.common.task import Task
from capsules.nwb_ecephys.lfp import at_lfp_rate, in_scratch, lfp_band, pieces

BUFFER_GB = 0.25
UNKNOWN_START = datetime(1970, 1, 1, tzinfo=UTC)


def run(task: Task) -> None:
    jobs = [job for job in task.jobs if job.skip is None and job.failure is None]
    for job in task.jobs:
        if job not in jobs:
            task.warn(f"{job.id} is left out: {job.skip or job.failure}")
    if not jobs:
        raise Skip("no recording of this block can be written")
    resources.show_progress(False, task.log)
    agar = agar_surfaces(task.params.surface_channel_agar_probes_indices, jobs)
    from neuroconv.tools.nwb_helpers import configure_and_write_nwbfile
    from pynwb import NWBFile

    nwbfile = NWBFile(
        session_description=f"Extracellular recording {task.id}",
        identifier=f"{jobs[0].session}/{task.id}",
        session_start_time=_start_time(task, jobs),
        session_id=jobs[0].session,
        notes="\n".join(clock_notes(jobs)),
    )
    _add_segments(nwbfile, jobs)
    # Beside the result: /tmp may be small.
    with TemporaryDirectory(dir=task.out, prefix=".lfp") as scratch:
        for job in jobs:
            _add_probe(task, nwbfile, job, agar.get(job.id), Path(scratch))
        configure_and_write_nwbfile(nwbfile, nwbfile_path=task.out / "file.nwb", backend=task.params.backend)
    task.fact(probes=[job.id for job in jobs], backend=task.params.backend)


def clock_notes(jobs: list[Job]) -> list[str]:
    """How the times in the file were counted, for each probe."""
    notes = []
    for job in jobs:
        if len(job.segments) > 1:
            clock = "time is counted by samples, its segments one after the other from 0 on"
        else:
            clock = "time is counted by samples" if job.regular_clock else "times are the instrument's timestamps"
        notes.append(f"{job.stream}: {clock}")
    if len({job.stream for job in jobs}) > 1:
        notes.append("The streams' clocks were not aligned to each other.")
    return notes


def _add_segments(nwbfile: Any, jobs: list[Job]) -> None:
    """Where each segment of the recording lies in the file's time, when several were joined."""
    from pynwb.epoch import TimeIntervals

    joined = [job for job in jobs if len(job.segments) > 1]
    if not joined:
        return
    table = TimeIntervals(name="segments", description="segments of the recording, joined one after the other")
    table.add_column("probe", "electrode group of the probe")
    table.add_column("segment", "number of the segment in the source, from 1")
    table.add_column("source_start_time", "start of the segment by the source's clock, in seconds")
    for job in joined:
        start = 0.0
        for index, source, duration in zip(job.segments, job.segment_starts_s, job.segment_durations_s, strict=True):
            table.add_row(
                start_time=start,
                stop_time=start + duration,
                probe=electrode_group(job),
                segment=index + 1,
                source_start_time=source,
            )
            start += duration
    nwbfile.add_time_intervals(table)


def agar_surfaces(text: str, jobs: list[Job]) -> dict[str, int]:
    """Job id -> the topmost channel in tissue, for the probes that `surface_channel_agar_probes_indices` names.

    A probe goes by the name of its stream, with or without the band: `imec0.ap`, `imec0` or `ProbeA`.

    Raises
    ------
    SpikeRelayError
        When a name is none of this block's probes.
    """
    surfaces = {}
    for name, index in (json.loads(text) if text.strip() else {}).items():
        named = [job for job in jobs if name in probe_names(job)]
        if not named:
            known = ", ".join(sorted({probe for job in jobs for probe in probe_names(job)}))
            raise SpikeRelayError(
                f"nwb.ecephys.surface_channel_agar_probes_indices: no probe {name!r} here; there are {known}"
            )
        surfaces |= {job.id: index for job in named}
    return surfaces


def probe_names(job: Job) -> set[str]:
    """The names that a job's probe goes by."""
    bare = stream_stem(job.stream)
    return {job.stream, bare, bare.rsplit(".", 1)[-1]}


def _add_probe(task: Task, nwbfile: Any, job: Job, surface_index: int | None, scratch: Path) -> None:
    """Add a job's electrodes, its raw traces on request, and its LFP, which is worked out when the file is written."""
    from neuroconv.tools.spikeinterface import add_recording_to_nwbfile
    from neuroconv.tools.spikeinterface.spikeinterface import add_recording_metadata_to_nwbfile

    raw = _stub(task, _with_electrode_properties(load_recording(job, task.data, timed=True), job))
    metadata = _metadata(raw, job)
    add_recording_metadata_to_nwbfile(raw, nwbfile=nwbfile, metadata=metadata)
    given = {"nwbfile": nwbfile, "metadata": metadata}
    if task.params.write_raw:
        options = {"buffer_gb": BUFFER_GB}
        add_recording_to_nwbfile(raw, metadata_key="raw", iterator_options=options, **given)
    if task.params.write_lfp:
        lfp = _lfp(task, job, raw, surface_index, scratch)
        options = pieces(lfp, task.params)
        place = {"metadata_key": "lfp", "parent_container": "processing/LFP"}
        add_recording_to_nwbfile(lfp, iterator_options=options, **place, **given)


def _lfp(task: Task, job: Job, raw: Any, surface_index: int | None, scratch: Path) -> Any:
    """A job's LFP: from the instrument's LF stream where there is one, else from the wide band."""
    stream = load_lfp(job, task.data, timed=True)
    source = raw if stream is None else _stub(task, _with_electrode_properties(stream, job))
    slow = at_lfp_rate(source, stream is not None, task.params, surface_index, task.change)
    kept = in_scratch(slow, source.sampling_frequency, scratch / job.id, task.n_jobs)
    return lfp_band(kept, source.get_dtype(), task.params, task.change)


def _metadata(recording: Any, job: Job) -> dict[str, Any]:
    """NeuroConv's metadata for one probe: its device, its electrode group, its series."""
    group = electrode_group(job)
    probe = recording.get_probegroup().probes[0] if recording.has_probe() else None
    facts = {} if probe is None else {"serial_number": probe.serial_number, "manufacturer": probe.manufacturer}
    device = {"name": group, "description": job.probe or "probe", **{k: str(v) for k, v in facts.items() if v}}
    return {
        "Devices": {group: device},
        "Ecephys": {
            "ElectrodeGroups": {
                group: {
                    "name": group,
                    "description": f"channels of {job.stream}" + (f", group {job.group}" if job.group else ""),
                    "location": "unknown",
                    "device_metadata_key": group,
                }
            },
            "ElectricalSeries": {
                "raw": {"name": f"ElectricalSeries-{group}", "description": f"unfiltered traces of {job.stream}"},
                "lfp": {
                    "name": f"ElectricalSeriesLFP-{group}",
                    "description": f"local field potential of {job.stream}",
                },
            },
        },
    }


def _with_electrode_properties(recording: Any, job: Job) -> Any:
    """Give the channels what the electrodes table shows: group, position on the probe, brain area."""
    import numpy as np

    recording = recording.clone()
    probegroup = recording.get_probegroup() if recording.has_probe() else None
    recording.set_property("channel_name", np.array(electrode_names(recording.channel_ids, probegroup)))
    recording.set_property("group_name", np.full(recording.get_num_channels(), electrode_group(job)))
    recording.set_property("brain_area", np.full(recording.get_num_channels(), "unknown"))
    if recording.has_probe():
        locations = recording.get_channel_locations()
        recording.set_property("rel_x", locations[:, 0].astype(float))
        recording.set_property("rel_y", locations[:, 1].astype(float))
    return recording


def _stub(task: Task, recording: Any) -> Any:
    if not task.params.stub:
        return recording
    end = min(recording.get_num_samples(), round(task.params.stub_seconds * recording.sampling_frequency))
    return recording.frame_slice(0, end)


def _start_time(task: Task, jobs: list[Job]) -> datetime:
    """The session's start as the instrument wrote it; NWB needs one, so an unknown one is marked as 1970."""
    for job in jobs:
        if job.session_start_time:
            start = datetime.fromisoformat(job.session_start_time)
            if start.tzinfo is None:
                task.warn(f"session start {job.session_start_time} has no time zone in the source; written as UTC")
                start = start.replace(tzinfo=UTC)
            return start
    task.warn("the source tells no session start: 1970-01-01 stands for unknown")
    return UNKNOWN_START
