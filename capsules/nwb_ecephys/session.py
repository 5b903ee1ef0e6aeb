"""The NWB file's session: metadata from the recording's header, an NWB input, and the files next to the data."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pynwb import NWBFile, read_nwb
from pynwb.device import Device
from pynwb.file import Subject

from capsules.common.errors import SpikeRelayError
from capsules.common.recordings.job import Job
from capsules.common.recordings.session_metadata import list_missing_fields, merge_metadata, read_metadata
from capsules.common.tasks.task import Task
from capsules.common.untrusted.distrust import distrust_files
from capsules.nwb_ecephys.params import NwbEcephysParams

Metadata = dict[str, dict[str, Any]]
"""Metadata of a session in NeuroConv's form: section -> name -> value."""

UNKNOWN_START = datetime(1970, 1, 1, tzinfo=UTC)
SESSION_FIELDS = (
    "session_start_time", "identifier", "session_id", "session_description", "experimenter", "institution", "lab",
    "experiment_description", "keywords", "related_publications", "protocol", "surgery", "pharmacology", "virus",
    "slices", "stimulus_notes", "data_collection", "notes",
)  # fmt: skip
SUBJECT_FIELDS = (
    "subject_id", "species", "strain", "sex", "age", "age__reference", "date_of_birth", "genotype", "weight",
    "description",
)  # fmt: skip
DEVICE_FIELDS = ("name", "description", "serial_number", "manufacturer")
MODEL_FIELDS = ("name", "manufacturer", "model_number", "description")


def session_metadata(task: Task[NwbEcephysParams], jobs: list[Job]) -> Metadata:
    """Collect the metadata of a block's session; the stage's facts say where each comes from.

    The recording's header comes first, then an NWB input, then the files next to the data. The last source wins.
    """
    header = next((job.session_start_time for job in jobs if job.session_start_time), None)
    sources = {"the recording's header": {"NWBFile": {"session_start_time": header}}} if header else {}
    sources |= {str(file.name): nwb_metadata(file) for file in nwb_inputs(task, jobs)}
    for path in dict.fromkeys(path for job in jobs for path, *_ in job.metadata_files):
        sources[path] = read_metadata(task.data / path)
    metadata, origins = merge_metadata(sources)
    task.fact(metadata_from=origins, metadata_unknown=list_missing_fields(metadata))
    if missing := list_missing_fields(metadata):
        task.warn(f"NWB metadata missing: {', '.join(missing)}. Add it to nwb_metadata.yaml.")
    for line in time_remarks(metadata):
        task.warn(line)
    return metadata


def nwb_inputs(task: Task[NwbEcephysParams], jobs: list[Job]) -> list[Path]:
    """The NWB files that a block's traces come from."""
    paths = [job.reader.kwargs["file_path"] for job in jobs if job.reader.name == "nwb"]
    return [task.data / path for path in dict.fromkeys(paths)]


def nwb_metadata(file: Path) -> Metadata:
    """Read session, subject and devices of an NWB file.

    Devices are listed by name, each with the name of its model as `device_model_metadata_key`.
    """
    distrust_files()
    nwbfile = read_nwb(file)
    try:
        models = {model.name: _fields(model, MODEL_FIELDS) for model in nwbfile.device_models.values()}
        devices = {device.name: _device(device) for device in nwbfile.devices.values()}
        groups = {
            group.name: {"location": group.location, "description": group.description, "device": group.device.name}
            for group in nwbfile.electrode_groups.values()
        }
        session = _fields(nwbfile, SESSION_FIELDS)
        if nwbfile.timestamps_reference_time != nwbfile.session_start_time:
            session["timestamps_reference_time"] = nwbfile.timestamps_reference_time
        return {
            "NWBFile": session,
            "Subject": {} if nwbfile.subject is None else _fields(nwbfile.subject, SUBJECT_FIELDS),
            "Devices": devices,
            "DeviceModels": models,
            "source_groups": groups,
            "source_electrodes": {"ids": _electrode_ids(nwbfile)},
        }
    finally:
        nwbfile.read_io.close()


def _electrode_ids(nwbfile: NWBFile) -> dict[tuple[str, str], int]:
    """Group and name of each electrode -> its id; one without a name is named by its id, as in SpikeInterface."""
    table = nwbfile.electrodes
    if table is None:
        return {}
    ids = [int(id) for id in table.id[:]]
    names = table["channel_name"][:] if "channel_name" in table.colnames else ids
    groups = table["group_name"][:]
    return {(str(group), str(name)): id for group, name, id in zip(groups, names, ids, strict=True)}


