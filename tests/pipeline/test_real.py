"""Whole runs on real-format recordings, scored against the true spikes."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from capsules.common.tasks.resources import THREAD_VARIABLES
from capsules.demo.score import score, table
from tests.data import ProbeSpec, truth_folders, write_spikeglx
from tests.halves import rest_is_slow
from tests.pipeline.nextflow_runs import ROOT, VARIANTS, Finished, Pipeline

pytestmark = pytest.mark.pipeline

SHORT = "--min-duration-for-preprocessing 20"
CHANNELS = 16
PROBES = {
    count: [
        ProbeSpec(f"imec{index}", channels=CHANNELS, units=6, duration_s=duration_s, seed=7 + index)
        for index in range(count)
    ]
    for count, duration_s in ((1, 20.0), (2, 45.0))
}
"""Number of probes -> what they record."""
QUICK_AND_WHOLE = pytest.mark.parametrize("probes", rest_is_slow(PROBES), indirect=True)
WHOLE = pytest.mark.parametrize("probes", [2], indirect=True)
IMEC0, IMEC1 = "run_g0_imec0.ap_recording1", "run_g0_imec1.ap_recording1"
BLOCK = "run_g0_recording1"


@pytest.fixture(scope="module")
def probes(request) -> list[ProbeSpec]:
    return PROBES[request.param]


@pytest.fixture(scope="module")
def session(kept_session, probes) -> Path:
    return kept_session({"run": probes})


@pytest.fixture(scope="module")
def sorted_session(tmp_path_factory, session) -> Finished:
    """The probes sorted by SpykingCircus2."""
    run = Pipeline(tmp_path_factory.mktemp("run"), session).run("--preprocessing_args", SHORT, stub=False)
    assert run.code == 0, run.output
    return run


def digests(results: Path) -> str:
    return subprocess.run(
        [sys.executable, "-m", "capsules", "hash", results], check=True, capture_output=True, text=True, cwd=ROOT
    ).stdout


def show(capsys, run: Finished, scores: dict) -> None:
    """Print the table that `make demo` prints, past pytest's capture."""
    seconds = [stage["seconds"] for entry in run.status["recordings"].values() for stage in entry["stages"].values()]
    with capsys.disabled():
        print("\n" + table(run.results, scores, sum(seconds) / 60))


@QUICK_AND_WHOLE
def test_at_least_80_percent_of_the_true_units_are_found(sorted_session, session, probes, capsys):
    scores = score(sorted_session.results, truth_folders(session, probes))
    show(capsys, sorted_session, scores)
    assert list(scores) == [IMEC0, IMEC1][: len(probes)]
    assert all(found.fraction >= 0.8 for found in scores.values()), scores
    assert all(found.true_good == found.well_found for found in scores.values()), scores
    assert all(found.false_good == 0 for found in scores.values()), scores


@QUICK_AND_WHOLE
def test_every_part_of_the_results_loads_by_the_call_it_names(sorted_session, session, probes):
    import numpy as np
    import spikeinterface as si
    from pynwb import read_nwb
    from spikeinterface.curation import load_curation
    from spikeinterface.preprocessing import load_motion_info

    results = sorted_session.results
    lazy = si.load(results / "preprocessed" / f"{IMEC0}.json", base_folder=session.parent)
    assert lazy.get_num_samples() == probes[0].duration_s * 30000
    (task,) = sorted_session.tasks(process="PREPROCESSING", tag=IMEC0)
    written = si.load(Path(task["workdir"]) / f"preprocessing_{IMEC0}" / "traces")
    np.testing.assert_allclose(
        lazy.get_traces(start_frame=30000, end_frame=60000),
        written.get_traces(start_frame=30000, end_frame=60000),
        atol=1,
    )
    analyzer = si.load(results / "postprocessed" / f"{IMEC0}.zarr")
    assert analyzer.has_extension("principal_components")
    assert "isolation_distance" in analyzer.get_extension("quality_metrics").get_data().columns
    curated = si.load(results / "curated" / IMEC0)
    assert set(curated.get_property("default_qc")) <= {"good", "bad", "undetermined"}
    assert isinstance(json.loads((results / "postprocessed" / f"{IMEC0}.merge_candidates.json").read_text()), list)
    assert load_curation(results / "curated" / IMEC0 / "curation.json").unit_ids == curated.unit_ids.tolist()
    assert si.load(results / "spikesorted" / IMEC0).get_num_units() >= curated.get_num_units()
    info = load_motion_info(results / "preprocessed" / "motion" / IMEC0)
    assert info["motion"].displacement
    assert len(info["peaks"]) == len(info["peak_locations"]) > 0
    nwbfile = read_nwb(results / "nwb" / f"{BLOCK}.nwb")
    ids = [IMEC0, IMEC1][: len(probes)]
    assert len(nwbfile.units) == sum(si.load(results / "curated" / id).get_num_units() for id in ids)
    assert set(nwbfile.devices) == {probe.name for probe in probes}
    assert len(nwbfile.electrodes) == len(probes) * CHANNELS
    first = nwbfile.units["spike_times"][0]
    np.testing.assert_allclose(first, curated.get_unit_spike_train(curated.unit_ids[0]) / 30000)


