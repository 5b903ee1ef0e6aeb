"""What a user would write by hand: SpikeInterface's calls with default parameters, and nothing of the capsules' stages.

python -m tests.truth.bare RECORDING OUTPUT [--split] [--sorter NAME] [--query QUERY]

With a query, redundant units are removed and the others labelled as well: OUTPUT/labelled has `default_qc`.
"""

from __future__ import annotations

import argparse
import inspect
import tempfile
from pathlib import Path

from capsules.common.tasks.resources import use_numba_cache

MIN_REFERENCE_CHANNELS = 8
"""The median of a tetrode holds its spikes, and takes them away."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recording", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--split", action="store_true")
    parser.add_argument("--sorter", default="spykingcircus2")
    parser.add_argument("--query")
    given = parser.parse_args()
    # Compiled code alone, which changes no spike.
    use_numba_cache()
    pin_seed()
    import spikeinterface as si

    recording = si.load(given.recording)
    parts = recording.split_by("group", outputs="dict") if given.split else {"all": recording}
    for name, part in parts.items():
        with tempfile.TemporaryDirectory() as work:
            sorting, traces = sort(part, Path(work), given.sorter)
            sorting.save(folder=given.output / str(name))
            if given.query:
                label(sorting, traces, given.query).save(folder=given.output / "labelled")


def pin_seed() -> None:
    """Seed the draw that the sorter's own seed does not reach, so that the comparison is the same each time."""
    from spikeinterface.sortingcomponents.peak_detection.matched_filtering import MatchedFilteringPeakDetector

    parameters = inspect.signature(MatchedFilteringPeakDetector.__init__).parameters
    parameters["random_chunk_kwargs"].default["seed"] = 42


def sort(recording, work: Path, sorter: str):
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
    own = {"job_kwargs": {"n_jobs": 1}} if sorter == "spykingcircus2" else {}
    sorting = run_sorter(sorter, traces, folder=work / "sorter", **own)
    return si.NumpySorting.from_sorting(sorting), traces


def label(sorting, traces, query: str):
    """Without redundant units, the others `good` when they meet the query, in which NaN meets nothing."""
    import numpy as np
    import spikeinterface as si
    from spikeinterface.curation import remove_redundant_units

    jobs = {"n_jobs": 2, "progress_bar": False}
    analyzer = si.create_sorting_analyzer(sorting, traces, **jobs)
    analyzer.compute(["random_spikes", "waveforms", "templates", "noise_levels"], **jobs)
    kept = remove_redundant_units(analyzer)
    analyzer = analyzer.select_units(kept.unit_ids)
    analyzer.compute(["spike_amplitudes", "quality_metrics"], **jobs)
    metrics = analyzer.get_extension("quality_metrics").get_data()
    labelled = si.NumpySorting.from_sorting(analyzer.sorting)
    good = metrics.index.isin(metrics.query(query).index)
    labelled.set_property("default_qc", np.where(good, "good", "bad"))
    return labelled


if __name__ == "__main__":
    main()
