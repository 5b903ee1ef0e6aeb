"""SpikeGLX' file names: which stream, run and gate a file is of, and which gates of a run are one recording."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from capsules.common.errors import SpikeRelayError
from capsules.common.sync.spikeglx_meta import read_meta
from capsules.job_dispatch.formats import SPIKEGLX_FILES
from capsules.job_dispatch.loaders.sessions import name_datasets

NAMED = re.compile(r"(_g\d+)?_t(\d+|cat)\.(.*\.)?(imec\d*\.(ap|lf)|nidq|obx\d*\.obx)\.(bin|meta)$")
"""The end of a file's name. A name may have lost its gate: neo reads it."""
TRIGGER = re.compile(r"_t(\d*|cat)\.(?!.*_g\d+_t(\d+|cat)\.)")
"""The last one after a gate, if any. A run's name may have `_t` too: `mouse_test_g0`."""
GATE = re.compile(r"_g(\d+)$")
PROBE_FOLDER = re.compile(r"_imec\d+$")
CATGT_TRIGGER = "tcat"
APART = "sort the gates separately (split_segments)"


def is_hidden(file: Path) -> bool:
    """Whether macOS wrote the file: the attributes of a file, which it keeps separate on disks of other systems."""
    return file.name.startswith("._")


def stream_names(file: Path) -> tuple[str, str]:
    """Run with gate, and stream, of a SpikeGLX file: `run_g0_t0.imec0.ap.bin` is (`run_g0`, `imec0.ap`)."""
    match = TRIGGER.search(file.name) or re.search(r"_t\w+\.", file.name)
    dataset, stream = (file.name, "") if match is None else (file.name[: match.start()], file.name[match.end() :])
    return dataset, stream.removesuffix(".bin").removesuffix(".meta")


def session_folder(file: Path) -> Path:
    """Where the run of a file is: the folder above `run_g0/run_g0_imec0`, or the file's own."""
    dataset, _ = stream_names(file)
    folder = file.parent.parent if PROBE_FOLDER.search(file.parent.name) else file.parent
    return folder.parent if folder.name in (dataset, f"catgt_{dataset}") else folder


@dataclass(frozen=True)
class Runs:
    """The names of the data sets below a folder, by run and folder of its session, and the gates of each.

    Where gates are joined, a run's gates are one data set, `run_g0-2`; else each gate is one, `run_g0`.
    """

    names: dict[tuple[str, Path], str]
    join_gates: bool
    gates: dict[str, set[int]] = field(default_factory=dict)

    def apart(self, dataset: str) -> list[str]:
        """The data sets of the same run's other gates, which are in folders of other sessions."""
        own = {run for (run, _), name in self.names.items() if name == dataset}
        others = {name for (run, _), name in self.names.items() if run in own and name != dataset}
        return sorted(name for name in others if self.gates[name].isdisjoint(self.gates[dataset]))

    def dataset(self, file: Path) -> str:
        """The data set of a file."""
        run = self.run(file)
        return self.names.get((run, session_folder(file)), run)

    def run(self, file: Path) -> str:
        dataset, _ = stream_names(file)
        return GATE.sub("", dataset) if self.join_gates else dataset


def name_runs(data: Path, join_gates: bool) -> Runs:
    """Name the data sets below a folder.

    Parameters
    ----------
    data : Path
    join_gates : bool
        Whether the gates of a run are one data set.
    """
    runs, places = Runs({}, join_gates), []
    gates: dict[tuple[str, Path], set[int]] = {}
    for file in sorted(data.rglob("*.meta")):
        if not NAMED.search(file.name) or is_hidden(file):
            continue
        try:
            meta = read_meta(file)
        except (OSError, ValueError, SpikeRelayError):
            meta = {}
        place = (runs.run(file), session_folder(file))
        # In its own file, CatGT replaces the time of the recording by its own.
        places.append((*place, meta.get("fileCreateTime_original", meta.get("fileCreateTime"))))
        gates.setdefault(place, set()).update(_gates([file]))
    names = name_datasets(places, data)
    if not join_gates:
        return Runs(names, join_gates)
    by_name: dict[str, set[int]] = {}
    for place, name in names.items():
        by_name.setdefault(name, set()).update(gates[place])
    full = {name: name + _range(gates) for name, gates in by_name.items()}
    return Runs(
        {place: full[name] for place, name in names.items()},
        join_gates,
        {full[name]: gates for name, gates in by_name.items()},
    )


def _gates(files: Iterable[Path]) -> Iterator[int]:
    for file in files:
        if gate := GATE.search(stream_names(file)[0]):
            yield int(gate[1])


def _range(gates: Set[int]) -> str:
    """The end of the name of a run's data set: `_g0-2`, `_g0`, or nothing where the names have lost their gate."""
    first, last = min(gates, default=None), max(gates, default=None)
    return "" if first is None else f"_g{first}" if first == last else f"_g{first}-{last}"


@dataclass
class GateFolders:
    """The folders of a stream's gates, in the order of the gates, and why they cannot be joined, if so.

    There are none where the failure of a part of the stream is reported already.
    """

    folders: list[Path]
    failure: str | None = None
    warnings: list[str] = field(default_factory=list)

    def begin_in(self, folder: Path) -> bool:
        return self.folders[:1] == [folder]


