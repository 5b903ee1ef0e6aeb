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
from capsules.common.sync.spikeglx_meta import (
    Header,
    creation_time,
    first_sample_s,
    read_header,
    read_meta,
    segment_name,
)
from capsules.job_dispatch.formats import SPIKEGLX_FILES
from capsules.job_dispatch.loaders.catgt import read_catgt
from capsules.job_dispatch.loaders.line_sources import make_source
from capsules.job_dispatch.loaders.spikeglx_checks import (
    check_folder,
    find_lost_bins,
    find_repeated_probes,
    find_restart,
    serial_number,
)
from capsules.job_dispatch.loaders.spikeglx_gates import APART, GateFolders, find_gate_folders
from capsules.job_dispatch.loaders.spikeglx_names import CATGT_TRIGGER, Runs, is_hidden, name_runs, stream_names
from capsules.job_dispatch.loaders.streams import (
    UNKNOWN_SERIALS,
    AnyStream,
    BrokenStream,
    LeftOutStream,
    cause,
    companion,
    exclude_by_name,
    folders_with,
    open_stream,
    relative,
)
from capsules.job_dispatch.params import JobDispatchParams

LF_OF_AP = re.compile(r"\.ap$")
LOST_LF = ["the LF band lacks a .bin file: copy it, or the NWB file has no LFP"]


def list_streams(data: Path, params: JobDispatchParams) -> Iterator[AnyStream]:
    folders = list(folders_with(data, SPIKEGLX_FILES))
    if not folders:
        raise SpikeRelayError(f"no SpikeGLX recording ({SPIKEGLX_FILES}) in {data}")
    repeated = find_repeated_probes(folders, data)
    runs = name_runs(data, join_gates=not params.split_segments)
    lost = dict(find_lost_bins(data))
    gates = find_gate_folders(folders, runs, repeated, lost)
    for meta, failure in lost.items():
        yield BrokenStream(runs.dataset(meta), stream_names(meta)[1], failure)
    for folder in folders:
        files = [file for file in sorted(folder.glob(SPIKEGLX_FILES)) if not is_hidden(file)]
        try:
            check_folder(folder)
            yield from _folder_streams(folder, data, params, repeated, runs, gates)
        # neo raises any kind of error on a broken file; it becomes this probe's failure, with its cause.
        except Exception as error:  # noqa: BLE001
            for dataset, stream in sorted({(runs.dataset(file), stream_names(file)[1]) for file in files}):
                if gates.get((folder, stream), GateFolders([folder])).begin_in(folder):
                    yield BrokenStream(dataset, stream, f"{relative(folder, data)} cannot be read: {cause(error)}")


def _folder_streams(
    folder: Path,
    data: Path,
    params: JobDispatchParams,
    repeated: dict[tuple[Path, str], str],
    runs: Runs,
    gates: dict[tuple[Path, str], GateFolders],
) -> Iterator[AnyStream]:
    """The streams of a folder; one whose gates are in several folders is of the first gate's."""
    read_all_gains()
    streams = get_neo_streams("spikeglx", folder_path=str(folder))[0]
    datasets = {stream_names(file)[1]: runs.dataset(file) for file in sorted(folder.glob(SPIKEGLX_FILES))}
    for name in streams:
        dataset = datasets.get(name, folder.name)
        own = gates.get((folder, name), GateFolders([folder], repeated.get((folder, name))))
        if reason := exclude_by_name(name):
            yield LeftOutStream(folder.name, name, reason)
        elif not own.begin_in(folder):
            continue
        elif own.failure is not None:
            yield BrokenStream(dataset, name, own.failure)
        else:
            yield _stream(dataset, name, own, data, params, companion(name, streams))


