"""Open Ephys folders that neo would misread, or reject without advice: each problem with what mends it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from xml.etree import ElementTree

from capsules.common.errors import SpikeRelayError
from capsules.common.untrusted.small_files import read_small_json
from capsules.job_dispatch.formats import OPENEPHYS_STRUCTURE
from capsules.job_dispatch.loaders.streams import UNKNOWN_SERIALS, BrokenStream, relative

SAMPLE_BYTES = 2


def split_places(structures: Iterable[Path], data: Path) -> tuple[list[Path], list[BrokenStream]]:
    """The record nodes with these structure files, and a broken stream for each file that is in no record node."""
    nodes, broken = set(), []
    for file in structures:
        node, experiment, recording = file.parents[2], file.parents[1].name, file.parent.name
        if node.is_relative_to(data) and experiment.startswith("experiment") and recording.startswith("recording"):
            nodes.add(node)
        else:
            failure = (
                f"{relative(file, data)} is not in a folder recording1 of a folder experiment1 of a record node: give "
                "the record node's folder, or one above it; if folders were moved or renamed, restore them"
            )
            broken.append(BrokenStream(experiment if experiment.startswith("experiment") else "", recording, failure))
    return sorted(nodes), broken


def check_node(node: Path) -> None:
    """Check the folders and files of a record node, which neo reads together.

    Raises
    ------
    SpikeRelayError
        With the first problem, and what mends it.
    """
    for experiment in sorted(path for path in node.glob("experiment*") if path.is_dir()):
        for recording in sorted(path for path in experiment.glob("recording*") if path.is_dir()):
            for folder in (experiment, recording):
                if not re.fullmatch(r"(experiment|recording)\d+", folder.name):
                    raise SpikeRelayError(
                        f"Open Ephys writes no folder {folder.relative_to(node)}: if it is a copy, move it out of the "
                        "data folder; if it was renamed, restore its name"
                    )
            for problem in _recording_problems(recording, node):
                raise SpikeRelayError(problem)


def _recording_problems(recording: Path, node: Path) -> Iterator[str]:
    place = recording.relative_to(node)
    try:
        entries = read_small_json(recording / OPENEPHYS_STRUCTURE)["continuous"]
        frames = {entry["folder_name"].strip("/"): SAMPLE_BYTES * int(entry["num_channels"]) for entry in entries}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SpikeRelayError):
        return  # The experiment's own check reports it.
    for stream, frame_bytes in frames.items():
        file = recording / "continuous" / stream / "continuous.dat"
        name = file.relative_to(node)
        if not file.is_file():
            yield (
                f"{name} is missing: copy it; without it, remove {stream} from `continuous` in "
                f"{place / OPENEPHYS_STRUCTURE}, and the other streams are read"
            )
        elif not file.stat().st_size:
            yield f"{name} is empty: copy it again, or move {place} out of the data folder"
        elif frame_bytes and file.stat().st_size % frame_bytes:
            kept = file.stat().st_size // frame_bytes * frame_bytes
            yield (
                f"{name} has {file.stat().st_size} bytes, which is not a multiple of the {frame_bytes} bytes of a "
                f"sample: copy it again; if the recording was cut, keep its complete samples: `truncate -s {kept} "
                "continuous.dat` in its folder"
            )


def warn_of_serials(settings: Path) -> list[str]:
    """A warning for each serial number that a settings file has for several probes."""
    try:
        probes = list(ElementTree.parse(settings).iter("NP_PROBE"))
    except (OSError, ElementTree.ParseError):
        return []
    used = [probe.get("probe_serial_number", "") for probe in probes if probe.get("isEnabled", "1") != "0"]
    return [
        f"{settings.name} has {count} probes with the serial number {serial}: check that the streams are of different "
        "probes; simulated probes have equal ones"
        for serial, count in Counter(used).items()
        if count > 1 and serial not in UNKNOWN_SERIALS
    ]
