"""Any format that SpikeInterface reads, with the parameter `spikeinterface_info`."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spikeinterface.extractors.neoextractors.neo_utils import get_neo_extractor, get_neo_streams

from capsules.common.errors import Rejected, SpikeRelayError, nearest
from capsules.common.recordings.job import Reader
from capsules.common.recordings.reading import EXTRACTORS
from capsules.common.untrusted.distrust import distrust_files
from capsules.job_dispatch.loaders.streams import (
    AnyStream,
    LeftOutStream,
    cause,
    exclude_by_name,
    open_stream,
    relative,
)
from capsules.job_dispatch.params import JobDispatchParams, SpikeInterfaceInfo
from capsules.parameters import strict_json
from capsules.parameters.problems import problems_of

GENERIC = "spikeinterface"
"""The `reader_type` of SpikeInterface's own folders, zarr stores and JSON files."""


def list_streams(data: Path, params: JobDispatchParams) -> Iterator[AnyStream]:
    info = read_spikeinterface_info(params.spikeinterface_info, data)
    kwargs, name = info.reader_kwargs, info.reader_type
    paths = [key for key, value in kwargs.items() if isinstance(value, str) and os.path.exists(data / value)]
    kwargs = {key: relative(value, data) if key in paths else value for key, value in kwargs.items()}
    opened = {key: str(data / kwargs[key]) if key in paths else kwargs[key] for key in kwargs}
    labels = {stream or name: stream for stream in _stream_names(name, opened)}
    reasons = {label: _exclude_stream(label, info) for label in labels}
    yield from (LeftOutStream(name, label, reason) for label, reason in reasons.items() if reason)
    chosen = [label for label, reason in reasons.items() if reason is None]
    _check_probe_paths(info, list(labels))
    for index, label in enumerate(chosen):
        reader = Reader(
            name=name,
            kwargs=kwargs | ({"stream_name": labels[label]} if labels[label] else {}),
            path_arguments=paths,
            probe_path=_probe_path(info.probe_paths, index, label, len(chosen)),
        )
        files = [data / kwargs[key] for key in paths] + ([data / reader.probe_path] if reader.probe_path else [])
        dataset = Path(kwargs[paths[0]]).stem if paths else name
        yield open_stream(dataset, label, reader, data, params.channel_groups, files=files)


def _check_probe_paths(info: SpikeInterfaceInfo, streams: list[str]) -> None:
    for name in info.probe_paths if isinstance(info.probe_paths, dict) else ():
        if name not in streams:
            raise SpikeRelayError(f"spikeinterface_info.probe_paths: no stream {name!r}{nearest(name, streams)}")


def _exclude_stream(stream: str, info: SpikeInterfaceInfo) -> str | None:
    """Why a stream is not sorted; the user's settings override the rules on names."""
    keep, skip = _as_list(info.keep_stream_substrings), _as_list(info.skip_stream_substrings)
    if keep:
        return None if any(text in stream for text in keep) else "not among keep_stream_substrings"
    if any(text in stream for text in skip):
        return "among skip_stream_substrings"
    return exclude_by_name(stream)


def _probe_path(paths: str | list[str] | dict[str, str] | None, index: int, stream: str, count: int) -> str | None:
    """The probe file of the `index`-th of `count` streams."""
    if isinstance(paths, dict):
        return paths.get(stream)
    if not isinstance(paths, list):
        return paths
    if len(paths) != count:
        raise SpikeRelayError(f"spikeinterface_info.probe_paths: {len(paths)} files for {count} streams")
    return paths[index]


def read_spikeinterface_info(info: str | SpikeInterfaceInfo | None, data: Path) -> SpikeInterfaceInfo:
    """`spikeinterface_info` as a section; the parameter is the section, its JSON text, or the path of a JSON file.

    Raises
    ------
    SpikeRelayError
        When the file is missing, the text is not JSON, has unknown keys or lacks `reader_type`.
    """
    if info is None:
        raise SpikeRelayError("--input spikeinterface needs --spikeinterface-info, at least with a reader_type")
    if isinstance(info, SpikeInterfaceInfo):
        return info
    try:
        document = (
            strict_json.read(info) if info.lstrip().startswith("{") else strict_json.read_file(data / info)
        ).value
    except OSError:
        raise SpikeRelayError(f"spikeinterface_info: no such file: {data / info}") from None
    except Rejected as refusal:
        raise SpikeRelayError(f"spikeinterface_info is not JSON: {refusal}") from None
    if problems := problems_of(SpikeInterfaceInfo, document):
        raise SpikeRelayError("\n".join(f"spikeinterface_info.{problem}" for problem in problems))
    return SpikeInterfaceInfo.model_validate(document)


def _stream_names(reader: str, kwargs: dict[str, Any]) -> list[str | None]:
    """The streams of a neo-based reader; [None] for a reader with a single stream.

    Raises
    ------
    SpikeRelayError
        When SpikeInterface has no such reader, or it cannot read the data.
    """
    distrust_files()
    known = [GENERIC, *EXTRACTORS]
    if reader not in known:
        raise SpikeRelayError(f"spikeinterface_info.reader_type: no reader {reader!r}{nearest(reader, known)}")
    extractor = EXTRACTORS.get(reader)
    has_streams = hasattr(extractor, "get_streams") or reader.startswith("openephys")
    # Axona's reader lists its only stream, and does not take its name.
    takes_name = extractor is not None and "stream_name" in inspect.signature(extractor).parameters
    if not (has_streams and takes_name) or "stream_name" in kwargs or "stream_id" in kwargs:
        return [None]
    accepted = inspect.signature(get_neo_extractor(reader).map_to_neo_kwargs).parameters
    try:
        return list(get_neo_streams(reader, **{key: value for key, value in kwargs.items() if key in accepted})[0])
    # neo raises any kind of error on broken data.
    except Exception as error:
        raise SpikeRelayError(f"the {reader} reader cannot read the data: {cause(error)}") from error


def _as_list(value: str | list[str] | None) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else value
