"""The files that describe the session: AIND's data_description.json and subject.json, and nwb_metadata.yaml."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from capsules.common.errors import Rejected, SpikeRelayError
from capsules.common.recordings.session_metadata import AIND_DESCRIPTION, AIND_SUBJECT, BY_HAND, read_metadata
from capsules.common.untrusted.small_files import read_small
from capsules.parameters import strict_json


@dataclass
class SessionFiles:
    """What the files of a session contain.

    Attributes
    ----------
    folder : str
        The name of the folder that has data_description.json; without that file, of the data folder.
    description : dict
        The content of data_description.json.
    subject_id, institution : str or None
        Of subject.json and nwb_metadata.yaml; the latter wins.
    problems : list of str
        Why a file was not read.
    """

    folder: str
    description: dict[str, Any] = field(default_factory=dict)
    subject_id: str | None = None
    institution: str | None = None
    problems: list[str] = field(default_factory=list)


def read_session_files(data: Path | None) -> SessionFiles:
    """Read the files of the session in a data folder; None or a folder that is unavailable has none."""
    if data is None or not data.is_dir():
        where = "the data folder" if data is None else str(data)
        return SessionFiles("", problems=[f"{where} is unavailable"])
    session = SessionFiles(data.absolute().name)
    for name in (AIND_DESCRIPTION, AIND_SUBJECT, BY_HAND):
        try:
            file = find_session_file(data, name)
            if file is None:
                continue
            if name == AIND_DESCRIPTION:
                session.folder, session.description = file.absolute().parent.name, read_description(file)
                continue
            parts = read_metadata(file)
        except (OSError, SpikeRelayError) as error:
            session.problems.append(str(error))
        else:
            session.subject_id = parts.get("Subject", {}).get("subject_id", session.subject_id)
            session.institution = parts.get("NWBFile", {}).get("institution", session.institution)
    return session


def find_session_file(data: Path, name: str) -> Path | None:
    """The file in the data folder, in the only folder below it that has one, or in the folder above it.

    Raises
    ------
    SpikeRelayError
        When several folders below the data folder have the file.
    """
    for files in ([data / name], sorted(data.glob(f"*/{name}")), [data.absolute().parent / name]):
        present = [file for file in files if file.is_file()]
        if len(present) > 1:
            raise SpikeRelayError(f"{data} has several sessions: {present[0]} and {present[1]}")
        if present:
            return present[0]
    return None


def read_description(file: Path) -> dict[str, Any]:
    """The content of a data_description.json.

    Raises
    ------
    SpikeRelayError
        When it cannot be read, or is not a JSON object.
    """
    try:
        content = strict_json.read(read_small(file)).value
    except OSError as error:
        raise SpikeRelayError(f"{file} cannot be read: {error.strerror}") from None
    except Rejected as error:
        raise SpikeRelayError(f"{file} cannot be read: {error.problems[0]}") from None
    except ValueError as error:
        raise SpikeRelayError(f"{file} cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise SpikeRelayError(f"{file} cannot be read: it is not a JSON object")
    return content
