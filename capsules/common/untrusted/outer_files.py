"""Other files that HDF5 and zarr files name: external links, external storage, virtual data sets, zarr's own links."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import h5py

from capsules.common.untrusted.distrust import ForeignCode
from capsules.common.untrusted.places import is_inside
from capsules.common.untrusted.small_files import read_small_json


def check_outer_files(file: Path, data: Path) -> None:
    """Check that all files that a file refers to are regular files of the data folder, before a library opens them.

    Raises
    ------
    ForeignCode
        With the path of a file that is not. The check does not open it.
    """
    named: list[str] | list[str | bytes] = []
    if file.is_dir():
        named = _zarr_links(file) if ".nwb" in file.name else []
    elif file.is_file() and h5py.is_hdf5(file):
        with h5py.File(file, "r") as opened:
            named = list(_hdf5_files(opened))
    for name in dict.fromkeys(named):
        # HDF5 looks next to the file, by its name and by where a link to it leads, and in the task's own folder.
        places = [folder / os.fsdecode(name) for folder in (file.parent, file.resolve().parent, Path.cwd())]
        present = [path for path in places if os.path.lexists(path)]
        for path in present or places[:1]:
            if not (is_inside(path, data) and (path.is_file() or path.is_dir())):
                raise ForeignCode(
                    f"{file.name} refers to {path}, which is not a regular file of the data folder: copy it there, "
                    "or write the data into the file itself"
                )
            if path.is_file() and path.resolve() != file.resolve() and h5py.is_hdf5(path):
                _check_leaf(path, file)


def _check_leaf(path: Path, file: Path) -> None:
    """Reject a referenced file that refers to further files: references could form a circle."""
    with h5py.File(path, "r") as opened:
        if further := next(_hdf5_files(opened), None):
            raise ForeignCode(f"{file.name} refers to {path}, which refers further to {os.fsdecode(further)}")


def _hdf5_files(group: h5py.Group) -> Iterator[str | bytes]:
    """The files that an HDF5 file refers to, without following soft and external links."""
    groups, seen = [group], set()
    while groups:
        group = groups.pop()
        for name in group:
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                yield link.filename
            if not isinstance(link, h5py.HardLink):
                continue
            item = group[name]
            if isinstance(item, h5py.Group) and (address := _address(item)) not in seen:
                seen.add(address)
                groups.append(item)
            elif isinstance(item, h5py.Dataset):
                yield from (entry[0] for entry in item.external or ())
                if item.is_virtual:
                    yield from (source.file_name for source in item.virtual_sources() if source.file_name != ".")


def _address(group: h5py.Group) -> int:
    address: int = h5py.h5o.get_info(group.id).addr  # type: ignore[attr-defined]  # a compiled module
    return address


def _zarr_links(store: Path) -> list[str]:
    """The sources of a store's links, as hdmf-zarr writes them; `.` is the store itself."""
    sources = []
    for file in store.rglob(".zattrs"):
        try:
            links = read_small_json(file).get("zarr_link", [])
            sources += [link["source"] for link in links if link.get("source") not in (None, ".")]
        except (ValueError, AttributeError, KeyError, TypeError, json.JSONDecodeError) as error:
            raise ForeignCode(f"{file} is not a valid part of a zarr store: {error}") from None
    # Relative ones start at the store.
    return [os.path.join(store.name, source) for source in sources]
