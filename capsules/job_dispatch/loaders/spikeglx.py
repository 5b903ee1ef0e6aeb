"""SpikeGLX: `.ap.bin` files with their `.meta`, at any depth.

Each folder is read separately, so that one broken probe does not fail the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from spikeinterface.extractors.neoextractors.neo_utils import get_neo_streams

from capsules.common.errors import SpikeRelayError
from capsules.common.patches.spikeglx_probes import read_all_gains
from capsules.common.recordings.job import Reader
from capsules.common.sync.lines import LineSource
from capsules.common.sync.spikeglx_meta import Header, read_header, read_meta, segment_name
from capsules.job_dispatch.formats import SPIKEGLX_FILES
from capsules.job_dispatch.loaders.catgt import read_catgt
from capsules.job_dispatch.loaders.line_sources import make_source
from capsules.job_dispatch.loaders.spikeglx_checks import (
    check_folder,
    dataset_name,
    find_gates_apart,
    find_lost_bins,
    find_repeated_probes,
    is_hidden,
    name_runs,
    stream_names,
)
from capsules.job_dispatch.loaders.streams import (
    AnyStream,
    BrokenStream,
    LeftOutStream,
    Stream,
    cause,
    companion,
    exclude_by_name,
    folders_with,
    open_stream,
    relative,
)
from capsules.job_dispatch.params import JobDispatchParams

LF_OF_AP = re.compile(r"\.ap$")
LOST_LF = ["the LF file has a .meta, but no .bin: copy it, or the NWB file has no LFP"]


def list_streams(data: Path, params: JobDispatchParams) -> Iterator[AnyStream]:
    folders = list(folders_with(data, SPIKEGLX_FILES))
    if not folders:
        raise SpikeRelayError(f"no SpikeGLX recording ({SPIKEGLX_FILES}) in {data}")
    repeated = find_repeated_probes(folders, data)
    names = name_runs(data)
    apart = {} if params.split_segments else find_gates_apart(folders)
    for meta, failure in find_lost_bins(data):
        yield BrokenStream(dataset_name(meta, names), stream_names(meta)[1], failure)
    for folder in folders:
        files = [file for file in sorted(folder.glob(SPIKEGLX_FILES)) if not is_hidden(file)]
        try:
            check_folder(folder)
            for stream in _folder_streams(folder, data, params, repeated, names):
                if isinstance(stream, Stream) and folder in apart:
                    stream.warnings.append(apart[folder])
                yield stream
        # neo raises any kind of error on a broken file; it becomes this probe's failure, with its cause.
        except Exception as error:  # noqa: BLE001
            for name in sorted({(dataset_name(file, names), stream_names(file)[1]) for file in files}):
                yield BrokenStream(*name, f"{relative(folder, data)} cannot be read: {cause(error)}")


def _folder_streams(
    folder: Path,
    data: Path,
    params: JobDispatchParams,
    repeated: dict[tuple[Path, str], str],
    names: dict[tuple[str, Path], str],
) -> Iterator[AnyStream]:
    read_all_gains()
    streams = get_neo_streams("spikeglx", folder_path=str(folder))[0]
    datasets = {stream_names(file)[1]: dataset_name(file, names) for file in sorted(folder.glob(SPIKEGLX_FILES))}
    for name in streams:
        if reason := exclude_by_name(name):
            yield LeftOutStream(folder.name, name, reason)
            continue
        if message := repeated.get((folder, name)):
            yield BrokenStream(datasets.get(name, folder.name), name, message)
            continue
        lf = companion(name, streams)
        files = sorted(file for band in (name, lf) if band for file in folder.glob(f"*.{band}.*"))
        meta_files = [file for file in files if file.name.endswith(f".{name}.meta")]
        metas = [read_meta(file) for file in meta_files]
        catgt = read_catgt(meta_files[0], metas[0])
        lost = LOST_LF if lf is None and list(folder.glob(f"*.{LF_OF_AP.sub('.lf', name)}.meta")) else []
        reader = _reader(folder, data, name)
        if catgt is not None and catgt.aligned is not False:
            reader.channels_aligned = True
        yield open_stream(
            datasets.get(name, folder.name),
            name,
            reader,
            data,
            params.channel_groups,
            lfp_reader=_reader(folder, data, lf) if lf else None,
            files=files,
            # In its own file, CatGT replaces the time of the recording by its own.
            start_time=metas[0].get("fileCreateTime_original", metas[0].get("fileCreateTime")),
            start_s=start_s(metas[0]),
            max_count=min((int(meta["imMaxInt"]) for meta in metas if "imMaxInt" in meta), default=None),
            warnings=lost if catgt is None else [*catgt.warnings, *lost],
            first_samples=[int(meta["firstSample"]) for meta in metas if "firstSample" in meta] or None,
        )


def start_s(meta: dict[str, str]) -> float | None:
    """When a file was created, by the instrument's clock, from its first sample; None where the header lacks it."""
    if "firstSample" not in meta or "imSampRate" not in meta or "fileCreateTime" not in meta:
        return None
    return int(meta["firstSample"]) / float(meta["imSampRate"])


