"""Sessions of the Allen Institute for Neural Dynamics: traces as zarr in `ecephys/ecephys_compressed/`, and the Open
Ephys folder with clipped traces in `ecephys/ecephys_clipped/`, which has the probes' settings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from capsules.common.errors import SpikeRelayError
from capsules.common.recordings.job import Reader
from capsules.job_dispatch.loaders.streams import (
    AnyStream,
    LeftOutStream,
    companion,
    not_sorted,
    open_stream,
    relative,
)

COMPRESSED = "ecephys_compressed"


def found(data: Path) -> bool:
    return bool(_compressed_folders(data))


def streams(data: Path, params: Any) -> Iterator[AnyStream]:
    folders = _compressed_folders(data)
    if not folders:
        raise SpikeRelayError(f"no {COMPRESSED} folder in {data}")
    for folder in folders:
        paths = {path.name.removesuffix(".zarr"): path for path in sorted(folder.glob("*.zarr"))}
        for full_name, path in paths.items():
            # <experiment>_<Open Ephys stream>.zarr
            dataset, _, name = full_name.partition("_")
            reason = not_sorted(name)
            if reason:
                yield LeftOutStream(dataset, name, reason)
                continue
            lf = companion(full_name, list(paths))
            yield open_stream(
                dataset,
                name,
                _reader(path, data),
                data,
                params.channel_groups,
                lfp_reader=_reader(paths[lf], data) if lf else None,
                files=[path, *([paths[lf]] if lf else [])],
            )


def _compressed_folders(data: Path) -> list[Path]:
    """In the session itself, in its `ecephys`, or in the one session that the data folder holds."""
    return sorted({*data.glob(COMPRESSED), *data.glob(f"ecephys/{COMPRESSED}"), *data.glob(f"*/ecephys/{COMPRESSED}")})


def _reader(path: Path, data: Path) -> Reader:
    kwargs = {"file_or_folder_path": relative(path, data)}
    return Reader(name="spikeinterface", kwargs=kwargs, path_arguments=list(kwargs))
