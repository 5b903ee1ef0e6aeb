"""Job dispatch puts the streams of a recording on one clock, for the sessions of `tests/sync_sessions.py`."""

import csv
import json
import shutil

import numpy as np
import pytest

from capsules.common.recordings.job import Job, read_jobs
from capsules.common.sync.document import find_alignment, sync_document
from capsules.job_dispatch.params import PARAMS
from capsules.job_dispatch.stage import run
from capsules.nwb_ecephys.notes import clock_notes, unaligned_lines
from tests.reach.spy import task_for
from tests.sync_sessions import SessionSpec, reference_s, write_openephys_session, write_spikeglx_session

ACCURACY_S = 1e-4
SMALL = SessionSpec(duration_s=16.0, channels=4, spikes=False)
PROBES = {"imec0.ap": 0, "imec1.ap": 1, "ProbeA-AP": 0, "ProbeB-AP": 1}


def spec(**fields):
    return SessionSpec(**{**SMALL.__dict__, **fields})


def dispatch(data, folder, **settings):
    """The jobs as later stages read them, and the task."""
    task = task_for("job_dispatch", PARAMS.model_validate({"input": "spikeglx"} | settings), folder, data)
    run(task)
    return read_jobs(task.out / "jobs.json"), task


def worst_s(job, session):
    """How far the job's clock is from the true times of its samples on the reference clock."""
    stream = session.streams()[PROBES[job.stream.rsplit("-100.")[-1]]]
    numbers = job.own_clock.seconds(samples := np.arange(0, job.clock.num_samples, 500)) * stream.header_hz
    true_s = numbers / stream.rate_hz + stream.offset_s
    return float(np.abs(job.clock.seconds(samples) - reference_s(session.streams()[-1], true_s)).max())


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"coded": True, "lf": False},
        {"nominal": False, "gap": "files", "late": False},
    ],
)
def test_spikeglx(fields, tmp_path):
    session = spec(**fields)
    write_spikeglx_session(tmp_path / "data", session)
    jobs, task = dispatch(tmp_path / "data", tmp_path)
    assert {job.alignment.reference for job in jobs} == {"nidq"}
    assert max(worst_s(job, session) for job in jobs) < ACCURACY_S
    assert not task.record["warnings"]
    assert {source.stream: source.alignment.status for source in jobs[0].event_sources} == {
        "imec0.ap": "aligned",
        "imec1.ap": "aligned",
        "nidq": "reference",
    }


@pytest.mark.parametrize("fields", [{}, {"coded": True, "gap": "lost"}])
def test_open_ephys(fields, tmp_path):
    """The line is not named: of the NI board's three, the one whose pulses match is used."""
    session = spec(**fields)
    write_openephys_session(tmp_path / "data", session)
    jobs, _ = dispatch(tmp_path / "data", tmp_path, input="openephys")
    assert {job.alignment.reference_line for job in jobs} == {"TTL1"}
    assert max(worst_s(job, session) for job in jobs) < ACCURACY_S


def test_joined_segments_and_parts_between_gaps(tmp_path):
    session = spec(gap="files")
    write_spikeglx_session(tmp_path / "data", session)
    joined, _ = dispatch(tmp_path / "data", tmp_path / "joined", split_segments=False)
    assert [len(job.clock.gaps()) for job in joined] == [1, 1]
    assert max(worst_s(job, session) for job in joined) < ACCURACY_S
    write_openephys_session(tmp_path / "oe", spec(gap="lost"))
    parts, _ = dispatch(tmp_path / "oe", tmp_path / "parts", input="openephys", split_gaps=True)
    assert len(parts) == 3
    assert max(worst_s(job, session) for job in parts) < ACCURACY_S


def test_several_sessions(tmp_path):
    """The second one has no pulses: it keeps its clocks, and the first is aligned."""
    write_spikeglx_session(tmp_path / "data" / "day1", spec())
    write_spikeglx_session(tmp_path / "data" / "day2", spec(pulses=False))
    jobs, task = dispatch(tmp_path / "data", tmp_path, multi_session=True)
    assert [job.alignment.status for job in jobs] == ["aligned"] * 2 + ["no pulses"] * 2
    assert all("day2" in warning for warning in task.record["warnings"])


def test_lost_samples_are_reported_and_not_guessed(tmp_path):
    write_spikeglx_session(tmp_path / "data", spec(gap="lost"))
    (first, second), task = dispatch(tmp_path / "data", tmp_path)
    assert (first.alignment.status, second.alignment.status) == ("aligned", "ambiguous")
    assert second.own_clock is None
    (warning,) = task.record["warnings"]
    assert "imec1.ap keeps its own clock" in warning
    (line,) = unaligned_lines([first, second])
    assert "was not aligned to nidq" in line
    notes = clock_notes([first, second])
    assert any(note.startswith("imec0.ap: times are on the clock of nidq: ") for note in notes)
    assert "The streams' clocks were not aligned to each other." in notes


def test_switched_off(tmp_path):
    write_spikeglx_session(tmp_path / "data", spec())
    jobs, _ = dispatch(tmp_path / "data", tmp_path, sync={"enabled": False})
    assert [job.alignment for job in jobs] == [None, None]
    assert [source.stream for source in jobs[0].event_sources] == ["imec0.ap", "imec1.ap", "nidq"]


def test_one_stream_has_nothing_to_align(tmp_path):
    write_spikeglx_session(tmp_path / "data", spec())
    for file in (tmp_path / "data").rglob("*nidq*"):
        file.unlink()
    shutil.rmtree(next((tmp_path / "data").rglob("*imec1")))
    (job,), task = dispatch(tmp_path / "data", tmp_path)
    assert job.alignment is None
    assert not task.record["warnings"]


