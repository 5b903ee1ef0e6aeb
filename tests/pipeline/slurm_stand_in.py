"""Stand-ins for SLURM's commands: each job runs here at once, as a process whose id is the job's."""

from __future__ import annotations

from pathlib import Path

QUICK = """
executor {
    $slurm {
        pollInterval = '1 sec'
        queueStatInterval = '2 sec'
        exitReadTimeout = '5 sec'
    }
}
"""
"""Configuration lines for a SLURM that answers at once, whose disk is this machine's."""

SBATCH = """#!/bin/bash
case "$*" in
    *--test-only*nosuch*) echo "sbatch: error: invalid partition specified: nosuch" >&2; exit 1 ;;
    *--test-only*) exit 0 ;;
esac
grep -q nosuch "$1" && { echo "sbatch: error: Batch job submission failed: Invalid feature specification"; exit 1; }
bash "$1" >.command.log 2>&1 </dev/null &
echo $! >>{folder}/jobs
echo "Submitted batch job $!"
"""
SQUEUE = """#!/bin/bash
while read -r job; do kill -0 "$job" 2>/dev/null && echo "$job R"; done <{folder}/jobs
exit 0
"""
SINFO = """#!/bin/bash
echo "work* 3-00:00:00
short 1:00:00"
"""
SCANCEL = """#!/bin/bash
kill "$@"
"""


def install(folder: Path) -> None:
    """Write the commands into a folder that is to come first on PATH."""
    folder.mkdir(exist_ok=True)
    for name, text in {"sbatch": SBATCH, "squeue": SQUEUE, "sinfo": SINFO, "scancel": SCANCEL}.items():
        (folder / name).write_text(text.replace("{folder}", str(folder)))
        (folder / name).chmod(0o755)
