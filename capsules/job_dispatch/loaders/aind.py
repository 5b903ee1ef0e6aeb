"""Sessions of the Allen Institute for Neural Dynamics: traces as zarr in `ecephys/ecephys_compressed/`, and the Open
Ephys folder with clipped traces in `ecephys/ecephys_clipped/`, with the probes' settings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from capsules.common.errors import SpikeRelayError
from capsules.common.recordings.job import Reader
from capsules.common.sync.lines import LineSource
from capsules.job_dispatch.formats import AIND_CLIPPED, AIND_COMPRESSED, aind_folders
from capsules.job_dispatch.loaders import openephys, openephys_lines
from capsules.job_dispatch.loaders.sessions import name_datasets
from capsules.job_dispatch.loaders.streams import (
    AnyStream,
    LeftOutStream,
    companion,
    exclude_by_name,
    open_stream,
    relative,
)
from capsules.job_dispatch.params import JobDispatchParams


def list_streams(data: Path, params: JobDispatchParams) -> Iterator[AnyStream]:
    folders = aind_folders(data)
    if not folders:
        raise SpikeRelayError(f"no {AIND_COMPRESSED} folder in {data}")
    names = _name_experiments(folders, data)
    for folder in folders:
        paths = {path.name.removesuffix(".zarr"): path for path in sorted(folder.glob("*.zarr"))}
        for full_name, path in paths.items():
            # <experiment>_<Open Ephys stream>.zarr
            experiment, _, name = full_name.partition("_")
            dataset = names[experiment, _session_folder(folder)]
            if reason := exclude_by_name(name):
                yield LeftOutStream(dataset, name, reason)
                continue
            lf = companion(full_name, list(paths))
            clipped = _read_clipped(folder.parent / AIND_CLIPPED, experiment, name, lf, data)
            files = [path, *([paths[lf]] if lf else []), *clipped.pop("files")]
            yield open_stream(
                dataset,
                name,
                _reader(path, data),
                data,
                params.channel_groups,
                lfp_reader=_reader(paths[lf], data) if lf else None,
                files=files,
                **clipped,
            )


NO_EXPERIMENT = (
    "{folder} has no {experiment}: times are counted from 0, and TTL events are missing; copy the session's "
    "ecephys_clipped folder as well"
)


def _read_clipped(folder: Path, dataset: str, name: str, lf: str | None, data: Path) -> dict[str, Any]:
    """What the Open Ephys folder, whose traces alone are clipped, adds to a stream: start time and sample numbers."""
    # <record node>#<processor and stream>, in the folder of that node.
    node_name, _, stream = name.rpartition("#")
    node = folder / node_name
    recordings = openephys.list_recordings(node / dataset)
    numbers = openephys.sample_number_files(recordings, stream)
    lf_numbers = openephys.sample_number_files(recordings, lf.rpartition("#")[2]) if lf else []
    experiment = (node / dataset).relative_to(folder)
    lacking = NO_EXPERIMENT.format(folder=relative(folder, data), experiment=experiment)
    return {
        "warnings": [] if recordings else [lacking],
        "start_time": openephys.start_time(node, node / dataset),
        "sample_numbers": numbers,
        "lfp_sample_numbers": lf_numbers,
        "files": [*(file for file in numbers + lf_numbers if file.exists()), *sorted(node.glob("settings*.xml"))],
    }


def _reader(path: Path, data: Path) -> Reader:
    kwargs = {"file_or_folder_path": relative(path, data)}
    return Reader(name="spikeinterface", kwargs=kwargs, path_arguments=list(kwargs))


def _name_experiments(folders: list[Path], data: Path) -> dict[tuple[str, Path], str]:
    """Experiment and folder of its session -> name of the data set."""
    experiments = {
        (path.name.partition("_")[0], _session_folder(folder)) for folder in folders for path in folder.glob("*.zarr")
    }
    return name_datasets(((experiment, session, None) for experiment, session in sorted(experiments)), data)


def _session_folder(compressed: Path) -> Path:
    return compressed.parents[1] if compressed.parent.name == "ecephys" else compressed.parent


def list_line_sources(session: Path, data: Path, params: JobDispatchParams) -> list[LineSource]:
    """The TTL events of the Open Ephys folder next to the compressed traces."""
    folders = aind_folders(session)
    names = _name_experiments(folders, session)
    return [
        source.model_copy(update={"dataset": names.get((source.dataset, _session_folder(folder)), source.dataset)})
        for folder in folders
        for source in openephys_lines.list_line_sources(folder.parent / AIND_CLIPPED, data, params)
    ]
