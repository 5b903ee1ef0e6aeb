"""On a machine with a GPU: preprocessing by cores, Kilosort4, postprocessing, GPU memory that runs out.

Capsules alone run, without Nextflow, Java or network. `gpu.json` in the output folder has each number once it is
measured.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

import numpy as np

from capsules.common.files import write_json
from capsules.common.tasks.resources import numba_cache_folder
from capsules.demo.score import compare
from capsules.spikesorting.sorters.kilosort4 import reduce_memory
from tests.bench.gpu_machine import describe, find_machine, other_process, pinned, share_cores
from tests.bench.gpu_tables import Row, numbers, preprocessing_table, rates_table, say, seconds, sorting_table
from tests.bench.measure import cost, python, table
from tests.bench.memory import NO_MINIMUM
from tests.bench.postprocessing import put_truth, sorted_by_truth
from tests.bench.sessions import BENCH, Session, empty_folder, session

PARTS = {
    "preprocessing": "preprocessing on all cores, by the capsule and by hand",
    "kilosort4": "Kilosort4 by the capsule and bare",
    "postprocessing": "postprocessing of the capsule's sorting on all cores",
    "hour": "preprocessing and postprocessing of a longer recording on all cores, and of an hour by their rates",
    "fewer-cores": "preprocessing on fewer cores",
    "repeat": "Kilosort4 by the capsule once more: the same spikes?",
    "memory": "CUDA out of memory: the steps of the capsule",
}
"""In the order in which they run, the timings that need a quiet machine first."""
ASKED_FOR = ("hour",)
"""Left out unless named: with them the rest would take more than 8 minutes."""
ON_GPU = ("repeat", "memory")
"""They check, and time nothing: they run next to `fewer-cores` when there are cores enough."""
RECORDING = {"channels": 384, "units": 150, "duration_s": 60}
SMALL = {"channels": 16, "units": 5, "duration_s": 30}
LONGER = 5
"""The recording of part `hour` is so many times as long."""
LIMIT_S = 450.0
SMALL_LIMIT_S = 3600.0
COMPILING_S = 180
CORES = (1, 2, 4, 8, 16)
BY_HAND_CORES = (1, 4, 16)
"""Every count has the capsule, these also the script."""
SORTING_CORES = 4
"""Kilosort4 works on the GPU; all of its runs have the same cores, also those next to other work."""
FREE_GB = 1.0
STEP = "CUDA ran out of memory: "
"""How the change of each step begins in `stage.json`."""
Command = Sequence[str | Path]


def main() -> int:
    """Run the parts, print a table after each. Returns 1 when something failed or was stopped."""
    options = read_options()
    start = time.monotonic()
    machine = find_machine()
    if machine["gpu"] is None and not options.small:
        print("bench-gpu: torch sees no GPU: run it where there is one, or with --small on the CPU", file=sys.stderr)
        return 1
    limit_s = options.limit_s or (LIMIT_S if machine["gpu"] else SMALL_LIMIT_S)
    size = SMALL if options.small else RECORDING
    print(f"Machine: {describe(machine)}.")
    print(f"Recording: {size['channels']} channels x {size['duration_s']} s, {size['units']} true units.", flush=True)
    small = session(**SMALL)
    with ThreadPoolExecutor() as pool:
        warm_up = pool.submit(compile_code, small)
        measured = small if options.small else session(**size)
    print(f"Ready after {time.monotonic() - start:.0f} s; compiled code: {warm_up.result()}.", flush=True)
    options.output.mkdir(parents=True, exist_ok=True)
    bench = Bench(measured, options.output, machine, size, start, limit_s, options.free_gb)
    bench.run(options.parts)
    bench.write()
    print(f"\n{time.monotonic() - start:.0f} s in all; numbers: {options.output / 'gpu.json'}")
    if bench.problems:
        print("\nProblems:", *(f"- {problem}" for problem in bench.problems), sep="\n")
    return 1 if bench.problems else 0


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.gpu",
        description=__doc__,
        epilog="parts: " + "; ".join(f"{name}: {what}" for name, what in PARTS.items()),
    )
    parser.add_argument("--output", type=Path, default=BENCH / "gpu", help="folder for gpu.json and logs")
    parser.add_argument(
        "--parts", nargs="+", choices=PARTS, default=[part for part in PARTS if part not in ASKED_FOR], metavar="PART"
    )
    parser.add_argument("--small", action="store_true", help="a small recording; on the CPU where there is no GPU")
    parser.add_argument(
        "--limit-s",
        type=float,
        help=f"what runs after this time is stopped [default: {LIMIT_S:.0f}; without a GPU {SMALL_LIMIT_S:.0f}]",
    )
    parser.add_argument(
        "--free-gb",
        type=float,
        nargs="+",
        default=[FREE_GB],
        help=f"GPU memory that another process leaves free, in GB, for part memory [default: {FREE_GB:g}]",
    )
    return parser.parse_args()


def compile_code(small: Session) -> str:
    """Compile what preprocessing and postprocessing compile, unless `make setup` or an earlier run has."""
    folder = Path(os.environ.get("NUMBA_CACHE_DIR") or numba_cache_folder())
    if any(folder.rglob("fused_steps.*")):
        return "from an earlier run"
    try:
        inputs = sorted_by_truth(small, motion="compute")
        cost(*small.stage("postprocessing", inputs), limit_s=COMPILING_S)
    except (RuntimeError, TimeoutError) as error:
        return f"incomplete, so that first runs compile too: {' '.join(str(error).split())[-300:]}"
    return "compiled now"


@dataclass
class Bench:
    """The runs, their numbers, and the time that is left for more."""

    measured: Session
    output: Path
    machine: Row
    size: Row
    start: float
    limit_s: float
    free_gb: list[float]
    parts: dict[str, list[Row]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    cores: list[int] = field(default_factory=lambda: sorted(os.sched_getaffinity(0)))
    inputs: Path | None = None
    """Folder with the capsule's preprocessing, and its sorting once there is one."""
    sorting: Path | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def runs_on_fewer_cores(self) -> list[tuple[int, str]]:
        """Cores and way of each run of `fewer-cores`, the largest first."""
        counts = [count for count in reversed(CORES) if count < min(CORES[-1], len(self.cores))]
        ways = {True: ("capsule", "by hand"), False: ("capsule",)}
        return [(count, way) for count in counts for way in ways[count in BY_HAND_CORES]]

    def share_fewer_cores(self) -> list[list[tuple[int, list[int]]]]:
        """The waves of the runs of `fewer-cores`; the checks' cores are left to them where there are others enough."""
        counts = [count for count, _ in self.runs_on_fewer_cores()]
        spare = len(self.cores) - SORTING_CORES >= max(counts, default=0)
        return share_cores(counts, self.cores[:-SORTING_CORES] if spare and self.machine["gpu"] else self.cores)

    @property
    def sorting_cores(self) -> list[int]:
        """The last cores: `fewer-cores` uses the first ones."""
        return self.cores[-SORTING_CORES:]

    def run(self, chosen: Sequence[str]) -> None:
        """Run the chosen parts, each after what it needs."""
        functions = {
            "preprocessing": self.preprocess_on_all_cores,
            "kilosort4": self.sort_both_ways,
            "postprocessing": self.postprocess,
            "hour": self.measure_rates,
            "fewer-cores": self.preprocess_on_fewer_cores,
            "repeat": self.sort_again,
            "memory": self.run_out_of_memory,
        }
        quiet = [name for name in PARTS if name in chosen and name not in ("fewer-cores", *ON_GPU)]
        for name in quiet:
            self.perform(name, functions[name])
        cores = [name for name in chosen if name == "fewer-cores"]
        checks = [name for name in PARTS if name in chosen and name in ON_GPU]
        # What a check needs is made before, on a quiet machine; the check reports it when that fails.
        with suppress(RuntimeError):
            if checks:
                self.find_inputs()
            if "repeat" in checks:
                self.find_sorting()
        groups = [cores, checks] if self.has_spare_cores() else [cores + checks]
        with ThreadPoolExecutor() as pool:
            for done in [pool.submit(self.perform_all, group, functions) for group in groups]:
                done.result()

    def has_spare_cores(self) -> bool:
        """Whether the sorting's cores are free while `fewer-cores` runs, and the GPU does the checks' work."""
        used = {core for wave in self.share_fewer_cores() for _, cores in wave for core in cores}
        return self.machine["gpu"] is not None and not used & set(self.sorting_cores)

    def perform_all(self, names: list[str], functions: dict[str, Callable[[], str]]) -> None:
        for name in names:
            self.perform(name, functions[name])

    def perform(self, name: str, function: Callable[[], str]) -> None:
        """Run one part and print its table; an error of one part leaves the others."""
        try:
            text = function()
        except Exception as error:  # noqa: BLE001  the other parts are still worth their time
            text = f"failed: {type(error).__name__}: {error}"
            self.problems.append(f"{name}: {text}")
        with self.lock:
            print(f"\n## {PARTS[name]}\n\n{text}", flush=True)
        self.write()

    def record(self, part: str, row: Row) -> Row:
        """Keep the numbers of one run, and write all of them."""
        if "failure" in row:
            self.problems.append(f"{part}: {row['way']}: {row['failure']}")
        with self.lock:
            self.parts.setdefault(part, []).append(row)
        self.write()
        return row

    def write(self) -> None:
        with self.lock:
            document = {
                "machine": self.machine,
                "recording": self.size,
                "seconds": round(time.monotonic() - self.start, 1),
                "parts": self.parts,
                "problems": self.problems,
            }
            write_json(self.output / "gpu.json", document)

    def time(self, way: str, command: Command, cores: Sequence[int]) -> Row:
        """Run a command on these cores alone; its numbers, or why there are none."""
        row: Row = {"way": way, "cores": len(cores)}
        left_s = self.limit_s - (time.monotonic() - self.start)
        if left_s <= 0:
            return row | {"failure": f"not started: the limit of {self.limit_s:.0f} s was reached"}
        try:
            with pinned(cores):
                return row | numbers(cost(*command, limit_s=left_s))
        except (RuntimeError, TimeoutError) as error:
            return row | {"failure": " ".join(str(error).split())[-500:]}

    # The parts, in their order; each returns what is printed.

    def preprocess_on_all_cores(self) -> str:
        count = min(CORES[-1], len(self.cores))
        self.find_inputs()
        row = self.time("by hand", self.by_hand(count), self.cores[:count])
        self.record("preprocessing", row)
        return preprocessing_table(self.parts["preprocessing"])

    def preprocess_on_fewer_cores(self) -> str:
        """Both ways on each count of cores, side by side as far as there are cores."""
        runs = self.runs_on_fewer_cores()
        for wave in self.share_fewer_cores():
            with ThreadPoolExecutor() as pool:
                for done in as_completed(pool.submit(self.preprocess, *runs[index], cores) for index, cores in wave):
                    self.record("fewer-cores", done.result())
        if not runs:
            return "left out: the machine has one core"
        rows = sorted(self.parts["fewer-cores"], key=lambda row: (-row["cores"], row["way"] != "capsule"))
        return preprocessing_table(rows)

    def preprocess(self, count: int, way: str, cores: list[int]) -> Row:
        folder = empty_folder(f"gpu_{way.replace(' ', '_')}_{count}")
        command = self.by_hand(count) if way == "by hand" else self.preprocessing_capsule(folder, count)
        row = self.time(way, command, cores)
        # The traces of all ways together would fill a small disk.
        shutil.rmtree(folder, ignore_errors=True)
        return row

    def sort_both_ways(self) -> str:
        # A failure of the capsule is recorded; the bare run is still worth its time.
        with suppress(RuntimeError):
            self.find_sorting()
        folder = empty_folder("gpu_kilosort4_bare")
        (traces,) = self.find_inputs().glob("preprocessing_*/traces")
        row = self.time("bare", python("tests.bench.plain_kilosort4", traces, folder), self.sorting_cores)
        self.record("kilosort4", row | self.score(folder / "spikesorted"))
        return sorting_table(self.parts["kilosort4"])

    def postprocess(self) -> str:
        self.find_sorting()
        cores = self.cores[: CORES[-1]]
        inputs = self.find_inputs()
        row = self.time("capsule", self.measured.stage("postprocessing", inputs, n_jobs=len(cores)), cores)
        record = self.keep_log(inputs, "postprocessing", "postprocessing")
        self.record("postprocessing", row | {"record": record})
        heads = ("way", "cores", "wall, s", "CPU, s", "peak resident, GB")
        peak = record.get("peak_memory_mb", 0) / 1024
        return table(heads, (*seconds(row), f"{peak:.2f}"))

    def measure_rates(self) -> str:
        """Both stages, with the true units in place of a sorter's, of this recording and of a longer one."""
        cores = self.cores[: CORES[-1]]
        longer = session(**self.size | {"duration_s": self.size["duration_s"] * LONGER})
        for measured, times in ((self.measured, 1), (longer, LONGER)):
            duration_s = self.size["duration_s"] * times
            inputs, output = empty_folder("gpu_hour"), empty_folder("gpu_hour_postprocessing")
            preprocessing = measured.stage("preprocessing", inputs, *NO_MINIMUM, n_jobs=len(cores))
            self.record("hour", self.time("preprocessing", preprocessing, cores) | {"duration_s": duration_s})
            put_truth(measured, inputs)
            arguments = ("--inputs", str(inputs))
            postprocessing = measured.stage("postprocessing", output, *arguments, n_jobs=len(cores))
            self.record("hour", self.time("postprocessing", postprocessing, cores) | {"duration_s": duration_s})
        return rates_table(self.parts["hour"])

    def sort_again(self) -> str:
        first = self.find_sorting()
        folder = empty_folder("gpu_kilosort4_again")
        row = self.time("capsule, again", self.sorting_capsule(folder), self.sorting_cores)
        again = next(folder.rglob("spikesorted"), None)
        row["same_spikes"] = None if again is None else same_spikes(first, again)
        self.record("repeat", row)
        if row["same_spikes"] is False:
            self.problems.append("repeat: the second run has other spikes than the first")
        device = self.parts["kilosort4"][0]["record"].get("device")
        return f"The same spikes in two runs on {device}: {say(row['same_spikes'])}."

    def run_out_of_memory(self) -> str:
        if self.machine["gpu"] is None:
            return "skipped: torch sees no GPU, so its memory cannot run out"
        steps = reduce_memory({"clear_cache": False, "batch_size": 2})
        rows = []
        for free_gb in self.free_gb:
            folder = empty_folder(f"gpu_memory_{free_gb:g}")
            with other_process(free_gb) as free:
                row = self.time(f"{free_gb:g} GB free", self.sorting_capsule(folder), self.sorting_cores)
            record = self.keep_log(folder, "spikesorting", f"memory_{free_gb:g}")
            # The last step may still need too much memory: then the task has to fail.
            failure = row.pop("failure", None)
            seen = [change.removeprefix(STEP) for change in record.get("changes", []) if change.startswith(STEP)]
            row |= {"free_gb": round(free, 2), "steps": seen, "failure_of_run": failure, "record": record}
            rows.append(self.record("memory", row))
        most = max(len(row["steps"]) for row in rows)
        if most < len(steps):
            self.problems.append(f"memory: {most} of {len(steps)} steps were seen: see the logs in {self.output}")
        shown = (
            (
                f"{row['free_gb']:.2f}",
                "; ".join(row["steps"]) or "none",
                str(row["record"].get("status", "stopped")),
                str(row["record"].get("reason") or row["failure_of_run"] or "")[:200],
            )
            for row in rows
        )
        heads = ("free GPU memory, GB", "steps in stage.json", "end", "reason")
        return f"{table(heads, *shown)}\n\nMost steps seen: {most} of {len(steps)}."

    # What the parts use.

    def find_inputs(self) -> Path:
        """The folder with the capsule's preprocessing on all cores, which is timed when it is made."""
        if self.inputs is None:
            if "preprocessing" in self.parts:
                raise RuntimeError("the capsule's preprocessing failed before")
            count = min(CORES[-1], len(self.cores))
            folder = empty_folder("gpu")
            row = self.time("capsule", self.preprocessing_capsule(folder, count), self.cores[:count])
            self.record("preprocessing", row)
            if "failure" in row:
                raise RuntimeError("the capsule's preprocessing failed")
            self.inputs = folder
        return self.inputs

    def find_sorting(self) -> Path:
        """The capsule's sorting, which is timed and scored when it is made."""
        if self.sorting is None and "kilosort4" not in self.parts:
            inputs = self.find_inputs()
            row = self.time("capsule", self.sorting_capsule(inputs), self.sorting_cores)
            record = self.keep_log(inputs, "spikesorting", "kilosort4")
            self.sorting = next(inputs.glob("spikesorting_*/spikesorted"), None)
            self.record("kilosort4", row | self.score(self.sorting) | {"record": record})
        if self.sorting is None:
            raise RuntimeError("the capsule wrote no sorting")
        return self.sorting

    def preprocessing_capsule(self, folder: Path, count: int) -> Command:
        return self.measured.stage("preprocessing", folder, *NO_MINIMUM, n_jobs=count)

    def by_hand(self, count: int) -> Command:
        folder = empty_folder(f"gpu_by_hand_{count}")
        return python("tests.bench.plain_preprocessing", self.measured.data, folder, str(count))

    def sorting_capsule(self, folder: Path) -> Command:
        """Sort into a folder; argparse takes the last `--inputs`."""
        arguments = ("--inputs", self.find_inputs(), "--sorter", "kilosort4")
        return self.measured.stage("spikesorting", folder, *arguments, n_jobs=len(self.sorting_cores))

    def score(self, sorting: Path | None) -> Row:
        """Units of a sorting, compared with the true ones."""
        if sorting is None or not sorting.exists():
            return {}
        import spikeinterface as si

        score = compare("", si.load(self.measured.truth), si.load(sorting))
        return {
            "units": score.found_units,
            "true_units": score.true_units,
            "well_found": score.well_found,
            "mean_accuracy": round(mean(score.accuracies), 3),
        }

    def keep_log(self, folder: Path, stage: str, name: str) -> Row:
        """Copy a task's log to the output; returns its `stage.json`. A failed task has both in a hidden folder."""
        found = [*folder.glob(f"{stage}_*/stage.json"), *folder.glob(f".{stage}_*/stage.json")]
        for file in found[:1]:
            shutil.copy(file.with_name("log.txt"), self.output / f"{name}_log.txt")
        return json.loads(found[0].read_text()) if found else {}


def same_spikes(one: Path, other: Path) -> bool:
    """Whether two saved sortings have the same units and spikes."""
    import spikeinterface as si

    first, second = si.load(one), si.load(other)
    same_units = list(first.unit_ids) == list(second.unit_ids)
    return same_units and np.array_equal(first.to_spike_vector(), second.to_spike_vector())


if __name__ == "__main__":
    sys.exit(main())
