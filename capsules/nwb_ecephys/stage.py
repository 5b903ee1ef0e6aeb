"""NWB, first half: a file per block with devices, electrodes, LFP and, on request, raw traces of every probe."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from capsules.common.errors import RecordedFailure, Skip, SpikeRelayError, nearest
from capsules.common.patches import progress
from capsules.common.recordings.electrode_locations import COORDINATES, regions_and_coordinates
from capsules.common.recordings.job import Job, stream_stem
from capsules.common.recordings.probe_names import electrode_group, electrode_names, probe_name, series_name
from capsules.common.recordings.reading import first_seconds, load_lfp_segments, load_segments
from capsules.common.recordings.times import set_times_like
from capsules.common.tasks import full_disk
from capsules.common.tasks.task import Task
from capsules.nwb_ecephys.lfp import at_lfp_rate, in_scratch, lfp_band, pieces
from capsules.nwb_ecephys.params import NwbEcephysParams
from capsules.nwb_ecephys.session import add_devices, make_nwbfile, session_metadata

BUFFER_GB = 0.25
MOST_GAPS = 20
"""Gaps that the notes list."""


@dataclass
class Probe:
    """A job's recordings for the file, one for each segment; `lfp` is empty when none is written.

    `raw` tells the electrodes, also where its traces are not written.
    """

    job: Job
    raw: list[Any]
    write_raw: bool
    lfp: list[Any] = field(default_factory=list)


def run(task: Task) -> None:
    jobs = [job for job in task.jobs if job.skip is None and job.failure is None]
    for job in task.jobs:
        if job not in jobs:
            task.warn(f"{job.id} is left out: {job.skip or job.failure}")
    if not jobs:
        raise Skip("no recording of this block can be written")
    progress.show_progress(False, task.log)
    agar = agar_surfaces(task.params.surface_channel_agar_probes_indices, task.jobs)
    metadata = session_metadata(task, jobs)
    for problem in unknown_groups(metadata, task.jobs):
        task.warn(problem)
    # Beside the result: /tmp may be small.
    with TemporaryDirectory(dir=task.out, prefix=".lfp") as scratch:
        probes, failures = opened(task, jobs, agar, Path(scratch))
        if not probes:
            raise SpikeRelayError("\n".join(failures))
        try:
            write_file(task, probes, metadata, failures)
        except Exception as error:
            # Raw traces are read only now: a file without those that cannot be, or the error of something else.
            if full_disk.is_full(error) or not leave_out_unreadable(task, probes, failures):
                raise
            write_file(task, probes, metadata, failures)
    task.fact(probes=[probe.job.id for probe in probes], backend=task.params.backend)
    if failures:
        raise RecordedFailure("; ".join(failures))


def opened(task: Task, jobs: list[Job], agar: dict[str, int], scratch: Path) -> tuple[list[Probe], list[str]]:
    """Open each job's traces and read its LFP, each on its own; and what could not be read, a line each."""
    probes, failures = [], []
    for job in jobs:
        with _on_its_own(task, f"{job.stream} is not in this file", failures):
            raw = _for_the_file(task, load_segments(job, task.data), job)
            probes.append(Probe(job, raw, task.params.write_raw))
            if task.params.write_lfp:
                with _on_its_own(task, f"the LFP of {job.stream} is not in this file", failures):
                    probes[-1].lfp = _lfp(task, job, raw, agar.get(job.id), scratch)
    return probes, failures


@contextmanager
def _on_its_own(task: Task, consequence: str, failures: list[str]) -> Iterator[None]:
    """Write down that a part cannot be read, so that it does not take the others with it."""
    try:
        yield
    except SpikeRelayError:
        raise
    # Readers raise whatever their parsing runs into; each is this part's failure, with its cause.
    except Exception as error:
        task.log.exception(consequence)
        failures.append(f"{consequence}: {type(error).__name__}: {error}")


def write_file(task: Task, probes: list[Probe], metadata: dict[str, dict[str, Any]], failures: list[str]) -> None:
    """Write the file of these probes; one that was begun before is replaced."""
    from neuroconv.tools.nwb_helpers import configure_and_write_nwbfile

    jobs = [probe.job for probe in probes]
    nwbfile = make_nwbfile(task, jobs, metadata, [*clock_notes(jobs), *scale_notes(probes), *failures])
    _add_segments(nwbfile, jobs)
    for probe in probes:
        _add_probe(nwbfile, probe, metadata, task.params)
    keep_electrode_ids(nwbfile, metadata)
    add_devices(nwbfile, metadata)
    file = task.out / "file.nwb"
    configure_and_write_nwbfile(nwbfile, nwbfile_path=file, backend=task.params.backend)


