"""Recordings with gaps, in each format: times in the NWB file are right to one sample before and after each."""

import json
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pytest

from capsules.common.recordings.reading import load_lfp_segments, load_recording, load_segments
from tests import formats
from tests.halves import rest_is_slow
from tests.unit.test_formats import run
from tests.unit.test_nwb_clock import SAMPLES, export, traces_of

RATE = 30000
GAPS = {"one gap": {1.0: 1.2}, "two gaps": {0.5: 0.1, 1.5: 1.2}}


def true_times(gaps, count=60000, start_s=5.0):
    times = start_s + np.arange(count) / RATE
    for after_s, dropped_s in gaps.items():
        times[round(after_s * RATE) :] += dropped_s
    return times


@pytest.fixture(params=GAPS)
def gaps(request):
    return GAPS[request.param]


def open_ephys(folder, gaps):
    formats.write_openephys(folder, [formats.Probe("ProbeA", tuple(range(8)))], [2.0], gaps=gaps)


def in_samples(times, expected):
    return np.abs(np.asarray(times) - expected).max() * RATE


@pytest.mark.parametrize("lf_stream", rest_is_slow([True, False]))
def test_open_ephys(lf_stream, gaps, tmp_path):
    data = tmp_path / "data"
    open_ephys(data, gaps)
    for file in () if lf_stream else data.rglob("structure.oebin"):
        content = json.loads(file.read_text())
        content["continuous"] = [one for one in content["continuous"] if not one["stream_name"].endswith("-LFP")]
        file.write_text(json.dumps(content))
    nwbfile = export(data, tmp_path)
    times = true_times(gaps)
    raw, lfp = traces_of(nwbfile)
    assert in_samples(nwbfile.units["spike_times"][0], times[SAMPLES]) < 1
    assert in_samples(raw.timestamps[:], times) < 1
    assert in_samples(lfp.timestamps[:], times[::24]) < 1
    edges = [0, *(round(after_s * RATE) for after_s in gaps), 60000]
    observed = [[times[first], times[end - 1] + 1 / RATE] for first, end in pairwise(edges)]
    np.testing.assert_allclose(nwbfile.units["obs_intervals"][0], observed)
    for after_s, dropped_s in gaps.items():
        assert f"gap of {dropped_s:g} s from {times[round(after_s * RATE) - 1] + 1 / RATE:.6f} s on" in nwbfile.notes


def test_open_ephys_without_timestamps_has_its_sample_numbers(gaps, tmp_path):
    data = tmp_path / "data"
    open_ephys(data, gaps)
    # What the GUI writes for a stream that is not synchronised.
    for file in data.rglob("timestamps.npy"):
        np.save(file, np.full(len(np.load(file)), -1.0))
    job = run(data, tmp_path, input="openephys")[0][0]
    assert in_samples(job.clock.seconds(np.arange(60000)), true_times(gaps)) < 1
    told = " ".join(job.warnings)
    assert "time is counted by sample numbers instead" in told
    assert f"sample numbers of segment 1: {len(gaps)} gaps" in told


def test_a_jump_of_the_clock_that_dropped_no_samples_is_said(tmp_path):
    data = tmp_path / "data"
    open_ephys(data, {})
    (file,) = data.rglob("*ProbeA-AP/timestamps.npy")
    np.save(file, true_times({1.0: 1.2}))
    told = " ".join(run(data, tmp_path, input="openephys")[0][0].warnings)
    assert "segment 1: the timestamps have 1 gaps, 1.2 s in all: 1.2 s at 6.000 s, the sample numbers do not" in told
    assert "LF stream: segment 1 ends at 7.000000 s, in the wide band at 8.200000 s" in told


