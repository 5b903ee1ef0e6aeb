"""The map from a stream's clock to the reference clock, and a recording's clock on it."""

import json

import numpy as np
import pytest
from pydantic import ValidationError

from capsules.common.errors import Rejected
from capsules.common.recordings.clock import Clock, concatenate_clocks, count_clock
from capsules.common.recordings.job import Job, Reader, read_jobs
from capsules.common.sync.alignment import Alignment
from capsules.common.sync.document import sync_document
from capsules.results.published import clock_of, own_clock_of

RATE = 30000.0


def make(own_s, reference_s, status="aligned"):
    return Alignment(stream="imec0.ap", reference="nidq", status=status, own_s=own_s, reference_s=reference_s)


BENT = make([10.0, 20.0, 40.0], [15.0, 25.001, 45.0])


def test_the_map_passes_its_knots_and_continues_beyond_them():
    assert BENT.map([10, 15, 20, 40]).tolist() == pytest.approx([15, 20.0005, 25.001, 45], abs=1e-12)
    assert float(BENT.map(0.0)) == pytest.approx(15 - 10 * 1.0001)
    assert float(BENT.map(60.0)) == pytest.approx(45 + 20 * 19.999 / 20)


def test_unmap_is_the_inverse():
    times = np.linspace(-50, 90, 1001)
    np.testing.assert_allclose(BENT.unmap(BENT.map(times)), times, rtol=0, atol=1e-12)


@pytest.mark.parametrize("status", ["reference", "ambiguous", "no pulses", "failed"])
def test_without_knots_the_map_is_the_identity(status):
    alignment = make([], [], status)
    assert alignment.map([3.0, 4.0]).tolist() == alignment.unmap([3.0, 4.0]).tolist() == [3.0, 4.0]
    clock = count_clock(1000, RATE, 5.0)
    assert clock.align(alignment) == clock


@pytest.mark.parametrize(
    ("own_s", "reference_s", "status"),
    [
        ([1.0, 2.0], [3.0, 4.0], "ambiguous"),
        ([], [], "aligned"),
        ([1.0], [1.0], "aligned"),
        ([1.0, 2.0], [2.0, 1.0], "aligned"),
        ([1.0, 2.0], [2.0], "aligned"),
    ],
)
def test_invalid_knots_are_rejected(own_s, reference_s, status):
    with pytest.raises(ValidationError, match="knots"):
        make(own_s, reference_s, status)


def test_a_clock_on_the_reference_clock_keeps_its_gaps():
    """A gap of 1.2 s, one knot within it and another between samples."""
    own = concatenate_clocks([count_clock(300_000, RATE, 5.0), count_clock(900_000, RATE, 16.2)])
    alignment = make([5.0, 15.5, 30.00001, 46.0], [105.0, 115.5002, 130.0005, 146.0])
    clock = own.align(alignment)
    samples = np.arange(0, 1_200_000, 7)
    np.testing.assert_allclose(clock.seconds(samples), alignment.map(own.seconds(samples)), rtol=0, atol=1e-8)
    np.testing.assert_array_equal(clock.samples_at(clock.seconds(samples)), samples)
    (gap,) = clock.gaps()
    assert gap[0] == 300_000
    assert gap[2] == pytest.approx(1.2, abs=1e-4)
    assert clock.sampling_frequency_hz == RATE


def test_a_part_of_an_aligned_clock_is_the_aligned_part():
    own = count_clock(1_200_000, RATE, 5.0)
    part = own.align(BENT).part(100_000, 900_000)
    np.testing.assert_allclose(
        part.seconds(np.arange(0, 900_000, 100)),
        own.part(100_000, 900_000).align(BENT).seconds(np.arange(0, 900_000, 100)),
        rtol=0,
        atol=1e-8,
    )


@pytest.mark.parametrize("start_s", [-30.0, 100.0])
def test_a_clock_outside_the_knots_is_extrapolated(start_s):
    own = count_clock(30_000, RATE, start_s)
    clock = own.align(BENT)
    assert isinstance(clock, Clock)
    assert clock.samples == [0]
    np.testing.assert_allclose(clock.seconds([0, 29_999]), BENT.map(own.seconds([0, 29_999])), rtol=0, atol=1e-9)


def write_job(tmp_path, **fields):
    job = Job(
        id="rat",
        session="day",
        block="rat",
        stream="imec0.ap",
        segments=[0],
        reader=Reader(name="none", kwargs={}),
        sampling_frequency_hz=RATE,
        num_channels=4,
        duration_s=30.0,
        dtype="int16",
        megabytes=1.0,
        clock=count_clock(900_000, RATE, 10.0),
        lfp_clock=count_clock(75_000, 2500.0, 10.0),
        session_start_s=10.0,
        **fields,
    )
    file = tmp_path / "job.json"
    file.write_text(json.dumps([job.model_dump(mode="json")]))
    return job, file


def test_a_job_is_read_on_the_reference_clock(tmp_path):
    written, file = write_job(tmp_path, alignment=BENT)
    (job,) = read_jobs(file)
    assert float(job.clock.seconds(300_000)) == pytest.approx(25.001, abs=1e-9)
    assert float(job.lfp_clock.seconds(25_000)) == pytest.approx(25.001, abs=1e-9)
    assert job.session_start_s == 15.0
    assert written.clock == count_clock(900_000, RATE, 10.0)


@pytest.mark.parametrize("alignment", [None, make([], [], "ambiguous")])
def test_a_job_that_is_not_aligned_keeps_its_own_clock(alignment, tmp_path):
    written, file = write_job(tmp_path, alignment=alignment)
    assert read_jobs(file) == [written]


def test_the_traces_of_a_job_have_both_clocks(tmp_path):
    _, file = write_job(tmp_path, alignment=BENT)
    (job,) = read_jobs(file)
    assert job.own_clock_of_traces(10.0, 1000) == count_clock(1000, RATE, 20.0)
    assert job.clock_of_traces(10.0, 1000).starts_s == [25.001]


def test_results_are_on_the_reference_clock(tmp_path):
    """By `sync.json` and the own clock that preprocessing leaves; without `sync.json`, the own clock."""
    own = count_clock(900_000, RATE, 10.0)
    record = tmp_path / "logs" / "rat" / "preprocessing.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"facts": {"clock": own.model_dump()}}))
    assert clock_of(tmp_path, "rat") == own
    written, _ = write_job(tmp_path, alignment=BENT)
    (tmp_path / "sync.json").write_text(json.dumps(sync_document([written])))
    assert own_clock_of(tmp_path, "rat") == own
    assert clock_of(tmp_path, "rat") == own.align(BENT)
    (tmp_path / "sync.json").write_text('{"blocks": [], "recordings": {"rat": {"block": "a", "stream": "b"}}}')
    with pytest.raises(Rejected, match="damaged"):
        clock_of(tmp_path, "rat")
