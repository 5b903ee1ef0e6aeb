"""A sheet of 64 small sessions with `-stub-run`: what Nextflow and the start of a task cost, and its memory."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

from tests.bench.measure import table
from tests.bench.sessions import BENCH, N_JOBS, empty_folder
from tests.demo import pipeline_command
from tests.formats import Probe, write_openephys

SAMPLE_S = 2.0


def main() -> None:
    """Run the sheet once; print seconds per task, and the memory of the Nextflow process in each quarter of the run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=64)
    given, _ = parser.parse_known_args()
    folder = empty_folder("many_sessions")
    write_sheet(folder, given.sessions)
    start, sizes = time.monotonic(), []
    process = started(folder)
    while process.poll() is None:
        sizes.append(resident_mb(process.pid))
        time.sleep(SAMPLE_S)
    wall_s = time.monotonic() - start
    sizes = [size for size in sizes if size]
    tasks = len((folder / "results" / "nextflow" / "trace.txt").read_text().splitlines()) - 1
    sessions = json.loads((folder / "results" / "sessions.json").read_text())["sessions"]
    done = sum(entry["status"] == "ok" for entry in sessions.values())
    print(f"{done} of {len(sessions)} sessions ok, exit code {process.returncode}")
    print(f"{tasks} tasks in {wall_s:.0f} s: {wall_s / tasks:.2f} s each, {N_JOBS} at a time\n")
    quarters = [sizes[number * len(sizes) // 4 : (number + 1) * len(sizes) // 4] for number in range(4)]
    heads = [f"quarter {number + 1}" for number in range(4)]
    print("Largest resident size of the Nextflow process, MB:\n")
    print(table(tuple(heads), tuple(f"{max(quarter):.0f}" for quarter in quarters)))
    shutil.rmtree(folder / "work")


def write_sheet(folder: Path, sessions: int) -> None:
    """A sheet of so many data folders, which are one recording linked again and again."""
    first = BENCH / "one_second"
    if not first.exists():
        write_openephys(first, [Probe("ProbeA", tuple(range(8)))], [1.0])
    names = [f"session{number}" for number in range(sessions)]
    for name in names:
        shutil.copytree(first, folder / "data" / name, copy_function=os.link)
    (folder / "sheet.csv").write_text("\n".join(["data", *(f"data/{name}" for name in names)]) + "\n")


def started(folder: Path) -> subprocess.Popen:
    arguments = ("--n_jobs", str(N_JOBS), "--sorter", "spykingcircus2", "--sessions", "sheet.csv", "-stub-run")
    command = pipeline_command(*arguments, "-w", str(folder / "work"), "-ansi-log", "false")
    environment = os.environ | {"RESULTS_PATH": str(folder / "results")}
    with (folder / "said.txt").open("w") as said:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=said)


def resident_mb(pid: int) -> float:
    """The resident size of the process, which the wrapper's shell has become."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:")), 0.0)


if __name__ == "__main__":
    main()
