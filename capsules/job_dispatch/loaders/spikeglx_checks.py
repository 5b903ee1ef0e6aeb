"""SpikeGLX folders that neo would misread, or reject without advice: each problem with what mends it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from capsules.common.errors import SpikeRelayError
from capsules.common.sync.spikeglx_meta import creation_time, first_sample_s, read_meta, segment_name
from capsules.job_dispatch.formats import SPIKEGLX_FILES
from capsules.job_dispatch.loaders.sessions import SAME_SESSION_S
from capsules.job_dispatch.loaders.spikeglx_names import CATGT_TRIGGER, NAMED, is_hidden, stream_names
from capsules.job_dispatch.loaders.streams import UNKNOWN_SERIALS

BINARY = (".bin", ".cbin")
BOTH = "the same data twice: move the files of one of the two to another folder"
ONE_FOLDER = "move a copy out of the data folder; if they are two recordings, put each into a separate folder"


def find_lost_bins(data: Path) -> Iterator[tuple[Path, str]]:
    """Each `.ap.meta` of a stream that has no `.bin` at all, which neo ignores, and what mends it.

    Where CatGT's file replaces the raw one, the raw `.meta` may be there still.
    """
    binary = {stream_names(file) for end in BINARY for file in data.rglob(f"*.ap{end}")}
    for meta in sorted(data.rglob("*.ap.meta")):
        has_binary = any(meta.with_suffix(end).exists() or meta.with_suffix(end).is_symlink() for end in BINARY)
        if not has_binary and not is_hidden(meta) and stream_names(meta) not in binary:
            yield meta, f"{meta.name} has no .bin file in the same folder: copy it, or move the .meta elsewhere"


def check_folder(folder: Path) -> None:
    """Check the files of a folder, which neo reads together.

    Raises
    ------
    SpikeRelayError
        With the first problem, and what mends it.
    """
    files = sorted(folder.glob("*.bin"))
    if hidden := [file.name for file in files if is_hidden(file)]:
        raise SpikeRelayError(
            f"{hidden[0]} is not a recording: macOS writes such files on disks of other systems. Delete them: "
            "`find . -name '._*' -delete` in that folder"
        )
    for file in files:
        check_size(file)
        check_name(file)
    check_segments(files)


def check_size(file: Path) -> None:
    """Compare a `.bin` with its `.meta`, which neo does not do.

    Raises
    ------
    SpikeRelayError
        When the `.meta` is missing, the size differs, or is not a multiple of the size of a sample.
    """
    meta_file = file.with_suffix(".meta")
    if not file.exists():
        raise SpikeRelayError(f"{file.name} is a link to {file.readlink()}, which does not exist")
    if not meta_file.exists():
        raise SpikeRelayError(
            f"{file.name} has no .meta file in the same folder: copy it from the acquisition computer; without it, "
            'describe the file with --input spikeinterface and the reader "binary" (docs/rigs.md)'
        )
    meta, size = read_meta(meta_file), file.stat().st_size
    if "nSavedChans" not in meta:
        raise SpikeRelayError(f"{meta_file.name} lacks nSavedChans: it is empty or damaged; copy it again")
    frame = 2 * int(meta.get("nSavedChans", 1))
    if size == 0:
        raise SpikeRelayError(f"{file.name} is empty: copy it again, or remove it and its .meta")
    if "fileSizeBytes" in meta and int(meta["fileSizeBytes"]) != size:
        raise SpikeRelayError(
            f"{file.name} has {size} bytes, its .meta lists {meta['fileSizeBytes']}: the copy or the recording is "
            f"incomplete. Copy it again; if the recording was cut, keep its complete samples: {_cut(file, size, frame)}"
        )
    saved = meta.get("nSavedChans")
    listed = sum(channel_counts(meta.get("snsSaveChanSubset", "all")))
    if saved is not None and listed and listed != int(saved):
        raise SpikeRelayError(f"{meta_file.name} lists {listed} channels in snsSaveChanSubset, but nSavedChans={saved}")
    if size % frame:
        raise SpikeRelayError(
            f"{file.name} has {size} bytes, which is not a multiple of the {frame} bytes of a sample: copy it again; "
            f"if the recording was cut, keep its complete samples: {_cut(file, size, frame)}"
        )


def _cut(file: Path, size: int, frame: int) -> str:
    """The commands that cut a copy of a file to complete samples, and correct its header."""
    kept = size // frame * frame
    name, meta = shlex.quote(file.name), shlex.quote(file.with_suffix(".meta").name)
    return f"`truncate -s {kept} {name}` and `sed -i s/^fileSizeBytes=.*/fileSizeBytes={kept}/ {meta}`"


def channel_counts(subset: str) -> list[int]:
    """How many channels each part of a `snsSaveChanSubset` has, such as `0:383,768`; none for `all`.

    They are counted before neo makes a list of them: a broken header could list too many for the memory.
    """
    ends = [] if subset in ("", "all") else [part.split(":") for part in subset.split(",")]
    return [int(part[-1]) - int(part[0]) + 1 for part in ends]


def check_name(file: Path) -> None:
    """Check that the header is of this file's stream: neo reads the stream's name from `fileName`, not from the disk.

    Raises
    ------
    SpikeRelayError
        When `fileName` is that of another stream.
    """
    meta_file = file.with_suffix(".meta")
    written = re.split(r"[/\\]", read_meta(meta_file).get("fileName", file.name))[-1]
    stream = stream_names(file)[1]
    if not NAMED.search(file.name):
        if file.with_name(written).exists():
            raise SpikeRelayError(f"{file.name} is a copy of {written}, {BOTH}")
        raise SpikeRelayError(
            f"{file.name} was renamed: SpikeGLX' names have gate, trigger and stream. Restore the name {written}, and "
            "that of its .meta"
        )
    # Tools that cut or export a recording write more before the stream: `run_g0_t0.exported.imec0.ap.bin`.
    if not f".{stream_names(Path(written))[1]}".endswith(f".{stream}"):
        raise SpikeRelayError(
            f"{meta_file.name} is of another stream: its fileName is {written}. Copy the .meta again; if the file was "
            f"renamed, write fileName={file.name} into it"
        )


def check_segments(files: Iterable[Path]) -> None:
    """Check that all streams of a folder have the same gates and triggers: neo reads them as its segments.

    Raises
    ------
    SpikeRelayError
        When a stream lacks a file that another has, or CatGT's file is next to those that it was made from.
    """
    by_stream: dict[str, set[str]] = {}
    seen: dict[tuple[str, str], str] = {}
    for file in files:
        stream, segment = stream_names(file)[1], segment_name(file)
        if (first := seen.setdefault((stream, segment), file.name)) != file.name:
            raise SpikeRelayError(f"{first} and {file.name} have the same stream, gate and trigger: {ONE_FOLDER}")
        by_stream.setdefault(stream, set()).add(segment)
    for stream, names in by_stream.items():
        joined = sorted(name for name in names if name.endswith(CATGT_TRIGGER))
        if joined and len(joined) < len(names):
            raise SpikeRelayError(f"{stream} has CatGT's file ({joined[0]}) next to the raw ones, {BOTH}")
    every = set().union(*by_stream.values())
    for stream, names in by_stream.items():
        if missing := sorted(every - names):
            other = next(name for name, own in by_stream.items() if missing[0] in own)
            raise SpikeRelayError(
                f"{stream} lacks {', '.join(missing)}, which {other} has: copy the missing files, or move those of "
                f"{other} to another folder"
            )


def serial_number(meta: dict[str, str]) -> str:
    return meta.get("imDatPrb_sn", meta.get("imProbeSN", ""))


def find_restart(metas: Sequence[dict[str, str]], segments: Sequence[str]) -> str | None:
    """Where SpikeGLX was restarted between two files of a stream, which are in order, or None.

    `firstSample` counts from the start of the acquisition. Equal times are those of an edited header.
    """
    for (before, earlier), (name, later) in pairwise(zip(segments, metas, strict=True)):
        apart_s, counted_s = (_subtract(of, earlier, later) for of in (_created_s, first_sample_s))
        if apart_s and counted_s is not None and abs(apart_s - counted_s) > SAME_SESSION_S:
            return (
                f"SpikeGLX was restarted between {before} and {name}, which begin {apart_s:.0f} s apart by "
                f"fileCreateTime, {counted_s:.0f} s by firstSample: in the results, the gap between them is not the "
                "real one"
            )
    return None


def _subtract(of: Callable[[dict[str, str]], float], earlier: dict[str, str], later: dict[str, str]) -> float | None:
    try:
        return of(later) - of(earlier)
    except (KeyError, ValueError, ZeroDivisionError):
        return None


def _created_s(meta: dict[str, str]) -> float:
    # The computer's local time: its zone changes nothing here.
    return datetime.fromisoformat(creation_time(meta) or "").replace(tzinfo=UTC).timestamp()


def find_repeated_probes(folders: Iterable[Path], data: Path) -> dict[tuple[Path, str], str]:
    """The streams whose probe recorded at the same time already, and why; (folder, stream) -> message."""
    seen: dict[tuple[str, str, str], tuple[Path, str]] = {}
    repeated: dict[tuple[Path, str], str] = {}
    for file in _headers(folders):
        dataset, stream = stream_names(file)
        try:
            meta = read_meta(file)
        except (OSError, ValueError):
            continue  # Its own folder's check reports it.
        serial = serial_number(meta)
        place = (file.parent, stream)
        if serial in UNKNOWN_SERIALS or place in repeated:
            continue
        # CatGT's file has the time of the raw one; another day's may have the run's name and the same probe.
        time = creation_time(meta) or ""
        first = seen.setdefault((dataset, serial, time), place)
        if first != place:
            where = first[0].relative_to(data) if first[0].is_relative_to(data) else first[0]
            repeated[place] = (
                f"the probe with serial number {serial} is in {dataset} twice, first as {first[1]} in {where}: move "
                "one of the two out of the data folder; if they are two probes, correct imDatPrb_sn in one .meta"
            )
    return repeated


def _headers(folders: Iterable[Path]) -> Iterator[Path]:
    for folder in folders:
        metas = (file.with_suffix(".meta") for file in sorted(folder.glob(SPIKEGLX_FILES)))
        yield from (file for file in metas if file.is_file())
