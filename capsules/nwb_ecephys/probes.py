"""A probe in the NWB file: its device, its electrode group, its electrodes, and the names of its series."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
from probeinterface import Probe
from pynwb import NWBFile
from spikeinterface import BaseRecording

from capsules.common.errors import nearest
from capsules.common.recordings.electrode_locations import COORDINATES, get_regions_and_coordinates
from capsules.common.recordings.job import Job, electrode_group, electrode_names, probe_name, series_name
from capsules.nwb_ecephys.session import Metadata


def set_electrode_properties(recording: BaseRecording, job: Job) -> BaseRecording:
    """Give the channels the properties of the electrodes table: group, shank, position on the probe, brain area.

    The annotation `source_group` keeps the name of their group in an NWB input.
    """
    recording = cast(BaseRecording, recording.clone())
    channels = recording.get_num_channels()
    probegroup = recording.get_probegroup() if recording.has_probe() else None
    if recording.get_channel_groups() is not None:
        recording.annotate(source_group=str(recording.get_channel_groups()[0]))
    # One electrode group, even when the reader has a group for each shank.
    recording.set_channel_groups(np.zeros(channels, int))
    recording.set_property("channel_name", np.array(electrode_names(job, recording.channel_ids, probegroup)))
    recording.set_property("group_name", np.full(channels, electrode_group(job)))
    if recording.get_property("brain_area") is None:
        recording.set_property("brain_area", np.full(channels, "unknown"))
    if job.electrode_locations:
        regions, coordinates = get_regions_and_coordinates(job.electrode_locations, recording.channel_ids)
        areas = recording.get_property("brain_area").tolist()
        areas = [region or area for region, area in zip(regions, areas, strict=True)]
        recording.set_property("brain_area", np.array(areas, dtype=str))
        for name, values in coordinates.items():
            recording.set_property(name, values)
    if recording.has_probe():
        locations = recording.get_channel_locations()
        recording.set_property("rel_x", locations[:, 0].astype(float))
        recording.set_property("rel_y", locations[:, 1].astype(float))
        contacts = recording.get_probegroup().to_numpy(complete=True)
        if "shank_ids" in contacts.dtype.names:
            contacts = contacts[contacts["device_channel_indices"].argsort()]
            shanks = np.array([str(shank) for shank in contacts["shank_ids"]])
            if (shanks != "").any():
                recording.set_property("shank", shanks)
    return recording


def probe_metadata(recording: BaseRecording, job: Job, session: Metadata) -> dict[str, Any]:
    """NeuroConv's metadata for one probe: its device with its model, its electrode group, its series.

    Parameters
    ----------
    recording : BaseRecording
        With the properties of `set_electrode_properties`.
    job : Job
    session : dict
        The session's metadata. An NWB input's group keeps its device and location.
    """
    name = electrode_group(job)
    source = session.get("source_groups", {}).get(str(recording.get_annotation("source_group")), {})
    group = {
        "name": name,
        "description": f"channels of {job.stream}" + (f", group {job.group}" if job.group else ""),
        "location": "unknown",
    }
    group |= {key: source[key] for key in ("description", "location") if source.get(key)}
    groups = _electrode_groups(session)
    group |= groups.get(probe_name(job), {}) | groups.get(name, {})
    # The shanks of a probe are groups of one device; without shanks, a group may be a separate probe.
    on_shank = recording.get_property("shank") is not None
    device_name = source.get("device", probe_name(job) if on_shank else name)
    device, models = _describe_device(recording.get_probegroup().probes[0]) if recording.has_probe() else ({}, {})
    device = {"name": device_name, "description": job.probe or "probe"} | device
    device |= session.get("Devices", {}).get(device_name, {})
    return {
        "Devices": {device_name: device},
        "DeviceModels": models | session.get("DeviceModels", {}),
        "Ecephys": {
            "ElectrodeGroups": {name: group | {"device_metadata_key": device_name}},
            "ElectricalSeries": _describe_series(job),
            "Electrodes": [{"name": name, "description": text} for name, text in _electrode_columns(job).items()],
        },
    }


def _describe_series(job: Job) -> dict[str, dict[str, str]]:
    """Key of each segment's raw traces and LFP -> name and description of the series."""
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
    return series


def _electrode_columns(job: Job) -> dict[str, str]:
    """The pipeline's columns of the electrodes table: name -> description."""
    columns = {
        "rel_x": "x of the electrode on its probe, in um",
        "rel_y": "y of the electrode on its probe, in um",
        "shank": "shank of the probe that the electrode is on",
        "inter_sample_shift": "when the channel is sampled, as a fraction of the time between two samples",
    }
    return columns | {name: f"{meaning}, from {job.locations_file}" for name, meaning in COORDINATES.items()}


def unknown_groups(session: Metadata, jobs: list[Job]) -> Iterator[str]:
    """A sentence on each electrode group of the session's metadata that none of these jobs has."""
    known = sorted({name for job in jobs for name in (probe_name(job), electrode_group(job))})
    for name in _electrode_groups(session):
        if name not in known:
            yield (
                f"the session's metadata name the electrode group {name!r}, which is not in this file"
                f"{nearest(name, known)}"
            )


def _electrode_groups(session: Metadata) -> dict[str, dict[str, str]]:
    """Electrode groups of the session's metadata: name of the group, or of its probe -> fields."""
    groups: dict[str, dict[str, str]] = session.get("Ecephys", {}).get("ElectrodeGroups", {})
    return groups


def _describe_device(probe: Probe) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fields of a probe's device, and of its device's model by the model's name."""
    device = {} if probe.serial_number in (None, "", "0") else {"serial_number": str(probe.serial_number)}
    if not probe.model_name:
        return device, {}
    model = {"name": probe.model_name, "model_number": probe.model_name, "manufacturer": probe.manufacturer}
    model["description"] = probe.annotations.get("description")
    return device | {"device_model_metadata_key": probe.model_name}, {
        probe.model_name: {key: value for key, value in model.items() if value}
    }


def keep_electrode_ids(nwbfile: NWBFile, session: Metadata) -> None:
    """Give the electrodes of an NWB input the ids that they have there."""
    ids = session.get("source_electrodes", {}).get("ids", {})
    table = nwbfile.electrodes
    names = zip(table["group_name"].data, table["channel_name"].data, strict=True)
    kept = [ids.get((str(group), str(name))) for group, name in names]
    if None not in kept and len(set(kept)) == len(kept):
        table.id.data[:] = kept