def _stream(
    dataset: str, name: str, gates: GateFolders, data: Path, params: JobDispatchParams, lf: str | None
) -> AnyStream:
    """A stream whose gates are in these folders."""
    folders = gates.folders
    for folder in folders[1:]:
        try:
            check_folder(folder)
        # A broken header raises any kind of error.
        except Exception as error:  # noqa: BLE001
            return BrokenStream(dataset, name, f"{relative(folder, data)} cannot be read: {cause(error)}")
    meta_files = _segment_files(folders, name, "meta")
    metas = [read_meta(file) for file in meta_files]
    serials = {serial_number(meta) for meta in metas}.difference(UNKNOWN_SERIALS)
    if len(serials) > 1:
        return BrokenStream(dataset, name, f"its files are of different probes ({', '.join(sorted(serials))}): {APART}")
    restart = None if params.split_segments else find_restart(metas, [segment_name(file) for file in meta_files])
    lf_name = lf or LF_OF_AP.sub(".lf", name)
    has_lf = [bool(_segment_files([folder], lf_name, "bin")) for folder in folders]
    lf = lf if all(has_lf) else None
    warnings = LOST_LF if lf is None and _segment_files(folders, lf_name, "meta") else []
    reader = _reader(folders, data, name)
    for part, folder in zip([reader, *reader.appended], folders, strict=True):
        file, meta = next((file, meta) for file, meta in zip(meta_files, metas, strict=True) if file.parent == folder)
        if (catgt := read_catgt(file, meta)) is not None:
            part.channels_aligned = catgt.aligned is not False
            warnings = [*catgt.warnings, *warnings]
    return open_stream(
        dataset,
        name,
        reader,
        data,
        params.channel_groups,
        lfp_reader=_reader(folders, data, lf) if lf else None,
        files=sorted(file for band in (name, lf) if band for folder in folders for file in folder.glob(f"*.{band}.*")),
        start_time=creation_time(metas[0]),
        start_s=start_s(metas[0]),
        max_count=min((int(meta["imMaxInt"]) for meta in metas if "imMaxInt" in meta), default=None),
        warnings=list(dict.fromkeys([*gates.warnings, *([restart] if restart else []), *warnings])),
        first_samples=[int(meta["firstSample"]) for meta in metas] if all("firstSample" in m for m in metas) else None,
    )


def _segment_files(folders: list[Path], stream: str, suffix: str) -> list[Path]:
    """A stream's files with this suffix, in the order of the segments."""
    files = [file for folder in folders for file in folder.glob(f"*.{stream}.{suffix}") if not is_hidden(file)]
    return sorted(files, key=lambda file: _segment_order(segment_name(file)))


def start_s(meta: dict[str, str]) -> float | None:
    """When a file was created, by the instrument's clock, from its first sample; None where the header lacks it."""
    if "firstSample" not in meta or "imSampRate" not in meta or "fileCreateTime" not in meta:
        return None
    return first_sample_s(meta)


def _reader(folders: list[Path], data: Path, stream: str) -> Reader:
    first, *others = (
        Reader(
            name="spikeglx",
            kwargs={"folder_path": relative(folder, data), "stream_name": stream},
            path_arguments=["folder_path"],
        )
        for folder in folders
    )
    return first.model_copy(update={"appended": others})


LF_BAND = re.compile(r"\.lf$")


def list_line_sources(session: Path, data: Path, params: JobDispatchParams) -> list[LineSource]:
    """The streams with digital lines: NIDQ, OneBox, and the probes, whose SYNC is in their AP and LF files."""
    files: dict[tuple[str, bool, str], dict[str, Path]] = {}
    runs = name_runs(session, join_gates=not params.split_segments)
    for file in (file for file in sorted(session.rglob("*.bin")) if not is_hidden(file)):
        _, stream = stream_names(file)
        whole, segment = runs.dataset(file) if runs.join_gates else str(file.parent), segment_name(file)
        files.setdefault((whole, segment.endswith(CATGT_TRIGGER), stream), {})[segment] = file
    sources = []
    for (whole, is_catgt, stream), by_segment in files.items():
        if LF_BAND.search(stream):
            continue
        lf = files.get((whole, is_catgt, LF_OF_AP.sub(".lf", stream)), {}) if LF_OF_AP.search(stream) else {}
        dataset = runs.dataset(by_segment[max(by_segment, key=_segment_order)])
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
