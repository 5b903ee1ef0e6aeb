"""The NWB file's session: what the recording's header, an NWB input, and the files beside the data tell of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from capsules.common.errors import SpikeRelayError
from capsules.common.recordings.job import Job
from capsules.common.recordings.session_metadata import merged, read_metadata, unknown
from capsules.common.tasks.task import Task
from capsules.common.untrusted.distrust import distrust_files

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


def session_metadata(task: Task, jobs: list[Job]) -> dict[str, dict[str, Any]]:
    """What is known of a block's session, in NeuroConv's form; where it comes from is in the stage's facts.

    The recording's header comes first, then an NWB input, then the files beside the data; what comes later wins.
    """
    header = next((job.session_start_time for job in jobs if job.session_start_time), None)
    sources = {"the recording's header": {"NWBFile": {"session_start_time": header}}} if header else {}
    sources |= {str(file.name): nwb_metadata(file) for file in nwb_inputs(task, jobs)}
    for path in dict.fromkeys(path for job in jobs for path, *_ in job.metadata_files):
        sources[path] = read_metadata(task.data / path)
    metadata, origins = merged(sources)
    task.fact(metadata_from=origins, metadata_unknown=unknown(metadata))
    if left_out := unknown(metadata):
        task.warn(f"no source tells {', '.join(left_out)}: left out of the NWB file")
    for line in time_remarks(metadata):
        task.warn(line)
    return metadata


def nwb_inputs(task: Task, jobs: list[Job]) -> list[Path]:
    """The NWB files that a block's traces come from."""
    paths = [job.reader.kwargs["file_path"] for job in jobs if job.reader.name == "nwb"]
    return [task.data / path for path in dict.fromkeys(paths)]


def nwb_metadata(file: Path) -> dict[str, dict[str, Any]]:
    """What an NWB file tells of its session, its subject and its devices.

    Its devices come by their names, and with the name of their model as `device_model_metadata_key`.
    """
    from pynwb import read_nwb

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


def _electrode_ids(nwbfile: Any) -> dict[tuple[str, str], int]:
    """Group and name of each electrode -> its id; one without a name goes by its id, as in SpikeInterface."""
    table = nwbfile.electrodes
    if table is None:
        return {}
    ids = [int(id) for id in table.id[:]]
    names = table["channel_name"][:] if "channel_name" in table.colnames else ids
    groups = table["group_name"][:]
    return {(str(group), str(name)): id for group, name, id in zip(groups, names, ids, strict=True)}


def _device(device: Any) -> dict[str, Any]:
    model = {} if device.model is None else {"device_model_metadata_key": device.model.name}
    return _fields(device, DEVICE_FIELDS) | model


def _fields(container: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """The fields that are set, lists as lists."""
    values = {name: getattr(container, name, None) for name in names}
    plain = {name: list(value) if hasattr(value, "shape") or isinstance(value, tuple) else value
             for name, value in values.items()}  # fmt: skip
    return {name: value for name, value in plain.items() if value is not None and value != []}


def start_time(told: str | datetime | None) -> tuple[datetime, str | None]:
    """The session's start with a zone, which NWB needs, and what is to be said about it.

    A start without zone is written as if it were UTC, an unknown one as 1970.

    Raises
    ------
    SpikeRelayError
        When it is no date and time.
    """
    if told is None:
        return UNKNOWN_START, "No source tells when the session began: 1970-01-01 stands for unknown."
    try:
        start = told if isinstance(told, datetime) else datetime.fromisoformat(told)
    except ValueError:
        raise SpikeRelayError(f"session start {told!r} is no date and time") from None
    if start.tzinfo is not None:
        return start, None
    about = f"The session start {start.isoformat()} has no time zone in its source; it stands here as if UTC."
    return start.replace(tzinfo=UTC), about


def subject_fields(told: dict[str, Any], start: datetime) -> tuple[dict[str, Any], str | None]:
    """A subject's fields as pynwb takes them, and what is to be said about them.

    NWB needs a time and a zone for a date of birth. A date alone becomes the age in days, when the session's start is
    known, so that neither has to be invented.
    """
    subject = dict(told)
    birth = subject.pop("date_of_birth", None)
    if birth is None:
        return subject, None
    birth = birth if isinstance(birth, datetime) else datetime.fromisoformat(birth)
    if UNKNOWN_START != start < birth.replace(tzinfo=birth.tzinfo or UTC):
        return subject, f"The subject's date of birth, {birth.date()}, lies after the session: it is left out."
    if birth.tzinfo is not None:
        return subject | {"date_of_birth": birth}, None
    if start != UNKNOWN_START and "age" not in subject:
        subject["age"] = f"P{(start.date() - birth.date()).days}D"
    return subject, f"The subject was born on {birth.date()}; its source tells no time zone."


def time_remarks(metadata: dict[str, dict[str, Any]]) -> list[str]:
    """What is to be said about the session's start and the subject's birth."""
    start, about_start = start_time(metadata.get("NWBFile", {}).get("session_start_time"))
    _, about_subject = subject_fields(metadata.get("Subject", {}), start)
    return [line for line in (about_start, about_subject) if line]


def make_nwbfile(task: Task, jobs: list[Job], metadata: dict[str, dict[str, Any]], notes: list[str]) -> Any:
    """An NWB file with what is known of the session, and with `notes`."""
    from pynwb import NWBFile
    from pynwb.file import Subject

    told = dict(metadata.get("NWBFile", {}))
    start, _ = start_time(told.pop("session_start_time", None))
    zero = next((job.session_start_s for job in jobs if job.session_start_s and not job.segments_in_turn), None)
    if zero is not None and start != UNKNOWN_START:
        # Times count from when the instrument's clock was at 0.
        told = {"timestamps_reference_time": start - timedelta(seconds=zero)} | told
    subject, _ = subject_fields(metadata.get("Subject", {}), start)
    own = told.pop("notes", None)
    notes = [*([own] if own else []), *notes, *time_remarks(metadata)]
    given = {
        "identifier": f"{jobs[0].session}/{task.id}",
        "session_id": jobs[0].session,
        "session_description": f"Extracellular recording {task.id}",
        "was_generated_by": [["SpikeRelay", task.record["versions"]["spikerelay"]]],
    }
    nwbfile = NWBFile(session_start_time=start, notes="\n".join(notes), **(given | told))
    if subject:
        nwbfile.subject = Subject(**subject)
    return nwbfile


def add_devices(nwbfile: Any, metadata: dict[str, dict[str, Any]]) -> None:
    """Add the devices that the session's metadata tells and no electrode group has brought along."""
    for key, told in metadata.get("Devices", {}).items():
        fields = {"name": key} | told
        if fields["name"] in nwbfile.devices:
            continue
        model = fields.pop("device_model_metadata_key", None)
        if model is not None and model not in nwbfile.device_models:
            nwbfile.create_device_model(**({"manufacturer": "unknown"} | metadata["DeviceModels"][model]))
        nwbfile.create_device(**fields, **({} if model is None else {"model": nwbfile.device_models[model]}))
