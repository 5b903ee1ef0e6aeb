"""AIND's data_description.json of the sorted data, from that of the session.

Nothing is invented. Without a field that aind-data-schema needs, the file is not written. Every other field that is
missing or not as the schema has it is left out. Both are warnings. Schema 1 is read too, and written as schema 2.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from capsules.common.errors import shorten
from capsules.results.aind.fields import (
    read_choice,
    read_funding,
    read_investigators,
    read_list_of_texts,
    read_modalities,
    read_organization,
    read_text,
)
from capsules.results.aind.schema import FOLDER, make_core_file, make_modality, read_vocabulary
from capsules.results.aind.session_files import SessionFiles

PROCESS_NAME = "sorted"
TIMED_NAME = re.compile(r".+?_\d{4}-\d{2}-\d{2}_\d{2}-\d{2}-\d{2}")
"""The name of an asset, `ecephys_661398_2023-03-31_17-01-09`, with which the names of derived assets begin."""
NAME = r'[^<>:;"/|?\\\x00-\x1f]+'
NO_SPECIAL_CHARACTERS = r'[^<>:;"/|?\\_]+'
NO_UNDERSCORES = r"[^_]+"
FILE = f"{FOLDER}/data_description.json"

Reader = Callable[[Any], Any]
"""Reads a field's value; raises ValueError with the reason when it is not as the schema has it."""
REQUIRED: dict[str, Reader] = {
    "institution": read_organization,
    "funding_source": read_funding,
    "investigators": read_investigators,
    "project_name": lambda value: read_text(value, NO_SPECIAL_CHARACTERS),
}
WANTED: dict[str, Reader] = {
    "name": lambda value: read_text(value, NAME),
    "subject_id": lambda value: read_text(value, NO_UNDERSCORES),
    "license": lambda value: read_choice(value, read_vocabulary()["licenses"]),
}
"""Fields that the schema does not need. A warning says that one is missing."""
OPTIONAL: dict[str, Reader] = {
    "tags": read_list_of_texts,
    "group": lambda value: read_choice(value, read_vocabulary()["groups"]),
    "restrictions": read_text,
    "data_summary": read_text,
    "modalities": read_modalities,
}
CONSEQUENCES = {"license": " (aind-data-schema reads a missing license as CC-BY-4.0)"}


def describe_data(session: SessionFiles, ended: datetime) -> tuple[dict[str, Any] | None, list[str]]:
    """The content of AIND's data_description.json, or None where it is unknown; and the warnings.

    Parameters
    ----------
    session : SessionFiles
    ended : datetime
        When the data were created.
    """
    known = collect_fields(session)
    fields, problems = read_fields(known)
    lacking = [f"{name} {problems.pop(name)}" for name in REQUIRED if name in problems]
    warnings = [f"{FILE}: {problem}" for problem in session.problems]
    if lacking:
        what = "; ".join([*lacking, *(f"{name} {problem} (optional)" for name, problem in problems.items())])
        warnings.append(
            f"{FILE} is not written: {what}. Add or correct it in data_description.json in the data folder."
        )
        return None, warnings
    for name, problem in problems.items():
        reason = problem + CONSEQUENCES.get(name, "")
        warnings.append(
            f"{FILE} has no {name}: it {reason}. Add or correct it in data_description.json in the data folder."
        )
    return make_document(fields, known.get("data_level") == "derived", ended), warnings


def collect_fields(session: SessionFiles) -> dict[str, Any]:
    """The fields of data_description.json, and those that other files have and it lacks."""
    fields = {name: value for name, value in session.description.items() if value not in (None, "", [])}
    others = {
        "subject_id": session.subject_id,
        "institution": session.institution,
        # Schema 1.
        "modalities": session.description.get("modality"),
        # AIND names the folder of an asset after it.
        "name": session.folder if TIMED_NAME.match(session.folder) else None,
    }
    return {name: value for name, value in others.items() if value not in (None, "", [])} | fields


def read_fields(known: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The values in the schema's form, and the problem of each field that has no value."""
    fields, problems = {}, {}
    for name, read in (REQUIRED | WANTED | OPTIONAL).items():
        if name not in known:
            if name not in OPTIONAL:
                problems[name] = "is missing"
            continue
        try:
            fields[name] = read(known[name])
        except ValueError as error:
            problems[name] = shorten(str(error))
    return fields, problems


def make_document(fields: dict[str, Any], is_derived: bool, ended: datetime) -> dict[str, Any]:
    """The content of the file."""
    source = fields.get("name")
    names = {} if source is None else {"name": name_asset(source, is_derived, ended), "source_data": [source]}
    modalities = dict.fromkeys([*fields.get("modalities", []), "ecephys"])
    own = {
        "creation_time": ended.isoformat(),
        "data_level": "derived",
        "modalities": [make_modality(abbreviation) for abbreviation in modalities],
    }
    return make_core_file("data_description", "Data description", {**fields, **own, **names})


def name_asset(source: str, is_derived: bool, ended: datetime) -> str:
    """The name of the asset. That of derived data replaces the process of its source: `<raw name>_sorted_<time>`."""
    raw = TIMED_NAME.match(source) if is_derived else None
    return f"{source if raw is None else raw[0]}_{PROCESS_NAME}_{ended:%Y-%m-%d_%H-%M-%S}"
