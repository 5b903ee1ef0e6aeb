"""The LFP in the NWB file, from the wide band: the capsule beside a script written by hand, in turn; and its memory."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from statistics import median

from tests.bench.measure import GB, OFTEN_S, Cost, cost, python, table
from tests.bench.sessions import Session, empty_folder, session

MEMORY_CASES = ((32, 60), (32, 600), (384, 60))
ALL_CHANNELS = "1"


def main() -> None:
    """Run both ways in turn, `--rounds` times; then print the capsule's memory over duration and channels."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="times that each way runs")
    parser.add_argument("--seconds", type=int, default=370, help="length of the recording that both ways run on")
    arguments = parser.parse_args()
    measured = wide_band(32, arguments.seconds)
    # This fills the page cache.
    capsule(measured)
    pairs = [(capsule(measured), by_hand(measured)) for _ in range(arguments.rounds)]
    print(f"32 channels x {arguments.seconds} s, all channels kept\n")
    print(pair_table(pairs))
    print()
    print(memory_table({case: capsule(wide_band(*case)) for case in MEMORY_CASES}))


def wide_band(channels: int, duration_s: int) -> Session:
    """A session without its LF stream, so that the LFP comes from the wide band."""
    measured = session(channels, units=5, duration_s=duration_s)
    job = measured.job.with_name(f"wide-{measured.job.name}")
    job.write_text(json.dumps(json.loads(measured.job.read_text()) | {"lfp_reader": None}))
    return replace(measured, job=job)


def capsule(measured: Session) -> Cost:
    """Run the capsule with every channel kept."""
    words = ("--lfp_spatial_factor", ALL_CHANNELS)
    return cost(*measured.stage("nwb_ecephys", empty_folder("nwb"), *words), memory_every_s=OFTEN_S)


def by_hand(measured: Session) -> Cost:
    """Run the script."""
    file = empty_folder("nwb_by_hand") / "file.nwb"
    return cost(*python("tests.bench.plain_lfp", measured.data, file, ALL_CHANNELS), memory_every_s=OFTEN_S)


def pair_table(pairs: list[tuple[Cost, Cost]]) -> str:
    """Costs of each run in the order in which they ran, and the ratios pair by pair."""
    rows = []
    for number, pair in enumerate(pairs, start=1):
        for way, ran in zip(("capsule", "by hand"), pair, strict=True):
            sizes = (f"{peak / GB:.2f}" for peak in (ran.peak_own_bytes, ran.peak_resident_bytes))
            rows.append((f"{number}", way, f"{ran.wall_s:.1f}", f"{ran.cpu_s:.1f}", *sizes, f"{ran.others_cores:.1f}"))
    wall, cpu = (
        [getattr(ours, what) / getattr(theirs, what) for ours, theirs in pairs] for what in ("wall_s", "cpu_s")
    )
    heads = ("run", "way", "wall, s", "CPU, s", "peak own, GB", "peak resident, GB", "others' cores")
    return f"{table(heads, *rows)}\n\ncapsule / by hand, median: wall {median(wall):.2f}, CPU {median(cpu):.2f}"


def memory_table(costs: dict[tuple[int, int], Cost]) -> str:
    """The capsule's peaks for each number of channels and seconds."""
    rows = (
        (
            f"{channels} channels x {duration_s} s",
            f"{ran.peak_own_bytes / GB:.2f}",
            f"{ran.peak_resident_bytes / GB:.2f}",
            f"{ran.wall_s:.0f}",
        )
        for (channels, duration_s), ran in costs.items()
    )
    return table(("recording", "peak own, GB", "peak resident, GB", "wall, s"), *rows)


if __name__ == "__main__":
    main()
