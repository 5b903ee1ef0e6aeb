"""Metadata of a session: its start, its subject, who recorded it; in NeuroConv's form.

The files are next to the raw data or in a folder above them, up to the folder above the session's:
`nwb_metadata.yaml` (NeuroConv's form, by hand), `subject.json` and `data_description.json` (as the Allen Institute for
Neural Dynamics writes them, schema 1 and 2). Nothing is invented: fields that no file has are left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft7Validator, ValidationError

from capsules.common.errors import SpikeRelayError, nearest, shorten
from capsules.common.untrusted.small_files import check_plain, read_small, read_small_json

BY_HAND = "nwb_metadata.yaml"
AIND_SUBJECT = "subject.json"
AIND_DESCRIPTION = "data_description.json"
FILES = (AIND_DESCRIPTION, AIND_SUBJECT, BY_HAND)
"""Later ones win."""
WANTED = {
    "NWBFile": ("session_start_time", "session_id", "experimenter", "institution", "lab", "experiment_description"),
    "Subject": ("subject_id", "species", "sex", "age"),
}
"""Fields that archives ask for."""
MAX_YAML_BYTES = 1_000_000
"""Reading YAML is slow."""
SEX = {"Male": "M", "Female": "F"}
_DURATION = r"P(?=[0-9T])([0-9.]+Y)?([0-9.]+M)?([0-9.]+W)?([0-9.]+D)?(T([0-9.]+H)?([0-9.]+M)?([0-9.]+S)?)?"
AGE = rf"^{_DURATION}(/({_DURATION})?)?$"
"""ISO 8601, `P90D`, or a range, `P90D/P100D`."""
FORMS = {
    "NWBFile.experimenter": 'a list of names such as ["Doe, Jane"]',
    "Subject.age": "a duration such as P90D (90 days) or P12W (12 weeks)",
    "Subject.sex": "M, F, U (unknown), O (other), XX or XO",
    "Subject.species": "a Latin name such as Mus musculus or Rattus norvegicus",
}
"""What the fields that people write most often must be."""
TYPES = {"array": "a list", "object": "an object", "string": "text", "number": "a number", "integer": "an integer"}
"""The schema's names of types, in the words of the parameters."""
NAME = r"^[^/:]+$"
"""NWB's names are parts of paths."""


def find_metadata_files(raw_files: Iterable[Path], session: Path) -> list[Path]:
    """The nearest file of each name, in the order of `FILES`.

    Parameters
    ----------
    raw_files : iterable of Path
        Files and folders of a recording, below `session`.
    session : Path
    """
    near = list_folders_above(raw_files, session)
    nearest_files = (next((folder / name for folder in near if (folder / name).is_file()), None) for name in FILES)
    return [file for file in nearest_files if file is not None]


def list_folders_above(raw_files: Iterable[Path], session: Path) -> list[Path]:
    """The folders of a recording's files and those above them, the nearest first, up to the one above the session's."""
    folders = [folder for file in raw_files for folder in file.absolute().parents]
    top = session.absolute()
    above = [folder for folder in dict.fromkeys(folders) if folder.is_relative_to(top)]
    return list(dict.fromkeys([*sorted(above, key=lambda folder: -len(folder.parts)), top, top.parent]))


def read_metadata(file: Path) -> dict[str, dict[str, Any]]:
    """Read one of these files into NeuroConv's form: part -> field -> value.

    Raises
    ------
    SpikeRelayError
        With the file's path, and every wrong key or value.
    """
    try:
        document = _read_yaml(file) if file.name == BY_HAND else read_small_json(file)
        check_plain(document)
    except (OSError, ValueError) as error:
        raise SpikeRelayError(f"{file} cannot be read: {error}") from None
    if not isinstance(document, dict):
        raise SpikeRelayError(f"{file}: a table of names and values is needed")
    metadata = document
    if file.name != BY_HAND:
        try:
            metadata = aind_subject(document) if file.name == AIND_SUBJECT else aind_description(document)
        except (TypeError, AttributeError) as error:
            raise SpikeRelayError(f"{file} is not as its schema has it: {error}") from None
    if problems := [*schema_problems(metadata), *time_problems(metadata)]:
        raise SpikeRelayError("\n".join(f"{file}, {problem}" for problem in problems))
    return metadata


