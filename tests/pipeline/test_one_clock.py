"""A whole run over two probes and an NI board with different clocks: the spikes of all are on the board's clock."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.pipeline.nextflow_runs import Finished, Pipeline
from tests.sync_sessions import SessionSpec, Truth, write_openephys_session, write_spikeglx_session

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]

ACCURACY_S = 1e-4
SESSIONS = {
    # Two files of every stream with 1.2 s between them, sorted as one recording.
    "spikeglx": (write_spikeglx_session, SessionSpec(duration_s=130.0, gap="files", units=3), "--no-split-segments"),
    # Samples that the second probe lost, by its sample numbers.
    "openephys": (write_openephys_session, SessionSpec(duration_s=130.0, gap="lost", units=3), ""),
}
SETTINGS = ("--preprocessing_args=--min-duration-for-preprocessing 20", "--runmode", "fast")


@pytest.fixture(scope="module", params=SESSIONS)
def run_and_truth(request, tmp_path_factory) -> tuple[Finished, Truth]:
    """A run of a session with clocks of 30000.173 and 29999.871 Hz, missing and doubled pulses, a late start."""
    write, spec, split = SESSIONS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    truth = write(folder / "data", spec)
    pipeline = Pipeline(folder, folder / "data", data_format=None)
    run = pipeline.run(*SETTINGS, f"--job_dispatch_args=--input {request.param} {split}", stub=False)
    assert run.code == 0, run.output
    return run, truth


def find_errors(times_s, true_s) -> tuple[int, float, float]:
    """How many true spikes a train has, and the median error in the first and in the last third of the recording."""
    nearest = times_s[np.abs(times_s[:, None] - true_s).argmin(axis=0)]
    error = nearest - true_s
    own = np.abs(error) < 1e-3
    if not own.any():
        return 0, np.nan, np.nan
    first_end_s, last_start_s = np.quantile(true_s, [1 / 3, 2 / 3])
    first, last = error[own & (true_s < first_end_s)], error[own & (true_s > last_start_s)]
    return int(own.sum()), float(np.median(first)), float(np.median(last))


def test_spikes_of_both_probes_are_on_the_reference_clock(run_and_truth):
    """In the NWB file and by `load`."""
    from pynwb import read_nwb

    from spikerelay import load

    run, truth = run_and_truth
    session = load(run.results)
    (file,) = session.nwb.values()
    nwbfile = read_nwb(file)
    trains = [nwbfile.units["spike_times"][row] for row in range(len(nwbfile.units))]
    loaded = {id: list(units.values()) for id, units in session.spike_trains.items()}
    found = 0
    for probe, units in truth.spikes.items():
        (own,) = (units for id, units in loaded.items() if probe in id)
        for true_s in units.values():
            best = max((find_errors(train, true_s) for train in trains), key=lambda each: each[0])
            if best[0] < 0.9 * len(true_s):
                continue
            found += 1
            assert max(abs(best[1]), abs(best[2])) < ACCURACY_S, (probe, best)
            same = max((find_errors(train, true_s) for train in own), key=lambda each: each[0])
            assert same == pytest.approx(best, abs=1e-9)
    # Nearly all of the six; the sorter may merge two.
    assert found >= 4


def test_the_session_reports_its_clocks(run_and_truth):
    run, _ = run_and_truth
    (block,) = json.loads((run.results / "sync.json").read_text())["blocks"].values()
    assert sorted(stream["status"] for stream in block["streams"]) == ["aligned", "aligned", "reference"]
    assert all(stream["residual_max_us"] < 70 for stream in block["streams"] if stream["status"] == "aligned")
