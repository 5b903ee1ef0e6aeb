"""The gates of a SpikeGLX run that are joined: the folders of each stream's gates, and why they cannot be joined."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from capsules.job_dispatch.formats import SPIKEGLX_FILES
from capsules.job_dispatch.loaders.spikeglx_names import CATGT_TRIGGER, Runs, find_gate, is_hidden, stream_names

APART = "sort the gates separately (split_segments)"


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
        parts, gates = by_stream.setdefault((runs.dataset(file), place[1]), _Parts()), find_gate(file) or {0}
        if place in skipped:
            parts.failed |= gates
            continue
        parts.gates.setdefault(file.parent, set()).update(gates)
        if f"_{CATGT_TRIGGER}." in file.name:
            parts.catgt.add(file.parent)
    for meta in lost:
        by_stream.setdefault((runs.dataset(meta), stream_names(meta)[1]), _Parts()).failed.update(find_gate(meta))
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
