"""What a user would write by hand: SpikeInterface's calls with default parameters, and nothing of the capsules' stages.

python -m tests.truth.bare RECORDING OUTPUT [--split]
"""

from __future__ import annotations

import argparse
import inspect
import tempfile
from pathlib import Path

from capsules.common.resources import use_numba_cache

MIN_REFERENCE_CHANNELS = 8
"""The median of a tetrode holds its spikes, and takes them away."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recording", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--split", action="store_true")
    given = parser.parse_args()
    # Compiled code alone, which changes no spike.
    use_numba_cache()
    pin_seed()
    import spikeinterface as si

    recording = si.load(given.recording)
    parts = recording.split_by("group", outputs="dict") if given.split else {"all": recording}
    for name, part in parts.items():
        with tempfile.TemporaryDirectory() as work:
            sort(part, Path(work)).save(folder=given.output / str(name))


def pin_seed() -> None:
    """Seed the draw that the sorter's own seed does not reach, so that the comparison is the same each time."""
    from spikeinterface.sortingcomponents.peak_detection.matched_filtering import MatchedFilteringPeakDetector

    parameters = inspect.signature(MatchedFilteringPeakDetector.__init__).parameters
    parameters["random_chunk_kwargs"].default["seed"] = 42


def sort(recording, work: Path):
    import spikeinterface as si
    import spikeinterface.preprocessing as spre
    from spikeinterface.sorters import run_sorter

    neighbours = min(11, recording.get_num_channels() - 1)
    bad, _ = spre.detect_bad_channels(recording, seed=0, n_neighbors=neighbours)
    traces = spre.highpass_filter(recording, freq_min=300.0).remove_channels(bad)
    if traces.get_num_channels() >= MIN_REFERENCE_CHANNELS:
        traces = spre.common_reference(traces)
    traces = spre.astype(traces, "int16", round=True)
    traces = traces.save(folder=work / "traces", n_jobs=2, progress_bar=False)
    sorting = run_sorter("spykingcircus2", traces, folder=work / "sorter", job_kwargs={"n_jobs": 1})
    return si.NumpySorting.from_sorting(sorting)


if __name__ == "__main__":
    main()