def keep_electrode_ids(nwbfile: Any, metadata: dict[str, dict[str, Any]]) -> None:
    """Give the electrodes of an NWB input the ids that they have there."""
    ids = metadata.get("source_electrodes", {}).get("ids", {})
    table = nwbfile.electrodes
    names = zip(table["group_name"].data, table["channel_name"].data, strict=True)
    kept = [ids.get((str(group), str(name))) for group, name in names]
    if None not in kept and len(set(kept)) == len(kept):
        table.id.data[:] = kept


def leave_out_unreadable(task: Task, probes: list[Probe], failures: list[str]) -> bool:
    """Read the raw traces that are to be written through, and leave out those that cannot be; whether there are any."""
    before = len(failures)
    for probe in probes:
        if probe.write_raw:
            probe.write_raw = False
            with _on_its_own(task, f"the raw traces of {probe.job.stream} are not in this file", failures):
                for segment in probe.raw:
                    read_through(segment)
                probe.write_raw = True
    return len(failures) > before


def read_through(recording: Any) -> None:
    """Read all traces of a recording of one segment, and keep none."""
    frames = recording.get_num_samples()
    step = max(1, int(BUFFER_GB * 1e9 / (recording.get_num_channels() * recording.get_dtype().itemsize)))
    for start in range(0, frames, step):
        recording.get_traces(start_frame=start, end_frame=min(start + step, frames))


def clock_notes(jobs: list[Job]) -> list[str]:
    """How the times in the file were counted, for each probe."""
    notes = []
    for job in jobs:
        if job.segments_in_turn:
            clock = "time is counted by samples, its segments one after the other from 0 on: their own clocks overlap"
        else:
            clock = "time is counted by samples" if job.regular_clock else "times are the instrument's timestamps"
        notes.append(f"{job.stream}: {clock}")
        gaps = job.clock.gaps()
        for _, begin_s, length_s in gaps[:MOST_GAPS]:
            notes.append(f"{job.stream}: gap of {length_s:.6g} s from {begin_s:.6f} s on")
        if len(gaps) > MOST_GAPS:
            notes.append(f"{job.stream}: {len(gaps) - MOST_GAPS} more gaps; the units' obs_intervals have them all")
    if len({job.stream for job in jobs}) > 1:
        notes.append("The streams' clocks were not aligned to each other.")
    # An NWB input's reference time is kept.
    unknown_zero = [job for job in jobs if job.session_start_s is None and job.reader.name != "nwb"]
    if any(not job.segments_in_turn and any(job.segment_starts_s[:1]) for job in unknown_zero):
        notes.append("Times count from the instrument's own zero, which need not be the session's start.")
    # The groups of a stream share its clock.
    return list(dict.fromkeys(notes))


def scale_notes(probes: list[Probe]) -> list[str]:
    """A sentence on each probe whose samples cannot be told in volts, which NWB takes all samples for."""
    return [
        f"{probe.job.stream}: its traces are counts and not volts: no source tells its gains"
        for probe in probes
        if not probe.raw[0].has_scaleable_traces()
    ]


def _add_segments(nwbfile: Any, jobs: list[Job]) -> None:
    """Where each segment of the recording lies in the file's time, when several were sorted as one."""
    from pynwb.epoch import TimeIntervals

    rows = []
    for job in jobs:
        if len(job.segments) == 1:
            continue
        first = 0
        for index, duration_s, source_s in zip(
            job.segments, job.segment_durations_s, job.segment_starts_s, strict=True
        ):
            count = round(duration_s * job.sampling_frequency_hz)
            clock = job.clock.part(first, count)
            row = {"start_time": clock.starts_s[0], "stop_time": clock.end_s, "source_start_time": source_s}
            rows.append(row | {"probe": electrode_group(job), "segment": index + 1})
            first += count
    if not rows:
        return
    table = TimeIntervals(name="segments", description="segments of the recording that were sorted as one")
    table.add_column("probe", "electrode group of the probe")
    table.add_column("segment", "number of the segment in the source, from 1")
    table.add_column("source_start_time", "start of the segment by the source's clock, in seconds")
    for row in sorted(rows, key=lambda row: row["start_time"]):
        table.add_row(**row)
    nwbfile.add_time_intervals(table)