@QUICK_AND_WHOLE
def test_status_and_record_are_complete(sorted_session, probes):
    status = sorted_session.status
    assert status["layout_version"] == 1
    assert all(entry["status"] == "ok" for entry in status["recordings"].values())
    stages = json.loads((sorted_session.results / "processing.json").read_text())["stages"]
    assert len(stages) == 5 * len(probes) + 3
    for record in stages:
        assert record["versions"]["spikeinterface"]
        assert record["seconds"] >= 0
        assert record["code"]
    assert (sorted_session.results / "report.html").read_text().count("<figure>") >= 4 * len(probes)


@WHOLE
@pytest.mark.slow
def test_spikes_are_those_of_plain_spikeinterface_with_the_same_parameters(sorted_session, tmp_path):
    """A script without this package, in its own process, on the written traces; and the capsule with another n_jobs.

    The sorter keeps its traces with 11 significant bits here: a few spikes differ from those of plain SpikeInterface.
    """
    (task,) = sorted_session.tasks(process="PREPROCESSING", tag=IMEC1)
    traces = Path(task["workdir"]) / f"preprocessing_{IMEC1}" / "traces"
    script = f"""
import inspect
import spikeinterface as si
from spikeinterface.sorters import run_sorter
from spikeinterface.sortingcomponents.peak_detection.matched_filtering import MatchedFilteringPeakDetector as Detector
inspect.signature(Detector.__init__).parameters["random_chunk_kwargs"].default["seed"] = 42
traces = si.load({str(traces)!r})
sorting = run_sorter("spykingcircus2", traces, folder={str(tmp_path / "sorter")!r}, job_kwargs=dict(n_jobs=1))
si.NumpySorting.from_sorting(sorting).save(folder={str(tmp_path / "plain")!r})
"""
    one_thread = os.environ | dict.fromkeys(THREAD_VARIABLES, "1")
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path, capture_output=True, env=one_thread)
    two_jobs = [sys.executable, "-m", "capsules.spikesorting", "--id", IMEC1, "--job", tmp_path / "job.json"]
    two_jobs += ["--inputs", traces.parents[1], "--output", tmp_path, "--sorter", "spykingcircus2", "--n-jobs", "2"]
    (tmp_path / "job.json").write_text((Path(task["workdir"]) / "job.json").read_text())
    subprocess.run(two_jobs, check=True, cwd=ROOT, capture_output=True)
    import numpy as np
    import spikeinterface as si
    from spikeinterface.comparison import compare_two_sorters

    assert sorted_session.tasks(process="SPIKESORTING", tag=IMEC1)[0]["cpus"] == "1"
    ours = si.load(sorted_session.results / "spikesorted" / IMEC1)
    two_jobs = si.load(tmp_path / f"spikesorting_{IMEC1}" / "spikesorted")
    assert two_jobs.unit_ids.tolist() == ours.unit_ids.tolist()
    # Spikes at the same sample come in any order.
    vectors = [np.sort(found.to_spike_vector(), order=["sample_index", "unit_index"]) for found in (two_jobs, ours)]
    assert np.array_equal(*vectors)
    plain = si.load(tmp_path / "plain")
    compared = compare_two_sorters(plain, ours, delta_time=0.2, match_score=0.5)
    units = [unit for unit in plain.unit_ids if len(plain.get_unit_spike_train(unit)) >= 100]
    agreements = [compared.agreement_scores.loc[unit].max() for unit in units]
    assert len(units) >= 5
    assert min(agreements) >= 0.95


