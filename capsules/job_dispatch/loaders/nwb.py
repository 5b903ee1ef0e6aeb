"""NWB files, hdf5 or zarr: every ElectricalSeries in acquisition."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from spikeinterface.extractors.nwbextractors import NwbRecordingExtractor

from capsules.common.errors import SpikeRelayError
from capsules.common.recordings.job import Reader
from capsules.common.sync.lines import LineSource
from capsules.common.untrusted.distrust import distrust_files
from capsules.common.untrusted.outer_files import check_outer_files
from capsules.job_dispatch.formats import nwb_files
from capsules.job_dispatch.loaders.line_sources import make_source
from capsules.job_dispatch.loaders.streams import (
    AnyStream,
    BrokenStream,
    LeftOutStream,
    cause,
    companion,
    exclude_by_name,
    open_stream,
    relative,
)
from capsules.job_dispatch.params import JobDispatchParams


def list_streams(data: Path, params: JobDispatchParams) -> Iterator[AnyStream]:
    for file in chosen_files(data, params):
        dataset = file.name.split(".nwb")[0]
        try:
            paths = _electrical_series(file, data)
        # h5py and zarr raise any kind of error on a broken file; it becomes this file's failure, with its cause.
        except Exception as error:  # noqa: BLE001
            yield BrokenStream(dataset, file.name, f"cannot be read: {cause(error)}")
            continue
        read_timestamps = not params.skip_timestamps_check
        reader_of = {path.removeprefix("acquisition/"): _reader(file, path, data, read_timestamps) for path in paths}
        for path in paths:
            name = path.removeprefix("acquisition/")
            in_acquisition = path.startswith("acquisition/")
            if reason := exclude_by_name(name) if in_acquisition else "not in acquisition":
                yield LeftOutStream(dataset, name, reason)
                continue
            lf = companion(name, list(reader_of))
            lfp_reader = reader_of[lf] if lf else None
            yield open_stream(
                dataset, name, reader_of[name], data, params.channel_groups, lfp_reader=lfp_reader, files=[file]
            )


def _reader(file: Path, series: str, data: Path, read_timestamps: bool) -> Reader:
    kwargs = {"file_path": relative(file, data), "electrical_series_path": series, "load_time_vector": read_timestamps}
    return Reader(name="nwb", kwargs=kwargs, path_arguments=["file_path"])


def chosen_files(data: Path, params: JobDispatchParams) -> list[Path]:
    """The files that the parameter `nwb_files` names, or the only file in the folder.

    Raises
    ------
    SpikeRelayError
        When the folder has none, a named file is missing, or there are several files and none is named.
    """
    if params.nwb_files is not None:
        files = [data / name for name in params.nwb_files]
        if missing := [str(file) for file in files if not os.path.exists(file)]:
            raise SpikeRelayError(f"nwb_files: no such file: {', '.join(missing)}")
        return files
    files = nwb_files(data)
    if not files:
        raise SpikeRelayError(f"no NWB file (*.nwb) in {data}")
    if len(files) > 1:
        names = ",".join(file.name for file in files)
        raise SpikeRelayError(f"{len(files)} NWB files in {data}: name those to sort, e.g. --nwb-files {names}")
    return files


def _electrical_series(file: Path, data: Path) -> list[str]:
    distrust_files()
    check_outer_files(file, data)
    paths: list[str] = NwbRecordingExtractor.fetch_available_electrical_series_paths(str(file))
    return paths


def list_line_sources(session: Path, data: Path, params: JobDispatchParams) -> list[LineSource]:
    """The tables of events; their times are on the file's one clock."""
    # pynwb takes a second to import.
    from capsules.common.sync.nwb import find_tables

    sources = []
    for file in chosen_files(session, params):
        dataset = file.name.split(".nwb")[0]
        try:
            tables = find_tables(file, data)
        # As for its traces: h5py and zarr raise any kind of error on a broken file.
        except Exception as error:  # noqa: BLE001
            failure = f"cannot be read: {cause(error)}"
            sources.append(make_source(dataset, file.name, "nwb", ["file"], [[file]], data, failure=failure))
            continue
        for place, name in tables.items():
            source = make_source(dataset, name, "nwb", ["file"], [[file]], data)
            source.paths[0].append(place)
            sources.append(source)
    return sources