def _device(device: Device) -> dict[str, Any]:
    model = {} if device.model is None else {"device_model_metadata_key": device.model.name}
    return _fields(device, DEVICE_FIELDS) | model


def _fields(container: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """The fields that are set, arrays and tuples as lists."""
    values = {name: _plain(getattr(container, name, None)) for name in names}
    return {name: value for name, value in values.items() if value is not None and value != []}


def _plain(value: Any) -> Any:
    return list(value) if hasattr(value, "shape") or isinstance(value, tuple) else value


def start_time(value: str | datetime | None) -> tuple[datetime, str | None]:
    """The session's start with its time zone, and a remark when one of them is unknown."""
    if value is None:
        return UNKNOWN_START, "The session start is unknown: the file has 1970-01-01. Add it to nwb_metadata.yaml."
    try:
        start = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except ValueError:
        raise SpikeRelayError(f"the session start {value!r} is not a date and time") from None
    if start.tzinfo is not None:
        return start, None
    remark = f"The session start {start.isoformat()} has no time zone in its source; the file has it as UTC."
    return start.replace(tzinfo=UTC), remark


def subject_fields(subject: dict[str, Any], start: datetime) -> tuple[dict[str, Any], str | None]:
    """A subject's fields for pynwb, and a remark on the date of birth.

    NWB needs a time and a zone for a date of birth. A date alone becomes the age in days, when the session's start is
    known, so that neither has to be invented.
    """
    fields = dict(subject)
    birth = fields.pop("date_of_birth", None)
    if birth is None:
        return fields, None
    birth = birth if isinstance(birth, datetime) else datetime.fromisoformat(birth)
    if UNKNOWN_START != start < birth.replace(tzinfo=birth.tzinfo or UTC):
        return fields, f"The subject's date of birth, {birth.date()}, is after the session: it is left out."
    if birth.tzinfo is not None:
        return fields | {"date_of_birth": birth}, None
    if start != UNKNOWN_START and "age" not in fields:
        fields["age"] = f"P{(start.date() - birth.date()).days}D"
    return fields, f"The subject was born on {birth.date()}; the source has no time zone."


def time_remarks(metadata: Metadata) -> list[str]:
    """Remarks on the session's start and the subject's date of birth."""
    start, on_start = start_time(metadata.get("NWBFile", {}).get("session_start_time"))
    _, on_birth = subject_fields(metadata.get("Subject", {}), start)
    return [remark for remark in (on_start, on_birth) if remark]


def make_nwbfile(task: Task[NwbEcephysParams], jobs: list[Job], metadata: Metadata, notes: list[str]) -> NWBFile:
    """Make an NWB file with the session's metadata and with `notes`."""
    fields: dict[str, Any] = {
        "identifier": f"{jobs[0].session}/{task.id}",
        "session_id": jobs[0].session,
        "session_description": f"Extracellular recording {task.id}",
        "was_generated_by": [["SpikeRelay", task.record["versions"]["spikerelay"]]],
    } | metadata.get("NWBFile", {})
    start, _ = start_time(fields.pop("session_start_time", None))
    zero_s = next((job.session_start_s for job in jobs if job.session_start_s and not job.segments_in_turn), None)
    if zero_s is not None and start != UNKNOWN_START:
        # Times count from when the instrument's clock was at 0.
        fields.setdefault("timestamps_reference_time", start - timedelta(seconds=zero_s))
    own = fields.pop("notes", None)
    lines = [*([own] if own else []), *notes, *time_remarks(metadata)]
    nwbfile = NWBFile(session_start_time=start, notes="\n".join(lines), **fields)
    subject, _ = subject_fields(metadata.get("Subject", {}), start)
    if subject:
        nwbfile.subject = Subject(**subject)
    return nwbfile


def add_devices(nwbfile: NWBFile, metadata: Metadata) -> None:
    """Add the devices of the session's metadata that no electrode group has added."""
    for key, device in metadata.get("Devices", {}).items():
        fields = {"name": key} | device
        if fields["name"] in nwbfile.devices:
            continue
        model = fields.pop("device_model_metadata_key", None)
        if model is not None and model not in nwbfile.device_models:
            nwbfile.create_device_model(**({"manufacturer": "unknown"} | metadata["DeviceModels"][model]))
        nwbfile.create_device(**fields, **({} if model is None else {"model": nwbfile.device_models[model]}))