@pytest.mark.parametrize("backend", rest_is_slow(["hdf5", "zarr"]))
def test_nwb(backend, gaps, tmp_path):
    from datetime import UTC, datetime

    from hdmf_zarr import NWBZarrIO
    from pynwb import NWBHDF5IO, NWBFile
    from pynwb.ecephys import ElectricalSeries

    nwbfile = NWBFile("test", "rat", datetime(2026, 1, 1, tzinfo=UTC))
    group = nwbfile.create_electrode_group("shank", "a", "unknown", nwbfile.create_device("probe"))
    for index in range(8):
        nwbfile.add_electrode(group=group, location="CA1", rel_x=0.0, rel_y=20.0 * index)
    region = nwbfile.create_electrode_table_region(list(range(8)), "all")
    traces, times = formats.counts("nwb", 0, 60000, 8), true_times(gaps)
    nwbfile.add_acquisition(ElectricalSeries("ProbeA", traces, region, timestamps=times, conversion=1e-6))
    (tmp_path / "data").mkdir()
    with (NWBHDF5IO if backend == "hdf5" else NWBZarrIO)(str(tmp_path / "data" / "rat.nwb"), "w") as io:
        io.write(nwbfile)
    exported = export(tmp_path / "data", tmp_path, input="nwb")
    raw, lfp = traces_of(exported)
    assert in_samples(exported.units["spike_times"][0], times[SAMPLES]) < 1
    assert in_samples(raw.timestamps[:], times) < 1
    assert in_samples(lfp.timestamps[:], times[::24]) < 1


@pytest.mark.parametrize("split", [True, False])
def test_spikeglx(split, tmp_path):
    """Two files of one run, 1.2 s between them by their `firstSample`."""
    data = tmp_path / "data"
    formats.write_spikeglx_segments(data, [1.0, 1.0], probes=(0,), first_samples=[150000, 150000 + 30000 + 36000])
    found = run(data, tmp_path, input="spikeglx", split_segments=split)[0]
    times = np.concatenate([job.clock.seconds(np.arange(job.clock.num_samples)) for job in found])
    assert in_samples(times, true_times({1.0: 1.2})) < 1
    slow = np.concatenate([job.lfp_clock.seconds(np.arange(job.lfp_clock.num_samples)) for job in found])
    assert in_samples(slow, true_times({1.0: 1.2})[::12]) < 1
    assert [len(job.clock.gaps()) for job in found] == ([0, 0] if split else [1])


def test_spikeglx_times_count_from_the_instruments_zero(tmp_path):
    """`fileCreateTime` is when `firstSample` was taken."""
    data = tmp_path / "data"
    formats.write_spikeglx_segments(data, [2.0], probes=(0,), first_samples=[5_000_000])
    nwbfile = export(data, tmp_path, input="spikeglx")
    raw, _ = traces_of(nwbfile)
    assert nwbfile.session_start_time.isoformat() == "2026-01-15T10:30:00+00:00"
    began = nwbfile.timestamps_reference_time + timedelta(seconds=float(raw.starting_time))
    assert abs((began - nwbfile.session_start_time).total_seconds()) < 1 / RATE
    assert raw.starting_time == pytest.approx(5_000_000 / RATE)
    assert "own zero" not in nwbfile.notes


def test_split_gaps(gaps, tmp_path):
    data = tmp_path / "data"
    open_ephys(data, gaps)
    whole = run(data, tmp_path, input="openephys")[0][0]
    parts = run(data, tmp_path / "split", input="openephys", split_gaps=True)[0]
    assert [job.id for job in parts] == [f"{whole.id}.{number + 1}" for number in range(len(gaps) + 1)]
    assert len({job.block for job in parts}) == len(parts)
    times, traces = true_times(gaps), load_recording(whole, data).get_traces()
    slow_traces, first, slow_first = load_lfp_segments(whole, data)[0].get_traces(), 0, 0
    for job in parts:
        recording, (segment,), (lfp,) = (
            load_recording(job, data),
            load_segments(job, data),
            load_lfp_segments(job, data),
        )
        count, slow_count = recording.get_num_samples(), lfp.get_num_samples()
        np.testing.assert_array_equal(recording.get_traces(), traces[first : first + count])
        np.testing.assert_array_equal(lfp.get_traces(), slow_traces[slow_first : slow_first + slow_count])
        assert in_samples(segment.get_times(), times[first : first + count]) < 1
        assert in_samples(lfp.get_times(), times[first : first + count : 12]) < 1
        assert job.clock.gaps() == []
        assert job.duration_s == pytest.approx(count / RATE)
        first, slow_first = first + count, slow_first + slow_count
    assert (first, slow_first) == (60000, 5000)


def test_split_gaps_does_not_apply_to_joined_segments(tmp_path):
    data = tmp_path / "data"
    formats.write_openephys(data, [formats.Probe("ProbeA", tuple(range(8)))], [2.0, 1.0])
    (job,) = run(data, tmp_path, input="openephys", split_gaps=True, split_segments=False)[0]
    assert job.part is None
    assert "split_gaps does not apply" in " ".join(job.warnings)
