"""Locations of electrodes in the brain: a file for each probe, as tools that align histology export it."""

from __future__ import annotations

import csv
import math
import re
from bisect import bisect_left
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from capsules.common.errors import MOST_SHOWN, SpikeRelayError, and_more
from capsules.common.untrusted.small_files import check_plain, read_small_csv, read_small_json

NAME = "channel_locations"
"""A file is named `<probe>_channel_locations.csv` or `.json`."""
COORDINATES = {
    "ap_um": "position from back to front, in um",
    "ml_um": "position from left to right, in um",
    "dv_um": "position in height, in um",
}
AXES = [name.removesuffix("_um") for name in COORDINATES]
UM_PER = {"": 1.0, "_um": 1.0, "_mm": 1000.0}
"""Endings of a column of coordinates."""
REGION_COLUMNS = ("acronym", "brain_region", "region")
CHANNEL, DEPTH = "channel", "depth_um"
ALONE_UM = 50.0
"""The reach of a depth in a file with a single depth."""
IBL_AXES = {"ap_um": "y", "ml_um": "x", "dv_um": "z"}
IBL_CHANNEL = re.compile(r"channel_([0-9]{1,6})")


class ElectrodeLocation(BaseModel):
    """Region and coordinates in um of one electrode, as its file has them; None is unknown."""

    model_config = ConfigDict(extra="forbid")

    region: str | None = None
    ap_um: float | None = None
    ml_um: float | None = None
    dv_um: float | None = None


Places = list[tuple[float, ElectrodeLocation]]
"""Number of the channel, or depth in um, and the location."""


def find_location_file(folders: Iterable[Path], names: Iterable[str]) -> Path | None:
    """The nearest file of the first of these names (of a group, of its probe) that has one; CSV goes before JSON."""
    folders = list(folders)
    files = [f"{name}_{NAME}{suffix}" for name in names for suffix in (".csv", ".json")]
    candidates = (folder / file for file in files for folder in folders)
    return next((file for file in candidates if file.is_file()), None)


def read_locations(file: Path, channels: dict[Any, tuple[int, float | None]]) -> dict[str, ElectrodeLocation]:
    """Read the location of each channel: id -> location, without the channels that the file does not list.

    Parameters
    ----------
    file : Path
        A CSV file with a column `channel` (from 0) or `depth_um`, one of REGION_COLUMNS, and, if wanted, `ap`, `ml` and
        `dv` in um (`ap_um`), or in mm (`ap_mm`). Or JSON as the alignment tool of the International Brain Laboratory
        writes it: `channel_<number>` -> `brain_region`, x (ML), y (AP) and z (DV) in um.
    channels : dict
        Channel id -> its number and its depth in um, which is None where the channels have no positions.

    Raises
    ------
    SpikeRelayError
        With the file's path and every wrong line.
    """
    try:
        by_depth, places = _read_json(file) if file.suffix == ".json" else _read_csv(file)
    except (OSError, ValueError, csv.Error) as error:
        raise SpikeRelayError(f"{file} cannot be read: {error}") from None
    if not places:
        raise SpikeRelayError(f"{file} lists no electrode")
    if by_depth:
        depths = {id: depth for id, (_, depth) in channels.items() if depth is not None}
        if len(depths) < len(channels):
            raise SpikeRelayError(f"{file} goes by depth, but the channels have no positions: use the column {CHANNEL}")
        return _by_depth(places, depths)
    id_of: dict[float, str] = {number: str(id) for id, (number, _) in channels.items()}
    locations = {id_of[number]: location for number, location in places if number in id_of}
    if not locations:
        raise SpikeRelayError(f"{file} lists none of the {len(channels)} channels")
    return locations


