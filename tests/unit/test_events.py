"""The stage `events` and the events in the NWB file: names, times on the reference clock, what is left out and said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from capsules.common.contract import STAGES
from capsules.common.errors import SpikeRelayError
from capsules.common.recordings.job import Job
from capsules.common.sync.alignment import Alignment
from capsules.common.sync.event_files import pulses_of, read_events
from capsules.common.sync.line_names import short_streams
from capsules.common.tasks import perform as performing
from capsules.common.tasks.task import Task
from capsules.events import stage as events_stage
from capsules.events.names import label_lines, match_lines
from capsules.events.params import EventsParams
from capsules.job_dispatch.jobs import jobs_of_stream
from capsules.job_dispatch.loaders import LINE_SOURCES
from capsules.job_dispatch.loaders.line_sources import select_sources
from capsules.job_dispatch.loaders.spikeglx import list_streams
from capsules.job_dispatch.loaders.streams import Stream
from capsules.job_dispatch.params import JobDispatchParams
from capsules.nwb_ecephys import stage as nwb_stage
from capsules.nwb_ecephys.params import NwbEcephysParams
from tests.reach.test_nwb_file import findings
from tests.sync_sessions import SessionSpec, Truth, write_spikeglx_session
from tests.two_probes import quiet_tasks

SPEC = SessionSpec(duration_s=14.0, channels=4, spikes=False, missing=0.0, doubled=0.4, lf=False)
BLOCK = "run_g0_recording1"
NAMES = {"XD1": "camera frames", "nidq:XD2": "reward", "XA0": "photodiode"}
DOUBLE_S = {"own_s": [0.0, 100.0], "reference_s": [10.0, 210.0]}
"""Knots of a clock that runs at half the speed of the reference."""


@pytest.fixture(scope="module")
def session(tmp_path_factory) -> tuple[Path, Truth, list[Job]]:
    """A session, what happened, and the jobs of its block with their sources of lines."""
    folder = tmp_path_factory.mktemp("session")
    truth = write_spikeglx_session(folder, SPEC)
    (folder / "nwb_metadata.yaml").write_text("Subject: {subject_id: m1, species: Mus musculus, sex: F, age: P90D}\n")
    params = JobDispatchParams(input="spikeglx")
    sources = LINE_SOURCES["spikeglx"](folder, folder, params)
    jobs = []
    for stream in list_streams(folder, params):
        if isinstance(stream, Stream):
            chosen = select_sources(sources, stream.dataset, stream.name, [0])
            for job in jobs_of_stream(stream, folder, folder, params):
                jobs.append(job.model_copy(update={"event_sources": chosen, "skip": None}))
    return folder, truth, jobs


def perform(stage: str, jobs: list[Job], data: Path, folder: Path, params, code: int = 0) -> dict:
    """Run a stage of the block; returns its record."""
    out = folder / f".{stage}.partial"
    out.mkdir(parents=True)
    task = Task(STAGES[stage], BLOCK, jobs, params, folder, data, out, 1)
    run = {"events": events_stage, "nwb_ecephys": nwb_stage}[stage].run
    with quiet_tasks():
        assert performing.perform(task, run, folder) == code, task.record
    return task.record


def write(session, folder: Path, **settings) -> tuple[dict, dict[str, dict]]:
    """Run the stage; returns its record, and label -> its entry in events.json."""
    data, _, jobs = session
    record = perform("events", jobs, data, folder, EventsParams.model_validate(settings))
    rows = json.loads((folder / f"events_{BLOCK}" / "events" / "events.json").read_text())
    return record, {row["label"]: row for row in rows}


def test_every_line_has_a_file_with_its_edges(session, tmp_path):
    record, lines = write(session, tmp_path, names=NAMES, analog_thresholds_v={"XA0": 1.5})
    assert record["warnings"] == []
    assert list(lines) == ["imec0_SY6", "imec1_SY6", "nidq_XD0", "camera frames", "reward", "nidq_XD3", "photodiode"]
    folder = tmp_path / f"events_{BLOCK}" / "events"
    assert {path.name for path in folder.iterdir()} == {
        "events.json", "imec0_SY6.csv", "imec1_SY6.csv", "nidq_XD0.csv", "nidq_camera-frames.csv", "nidq_reward.csv",
        "nidq_XD3.csv", "nidq_photodiode.csv",
    }  # fmt: skip
    truth = session[1].events
    for label, name in (("camera frames", "camera"), ("reward", "reward"), ("photodiode", "photodiode")):
        events = read_events(folder / lines[label]["file"])
        pulses = pulses_of(events)
        np.testing.assert_allclose(pulses["time_s"], truth[name][:, 0], rtol=0, atol=41e-6)
        np.testing.assert_allclose(pulses["duration_s"], np.diff(truth[name])[:, 0], rtol=0, atol=41e-6)
        assert lines[label]["rising"] == len(truth[name])
        assert events["level"].tolist() == [1, 0] * len(truth[name])
        assert lines[label]["first_s"] == events["time_s"].iloc[0]
        # The samples are those of the stream's file.
        np.testing.assert_allclose(events["sample"] / 25000, events["time_s"] - 62501 / 25000, atol=5e-5)
    assert lines["photodiode"]["kind"] == "analog"
    silent = lines["nidq_XD3"]
    assert (silent["rising"], silent["falling"], silent["first_s"]) == (0, 0, None)
    assert len(read_events(folder / silent["file"])) == 0


def test_times_are_on_the_reference_clock(session, tmp_path):
    data, truth, jobs = session
    halved = Alignment(stream="nidq", reference="imec0.ap", status="aligned", **DOUBLE_S)
    sources = [
        source.model_copy(update={"alignment": halved}) if source.stream == "nidq" else source
        for source in jobs[0].event_sources
    ]
    moved = [job.model_copy(update={"event_sources": sources}) for job in jobs]
    _, lines = write((data, truth, moved), tmp_path)
    pulses = pulses_of(read_events(tmp_path / f"events_{BLOCK}" / "events" / lines["nidq_XD2"]["file"]))
    np.testing.assert_allclose(pulses["time_s"], 10 + 2 * truth.events["reward"][:, 0], rtol=0, atol=1e-4)
    np.testing.assert_allclose(pulses["duration_s"], 0.2, atol=1e-4)


def test_short_pulses_and_bounces_are_removed(session, tmp_path):
    _, before = write(session, tmp_path / "all")
    _, after = write(session, tmp_path / "long", min_duration_ms=10)
    assert before["nidq_XD1"]["rising"] > 0
    # A camera's pulses last 5 ms.
    assert after["nidq_XD1"]["rising"] == 0
    assert after["nidq_XD2"] == before["nidq_XD2"]
    assert after["nidq_XD0"]["rising"] < before["nidq_XD0"]["rising"]


def test_names_that_fit_no_line_or_several_are_said(session, tmp_path):
    record, lines = write(
        session, tmp_path, names={"XD11": "a", "SY6": "b", "imec1:SY6": "sync"}, analog_thresholds_v={"XD1": 1}
    )
    assert record["warnings"] == [
        "events.names.XD11: no such line; did you mean 'XD1'?; not used. The lines: SY6, XD0, XD1, XD2, XD3, XA0, XA1",
        "events.names.SY6: several streams have this line; not used. Write one of imec0:SY6, imec1:SY6",
        "events.analog_thresholds_v.XD1: no such line; did you mean 'XA1'?; not used. The lines: XA0, XA1",
    ]
    assert "sync" in lines and "imec1_SY6" not in lines


def test_a_part_of_a_segment_has_its_own_events_alone(session, tmp_path):
    data, truth, jobs = session
    clock = jobs[0].clock.part(150_000, 90_000)
    parts = [job.model_copy(update={"part": (150_000, 90_000), "clock": clock, "duration_s": 3.0}) for job in jobs]
    _, lines = write((data, truth, parts), tmp_path)
    own = truth.events["camera"][:, 0]
    expected = int(((own > clock.starts_s[0]) & (own < clock.end_s)).sum())
    assert 80 < expected == lines["nidq_XD1"]["rising"]


def test_a_stream_that_cannot_be_read_fails_and_the_others_are_written(session, tmp_path):
    data, truth, jobs = session
    broken = jobs[0].event_sources[0].model_copy(update={"stream": "other", "failure": "cannot be read: x"})
    moved = [jobs[0].model_copy(update={"event_sources": [broken, *jobs[0].event_sources]})]
    record, lines = write((data, truth, moved), tmp_path)
    assert record["status"] == "failed"
    assert record["reason"] == "the events of other are not written: other: cannot be read: x"
    assert lines["nidq_XD2"]["rising"] > 0


def test_a_block_without_lines(session, tmp_path):
    data, truth, jobs = session
    record, lines = write(
        (data, truth, [jobs[0].model_copy(update={"event_sources": []})]), tmp_path, analog_to_nwb=True
    )
    assert (record["status"], lines) == ("ok", {})
    assert record["warnings"] == ["events.analog_to_nwb: this block has no analog channels"]


@pytest.mark.parametrize("backend", ["zarr", "hdf5"])
def test_events_in_the_nwb_file(session, tmp_path, backend):
    from pynwb import read_nwb

    data, truth, jobs = session
    write(session, tmp_path, names=NAMES, analog_thresholds_v={"XA0": 1.5}, analog_to_nwb=True)
    settings = NwbEcephysParams(backend=backend, write_lfp=False)
    record = perform("nwb_ecephys", jobs, data, tmp_path, settings)
    assert not any("events" in warning for warning in record["warnings"])
    file = tmp_path / f"nwb_ecephys_{BLOCK}" / "file.nwb"
    nwbfile = read_nwb(file)
    # A line that never changes has no table.
    assert set(nwbfile.events) == {"imec0_SY6", "imec1_SY6", "nidq_XD0", "camera frames", "reward", "photodiode"}
    for label, name in (("camera frames", "camera"), ("reward", "reward"), ("photodiode", "photodiode")):
        table = nwbfile.events[label]
        assert table.colnames == ("timestamp", "duration")
        np.testing.assert_allclose(table["timestamp"][:], truth.events[name][:, 0], rtol=0, atol=41e-6)
        np.testing.assert_allclose(table["duration"][:], np.diff(truth.events[name])[:, 0], rtol=0, atol=41e-6)
        assert table["timestamp"].resolution == pytest.approx(1 / 25000)
    assert nwbfile.events["photodiode"].source_description == "Thresholding of analog channel XA0 of nidq at 1.5 V"
    wheel = nwbfile.acquisition["nidq_XA1"]
    assert (wheel.unit, wheel.rate) == ("volts", 25000.0)
    volts = wheel.data[:] * wheel.conversion
    assert np.abs(volts).max() == pytest.approx(5 * 16000 / 32768, rel=1e-3)
    assert wheel.starting_time == pytest.approx(2.5, abs=1e-3)
    # The session's metadata has no location of its electrodes.
    assert [finding for finding in findings(nwbfile) if "location_allen_ccf" not in finding] == []


def test_an_irregular_clock_gives_the_analog_channels_their_times(session, tmp_path):
    from pynwb import read_nwb

    data, truth, jobs = session
    bent = Alignment(
        stream="nidq", reference="imec0.ap", status="aligned", own_s=[0.0, 5.0, 20.0], reference_s=[0.0, 5.1, 20.0]
    )
    sources = [
        source.model_copy(update={"alignment": bent}) if source.stream == "nidq" else source
        for source in jobs[0].event_sources
    ]
    moved = [job.model_copy(update={"event_sources": sources}) for job in jobs]
    write((data, truth, moved), tmp_path, analog_to_nwb=True)
    perform("nwb_ecephys", moved, data, tmp_path, NwbEcephysParams(write_lfp=False, stub=True, stub_seconds=6))
    nwbfile = read_nwb(tmp_path / f"nwb_ecephys_{BLOCK}" / "file.nwb")
    series = nwbfile.acquisition["nidq_XA1"]
    own_s = (62501 + np.arange(150_000)) / 25000
    np.testing.assert_allclose(series.timestamps[:], bent.map(own_s), rtol=0, atol=1e-6)
    assert len(series.data) == 150_000
    # A stub has the events of its seconds.
    assert nwbfile.events["nidq_XD1"]["timestamp"][:].max() < 2.5 + 6.1


def test_a_file_without_the_events_says_so(session, tmp_path):
    from pynwb import read_nwb

    data, _, jobs = session
    record = perform("nwb_ecephys", jobs, data, tmp_path, NwbEcephysParams(write_lfp=False))
    assert any("the events are not in this file" in warning for warning in record["warnings"])
    assert not read_nwb(tmp_path / f"nwb_ecephys_{BLOCK}" / "file.nwb").events


def test_labels_and_short_names():
    streams = [
        "Record Node 101#NI-DAQmx-102.PXI-6133",
        "Record Node 101#Neuropix-PXI-100.ProbeA-AP",
        "imec0.ap",
        "nidq",
    ]
    assert list(short_streams(streams).values()) == ["PXI-6133", "ProbeA", "imec0", "nidq"]
    assert short_streams(["a#x", "b#x"]) == {"a#x": "a#x", "b#x": "b#x"}
    ids = [("nidq", "XD0"), ("imec0.ap", "SY6")]
    assert label_lines(ids, {ids[0]: "go", ids[1]: "go"}) == {ids[0]: "nidq_XD0_go", ids[1]: "imec0_SY6_go"}
    warnings: list[str] = []
    assert match_lines({"imec0.ap:SY6": 1, "imec0:SY6": 2}, "p", dict.fromkeys(ids), warnings.append) == {ids[1]: 2}
    assert warnings == []
    # A point for the colon, and a line of two record nodes whose short names are equal.
    match_lines({"nidq.XD0": 1}, "p", dict.fromkeys(ids), warnings.append)
    nodes = [("Record Node 1#Box-100.P", "TTL1"), ("Record Node 2#Box-100.P", "TTL1"), ("x", "a:b")]
    assert match_lines({"P:TTL1": 1, "a:b": 2}, "p", dict.fromkeys(nodes), warnings.append) == {("x", "a:b"): 2}
    assert warnings == [
        "p.nidq.XD0: no such line; did you mean 'nidq:XD0'?; not used. The lines: XD0, SY6",
        "p.P:TTL1: several streams have this line; not used. "
        "Write one of Record Node 1#Box-100.P:TTL1, Record Node 2#Box-100.P:TTL1",
    ]


def test_load_has_the_events_of_each_block(session, results, tmp_path):
    from capsules.load import load

    _, lines = write(session, tmp_path, names=NAMES)
    assert dict(load(results).events) == {}
    published = results / "events" / BLOCK
    shutil.copytree(tmp_path / f"events_{BLOCK}" / "events", published)
    events = load(results).events
    assert list(events) == [BLOCK]
    assert list(events[BLOCK]) == list(lines)
    rewards = events[BLOCK]["reward"]
    assert rewards.columns.tolist() == ["time_s", "level", "duration_s", "sample"]
    rising = rewards[rewards["level"] == 1]
    np.testing.assert_allclose(rising["time_s"], session[1].events["reward"][:, 0], rtol=0, atol=41e-6)
    # A list from others names no file outside of its folder.
    listing = json.loads((published / "events.json").read_text())
    listing[0]["file"] = "../../status.json"
    (published / "events.json").write_text(json.dumps(listing))
    with pytest.raises(FileNotFoundError):
        load(results).events[BLOCK][listing[0]["label"]]
    (published / "events.json").write_text("[{}]")
    with pytest.raises(SpikeRelayError, match="is not what a run leaves"):
        load(results).events[BLOCK]
