"""What a scientist would write by hand in place of the sorting capsule: SpykingCircus2 with its own defaults."""

from __future__ import annotations

import sys
from pathlib import Path

import spikeinterface as si
from spikeinterface.sorters import run_sorter


def sort(folder: Path) -> None:
    """Sort the `traces/` in a folder; write `spikesorted/` beside them."""
    traces = si.load(folder / "traces")
    job_kwargs = {"n_jobs": 2, "chunk_duration": "1s", "progress_bar": False}
    sorting = run_sorter("spykingcircus2", traces, folder=folder / "sorter", job_kwargs=job_kwargs)
    sorting.save(folder=folder / "spikesorted")


if __name__ == "__main__":
    sort(Path(sys.argv[1]))
