"""`make demo`: make a two-probe SpikeGLX session, run the pipeline on it as a user would, score the result."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.data import ProbeSpec, cached_spikeglx, truth_folders
from tests.score import score, table

ROOT = Path(__file__).parents[1]
PROBES = [ProbeSpec("imec0", seed=7), ProbeSpec("imec1", seed=8)]


def pipeline_command(*arguments: str) -> list[str]:
    """The manual's command line."""
    return [
        str(ROOT / "nextflow"),
        "-C",
        str(ROOT / "nextflow_local.config"),
        "run",
        str(ROOT / "main_multi_backend.nf"),
        *arguments,
    ]


def main() -> int:
    demo = ROOT / ".demo"
    demo.mkdir(exist_ok=True)
    data, results = demo / "session", demo / "results"
    print("demo: making a SpikeGLX session with two probes (once)" if not data.exists() else "demo: session is there")
    cached_spikeglx(data, PROBES)
    command = pipeline_command(
        "--n_jobs", str(os.cpu_count()), "--sorter", "spykingcircus2", "--job_dispatch_args", "--input spikeglx"
    )
    print(f"demo: DATA_PATH={data} RESULTS_PATH={results} {' '.join(command)}", flush=True)
    start = time.monotonic()
    environment = os.environ | {"DATA_PATH": str(data), "RESULTS_PATH": str(results)}
    code = subprocess.run(command, cwd=demo, env=environment, check=False).returncode
    minutes = (time.monotonic() - start) / 60
    if code:
        return code
    print(table(results, score(results, truth_folders(data, PROBES)), minutes))
    print(f"report: {results / 'report.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