def test_the_reference_and_lines_of_the_user(tmp_path):
    session = spec()
    write_spikeglx_session(tmp_path / "data", session)
    jobs, _ = dispatch(tmp_path / "data", tmp_path / "a", sync={"reference": "imec1", "lines": {"imec0": "imec0:SY6"}})
    assert [job.alignment.status for job in jobs] == ["aligned", "reference"]
    assert [source.alignment.status for source in jobs[0].event_sources] == ["aligned", "reference", "aligned"]
    jobs, task = dispatch(tmp_path / "data", tmp_path / "b", sync={"reference": "nidc"})
    assert {job.alignment.status for job in jobs} == {"failed"}
    assert "nidq" in task.record["warnings"][0]
    # A reward is not a sync pulse: the probes are aligned to each other, and the board is reported.
    jobs, task = dispatch(tmp_path / "data", tmp_path / "c", sync={"lines": {"nidq": "XD2", "nidc": "XD0"}})
    assert [job.alignment.reference for job in jobs] == ["imec0.ap", "imec0.ap"]
    assert [warning.split(" keeps")[0] for warning in task.record["warnings"][:1]] == ["run_g0_recording1: nidq"]
    assert "has no stream nidc" in task.record["warnings"][1]


def test_a_line_that_does_not_exist_is_reported(tmp_path):
    write_spikeglx_session(tmp_path / "data", spec())
    jobs, task = dispatch(tmp_path / "data", tmp_path, sync={"lines": {"imec0.ap": "SY9"}})
    assert [job.alignment.status for job in jobs] == ["failed", "aligned"]
    assert "no line 'SY9'" in task.record["warnings"][0]


@pytest.mark.parametrize("column", ["time_s", "sample"])
def test_pulses_of_a_file(column, tmp_path):
    """For streams whose format has no lines: here the probes, in place of their SYNC."""
    session = spec(missing=0.0, doubled=0.0)
    truth = write_spikeglx_session(tmp_path / "data", session)
    with (tmp_path / "data" / "pulses.csv").open("w") as file:
        writer = csv.writer(file)
        writer.writerow(["stream", column])
        nidq = session.streams()[-1]
        true_s = truth.pulses * nidq.header_hz / nidq.rate_hz
        for stream in session.streams()[:2]:
            inside = true_s[(true_s > stream.start_s) & (true_s < stream.start_s + 10)]
            numbers = stream.number(inside)
            first = int(stream.number(stream.start_s)) // 12 * 12
            for number in numbers:
                writer.writerow(
                    [f"{stream.name}.ap", number / stream.header_hz if column == "time_s" else number - first]
                )
    jobs, _ = dispatch(tmp_path / "data", tmp_path, sync={"pulses_file": "pulses.csv"})
    assert {job.alignment.line for job in jobs} == {"pulses"}
    assert max(worst_s(job, session) for job in jobs) < ACCURACY_S


def test_the_document_of_the_results(tmp_path):
    write_spikeglx_session(tmp_path / "data", spec())
    jobs, _ = dispatch(tmp_path / "data", tmp_path)
    document = json.loads(json.dumps(sync_document(jobs)))
    (block,) = document["blocks"].values()
    assert [(each["stream"], each["status"]) for each in block["streams"]] == [
        ("nidq", "reference"),
        ("imec0.ap", "aligned"),
        ("imec1.ap", "aligned"),
    ]
    assert find_alignment(document, jobs[1].id) == jobs[1].alignment
    assert jobs[1].alignment.residuals
    assert find_alignment(document, "other") is None


def test_a_job_that_is_written_again_is_on_its_own_clock(tmp_path):
    """What another program does with `jobs.json`: the own clock is not part of a job's file."""
    write_spikeglx_session(tmp_path / "data", spec())
    jobs, task = dispatch(tmp_path / "data", tmp_path)
    written = [Job.model_validate(job) for job in json.loads((task.out / "jobs.json").read_text())]
    assert [job.clock for job in written] == [job.own_clock for job in jobs]


@pytest.mark.parametrize(
    ("sync", "expected"),
    [
        ({}, {"period_s": 1.0, "offset_s": 0.0031, "reference_pulses": 16}),
        # Pulses that do not fit the period are matched by their intervals, which are all the same.
        ({"period_s": 0.7}, {"period_s": None, "status": "ambiguous"}),
        ({"offsets_s": {"imec0.ap": 1.0}}, {"period_s": 1.0, "offset_s": 1.0031}),
    ],
    ids=["defaults", "period_s", "offsets_s"],
)
def test_settings_of_the_match(sync, expected, tmp_path):
    write_spikeglx_session(tmp_path / "data", spec(missing=0.0, doubled=0.0, nominal=False))
    jobs, _ = dispatch(tmp_path / "data", tmp_path, sync=sync)
    alignment = jobs[0].alignment
    for name, value in expected.items():
        if isinstance(value, float):
            assert getattr(alignment, name) == pytest.approx(value, abs=1e-3), name
        else:
            assert getattr(alignment, name) == value, name


def test_the_threshold_of_an_analog_line(tmp_path):
    """The pulses of the photodiode have 3 V."""
    write_spikeglx_session(tmp_path / "data", spec())
    pulses = {}
    for threshold_v in (1.0, 4.0):
        settings = {"reference": "imec0.ap", "lines": {"nidq": "XA0"}, "threshold_v": threshold_v}
        (folder := tmp_path / f"{threshold_v}").mkdir()
        jobs, _ = dispatch(tmp_path / "data", folder, sync=settings)
        (board,) = [source for source in jobs[0].event_sources if source.stream == "nidq"]
        pulses[threshold_v] = board.alignment.pulses
    assert pulses[1.0] > 0 == pulses[4.0]