@pytest.mark.slow
def test_kilosort4_on_the_cpu(tmp_path, capsys):
    """One probe of 16 channels and 30 s, with the settings that make Kilosort4 fast on a CPU."""
    probes = [ProbeSpec("imec0", channels=16, units=5, duration_s=30.0, seed=3)]
    data = tmp_path / "session"
    write_spikeglx(data, probes)
    params = tmp_path / "params.json"
    settings = {"batch_size": 15000, "nskip": 1, "nblocks": 0}
    params.write_text(json.dumps({"spikesorting": {"kilosort4": {"sorter": settings}}}))
    run = Pipeline(tmp_path, data).run(
        "--params_file", str(params), "--preprocessing_args", SHORT, sorter="kilosort4", stub=False
    )
    assert run.code == 0, run.output
    scores = score(run.results, truth_folders(data, probes))
    show(capsys, run, scores)
    assert scores[IMEC0].found_units >= 1
    assert max(scores[IMEC0].accuracies) >= 0.8
    record = run.record("spikesorting", IMEC0)
    assert any("do_CAR" in change for change in record["changes"])
    assert record["facts"]["arguments"]["batch_size"] == 15000


@pytest.mark.slow
def test_a_probe_without_signal_does_not_stop_the_other(tmp_path):
    """One probe's file holds zeros: it ends with its cause, the other one is sorted and published."""
    probes = [
        ProbeSpec(name, channels=16, units=4, duration_s=25.0, seed=seed) for name, seed in (("imec0", 1), ("imec1", 2))
    ]
    data = tmp_path / "session"
    write_spikeglx(data, probes)
    constant = next(data.rglob("*.imec1.ap.bin"))
    constant.write_bytes(bytes(constant.stat().st_size))
    run = Pipeline(tmp_path, data).run("--preprocessing_args", SHORT, stub=False)
    status = run.status
    assert status["recordings"][IMEC0]["status"] == "ok", run.output
    broken = status["recordings"][IMEC1]
    assert broken["status"] in ("failed", "skipped")
    assert broken["reason"]
    assert f"{IMEC1}: {broken['status']} in {broken['stage']}" in run.output
    assert (run.code != 0) == (broken["status"] == "failed")
    assert (run.results / "nwb" / f"{BLOCK}.nwb").exists()


@pytest.mark.slow
def test_the_short_probe_does_not_wait_for_the_long_one(tmp_path):
    """One core a task, one probe three times as long: the short one is postprocessed while the long one is sorted."""
    probes = [ProbeSpec("imec0", duration_s=180.0, seed=7), ProbeSpec("imec1", duration_s=60.0, seed=8)]
    data = tmp_path / "session"
    write_spikeglx(data, probes)
    run = Pipeline(tmp_path, data).run("--n_jobs", "2", "--preprocessing_args", SHORT, stub=False)
    assert run.code == 0, run.output
    (long,) = run.tasks(process="SPIKESORTING", tag=IMEC0)
    (short,) = run.tasks(process="POSTPROCESSING", tag=IMEC1)
    assert long["cpus"] == short["cpus"] == "1"
    assert short["start"] < long["complete"]


@WHOLE
@pytest.mark.slow
def test_a_second_run_gives_the_same(sorted_session, session, tmp_path):
    again = Pipeline(tmp_path, session).run("--preprocessing_args", SHORT, stub=False)
    assert digests(again.results) == digests(sorted_session.results)


@WHOLE
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_moment_and_resumed_gives_the_same(sorted_session, session, tmp_path, seed):
    pipeline = Pipeline(tmp_path, session)
    process = subprocess.Popen(
        pipeline.command("--preprocessing_args", SHORT),
        cwd=tmp_path,
        env=pipeline.environment(*VARIANTS[0]),
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    time.sleep(random.Random(seed).uniform(10, 60))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    resumed = pipeline.run("-resume", "--preprocessing_args", SHORT, stub=False)
    assert resumed.code == 0, resumed.output
    assert digests(resumed.results) == digests(sorted_session.results)
