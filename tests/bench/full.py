"""`make bench-full`: 384 channels x 600 s (13.8 GB) through the whole pipeline, as a user would run it."""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

from capsules.demo.score import WELL_FOUND, compare
from tests.bench.end_to_end import MEMORY_EVERY_S
from tests.bench.measure import GB, Cost, cost, table
from tests.bench.sessions import BENCH, N_JOBS, RESULTS, empty_folder
from tests.data import ProbeSpec, cached_spikeglx, truth_folders
from tests.demo import pipeline_command

WANTED_PEAK_GB, WANTED_DISK = 6.0, 2.3
"""Memory of any task, and the disk's use at its largest as a multiple of the raw files."""
DISK_EVERY_S = 5.0


def main() -> None:
    """Run once; print each task's seconds and memory, the disk at its largest, and the score; keep them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--channels", type=int, default=384)
    parser.add_argument("--units", type=int, default=150)
    parser.add_argument("--seconds", type=float, default=600.0)
    arguments = parser.parse_args()
    probe = ProbeSpec("imec0", channels=arguments.channels, units=arguments.units, duration_s=arguments.seconds)
    data = BENCH / f"whole_{probe.channels}x{probe.duration_s:g}s"
    data.parent.mkdir(parents=True, exist_ok=True)
    cached_spikeglx(data, [probe])
    folder = empty_folder("full")
    ran, disk_bytes = run(data, folder)
    tasks = read_trace(folder / "results" / "nextflow" / "trace.txt")
    raw_bytes = size_of(data)
    kept = {"whole": asdict(ran), "disk_bytes": disk_bytes, "raw_bytes": raw_bytes, "tasks": tasks}
    (RESULTS / "full.json").write_text(json.dumps(kept, indent=1))
    print(report(ran, tasks, disk_bytes / raw_bytes))
    print(score(truth_folders(data, [probe])["imec0"], folder / "results"))
    shutil.rmtree(folder / "work")


def run(data: Path, folder: Path) -> tuple[Cost, int]:
    """Run the pipeline with an empty work folder; also the bytes on disk at their largest, of work and results."""
    words = pipeline_command("--n_jobs", str(N_JOBS), "--sorter", "spykingcircus2", "-ansi-log", "false")
    command = ("env", "-C", folder, *words, "-w", folder / "work")
    largest, ended = [0], threading.Event()

    def watch() -> None:
        while not ended.wait(DISK_EVERY_S):
            largest[0] = max(largest[0], size_of(folder))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        environment = {"DATA_PATH": str(data), "RESULTS_PATH": str(folder / "results")}
        ran = cost(*command, memory_every_s=MEMORY_EVERY_S, **environment)
    finally:
        ended.set()
        watcher.join()
    return ran, largest[0]


def size_of(folder: Path) -> int:
    """Bytes that a folder's files take on the disk; a file with several names counts once."""
    seen: dict[int, int] = {}
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                status = os.lstat(os.path.join(place, name))
            except FileNotFoundError:  # A running task has removed it.
                continue
            seen[status.st_ino] = status.st_blocks * 512
    return sum(seen.values())


def read_trace(file: Path) -> list[dict[str, Any]]:
    """Nextflow's trace: each task with its name, seconds and memory."""
    with file.open() as lines:
        return list(csv.DictReader(lines, delimiter="\t"))


def report(ran: Cost, tasks: list[dict[str, Any]], disk: float) -> str:
    """A row for each task, and what the whole run took."""
    rows = [(task["name"], task["realtime"], task["%cpu"], task["peak_rss"]) for task in tasks]
    whole = (
        f"{ran.wall_s:.0f} s, {ran.cpu_s:.0f} CPU s; own memory of all tasks at most {ran.peak_own_bytes / GB:.2f} GB"
    )
    return "\n".join(
        [
            table(("task", "time", "CPU", "peak resident"), *rows),
            "",
            f"Whole: {whole}; others kept {ran.others_cores:.1f} cores busy.",
            f"Wanted: at most {WANTED_PEAK_GB:g} GB in any task.",
            f"Disk at its largest: {disk:.2f} x the raw files (wanted: {WANTED_DISK}).",
        ]
    )


def score(truth: Path, results: Path) -> str:
    """How many of the true units were found."""
    import spikeinterface as si

    (sorting,) = (results / "curated").iterdir()
    scored = compare("full", si.load(truth), si.load(sorting))
    return f"{scored.well_found} of {scored.true_units} true units with an accuracy of at least {WELL_FOUND}."


if __name__ == "__main__":
    main()
