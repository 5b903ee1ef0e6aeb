"""Preprocessing with motion, 64 and 384 channels x 60 s: the capsule and a script written by hand, in turn."""

from __future__ import annotations

import argparse
import sys
from itertools import pairwise
from statistics import median

import numpy as np
import spikeinterface as si

from tests.bench.measure import Cost, cost, python, table
from tests.bench.memory import NO_MINIMUM
from tests.bench.sessions import N_JOBS, RESULTS, Session, empty_folder, session, traces_of

SCRIPT = "tests.bench.plain_preprocessing"
SCRIPT_WITH_CACHE = (
    "import runpy; from capsules.common.tasks.resources import use_numba_cache; "
    f"use_numba_cache(); runpy.run_module({SCRIPT!r}, run_name='__main__')"
)
PAIRS = {
    "as they are": ("capsule", "by hand"),
    "compiled code kept for both": ("capsule", "by hand, code kept"),
    "kept for neither": ("capsule, code not kept", "by hand"),
}
"""The capsule keeps compiled code and a script by hand does not; the later pairs take that difference away."""


SIZES = {64: 20, 384: 150}
"""Channels -> units of the sessions, which are 60 s long."""
THREADS = (1, 2, 8)


def main() -> None:
    """Run all ways in turn, `--rounds` times for each size; print their costs, the ratios pair by pair, and threads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="times that each way runs")
    parser.add_argument("--channels", type=int, choices=SIZES, help="one size alone")
    given, _ = parser.parse_known_args()
    for channels in [given.channels] if given.channels else SIZES:
        compare(session(channels=channels, units=SIZES[channels], duration_s=60), channels, given.rounds)


def compare(measured: Session, channels: int, rounds: int) -> None:
    """Measure one session and print the tables."""
    ways = {
        "capsule": lambda: capsule(measured),
        "by hand": lambda: by_hand(measured),
        "by hand, code kept": lambda: by_hand(measured, code_kept=True),
        "capsule, code not kept": lambda: capsule(measured, code_kept=False),
    }
    # These fill the cache of compiled code and the page cache.
    ways["capsule"]()
    ways["by hand, code kept"]()
    costs: dict[str, list[Cost]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            costs[name].append(way())
    print(f"{channels} channels:\n", seconds_table(costs), ratio_table(costs), sep="\n\n")
    print(f"\nThe traces of both differ by at most {difference():.2f} raw counts.\n")
    rows = [(str(threads), *cells(capsule(measured, threads=threads))) for threads in THREADS]
    print(table(("threads", "wall, s", "CPU, s", "others' cores"), *rows))


def cells(one: Cost) -> tuple[str, str, str]:
    return f"{one.wall_s:.1f}", f"{one.cpu_s:.1f}", f"{one.others_cores:.1f}"


def difference() -> float:
    """The largest difference of two samples in raw counts; the script rounds after each of three steps."""
    ours, theirs = (si.load(traces_of(RESULTS / way).parent) for way in ("capsule", "by_hand"))
    # The capsule's steps are parts of a count.
    count = ours.get_channel_gains()[0] / theirs.get_channel_gains()[0]
    parts = pairwise(np.linspace(0, ours.get_num_samples(), 61, dtype=int))
    pairs = ([one.get_traces(start_frame=start, end_frame=end) for one in (ours, theirs)] for start, end in parts)
    return max(float(np.abs(count * mine - other).max()) for mine, other in pairs)


def capsule(measured: Session, code_kept: bool = True, threads: int = N_JOBS) -> Cost:
    """Run the capsule; its cache of compiled code lasts, or is an empty folder."""
    kept = {} if code_kept else {"NUMBA_CACHE_DIR": str(empty_folder("numba"))}
    return cost(
        *measured.stage("preprocessing", empty_folder("capsule"), *NO_MINIMUM, "--n-jobs", str(threads)), **kept
    )


def by_hand(measured: Session, code_kept: bool = False) -> Cost:
    """Run the script; as it stands, or with the capsule's cache of compiled code."""
    start = (sys.executable, "-c", SCRIPT_WITH_CACHE) if code_kept else python(SCRIPT)
    return cost(*start, measured.data, empty_folder("by_hand"))


def seconds_table(costs: dict[str, list[Cost]]) -> str:
    """Seconds of each way's runs, in the order in which they ran."""
    rows = [
        (name, *(f"{run.wall_s:.1f}; {run.cpu_s:.1f}; {run.others_cores:.1f}" for run in runs))
        for name, runs in costs.items()
    ]
    heads = (f"run {number}: wall, s; CPU, s; others' cores" for number in range(1, len(rows[0])))
    return table(("way", *heads), *rows)


def ratio_table(costs: dict[str, list[Cost]]) -> str:
    """The capsule's seconds as a fraction of the script's, round by round."""
    rows = []
    for name, (ours, theirs) in PAIRS.items():
        pairs = list(zip(costs[ours], costs[theirs], strict=True))
        wall, cpu = ([getattr(a, what) / getattr(b, what) for a, b in pairs] for what in ("wall_s", "cpu_s"))
        rounds = ", ".join(f"{ratio:.2f}" for ratio in wall)
        rows.append((name, rounds, f"{median(wall):.2f}", f"{median(cpu):.2f}"))
    return table(("capsule / by hand", "wall, round by round", "wall, median", "CPU, median"), *rows)


if __name__ == "__main__":
    main()
