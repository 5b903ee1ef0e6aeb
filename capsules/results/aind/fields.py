"""Values of data_description.json, schema 1 and 2, in the form of schema 2.

Each function raises ValueError with the reason when a value is not as the schema has it.
"""

from __future__ import annotations

import json
import re
from typing import Any

from capsules.parameters.problems import quote
from capsules.results.aind.schema import drop_none, read_vocabulary


def read_text(value: Any, pattern: str = r"(?s).+") -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"is {quote(value)}, not a text")
    if not re.fullmatch(pattern, value):
        raise ValueError(f"is {quote(value)}, which has characters that aind-data-schema rejects")
    return value


def read_choice(value: Any, choices: list[str]) -> str:
    """One of some words."""
    if value not in choices:
        raise ValueError(f"is {quote(value)}, not one of {', '.join(choices)}")
    return str(value)


def read_list(value: Any) -> list[Any]:
    """A list that is not empty."""
    if not isinstance(value, list) or not value:
        raise ValueError(f"is {quote(value)}, not a list")
    return value


def read_list_of_texts(value: Any) -> list[str]:
    return [read_text(item) for item in read_list(value)]


def read_organization(value: Any) -> dict[str, Any]:
    """An organization that the schema knows, by its name or abbreviation."""
    name = value.get("name") if isinstance(value, dict) else value
    organizations: list[dict[str, Any]] = read_vocabulary()["organizations"]
    for key in ("name", "abbreviation"):
        for organization in organizations:
            if isinstance(name, str) and organization[key] == name:
                return drop_none(organization)
    version = read_vocabulary()["aind_data_schema"]
    raise ValueError(f"is {quote(name)}, which is not among the organizations of aind-data-schema {version}")


def read_person(value: Any) -> dict[str, Any]:
    """A person; the identifier is that of ORCID."""
    if not isinstance(value, dict):
        return {"object_type": "Person", "name": read_text(value)}
    registry = value.get("registry")
    identifier = value.get("registry_identifier") if registry is None or "ORCID" in json.dumps(registry) else None
    fields = {
        "object_type": "Person",
        "name": read_text(value.get("name")),
        "registry_identifier": None if identifier is None else read_text(identifier),
    }
    return drop_none(fields)


def read_investigators(value: Any) -> list[dict[str, Any]]:
    return [read_person(person) for person in read_list(value)]


def read_funding(value: Any) -> list[dict[str, Any]]:
    """Sources of funding."""
    return [read_funder(item) for item in read_list(value)]


def read_funder(value: Any) -> dict[str, Any]:
    """A source of funding. In schema 1, the funded persons are a text with commas."""
    if not isinstance(value, dict):
        raise ValueError(f"has {quote(value)}, which is not an object")
    persons, grant = value.get("fundee"), value.get("grant_number")
    if isinstance(persons, str):
        persons = [name.strip() for name in persons.split(",") if name.strip()]
    try:
        funder = read_organization(value.get("funder"))
    except ValueError as error:
        raise ValueError(f"has a funder that {error}") from None
    fields = {
        "object_type": "Funding",
        "funder": funder,
        "grant_number": None if grant is None else read_text(grant),
        "fundee": [read_person(person) for person in read_list(persons)] if persons else None,
    }
    return drop_none(fields)


def read_modalities(value: Any) -> list[str]:
    """Abbreviations of modalities. In schema 0.x, there is one without a list."""
    items = value if isinstance(value, list) else [value]
    abbreviations = [item.get("abbreviation") if isinstance(item, dict) else item for item in items]
    known = read_vocabulary()["modalities"]
    if unknown := [abbreviation for abbreviation in abbreviations if abbreviation not in list(known)]:
        raise ValueError(f"has {quote(unknown[0])}, not one of {', '.join(known)}")
    return [str(abbreviation) for abbreviation in abbreviations]