@dataclass
class _Parts:
    """The folders of a stream with their gates, those with CatGT's files, and the gates that fail already."""

    gates: dict[Path, set[int]] = field(default_factory=dict)
    catgt: set[Path] = field(default_factory=set)
    failed: set[int] = field(default_factory=set)

    @property
    def all_gates(self) -> set[int]:
        return set().union(*self.gates.values())


def find_gate_folders(
    folders: Iterable[Path], runs: Runs, left_out: Iterable[tuple[Path, str]], lost: Iterable[Path]
) -> dict[tuple[Path, str], GateFolders]:
    """The folders that each stream is read from, by each of these folders and the stream.

    Parameters
    ----------
    folders : iterable of Path
        Those with probes.
    runs : Runs
    left_out : iterable
        (folder, stream) of the streams that are not read.
    lost : iterable of Path
        The `.meta` files without their `.bin`.

    Returns
    -------
    dict
        Empty where gates are not joined. A stream whose gates are not those of the run's other streams has a `failure`,
        as has one with a gate in two folders.
    """
    if not runs.join_gates:
        return {}
    by_stream = _find_parts(folders, runs, set(left_out), lost)
    by_folder: dict[tuple[Path, str], GateFolders] = {}
    first: dict[tuple[Path, str], str] = {}
    for (dataset, stream), own in by_stream.items():
        others = {name: parts.all_gates for (run, name), parts in by_stream.items() if run == dataset and parts.gates}
        ordered = _order(stream, own, others, runs.gates.get(dataset, set()))
        if apart := ", ".join(runs.apart(dataset)):
            ordered.warnings.append(
                f"the gates in {apart} are not joined to these: put the folders of all gates of this run into one "
                "folder"
            )
        for place in ((folder, stream) for folder in own.gates):
            if (other := first.setdefault(place, dataset)) != dataset:
                by_folder[place].failure = ordered.failure = (
                    f"{_describe(place[0])} has files of two runs ({other}, {dataset}), which are not joined: move "
                    "those of one of the two to another folder"
                )
            by_folder[place] = ordered
    return by_folder


def _find_parts(
    folders: Iterable[Path], runs: Runs, skipped: Set[tuple[Path, str]], lost: Iterable[Path]
) -> dict[tuple[str, str], _Parts]:
    """The parts of each stream, by data set and stream."""
    by_stream: dict[tuple[str, str], _Parts] = {}
    for file in (file for folder in folders for file in sorted(folder.glob(SPIKEGLX_FILES)) if not is_hidden(file)):
        place = (file.parent, stream_names(file)[1])
        parts, gates = by_stream.setdefault((runs.dataset(file), place[1]), _Parts()), set(_gates([file])) or {0}
        if place in skipped:
            parts.failed |= gates
            continue
        parts.gates.setdefault(file.parent, set()).update(gates)
        if f"_{CATGT_TRIGGER}." in file.name:
            parts.catgt.add(file.parent)
    for meta in lost:
        by_stream.setdefault((runs.dataset(meta), stream_names(meta)[1]), _Parts()).failed.update(_gates([meta]))
    return by_stream


def _order(stream: str, own: _Parts, others: dict[str, set[int]], run_gates: Set[int]) -> GateFolders:
    """The folders of a stream's parts; the run's gates are those of all its files."""
    if not own.gates or own.failed - own.all_gates:
        return GateFolders([])
    ordered = GateFolders(sorted(own.gates, key=lambda folder: min(own.gates[folder])))
    ordered.failure = _mixed(stream, own) or _unequal(stream, own.gates, others)
    if not own.catgt and (missing := _list(run_gates - own.all_gates)):
        ordered.warnings.append(
            f"{missing} of this run is not in this recording: it has other files, but none of {stream}; copy them, if "
            "there are any"
        )
    return ordered


def _describe(folder: Path) -> str:
    return "/".join(folder.parts[-2:])


def _list(gates: Set[int]) -> str:
    return ", ".join(f"g{gate}" for gate in sorted(gates))


def _mixed(stream: str, own: _Parts) -> str | None:
    """That a stream has CatGT's files and raw ones: CatGT's may have the raw one's gate, too (`-g=0,1`)."""
    raw = own.gates.keys() - own.catgt
    if not own.catgt or not raw:
        return None
    return (
        f"{stream} has CatGT's file in {_describe(min(own.catgt))} and a raw one in {_describe(min(raw))}, which are "
        "not joined: move the files of one of the two to another folder"
    )


def _unequal(stream: str, own: dict[Path, set[int]], others: dict[str, set[int]]) -> str | None:
    """Why the gates of a stream cannot be joined, or None."""
    if repeated := sorted(gate for gate in others[stream] if sum(gate in gates for gates in own.values()) > 1):
        return f"{stream} has the gate g{repeated[0]} in two folders: {APART}, or move one of the two elsewhere"
    for (_, earlier), (folder, later) in pairwise(sorted(own.items(), key=lambda item: min(item[1]))):
        if min(later) < max(earlier):
            return (
                f"{stream} has g{min(later)} in {_describe(folder)}, the gates before and after it in another folder: "
                f"put each gate into a separate folder, or {APART}"
            )
    for name, gates in others.items():
        if missing := _list(gates - others[stream]):
            how = f"{APART}, or move {missing} elsewhere"
            return f"{stream} lacks {missing}, which {name} has, and gates are joined: {how}"
    return None
