"""NWB files, hdf5 or zarr: every ElectricalSeries in acquisition."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from capsules.common.errors import SpikeRelayError
from capsules.common.recordings.job import Reader
from capsules.common.untrusted.distrust import distrust_files
from capsules.common.untrusted.outer_files import check_outer_files
from capsules.job_dispatch.loaders.streams import (
    AnyStream,
    BrokenStream,
    LeftOutStream,
    cause,
    companion,
    not_sorted,
    open_stream,
    relative,
)

SUFFIXES = (".nwb", ".nwb.zarr")


def found(data: Path) -> bool:
    return bool(files_in(data))


def files_in(data: Path) -> list[Path]:
    return sorted(path for path in data.iterdir() if path.name.endswith(SUFFIXES))


def streams(data: Path, params: Any) -> Iterator[AnyStream]:
    for file in chosen_files(data, params):
        dataset = file.name.split(".nwb")[0]
        try:
            paths = _series(file, data)
        # h5py and zarr raise whatever a broken file makes them; it is this file's failure, with its cause.
        except Exception as error:  # noqa: BLE001
            yield BrokenStream(dataset, file.name, f"cannot be read: {cause(error)}")
            continue
        read_timestamps = not params.skip_timestamps_check
        reader_of = {path.removeprefix("acquisition/"): _reader(file, path, data, read_timestamps) for path in paths}
        for path in paths:
            name = path.removeprefix("acquisition/")
            reason = not_sorted(name)
            if not path.startswith("acquisition/"):
                reason = "not in acquisition"
            if reason:
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


def chosen_files(data: Path, params: Any) -> list[Path]:
    """The files that `nwb_files` names, or the one that there is.

    Raises
    ------
    SpikeRelayError
        When there is none, one that is named is missing, or there are several and none is named.
    """
    if params.nwb_files is not None:
        files = [data / name for name in params.nwb_files]
        if missing := [str(file) for file in files if not os.path.exists(file)]:
            raise SpikeRelayError(f"nwb_files: no such file: {', '.join(missing)}")
        return files
    files = files_in(data)
    if not files:
        raise SpikeRelayError(f"no NWB file (*.nwb) in {data}")
    if len(files) > 1:
        names = ",".join(file.name for file in files)
        raise SpikeRelayError(f"{len(files)} NWB files in {data}: say which to sort, e.g. --nwb-files {names}")
    return files


def _series(file: Path, data: Path) -> list[str]:
    from spikeinterface.extractors.nwbextractors import NwbRecordingExtractor

    distrust_files()
    check_outer_files(file, data)
    return NwbRecordingExtractor.fetch_available_electrical_series_paths(str(file))
