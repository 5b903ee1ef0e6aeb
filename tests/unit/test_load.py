"""`capsules.load.load` and `spikerelay load`, on results made by the stages themselves, also when they were moved."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from capsules.common.errors import Rejected, SpikeRelayError
from capsules.load import load
from tests.data import differ_at_most_where_chunks_end
from tests.two_probes import IDS, contents


@pytest.fixture
def moved(results, tmp_path):
    """The results in another place than they were made in."""
    return results.rename(tmp_path / "moved results")


def test_everything_is_there_in_one_call(moved, run_folder):
    import spikeinterface as si
    from pynwb import read_nwb

    before = contents(moved)
    session = load(moved, data=run_folder / "data")
    assert list(session.status["recordings"]) == list(IDS)
    for id in IDS:
        chunk = {"start_frame": 30000, "end_frame": 60000}  # as preprocessing wrote it, with the same margins
        traces = session.recordings[id].get_traces(**chunk)
        written = si.load(run_folder / f"preprocessing_{id}" / "traces").get_traces(**chunk)
        assert differ_at_most_where_chunks_end(traces, written)
        assert session.sortings[id].get_num_units() == 4
        assert set(session.curated[id].get_property("default_qc")) <= {"good", "bad", "undetermined"}
        templates = session.analyzers[id].get_extension("templates").get_data()
        assert templates.shape[::2] == (4, traces.shape[1])
    assert session.analyzers[IDS[0]] is session.analyzers[IDS[0]]
    assert len(read_nwb(session.nwb["day"]).units) == 8
    metrics = session.metrics
    assert metrics.loc[(IDS[1], "2"), "num_spikes"] == len(session.curated[IDS[1]].get_unit_spike_train("2"))
    assert metrics["num_spikes"].dtype == int
    assert len(metrics) == 8
    assert contents(moved) == before


def test_results_without_reasons_and_merge_candidates_still_load(moved):
    """As 0.1 wrote them before labels had reasons: of the same layout version, with fewer files and properties."""
    for id in IDS:
        (moved / "postprocessed" / f"{id}.merge_candidates.json").unlink()
        for name in ("default_qc_reason", "suspicious", "suspicious_reason"):
            (moved / "curated" / id / "properties" / f"{name}.npy").unlink()
    session = load(moved)
    assert len(session.metrics) == 8
    assert "default_qc" in session.metrics
    assert not {"default_qc_reason", "suspicious"} & set(session.metrics)
    assert session.curated[IDS[0]].get_property("suspicious") is None


def test_nothing_is_read_before_it_is_asked_for(moved):
    for folder in ("curated", "spikesorted", "postprocessed"):
        for path in (moved / folder).iterdir():
            if path.is_dir():
                shutil.rmtree(path)
                path.mkdir()
    session = load(moved)
    assert set(session.analyzers) == set(session.curated) == set(session.sortings) == set(IDS)
    assert repr(session.analyzers) == f"<to be loaded: {', '.join(IDS)}>"


def test_what_a_recording_lacks_is_not_there(moved):
    shutil.rmtree(moved / "curated" / IDS[0])
    shutil.rmtree(moved / "postprocessed" / f"{IDS[0]}.zarr")
    shutil.rmtree(moved / "nwb")
    session = load(moved)
    assert set(session.curated) == set(session.analyzers) == {IDS[1]}
    assert set(session.sortings) == set(IDS)
    assert session.nwb == {}
    assert set(session.metrics.index.get_level_values("sorting")) == {IDS[1]}
    with pytest.raises(KeyError):
        session.curated[IDS[0]]


def test_the_data_of_the_run_are_found_where_they_are_still_there(moved, run_folder):
    assert load(moved).data is None
    assert dict(load(moved).recordings) == {}
    (moved / "nextflow").mkdir()
    for data, found in ((run_folder / "data", list(IDS)), (run_folder / "gone", [])):
        (moved / "nextflow" / "run.json").write_text(json.dumps({"data": str(data), "options": {}}))
        assert list(load(moved).recordings) == found


def test_motion_is_loaded(moved):
    from spikeinterface.core.motion import Motion
    from spikeinterface.preprocessing.motion import save_motion_info

    motion = Motion(np.zeros((3, 1)), np.arange(3.0), np.array([50.0]))
    info = {"parameters": {}, "run_times": {}, "peaks": np.zeros(4), "peak_locations": np.zeros(4), "motion": motion}
    (moved / "preprocessed" / "motion").mkdir()
    save_motion_info(info, moved / "preprocessed" / "motion" / IDS[0])
    session = load(moved)
    assert list(session.motion) == [IDS[0]]
    assert session.motion[IDS[0]]["motion"].displacement[0].shape == (3, 1)


def test_wrong_folders_are_refused(moved, tmp_path, spikerelay):
    with pytest.raises(Rejected, match="not the results folder of a finished run"):
        load(tmp_path)
    with pytest.raises(Rejected, match="no such folder"):
        load(moved, data=tmp_path / "nowhere")
    (tmp_path / "elsewhere" / "data").mkdir(parents=True)
    with pytest.raises(SpikeRelayError, match="does not hold the recording"):
        load(moved, data=tmp_path / "elsewhere" / "data").recordings[IDS[0]]
    code, _, told = spikerelay("load", tmp_path)
    assert (code, "not the results folder of a finished run" in told) == (2, True)


def test_the_command_prints_python_that_runs(moved, run_folder, spikerelay):
    status = json.loads((moved / "status.json").read_text())
    status["recordings"]["late"] = {"recording": "late", "sorter": "x", "status": "skipped", "reason": "2 s\nlong"}
    (moved / "status.json").write_text(json.dumps(status))
    code, said, complaint = spikerelay("load", moved, "--data", run_folder / "data")
    assert code == 0, complaint
    lines = said.splitlines()
    assert "# skipped: 2 s long" in next(line for line in lines if '"late"' in line)
    places = ("recordings", "sortings", "curated", "spike_trains", "analyzers")
    for place in places:
        assert [line.split("#")[0].strip() for line in lines if f"session.{place}" in line] == [
            f'session.{place}["{id}"]' for id in IDS
        ]
    scope = {}
    exec(said, scope)
    assert scope["session"].data == run_folder / "data"
    code, said, _ = spikerelay("load", moved)
    assert (code, "No preprocessed traces" in said, "session.recordings" in said) == (0, True, False)
