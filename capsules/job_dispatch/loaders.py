"""One loader per input format: each lists the streams of a data folder as SpikeInterface can open them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from capsules.common import strict_json
from capsules.common.errors import Refused, SpikeRelayError
from capsules.common.job import Reader, open_reader
from capsules.common.problems import problems_of
from capsules.job_dispatch.params import JobDispatchParams, SpikeInterfaceInfo

NOT_NEURAL = re.compile(r"nidq|ni-?daq|sync|adc|obx|events", re.IGNORECASE)
LFP = re.compile(r"(?<![a-z])lfp?$", re.IGNORECASE)


@dataclass
class Stream:
    """One stream to be sorted: its data set, its name, how it and its LF companion are read, its raw files."""

    dataset: str
    name: str
    reader: Reader
    recording: Any
    lfp_reader: Reader | None = None
    files: list[Path] = field(default_factory=list)
    start_time: str | None = None


@dataclass
class BrokenStream:
    """A stream that is there but cannot be read, and why."""

    dataset: str
    name: str
    failure: str


def spikeglx(data: Path, params: JobDispatchParams) -> Iterator[Stream | BrokenStream]:
    """SpikeGLX: `.ap.bin` with `.meta` files, at any depth; each folder is read alone, so that one broken probe does
    not take the others with it."""
    folders = sorted({file.parent for file in data.rglob("*.ap.bin")})
    if not folders:
        raise SpikeRelayError(f"no SpikeGLX recording (*.ap.bin) in {data}")
    for folder in folders:
        try:
            _check_spikeglx_sizes(folder)
            yield from _neo_streams("spikeglx", folder, data, _spikeglx_details)
        # neo raises whatever its parsing runs into; each is this probe's failure, with its cause.
        except Exception as error:  # noqa: BLE001
            for name in sorted({spikeglx_names(file) for file in folder.glob("*.ap.bin")}):
                reason = str(error) if isinstance(error, SpikeRelayError) else f"{type(error).__name__}: {error}"
                yield BrokenStream(*name, f"{_relative(folder, data)} cannot be read: {reason}")


def spikeglx_names(file: Path) -> tuple[str, str]:
    """Data set and stream of a SpikeGLX file: `run_g0_t0.imec0.ap.bin` is (`run_g0`, `imec0.ap`)."""
    dataset, _, stream = re.sub(r"_t\w+\.", "_t.", file.name, count=1).partition("_t.")
    return dataset, stream.removesuffix(".bin").removesuffix(".meta")


def _check_spikeglx_sizes(folder: Path) -> None:
    """Hold every `.bin` against what its `.meta` says, which neo does not.

    Raises
    ------
    SpikeRelayError
        Naming the first file that has no `.meta` or another size.
    """
    for file in sorted(folder.glob("*.bin")):
        meta = file.with_suffix(".meta")
        if not meta.exists():
            raise SpikeRelayError(f"{file.name} has no .meta file beside it")
        said = re.search(r"^fileSizeBytes=(\d+)$", meta.read_text(errors="replace"), re.MULTILINE)
        size = file.stat().st_size
        if said and int(said[1]) != size:
            raise SpikeRelayError(f"{file.name} has {size} bytes, its .meta says {said[1]}: copied or closed in part")


def openephys(data: Path, params: JobDispatchParams) -> Iterator[Stream]:
    """Open Ephys in its binary format: folders with a `structure.oebin`."""
    if not any(data.rglob("structure.oebin")):
        raise SpikeRelayError(f"no Open Ephys binary recording (structure.oebin) in {data}")
    yield from _neo_streams("openephysbinary", data, data, _whole_folder_details)


def nwb(data: Path, params: JobDispatchParams) -> Iterator[Stream]:
    """NWB files, hdf5 or zarr: every ElectricalSeries in acquisition."""
    from spikeinterface.extractors.nwbextractors import NwbRecordingExtractor

    if params.nwb_files is None:
        files = sorted(path for path in data.iterdir() if path.name.endswith((".nwb", ".nwb.zarr")))
    else:
        files = [data / name for name in params.nwb_files]
    if not files:
        raise SpikeRelayError(f"no NWB file (*.nwb) in {data}")
    if missing := [str(file) for file in files if not file.exists()]:
        raise SpikeRelayError(f"nwb_files: no such file: {', '.join(missing)}")
    for file in files:
        paths = NwbRecordingExtractor.fetch_available_electrical_series_paths(str(file))
        for path in (path for path in paths if path.startswith("acquisition/")):
            name = path.removeprefix("acquisition/")
            if LFP.search(name):
                continue
            reader = Reader(
                name="nwb",
                kwargs={"file_path": str(file.relative_to(data)), "electrical_series_path": path},
                path_arguments=["file_path"],
            )
            yield Stream(file.name.split(".nwb")[0], name, reader, open_reader(reader, data), files=[file])


def spikeinterface(data: Path, params: JobDispatchParams) -> Iterator[Stream]:
    """Any format that SpikeInterface reads, as `spikeinterface_info` says."""
    info = read_spikeinterface_info(params.spikeinterface_info, data)
    kwargs, name = info.reader_kwargs, info.reader_type
    paths = [key for key, value in kwargs.items() if isinstance(value, str) and (data / value).exists()]
    kwargs = {key: _relative(value, data) if key in paths else value for key, value in kwargs.items()}
    opened = {key: str(data / kwargs[key]) if key in paths else kwargs[key] for key in kwargs}
    labels = {stream or name: stream for stream in _stream_names(name, opened)}
    chosen = [label for label in labels if _is_kept(label, info)]
    for index, label in enumerate(chosen):
        reader = Reader(
            name=name,
            kwargs=kwargs | ({"stream_name": labels[label]} if labels[label] else {}),
            path_arguments=paths,
            probe_path=_probe_path(info.probe_paths, index, label, len(chosen)),
        )
        files = [data / kwargs[key] for key in paths] + ([data / reader.probe_path] if reader.probe_path else [])
        dataset = Path(kwargs[paths[0]]).stem if paths else name
        yield Stream(dataset, label, reader, open_reader(reader, data), files=files)


def _is_kept(stream: str, info: SpikeInterfaceInfo) -> bool:
    keep, skip = _as_list(info.keep_stream_substrings), _as_list(info.skip_stream_substrings)
    return not (keep and not any(text in stream for text in keep)) and not any(text in stream for text in skip)


def _probe_path(paths: str | list[str] | dict[str, str] | None, index: int, stream: str, count: int) -> str | None:
    """The probe file of the `index`-th of `count` streams."""
    if isinstance(paths, dict):
        return paths.get(stream)
    if not isinstance(paths, list):
        return paths
    if len(paths) != count:
        raise SpikeRelayError(f"spikeinterface_info.probe_paths: {len(paths)} files for {count} streams")
    return paths[index]


def aind(data: Path, params: JobDispatchParams) -> Iterator[Stream]:
    raise SpikeRelayError(
        "--input aind is not read by this version yet; its Open Ephys part is, with --input openephys"
    )


LOADERS: dict[str, Callable[[Path, JobDispatchParams], Iterator[Stream | BrokenStream]]] = {
    loader.__name__: loader for loader in (aind, spikeglx, openephys, nwb, spikeinterface)
}


def read_spikeinterface_info(info: str | SpikeInterfaceInfo | None, data: Path) -> SpikeInterfaceInfo:
    """`spikeinterface_info` as a section: it may be one, its JSON text, or the path of a file with that text.

    Raises
    ------
    SpikeRelayError
        When the file is missing, the text is not JSON, has unknown keys or lacks `reader_type`.
    """
    if info is None:
        raise SpikeRelayError("--input spikeinterface needs --spikeinterface-info, at least with a reader_type")
    if isinstance(info, SpikeInterfaceInfo):
        return info
    file = None if info.lstrip().startswith("{") else data / info
    try:
        document = strict_json.read(file.read_text() if file else info).value
    except OSError:
        raise SpikeRelayError(f"spikeinterface_info: no such file: {file}") from None
    except Refused as refusal:
        raise SpikeRelayError(f"spikeinterface_info is not JSON: {refusal}") from None
    if problems := problems_of(SpikeInterfaceInfo, document):
        raise SpikeRelayError("\n".join(f"spikeinterface_info.{problem}" for problem in problems))
    return SpikeInterfaceInfo.model_validate(document)


def _stream_names(reader: str, kwargs: dict[str, Any]) -> list[str | None]:
    """The streams that a neo-based reader finds; [None] for readers that have only one."""
    from spikeinterface.extractors.extractor_classes import recording_extractor_full_dict

    extractor = recording_extractor_full_dict.get(reader)
    if extractor is None or not hasattr(extractor, "get_streams") or "stream_name" in kwargs:
        return [None]
    return list(extractor.get_streams(**kwargs)[0])


def _neo_streams(
    reader: str, folder: Path, data: Path, details: Callable[[Any, Path, Path], dict[str, Any]]
) -> Iterator[Stream]:
    """The neural wide-band streams that neo finds in a folder, with their LF companions."""
    from spikeinterface.extractors.extractor_classes import recording_extractor_full_dict

    extractor = recording_extractor_full_dict[reader]
    names = extractor.get_streams(folder_path=str(folder))[0]

    def reader_of(name: str) -> Reader:
        kwargs = {"folder_path": _relative(folder, data), "stream_name": name}
        return Reader(name=reader, kwargs=kwargs, path_arguments=["folder_path"])

    for name in (name for name in names if not NOT_NEURAL.search(name) and not LFP.search(name)):
        companions = [other for other in names if LFP.search(other) and _stem(other) == _stem(name)]
        recording = open_reader(reader_of(name), data)
        lfp_reader = reader_of(companions[0]) if companions else None
        found = details(recording, folder, data)
        yield Stream(name=name, reader=reader_of(name), recording=recording, lfp_reader=lfp_reader, **found)


def _spikeglx_details(recording: Any, folder: Path, data: Path) -> dict[str, Any]:
    stream = recording.stream_name
    infos = [info for (_, name), info in recording.neo_reader.signals_info_dict.items() if name == stream]
    companion = [
        info
        for (_, name), info in recording.neo_reader.signals_info_dict.items()
        if LFP.search(name) and _stem(name) == _stem(stream)
    ]
    files = [Path(info[key]) for info in infos + companion for key in ("bin_file", "meta_file")]
    return {
        "dataset": spikeglx_names(Path(infos[0]["bin_file"]))[0],
        "files": sorted(set(files)),
        "start_time": infos[0]["meta"].get("fileCreateTime"),
    }


def _whole_folder_details(recording: Any, folder: Path, data: Path) -> dict[str, Any]:
    return {"dataset": folder.name, "files": [folder]}


def _stem(stream: str) -> str:
    return re.sub(r"[.-]?(ap|lfp?)$", "", stream, flags=re.IGNORECASE)


def _relative(path: str | Path, data: Path) -> str:
    """A path below the data folder relative to it; any other one stays absolute."""
    path = (data / path).resolve()
    return str(path.relative_to(data.resolve())) if path.is_relative_to(data.resolve()) else str(path)


def _as_list(value: str | list[str] | None) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else value