def agar_surfaces(text: str, jobs: list[Job]) -> dict[str, int]:
    """Job id -> the topmost channel in tissue, for the probes that `surface_channel_agar_probes_indices` names.

    A probe goes by the name of its stream, with or without the band: `imec0.ap`, `imec0` or `ProbeA`; a group of it by
    the name of its electrode group, `imec0-group1`.

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
    return {job.stream, bare, bare.rsplit(".", 1)[-1], electrode_group(job)}


def _add_probe(nwbfile: Any, probe: Probe, metadata: dict[str, dict[str, Any]], params: NwbEcephysParams) -> None:
    """Add a probe's electrodes, its raw traces on request, and its LFP; both are read when the file is written."""
    from neuroconv.tools.spikeinterface import add_recording_to_nwbfile
    from neuroconv.tools.spikeinterface.spikeinterface import add_recording_metadata_to_nwbfile

    raw = probe.raw[0]
    told = probe_metadata(raw, probe.job, metadata)
    (group,) = told["Ecephys"]["ElectrodeGroups"].values()
    # An electrode whose own place is unknown lies where its group does.
    areas = [group["location"] if area == "unknown" else area for area in raw.get_property("brain_area")]
    for segment in probe.raw:
        segment.set_property("brain_area", areas)
    given = {"nwbfile": nwbfile, "metadata": told}
    add_recording_metadata_to_nwbfile(raw, **given)
    if probe.write_raw:
        for index, segment in enumerate(probe.raw):
            # A series has one offset for all channels.
            varying = segment.has_scaleable_traces() and len(set(segment.get_channel_offsets())) > 1
            options = {
                "iterator_options": {"buffer_gb": BUFFER_GB},
                "data_representation": "physical_units" if varying else "digital_counts",
            }
            add_recording_to_nwbfile(segment, metadata_key=f"raw{index}", **options, **given)
    for index, lfp in enumerate(probe.lfp):
        place = {"metadata_key": f"lfp{index}", "parent_container": "processing/LFP"}
        add_recording_to_nwbfile(lfp, iterator_options=pieces(lfp, params), **place, **given)


def _lfp(task: Task, job: Job, raw: list[Any], surface_index: int | None, scratch: Path) -> list[Any]:
    """A job's LFP, segment by segment: from the instrument's LF stream where there is one, else from the wide band."""
    stream = load_lfp_segments(job, task.data)
    sources = raw if stream is None else _for_the_file(task, stream, job)
    changes: list[str] = []
    bands = []
    for index, source in enumerate(sources):
        slow = at_lfp_rate(source, stream is not None, task.params, surface_index, changes.append)
        kept = in_scratch(slow, source.sampling_frequency, scratch / f"{job.id}-{index}", task.n_jobs)
        set_times_like(kept, source)
        bands.append(lfp_band(kept, source.get_dtype(), task.params, changes.append))
        # Too short to be filtered: told now, and not while the file is written.
        bands[-1].get_traces(end_frame=1, channel_ids=bands[-1].channel_ids[:1])
    for change in dict.fromkeys(changes):
        task.change(change)
    return bands