def _by_depth(places: Places, depths: dict[Any, float]) -> dict[str, ElectrodeLocation]:
    """Assign the nearest location in depth to each channel, within the largest distance of neighbouring lines."""
    places = sorted(places, key=lambda place: place[0])
    known = [depth for depth, _ in places]
    reach = max((b - a for a, b in pairwise(known)), default=0.0) or ALONE_UM
    locations = {}
    for id, depth in depths.items():
        above = bisect_left(known, depth)
        nearest = min(range(max(above - 1, 0), min(above + 1, len(known))), key=lambda index: abs(known[index] - depth))
        if abs(known[nearest] - depth) <= reach:
            locations[str(id)] = places[nearest][1]
    return locations


def _read_csv(file: Path) -> tuple[bool, Places]:
    reader = read_small_csv(file)
    reader.fieldnames = [_plain_name(name) for name in reader.fieldnames or []]
    names = reader.fieldnames
    by = CHANNEL if CHANNEL in names else next((name for name in (DEPTH, "depth") if name in names), None)
    region = next((name for name in REGION_COLUMNS if name in names), None)
    if by is None or region is None:
        raise ValueError(
            f"the columns {CHANNEL} or {DEPTH}, and {REGION_COLUMNS[0]}, are needed; its first line has "
            f"{', '.join(names[:10]) or 'nothing'}"
        )
    columns = {axis: [axis + ending for ending in UM_PER if axis + ending in names] for axis in AXES}
    if twice := [axis for axis, matching in columns.items() if len(matching) > 1]:
        raise ValueError(f"{', '.join(twice)} in two columns")
    places, problems = [], []
    for row in reader:
        try:
            location = ElectrodeLocation(
                region=(row[region] or "").strip() or None,
                **{
                    f"{axis}_um": None if not (row[name] or "").strip() else UM_PER[name[2:]] * _finite(row[name])
                    for axis, matching in columns.items()
                    for name in matching
                },
            )
            places.append((_channel(row[by]) if by == CHANNEL else _finite(row[by]), location))
        except (TypeError, ValueError) as error:
            problems.append(f"line {reader.line_num}: {error}")
    if problems:
        raise ValueError("; ".join(problems[:MOST_SHOWN] + and_more(len(problems))))
    check_plain([location.region for _, location in places])
    return by != CHANNEL, places


def _plain_name(name: str) -> str:
    """`AP (um)` and `ap_um` are one column."""
    return re.sub(r"[ ()\[\]]+", "_", name.strip().lower().replace("µ", "u").replace("μ", "u")).strip("_")


def _finite(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a number")
    return value


def _channel(text: str) -> int:
    value = _finite(text)
    if value < 0 or value != int(value):
        raise ValueError(f"{text} is not a channel number: use 0, 1, 2 and so on")
    return int(value)


def _read_json(file: Path) -> tuple[bool, Places]:
    document = read_small_json(file)
    check_plain(document)
    if not isinstance(document, dict):
        raise ValueError("a table of channels is needed")
    places: Places = []
    for name, fields in document.items():
        number = IBL_CHANNEL.fullmatch(name)
        if number is None:
            # `origin` is the position of bregma in the atlas.
            if name != "origin":
                raise ValueError(f"{name} is not a channel name such as channel_0")
            continue
        if not isinstance(fields, dict):
            raise ValueError(f"{name}: a table of names and values is needed")
        region = fields.get("brain_region", fields.get("acronym"))
        values = {axis: fields.get(letter) for axis, letter in IBL_AXES.items()}
        try:
            coordinates = {axis: None if value is None else _finite(value) for axis, value in values.items()}
        except (TypeError, ValueError) as error:
            raise ValueError(f"{name}: {error}") from None
        location = ElectrodeLocation(region=None if region is None else str(region), **coordinates)
        places.append((int(number[1]), location))
    return False, places


def get_regions_and_coordinates(
    locations: dict[str, ElectrodeLocation], channel_ids: Iterable[Any]
) -> tuple[list[str | None], dict[str, npt.NDArray[np.float64]]]:
    """Region of each of these channels, and coordinate -> value of each in um (NaN: unknown), for properties."""
    own = [locations.get(str(id), ElectrodeLocation()) for id in channel_ids]
    values = {name: np.array([getattr(location, name) for location in own], dtype=float) for name in COORDINATES}
    return [location.region for location in own], values
