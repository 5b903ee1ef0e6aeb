"""Open Ephys: the binary format (folders with a `structure.oebin`), and the older one (`.continuous` files)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from spikeinterface import BaseRecording
from spikeinterface.extractors.neoextractors.neo_utils import get_neo_streams

from capsules.common.errors import SpikeRelayError
from capsules.common.recordings.job import Reader
from capsules.common.untrusted.small_files import read_small_json
from capsules.job_dispatch.formats import OPENEPHYS_OLDER, OPENEPHYS_STRUCTURE
from capsules.job_dispatch.loaders.openephys_checks import check_node, split_places, warn_of_serials
from capsules.job_dispatch.loaders.sessions import name_datasets
from capsules.job_dispatch.loaders.streams import (
    NO_POSITIONS,
    AnyStream,
    BrokenStream,
    LeftOutStream,
    Stream,
    companion,
    exclude_by_name,
    folders_with,
    open_stream,
    relative,
)
from capsules.job_dispatch.params import JobDispatchParams

OLDER_HEADER_BYTES, OLDER_RECORD_BYTES, OLDER_RECORD_SAMPLES = 1024, 2070, 1024
TWICE = (
    "{node} recorded the same stream as {first}, which is sorted as well: to sort it once, move one of the two folders "
    "out of the data folder"
)
NO_STRUCTURE = "{folder} has no structure.oebin: copy it, or move the folder out of the data folder"
COPIED = "{node} is the same recording of {dataset} as {first}: move one of the two folders out of the data folder"
NO_SETTINGS = (
    "the channels have no positions, because {node} has no {file}: copy it from the acquisition computer; without it, "
    "give --channel-groups, or a ProbeInterface file (docs/rigs.md)"
)
FILLED = "the files lack {seconds:.6g} s between their records, which are zeros here and have no spikes"


def list_streams(data: Path, params: JobDispatchParams) -> Iterator[AnyStream]:
    """The streams of every record node and experiment, separately."""
    structures = sorted(data.rglob(OPENEPHYS_STRUCTURE))
    older = list(folders_with(data, OPENEPHYS_OLDER))
    if not structures and not older:
        raise SpikeRelayError(f"no Open Ephys recording ({OPENEPHYS_STRUCTURE} or {OPENEPHYS_OLDER}) in {data}")
    # <root>/<record node>/experiment1/recording1/structure.oebin; the node's folder may be the data folder itself.
    nodes, broken = split_places(structures, data)
    yield from broken
    seen: dict[tuple[str, str], Path] = {}
    names = name_experiments(nodes, data)
    for node in nodes:
        yield from _binary_streams(node, data, params, names, seen)
    older_names = name_datasets(((folder.name, folder, None) for folder in older), data)
    for folder in older:
        yield from _older_streams(folder, older_names[folder.name, folder], data, params)


Names = dict[tuple[str, Path], str]
"""Experiment and folder of its session -> name of the data set."""


def list_experiments(node: Path) -> list[Path]:
    return sorted((path for path in node.glob("experiment*") if path.is_dir()), key=folder_number)


def name_experiments(nodes: list[Path], data: Path) -> Names:
    places = (
        (experiment.name, node.parent, start_time(node, experiment))
        for node in nodes
        for experiment in list_experiments(node)
    )
    return name_datasets(places, data)


def _binary_streams(
    node: Path, data: Path, params: JobDispatchParams, datasets: Names, seen: dict[tuple[str, str], Path]
) -> Iterator[AnyStream]:
    failure = None
    try:
        check_node(node)
    except SpikeRelayError as error:
        failure = f"{node.name} cannot be read: {error}"
    block = -1
    for experiment in list_experiments(node):
        dataset = datasets[experiment.name, node.parent]
        recordings = list_recordings(experiment)
        lacking = [recording for recording in recordings if not (recording / OPENEPHYS_STRUCTURE).exists()]
        # neo counts the experiments that have such a file.
        block += len(lacking) < len(recordings)
        try:
            if lacking:
                raise SpikeRelayError(NO_STRUCTURE.format(folder=f"{experiment.name}/{lacking[0].name}"))
            names = _stream_names(recordings[0])
        except (SpikeRelayError, IndexError) as error:
            yield BrokenStream(dataset, node.name, failure or str(error))
            continue
        settings = settings_file(node, experiment)
        serials = warn_of_serials(settings)
        reader_of = partial(_reader, node, block, data, load_sync_timestamps=not params.skip_timestamps_check)
        for name in names:
            if reason := exclude_by_name(name):
                yield LeftOutStream(experiment.name, name, reason)
                continue
            first_node = seen.setdefault((dataset, name), node)
            copied = first_node.name == node.name and first_node != node
            if failure or copied:
                copy = COPIED.format(
                    dataset=experiment.name, node=relative(node, data), first=relative(first_node, data)
                )
                yield BrokenStream(dataset, full_name(node, name), failure or copy)
                continue
            files = [
                folder / "continuous" / band
                for folder in recordings
                for band in (name, companion(name, names))
                if band and (folder / "continuous" / band).exists()
            ]
            lf = companion(name, names)
            twice = [] if first_node == node else [TWICE.format(node=node.name, first=first_node.name)]
            stream = open_stream(
                dataset,
                full_name(node, name),
                reader_of(name),
                data,
                params.channel_groups,
                lfp_reader=reader_of(lf) if lf else None,
                files=[*files, *node.glob("settings*.xml")],
                start_time=start_time(node, experiment),
                warnings=[*twice, *serials],
                sample_numbers=sample_number_files(recordings, name),
                lfp_sample_numbers=sample_number_files(recordings, lf) if lf else [],
            )
            if isinstance(stream, BrokenStream) and NO_POSITIONS in stream.failure and not settings.exists():
                stream.failure = NO_SETTINGS.format(node=node.name, file=settings.name)
            yield stream


def list_recordings(experiment: Path) -> list[Path]:
    """The folders of an experiment's recordings, in order."""
    return sorted((path for path in experiment.glob("recording*") if path.is_dir()), key=folder_number)


