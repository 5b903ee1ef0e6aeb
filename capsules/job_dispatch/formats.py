"""The format of a data folder, by the names of its files: nothing is opened, and no library is imported."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from capsules.common.errors import Rejected, printable
from capsules.job_dispatch.params import InputFormat

AIND_COMPRESSED = "ecephys_compressed"
AIND_CLIPPED = "ecephys_clipped"
NWB_SUFFIXES = (".nwb", ".nwb.zarr")
OPENEPHYS_STRUCTURE = "structure.oebin"
OPENEPHYS_OLDER = "*.continuous"
SPIKEGLX_FILES = "*.ap.bin"


def aind_folders(data: Path) -> list[Path]:
    """In the session's folder, in its `ecephys`, or in the only session below the data folder."""
    places = (AIND_COMPRESSED, f"ecephys/{AIND_COMPRESSED}", f"*/ecephys/{AIND_COMPRESSED}")
    return sorted({folder for place in places for folder in data.glob(place)})


def nwb_files(data: Path) -> list[Path]:
    return sorted(path for path in data.iterdir() if path.name.endswith(NWB_SUFFIXES))


def _has(data: Path, *patterns: str) -> bool:
    return any(True for pattern in patterns for _ in data.rglob(pattern))


HAS_FORMAT: dict[InputFormat, Callable[[Path], bool]] = {
    "aind": lambda data: bool(aind_folders(data)),
    "spikeglx": lambda data: _has(data, SPIKEGLX_FILES),
    "openephys": lambda data: _has(data, OPENEPHYS_STRUCTURE, OPENEPHYS_OLDER),
    "nwb": lambda data: bool(nwb_files(data)),
}
"""Format -> whether a folder has it. `spikeinterface` is absent: the user must say how such data are read."""


def find_formats(data: Path) -> set[InputFormat]:
    """The formats in a folder. AIND's folder includes an Open Ephys folder, which is not to be sorted.

    Raises
    ------
    Rejected
        When the folder cannot be read.
    """
    try:
        formats = {name for name, has_format in HAS_FORMAT.items() if has_format(data)}
    except OSError as error:
        raise Rejected([f"{error.filename or data}: cannot be read: {error.strerror}"]) from None
    if "aind" in formats:
        formats.discard("openephys")
    return formats


def describe_unknown(data: Path) -> str:
    """Why the format of a data folder must be named: it has several, or none that is known."""
    formats = sorted(find_formats(data))
    if formats:
        return f"{data} has several formats, {' and '.join(formats)}: give one, as --input {formats[0]}, or its folder"
    links = ", ".join(printable(str(link.relative_to(data))) for link in find_links(data))
    return (
        f"{data}: no recording of a known format ({', '.join(HAS_FORMAT)}): give the folder with the recordings, or "
        f"--input spikeinterface (docs/rigs.md){hint_compressed(data)}"
        + (f". Links to folders are not read: {links}" if links else "")
    )


def find_links(folder: Path) -> list[Path]:
    """The links to folders below a folder, which the loaders do not follow."""
    links = []
    for parent, names, _ in os.walk(folder):
        links += [link for name in names if (link := Path(parent, name)).is_symlink()]
        # The folders in a zarr are the library's, and thousands.
        names[:] = [name for name in names if not name.endswith(".zarr")]
    return sorted(links)


def hint_compressed(data: Path) -> str:
    """How to read IBL's compressed SpikeGLX files, if a data folder has them; otherwise an empty text."""
    file = next(iter(sorted(data.rglob("*.ap.cbin"))), None)
    if file is None:
        return ""
    kwargs = json.dumps({"folder_path": str(file.parent.relative_to(data))})
    info = f'{{"reader_type": "compressedbinaryibl", "reader_kwargs": {kwargs}}}'
    return f". {file.name} is compressed: read it with --input spikeinterface --spikeinterface-info '{info}'"


def guess_format(data: Path) -> InputFormat | None:
    """The only format in a folder; None when it has none or several; errors as for `find_formats`."""
    formats = find_formats(data)
    return formats.pop() if len(formats) == 1 else None
