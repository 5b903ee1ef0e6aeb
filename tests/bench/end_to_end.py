"""The whole pipeline, 32 channels, SpykingCircus2, beside one plain script that does the same work, in turn."""

from __future__ import annotations

import argparse
import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from statistics import median

from tests.bench.measure import GB, Cost, cost, python, table
from tests.bench.sessions import BENCH, N_JOBS, RESULTS, empty_folder
from tests.data import ProbeSpec, cached_spikeglx
from tests.demo import ROOT, pipeline_command

CASES = {
    "one recording": [ProbeSpec("imec0", duration_s=180.0, seed=7)],
    # The last one is too short to be sorted.
    "two recordings": [
        ProbeSpec("imec0", duration_s=180.0, seed=7),
        ProbeSpec("imec1", duration_s=180.0, seed=8),
        ProbeSpec("imec2", duration_s=10.0, seed=9),
    ],
}
WANTED = {"one recording": 0.6, "two recordings": 0.45}
"""The pipeline's wall time as a fraction of the script's."""
MEMORY_EVERY_S = 2.0
"""A sorter holds what it takes for longer."""
IN_TURN = f"process.cpus = {N_JOBS}"


def main() -> None:
    """Run both ways in turn on each case, `--rounds` times; print the costs and keep them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2, help="times that each way runs")
    parser.add_argument("--case", choices=CASES, help="one case alone")
    given, _ = parser.parse_known_args()
    cases = [given.case] if given.case else list(CASES)
    costs: dict[str, dict[str, list[Cost]]] = {case: {"pipeline": [], "script": []} for case in cases}
    for _ in range(given.rounds):
        for case in cases:
            data = BENCH / case.replace(" ", "_")
            cached_spikeglx(data, CASES[case])
            costs[case]["pipeline"].append(pipeline(data))
            costs[case]["script"].append(script(data))
    if not given.case:
        # The last case's data: what it takes when each task gets all cores.
        costs[case]["pipeline, one recording after the other"] = [pipeline(data, IN_TURN)]
    kept = {case: {way: [asdict(one) for one in runs] for way, runs in ways.items()} for case, ways in costs.items()}
    (RESULTS / "end_to_end.json").write_text(json.dumps(kept, indent=1))
    print(report(costs))


def pipeline(data: Path, more_configuration: str = "") -> Cost:
    """Run the pipeline as a user would, with an empty work folder."""
    folder = empty_folder("end_to_end")
    configuration = folder / "run.config"
    configuration.write_text(f"includeConfig '{ROOT / 'nextflow_local.config'}'\n{more_configuration}\n")
    options = {"--n_jobs": N_JOBS, "--sorter": "spykingcircus2", "-w": folder / "work", "-ansi-log": "false"}
    words = pipeline_command(*(str(word) for pair in options.items() for word in pair))
    words[words.index("-C") + 1] = str(configuration)
    command = ("env", "-C", folder, *words)
    ran = cost(*command, memory_every_s=MEMORY_EVERY_S, DATA_PATH=str(data), RESULTS_PATH=str(folder / "results"))
    shutil.rmtree(folder / "work")
    return ran


def script(data: Path) -> Cost:
    return cost(
        *python("tests.bench.plain_end_to_end", data, empty_folder("end_to_end_by_hand")), memory_every_s=MEMORY_EVERY_S
    )


def report(costs: dict[str, dict[str, list[Cost]]]) -> str:
    """Medians and ranges of each way, and the ratios."""
    rows = [("case", "way", "wall, s: median (range)", "CPU, s", "peak own, GB", "others' cores")]
    ratios = []
    for case, ways in costs.items():
        for way, runs in ways.items():
            walls = [run.wall_s for run in runs]
            spread = f"{median(walls):.0f} ({min(walls):.0f} to {max(walls):.0f})"
            peak = max(run.peak_own_bytes for run in runs) / GB
            others = max(run.others_cores for run in runs)
            cpu = median(run.cpu_s for run in runs)
            rows.append((case, way, spread, f"{cpu:.0f}", f"{peak:.2f}", f"{others:.1f}"))
        pairs = zip(ways["pipeline"], ways["script"], strict=True)
        told = ", ".join(f"{ours.wall_s / theirs.wall_s:.2f}" for ours, theirs in pairs)
        ratios.append(f"{case}: pipeline / script, wall: {told} (wanted: {WANTED[case]})")
    return "\n".join([f"{os.cpu_count()} cores", "", table(*rows), "", *ratios])


if __name__ == "__main__":
    main()