def probe_metadata(recording: Any, job: Job, told: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """NeuroConv's metadata for one probe: its device with its model, its electrode group, its series.

    Parameters
    ----------
    recording : BaseRecording
        As `_with_electrode_properties` gives it.
    job : Job
    told : dict
        The session's metadata. An NWB input's group keeps its device and location.
    """
    name = electrode_group(job)
    source = told.get("source_groups", {}).get(str(recording.get_annotation("source_group")), {})
    group = {
        "name": name,
        "description": f"channels of {job.stream}" + (f", group {job.group}" if job.group else ""),
        "location": "unknown",
    }
    group |= {key: source[key] for key in ("description", "location") if source.get(key)}
    by_hand = groups_by_hand(told)
    group |= by_hand.get(probe_name(job), {}) | by_hand.get(name, {})
    # The shanks of a probe are groups of one device; without shanks, a group may be a probe of its own.
    on_shank = recording.get_property("shank") is not None
    device_name = source.get("device", probe_name(job) if on_shank else name)
    probe = recording.get_probegroup().probes[0] if recording.has_probe() else None
    device, models = ({}, {}) if probe is None else _probe_device(probe)
    device = {"name": device_name, "description": job.probe or "probe"} | device
    device |= told.get("Devices", {}).get(device_name, {})
    series = {}
    for index, segment in enumerate(job.segments):
        suffix, part = (f"-segment{segment + 1}", f", segment {segment + 1}") if len(job.segments) > 1 else ("", "")
        for kind, title, content in (
            ("raw", "ElectricalSeries", "unfiltered traces"),
            ("lfp", "ElectricalSeriesLFP", "local field potential"),
        ):
            series[f"{kind}{index}"] = {
                "name": f"{title}-{series_name(job)}{suffix}",
                "description": f"{content} of {job.stream}{part}",
            }
    return {
        "Devices": {device_name: device},
        "DeviceModels": models | told.get("DeviceModels", {}),
        "Ecephys": {
            "ElectrodeGroups": {name: group | {"device_metadata_key": device_name}},
            "ElectricalSeries": series,
            "Electrodes": [{"name": name, "description": text} for name, text in electrode_columns(job).items()],
        },
    }


def electrode_columns(job: Job) -> dict[str, str]:
    """What our columns of the electrodes table hold: name -> description."""
    own = {
        "rel_x": "x of the electrode on its probe, in um",
        "rel_y": "y of the electrode on its probe, in um",
        "shank": "shank of the probe that the electrode is on",
        "inter_sample_shift": "when the channel is sampled, as a fraction of the time between two samples",
    }
    return own | {name: f"{meaning}, as {job.locations_file} has it" for name, meaning in COORDINATES.items()}


def groups_by_hand(told: dict[str, dict[str, Any]]) -> dict[str, dict[str, str]]:
    """What the session's metadata tell of electrode groups: name of the group, or of its probe -> fields."""
    return told.get("Ecephys", {}).get("ElectrodeGroups", {})


def unknown_groups(told: dict[str, dict[str, Any]], jobs: list[Job]) -> Iterator[str]:
    """A sentence on each electrode group of the metadata that is none of these jobs'."""
    known = sorted({name for job in jobs for name in (probe_name(job), electrode_group(job))})
    for name in groups_by_hand(told):
        if name not in known:
            yield f"the metadata tell of an electrode group {name!r}, which is not in this file{nearest(name, known)}"


def _probe_device(probe: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a ProbeInterface probe tells of its device and of its device's model."""
    device = {} if probe.serial_number in (None, "", "0") else {"serial_number": str(probe.serial_number)}
    if not probe.model_name:
        return device, {}
    model = {"name": probe.model_name, "model_number": probe.model_name, "manufacturer": probe.manufacturer}
    model["description"] = probe.annotations.get("description")
    return device | {"device_model_metadata_key": probe.model_name}, {
        probe.model_name: {key: value for key, value in model.items() if value}
    }


def _with_electrode_properties(recording: Any, job: Job) -> Any:
    """Give the channels what the electrodes table shows: group, shank, position on the probe, brain area.

    The name of the group that an NWB input has them in is kept as the annotation `source_group`.
    """
    import numpy as np

    recording = recording.clone()
    channels = recording.get_num_channels()
    probegroup = recording.get_probegroup() if recording.has_probe() else None
    if recording.get_channel_groups() is not None:
        recording.annotate(source_group=str(recording.get_channel_groups()[0]))
    # One electrode group, though the probe's shanks may have been several groups for the reader.
    recording.set_channel_groups(np.zeros(channels, int))
    recording.set_property("channel_name", np.array(electrode_names(job, recording.channel_ids, probegroup)))
    recording.set_property("group_name", np.full(channels, electrode_group(job)))
    if recording.get_property("brain_area") is None:
        recording.set_property("brain_area", np.full(channels, "unknown"))
    if job.electrode_locations:
        regions, coordinates = regions_and_coordinates(job.electrode_locations, recording.channel_ids)
        areas = recording.get_property("brain_area").tolist()
        areas = [region or area for region, area in zip(regions, areas, strict=True)]
        recording.set_property("brain_area", np.array(areas, dtype=str))
        for name, values in coordinates.items():
            recording.set_property(name, values)
    if recording.has_probe():
        locations = recording.get_channel_locations()
        recording.set_property("rel_x", locations[:, 0].astype(float))
        recording.set_property("rel_y", locations[:, 1].astype(float))
        contacts = probegroup.to_numpy(complete=True)
        if "shank_ids" in contacts.dtype.names:
            contacts = contacts[contacts["device_channel_indices"].argsort()]
            shanks = np.array([str(shank) for shank in contacts["shank_ids"]])
            if (shanks != "").any():
                recording.set_property("shank", shanks)
    return recording


def _for_the_file(task: Task, segments: list[Any], job: Job) -> list[Any]:
    """The segments with their electrodes' properties, or the beginning of them when a stub is asked for."""
    if task.params.stub:
        segments = first_seconds(segments, task.params.stub_seconds)
    return [_with_electrode_properties(segment, job) for segment in segments]