def _reader(folder: Path, data: Path, stream: str) -> Reader:
    kwargs = {"folder_path": relative(folder, data), "stream_name": stream}
    return Reader(name="spikeglx", kwargs=kwargs, path_arguments=["folder_path"])


LF_BAND = re.compile(r"\.lf$")


def list_line_sources(session: Path, data: Path, params: JobDispatchParams) -> list[LineSource]:
    """The streams with digital lines: NIDQ, OneBox, and the probes, whose SYNC is in their AP and LF files."""
    files: dict[tuple[Path, str], dict[str, Path]] = {}
    datasets = name_runs(session)
    for file in (file for file in sorted(session.rglob("*.bin")) if not is_hidden(file)):
        _, stream = stream_names(file)
        files.setdefault((file.parent, stream), {})[segment_name(file)] = file
    sources = []
    for (folder, stream), by_segment in files.items():
        if LF_BAND.search(stream):
            continue
        lf = files.get((folder, LF_OF_AP.sub(".lf", stream)), {}) if LF_OF_AP.search(stream) else {}
        dataset = dataset_name(by_segment[max(by_segment, key=_segment_order)], datasets)
        if (source := _line_source(dataset, stream, by_segment, lf, data)) is not None:
            sources.append(source)
    return sources


def _line_source(
    dataset: str, stream: str, files: dict[str, Path], lf_files: dict[str, Path], data: Path
) -> LineSource | None:
    """The source of a stream's segments; None for a stream without digital lines and analog channels."""
    names = sorted(files, key=_segment_order)
    paths = [[files[name], *([lf_files[name]] if name in lf_files else [])] for name in names]
    stream = stream.removesuffix(".obx")
    try:
        headers = [read_header(files[name]) for name in names]
    except (SpikeRelayError, OSError, ValueError) as error:
        return make_source(dataset, stream, "spikeglx", names, paths, data, failure=f"cannot be read: {error}")
    header = headers[0]
    if not header.bits and not header.gains_v:
        return None
    return make_source(
        dataset,
        stream,
        "spikeglx",
        names,
        paths,
        data,
        failure=_differing(headers),
        clocks=[each.clock for each in headers],
        sampling_frequency_hz=header.rate_hz,
        sync_line=header.sync_line,
        sync_period_s=header.sync_period_s,
        sync_threshold_v=header.sync_threshold_v,
    )


def _differing(headers: list[Header]) -> str | None:
    """Why the segments of a stream are not one stream, or None."""
    for header in headers[1:]:
        if (header.columns, header.rate_hz) != (headers[0].columns, headers[0].rate_hz):
            return f"{header.file.name} has other channels, or another rate, than {headers[0].file.name}"
    return None


def _segment_order(name: str) -> tuple[int, int]:
    """As neo orders them: by gate, then by trigger; a trigger that is not a number comes first."""
    gate, trigger = name.removeprefix("g").split("_t")
    return int(gate), int(trigger) if trigger.isdigit() else -1
