"""Open Ephys: the binary format (folders with a `structure.oebin`), and the older one (`.continuous` files)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from spikeinterface.extractors.neoextractors.neo_utils import get_neo_streams

from capsules.common.errors import SpikeRelayError
from capsules.common.recordings.job import Reader
from capsules.common.untrusted.small_files import read_small_json
from capsules.job_dispatch.formats import OPENEPHYS_OLDER, OPENEPHYS_STRUCTURE
from capsules.job_dispatch.loaders.streams import (
    AnyStream,
    BrokenStream,
    LeftOutStream,
    companion,
    exclude_by_name,
    folders_with,
    open_stream,
    relative,
)
from capsules.job_dispatch.params import JobDispatchParams


def list_streams(data: Path, params: JobDispatchParams) -> Iterator[AnyStream]:
    """The streams of every record node and experiment, separately."""
    structures = sorted(data.rglob(OPENEPHYS_STRUCTURE))
    older = list(folders_with(data, OPENEPHYS_OLDER))
    if not structures and not older:
        raise SpikeRelayError(f"no Open Ephys recording ({OPENEPHYS_STRUCTURE} or {OPENEPHYS_OLDER}) in {data}")
    # <root>/<record node>/experiment1/recording1/structure.oebin; the node's folder may be the data folder itself.
    for node in sorted({file.parents[2] for file in structures}):
        yield from _binary_streams(node, data, params)
    for folder in older:
        yield from _older_streams(folder, data, params)


def _binary_streams(node: Path, data: Path, params: JobDispatchParams) -> Iterator[AnyStream]:
    experiments = sorted((path for path in node.glob("experiment*") if path.is_dir()), key=_number)
    for block, experiment in enumerate(experiments):
        recordings = sorted((path for path in experiment.glob("recording*") if path.is_dir()), key=_number)
        try:
            names = _stream_names(recordings[0])
        except SpikeRelayError as error:
            yield BrokenStream(experiment.name, node.name, str(error))
            continue
        reader_of = partial(_reader, node, block, data, load_sync_timestamps=not params.skip_timestamps_check)
        for name in names:
            if reason := exclude_by_name(name):
                yield LeftOutStream(experiment.name, name, reason)
                continue
            files = [
                folder / "continuous" / band
                for folder in recordings
                for band in (name, companion(name, names))
                if band and (folder / "continuous" / band).exists()
            ]
            lf = companion(name, names)
            yield open_stream(
                experiment.name,
                full_name(node, name),
                reader_of(name),
                data,
                params.channel_groups,
                lfp_reader=reader_of(lf) if lf else None,
                files=[*files, *node.glob("settings*.xml")],
                start_time=start_time(node, experiment),
                sample_numbers=_sample_numbers(recordings, name),
                lfp_sample_numbers=_sample_numbers(recordings, lf) if lf else [],
            )


def _sample_numbers(recordings: list[Path], stream: str) -> list[Path]:
    """Where Open Ephys (0.6 and later) writes the number of each sample, for each recording."""
    return [recording / "continuous" / stream / "sample_numbers.npy" for recording in recordings]


def start_time(node: Path, experiment: Path) -> str | None:
    """When an experiment began, from its settings: ISO text without a zone; None where they have no valid date."""
    number = _number(experiment)
    file = node / ("settings.xml" if number == 1 else f"settings_{number}.xml")
    try:
        text = ElementTree.parse(file).findtext("INFO/DATE")
        return datetime.strptime(text.strip(), "%d %b %Y %H:%M:%S").isoformat() if text else None
    except (OSError, ElementTree.ParseError, ValueError):
        return None


def _stream_names(recording: Path) -> list[str]:
    """The streams of a recording, by its `structure.oebin`.

    Raises
    ------
    SpikeRelayError
        When it cannot be read, or lists no streams.
    """
    file = recording / OPENEPHYS_STRUCTURE
    try:
        return [entry["folder_name"].strip("/") for entry in read_small_json(file)["continuous"]]
    except (OSError, ValueError) as error:
        raise SpikeRelayError(f"{file} cannot be read: {error}") from None
    except (KeyError, TypeError, AttributeError):
        raise SpikeRelayError(f"{file} cannot be read: the list of continuous streams is missing") from None


def full_name(node: Path, name: str) -> str:
    """The stream's name in neo: it includes the record node when the node has a folder."""
    return f"{node.name}#{name}" if node.name.startswith("Record Node") else name


def _reader(node: Path, block: int, data: Path, stream: str, **settings: Any) -> Reader:
    # SpikeInterface (0.105.3) can open an experiment by its name, but not reopen it from the recording's description.
    kwargs = {"folder_path": relative(node, data), "block_index": block}
    kwargs |= {"stream_name": full_name(node, stream)} | settings
    return Reader(name="openephysbinary", kwargs=kwargs, path_arguments=["folder_path"])


def _older_streams(folder: Path, data: Path, params: JobDispatchParams) -> Iterator[AnyStream]:
    for name in get_neo_streams("openephyslegacy", folder_path=str(folder))[0]:
        if reason := exclude_by_name(name):
            yield LeftOutStream(folder.name, name, reason)
            continue
        kwargs = {"folder_path": relative(folder, data), "stream_name": name}
        reader = Reader(name="openephyslegacy", kwargs=kwargs, path_arguments=["folder_path"])
        yield open_stream(folder.name, name, reader, data, params.channel_groups, files=[folder])


def _number(path: Path) -> int:
    """`experiment12` -> 12, so that 10 comes after 9."""
    digits = "".join(character for character in path.name if character.isdigit())
    return int(digits or 0)