def sample_number_files(recordings: list[Path], stream: str) -> list[Path]:
    """Where Open Ephys (0.6 and later) writes the number of each sample, for each recording."""
    return [recording / "continuous" / stream / "sample_numbers.npy" for recording in recordings]


def settings_file(node: Path, experiment: Path) -> Path:
    """The settings that an experiment began with, whether or not the file exists."""
    number = folder_number(experiment)
    return node / ("settings.xml" if number == 1 else f"settings_{number}.xml")


def start_time(node: Path, experiment: Path) -> str | None:
    """When an experiment began, from its settings: ISO text without a zone; None where they have no valid date."""
    try:
        text = ElementTree.parse(settings_file(node, experiment)).findtext("INFO/DATE")
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


def _older_streams(folder: Path, dataset: str, data: Path, params: JobDispatchParams) -> Iterator[AnyStream]:
    for name in get_neo_streams("openephyslegacy", folder_path=str(folder))[0]:
        if reason := exclude_by_name(name):
            yield LeftOutStream(folder.name, name, reason)
            continue
        kwargs = {"folder_path": relative(folder, data), "stream_name": name}
        reader = Reader(name="openephyslegacy", kwargs=kwargs, path_arguments=["folder_path"])
        stream = open_stream(dataset, name, reader, data, params.channel_groups, files=[folder])
        if isinstance(stream, Stream) and (filled_s := _filled_s(stream.recording, folder)) > 0:
            stream.warnings.append(FILLED.format(seconds=filled_s))
        yield stream


def _filled_s(recording: BaseRecording, folder: Path) -> float:
    """How many seconds the reader filled with zeros: those of the recording that its files do not have."""
    name = str(recording.get_property("channel_name")[0])
    channel = re.compile(rf"_{re.escape(name)}(_\d+)?\.continuous")
    files = [file for file in folder.glob(OPENEPHYS_OLDER) if channel.search(file.name)]
    records = sum((file.stat().st_size - OLDER_HEADER_BYTES) // OLDER_RECORD_BYTES for file in files)
    saved = records * OLDER_RECORD_SAMPLES
    return (recording.get_total_samples() - saved) / float(recording.sampling_frequency) if files else 0.0


def folder_number(path: Path) -> int:
    """`experiment12` -> 12, so that 10 comes after 9."""
    digits = "".join(character for character in path.name if character.isdigit())
    return int(digits or 0)