def _read_yaml(file: Path) -> Any:
    """Read a YAML file, dates as text; raise ValueError when it is not YAML."""
    # NeuroConv takes two seconds to import; most sessions have no YAML file.
    from neuroconv.utils import load_dict_from_file

    read_small(file, MAX_YAML_BYTES)
    try:
        document: Any = load_dict_from_file(file)
        return document
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def schema_problems(document: dict[str, Any]) -> Iterator[str]:
    """The mistakes of metadata in NeuroConv's form, by its schema: `<path>: <mistake>`."""
    # NeuroConv's folder, without the seconds that importing it takes.
    neuroconv = find_spec("neuroconv")
    assert neuroconv is not None and neuroconv.origin is not None
    schema = json.loads((Path(neuroconv.origin).parent / "schemas" / "base_metadata_schema.json").read_text())
    known = {
        # The session's start may come from elsewhere.
        "NWBFile": schema["properties"]["NWBFile"]
        | {"required": [], "dependencies": {"source_script_file_name": ["source_script"]}},
        # NeuroConv's own pattern lets every text pass.
        "Subject": {"allOf": [{"properties": {"age": {"pattern": AGE}}}]} | schema["properties"]["Subject"],
        "Devices": _named("name", "description", "manufacturer", "serial_number"),
        "Ecephys": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"ElectrodeGroups": _named("description", "location")},
        },
    }
    root = {"type": "object", "additionalProperties": False, "properties": known}
    for error in sorted(Draft7Validator(root).iter_errors(document), key=lambda error: list(map(str, error.path))):
        path = ".".join(map(str, error.path))
        if error.validator == "additionalProperties":
            names = list(error.schema.get("properties", {}))
            for name in sorted(set(error.instance) - set(names), key=str):
                yield f"{path}.{name}: unknown{nearest(str(name), names)}".removeprefix(".")
        else:
            yield f"{path}: {_explain_value(error)}".removeprefix(": ")


def _explain_value(error: ValidationError) -> str:
    """What a value must be, in the words of the documentation instead of the schema's."""
    got = f"; got {shorten(repr(error.instance))}"
    if form := FORMS.get(".".join(map(str, list(error.path)[:2]))):
        return f"must be {form}{got}"
    choices = error.validator_value
    if error.validator == "enum" and isinstance(choices, list):
        return f"must be one of {', '.join(map(str, choices))}{got}"
    if error.validator == "type" and error.validator_value in TYPES:
        return f"must be {TYPES[error.validator_value]}{got}"
    return shorten(error.message)


def time_problems(metadata: dict[str, Any]) -> Iterator[str]:
    """The dates and times that cannot be read."""
    for part, field in (("NWBFile", "session_start_time"), ("Subject", "date_of_birth")):
        fields = metadata.get(part)
        value = fields.get(field) if isinstance(fields, dict) else None
        date_is_enough = field == "date_of_birth"
        if isinstance(value, str) and not _is_time(value, date_is_enough):
            yield f"{part}.{field}: {value!r} is not a date with time such as 2026-01-15T10:30:00+01:00"


def _named(*fields: str) -> dict[str, Any]:
    """The schema of a table: name -> these fields, of text."""
    texts = {field: {"type": "string"} | ({"pattern": NAME} if field == "name" else {}) for field in fields}
    return {
        "type": "object",
        "propertyNames": {"type": "string", "pattern": NAME},
        "additionalProperties": {"type": "object", "additionalProperties": False, "properties": texts},
    }


def _is_time(text: str, date_is_enough: bool) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return date_is_enough or len(text) > len("2026-01-15")


def aind_subject(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The subject of a `subject.json`; schema 2 keeps most of it in `subject_details`."""
    fields = document | (document.get("subject_details") or {})
    subject = {
        "subject_id": fields.get("subject_id"),
        "species": _name(fields.get("species")),
        "sex": SEX.get(fields.get("sex", "")),
        "date_of_birth": fields.get("date_of_birth"),
        "genotype": fields.get("genotype"),
        "strain": _name(fields.get("strain") or fields.get("background_strain")),
    }
    return {"Subject": _drop_empty(subject)}


def aind_description(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The session of a `data_description.json`. Raw data were created when they were recorded, derived ones later."""
    investigators = document.get("investigators") or []
    if not isinstance(investigators, list):
        raise TypeError("investigators is not a list")
    session = {
        "session_id": document.get("name"),
        "institution": _name(document.get("institution")),
        "experimenter": [name for name in map(_name, investigators) if name],
        "experiment_description": document.get("data_summary"),
    }
    if document.get("data_level") in (None, "raw"):
        time = document.get("creation_time")
        on = document.get("creation_date")
        session["session_start_time"] = f"{on}T{time}" if on and time and "T" not in time else time
    return {"NWBFile": _drop_empty(session), "Subject": _drop_empty({"subject_id": document.get("subject_id")})}


def _name(value: Any) -> str | None:
    return value.get("name") if isinstance(value, dict) else value


def _drop_empty(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in (None, "", [])}


def merge_metadata(sources: dict[str, dict[str, dict[str, Any]]]) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Merge the metadata of the sources; later sources override earlier ones.

    Returns
    -------
    metadata : dict
        Part -> field -> value.
    origins : dict
        `part.field` -> its source.
    """
    metadata: dict[str, dict[str, Any]] = {}
    origins: dict[str, str] = {}
    for source, parts in sources.items():
        for part, fields in parts.items():
            known = metadata.setdefault(part, {})
            # A device or a group has fields itself.
            for name, value in fields.items():
                known[name] = known.get(name, {}) | value if isinstance(value, dict) else value
            origins |= {f"{part}.{field}": source for field in fields}
    return metadata, origins


def list_missing_fields(metadata: dict[str, dict[str, Any]]) -> list[str]:
    """The fields that archives ask for and that the metadata lack."""
    known = {part: set(fields) for part, fields in metadata.items()}
    if "date_of_birth" in known.get("Subject", ()):
        known["Subject"].add("age")
    return [f"{part}.{field}" for part in WANTED for field in WANTED[part] if field not in known.get(part, ())]
