"""Figures, checks and report, 64 channels x 300 s, 40 units: what visualization and results take together."""

from __future__ import annotations

import json
from pathlib import Path

from tests.bench.measure import GB, cost, python, table
from tests.bench.postprocessing import sorted_by_truth
from tests.bench.sessions import session

WANTED_S, WANTED_GB = 12, 0.5
SAMPLED_EVERY_S = 0.1
"""The report is there in half a second."""


def main() -> None:
    """Run postprocessing and curation on the true units, then measure what shows them."""
    measured = session(channels=64, units=40, duration_s=300)
    inputs = sorted_by_truth(measured, motion="compute")
    for stage in ("postprocessing", "curation"):
        cost(*measured.stage(stage, inputs))
    shown = cost(*measured.stage("visualization", inputs), memory_every_s=SAMPLED_EVERY_S)
    write_run_files(inputs)
    arguments = ("--id", "run", "--job", measured.job, "--inputs", inputs, "--output", inputs)
    reported = cost(*python("capsules.results", *arguments), memory_every_s=SAMPLED_EVERY_S)
    rows = [
        (
            name,
            f"{one.wall_s:.1f}",
            f"{one.cpu_s:.1f}",
            f"{one.peak_resident_bytes / GB:.2f}",
            f"{one.others_cores:.1f}",
        )
        for name, one in (("visualization", shown), ("results", reported))
    ]
    print(table(("stage", "wall, s", "CPU, s", "peak resident, GB", "others' cores"), *rows))
    size = (inputs / "results_run" / "report.html").stat().st_size
    print(f"\nTogether {shown.wall_s + reported.wall_s:.1f} s (wanted: {WANTED_S}), at most {WANTED_GB} GB wanted.")
    print(f"The report has {size / 1e6:.1f} MB.")


def write_run_files(inputs: Path) -> None:
    """What the workflow hands to results beside the stages' folders."""
    params = {"params": {"job_dispatch": {"input": "spikeinterface"}}, "origins": {}, "differences": {}, "notes": []}
    params["sorters"] = [{"name": "spykingcircus2", "suffix": ""}]
    (inputs / "params.json").write_text(json.dumps(params))
    (inputs / "failures.json").write_text("[]")


if __name__ == "__main__":
    main()
