"""The forms that the three files share, and the words that aind-data-schema knows."""

from __future__ import annotations

import json
import math
from functools import cache
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

FOLDER = "aind_metadata"
"""The folder in the results that has the files."""
URL = "https://raw.githubusercontent.com/AllenNeuralDynamics/aind-data-schema/main/src/aind_data_schema/core/{}.py"
PIPELINE = "SpikeRelay"
UNKNOWN_URL = "unknown"
MODALITY = "ecephys"


@cache
def read_vocabulary() -> dict[str, Any]:
    """The names and versions of aind-data-schema (`tests/aind_schema.py` makes the file)."""
    vocabulary: dict[str, Any] = json.loads((Path(__file__).parent / "vocabulary.json").read_text())
    return vocabulary


def make_core_file(name: str, object_type: str, fields: dict[str, Any]) -> dict[str, Any]:
    """The content of one of AIND's files; fields without a value are left out."""
    version = read_vocabulary()["schema_versions"][name]
    return drop_none({"object_type": object_type, "describedBy": URL.format(name), "schema_version": version, **fields})


def make_modality(abbreviation: str) -> dict[str, str]:
    """A modality by its abbreviation, which the schema knows."""
    return {"name": read_vocabulary()["modalities"][abbreviation], "abbreviation": abbreviation}


def make_code(name: str, versions: dict[str, str], **more: Any) -> dict[str, Any]:
    """The code of a process: this package."""
    return drop_none(
        {
            "object_type": "Code",
            "url": find_repository() or UNKNOWN_URL,
            "name": name,
            "version": versions.get("spikerelay"),
            "language": "Python",
            "language_version": versions.get("python"),
            **more,
        }
    )


def find_repository() -> str | None:
    """The address of the repository, as the installed package has it; None where it has none."""
    try:
        addresses = metadata("spikerelay").get_all("Project-URL") or []
    except PackageNotFoundError:
        return None
    named = dict(address.split(", ", 1) for address in addresses if ", " in address)
    return named.get("Repository")


def drop_none(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields that have a value."""
    return {name: value for name, value in fields.items() if value is not None}


def as_stored(value: Any) -> Any:
    """A value as AIND's database stores it: without `.` and `$` in keys, and without numbers that JSON lacks."""
    if isinstance(value, dict):
        return {str(key).replace(".", "_").replace("$", "_"): as_stored(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_stored(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
