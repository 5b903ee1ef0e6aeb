"""SpikeGLX' file names: which stream, run, gate and data set a file is of."""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass, field
from pathlib import Path

from capsules.common.errors import SpikeRelayError
from capsules.common.sync.spikeglx_meta import creation_time, read_meta
from capsules.job_dispatch.loaders.sessions import name_datasets

NAMED = re.compile(r"(_g\d+)?_t(\d+|cat)\.(.*\.)?(imec\d*\.(ap|lf)|nidq|obx\d*\.obx)\.(bin|meta)$")
"""The end of a file's name. A name may have lost its gate: neo reads it."""
TRIGGER = re.compile(r"_t(\d*|cat)\.(?!.*_g\d+_t(\d+|cat)\.)")
"""The last one after a gate, if any. A run's name may have `_t` too: `mouse_test_g0`."""
GATE = re.compile(r"_g(\d+)$")
PROBE_FOLDER = re.compile(r"_imec\d+$")
CATGT_TRIGGER = "tcat"


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
        places.append((*place, creation_time(meta)))
        gates.setdefault(place, set()).update(find_gate(file))
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


def find_gate(file: Path) -> set[int]:
    """The gate in a file's name; empty where the name has lost it."""
    gate = GATE.search(stream_names(file)[0])
    return {int(gate[1])} if gate else set()


def _range(gates: Set[int]) -> str:
    """The end of the name of a run's data set: `_g0-2`, `_g0`, or nothing where the names have lost their gate."""
    first, last = min(gates, default=None), max(gates, default=None)
    return "" if first is None else f"_g{first}" if first == last else f"_g{first}-{last}"
