"""Times in the NWB file: the instrument's clock, and the map back to the segments that were joined."""

import json

import numpy as np
import pytest
from spikeinterface import generate_recording

from capsules.common.recordings.clock import TOLERANCE_S, count_clock
from capsules.common.recordings.job import Job
from capsules.common.recordings.reading import keep_first_seconds
from capsules.common.recordings.times import set_clock
from capsules.job_dispatch import stage as job_dispatch
from capsules.job_dispatch.params import PARAMS as DISPATCH
from capsules.nwb_ecephys import stage as ecephys
from capsules.nwb_ecephys.params import PARAMS
from capsules.nwb_units import stage as units
from tests import formats
from tests.halves import rest_is_slow
from tests.reach.conftest import write_record
from tests.reach.spy import task_for

SAMPLES = np.array([3000, 30000, 58000])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clock") / "data"
    formats.write_openephys(folder, [formats.Probe("ProbeA", tuple(range(8)))], [2.0, 1.0])
    return folder


def export(data, folder, t_start=0.0, backend="zarr", **settings):
    """Write the NWB file of the first job, with one unit that fires at SAMPLES; returns the file."""
    from pynwb import read_nwb

    dispatch = task_for("job_dispatch", DISPATCH.model_validate({"input": "openephys"} | settings), folder, data)
    job_dispatch.run(dispatch)
    job = Job.model_validate(json.loads((dispatch.out / "jobs.json").read_text())[0])
    lfp = {"lfp_temporal_factor": 2, "lfp_spatial_factor": 1, "write_raw": True, "backend": backend}
    first = task_for("nwb_ecephys", PARAMS.model_validate(lfp), folder, data)
    first.jobs = [job]
    ecephys.run(first)
    _sorted(job, data, folder, t_start)
    done = folder / "nwb_ecephys_b"
    first.out.rename(done)
    write_record(done, "nwb_ecephys")
    second = task_for("nwb_units", PARAMS(), folder, data)
    second.jobs = [job]
    units.run(second)
    return read_nwb(second.out / "file.nwb")


def _sorted(job, data, folder, t_start):
    import spikeinterface as si

    from capsules.common.recordings.reading import load_recording

    traces = load_recording(job, data).frame_slice(round(t_start * 30000), None)
    sorting = si.NumpySorting.from_unit_dict([{"a": SAMPLES}], 30000.0)
    analyzer = si.create_sorting_analyzer(sorting, traces, format="memory", sparse=True)
    analyzer.compute({"random_spikes": {}, "waveforms": {}, "templates": {}})
    postprocessed, curated = folder / f"postprocessing_{job.id}", folder / f"curation_{job.id}"
    postprocessed.mkdir()
    analyzer.save_as(folder=postprocessed / "postprocessed.zarr", format="zarr")
    write_record(postprocessed, "postprocessing", start_s=t_start, sorter="spykingcircus2", sorter_version="1")
    sorting.save(folder=curated / "curated")
    write_record(curated, "curation")


def traces_of(nwbfile):
    (raw,) = nwbfile.acquisition.values()
    (lfp,) = nwbfile.processing["ecephys"]["LFP"].electrical_series.values()
    return raw, lfp


def start_of(series):
    return series.timestamps[0] if series.timestamps is not None else series.starting_time


def test_spikes_and_traces_share_the_instruments_clock(data, tmp_path):
    nwbfile = export(data, tmp_path)
    raw, lfp = traces_of(nwbfile)
    assert (start_of(raw), start_of(lfp)) == (5.0, pytest.approx(5.0))
    np.testing.assert_allclose(nwbfile.units["spike_times"][0], 5.0 + SAMPLES / 30000)
    assert lfp.rate == 1250
    assert "Times count from the instrument's own zero" in nwbfile.notes
    assert "times are the instrument's timestamps" in nwbfile.notes
    assert nwbfile.intervals is None or "segments" not in nwbfile.intervals


@pytest.mark.parametrize("lf_stream", [True, False])
def test_the_lfp_keeps_to_a_clock_that_runs_unevenly(lf_stream, data, tmp_path):
    import shutil

    uneven = tmp_path / "data"
    shutil.copytree(data, uneven)
    for file in () if lf_stream else uneven.rglob("structure.oebin"):
        content = json.loads(file.read_text())
        content["continuous"] = [one for one in content["continuous"] if not one["stream_name"].endswith("-LFP")]
        file.write_text(json.dumps(content))
    for file in uneven.rglob("timestamps.npy"):
        times = np.load(file)
        np.save(file, times + 1e-3 * (times - times[0]) ** 2)
    nwbfile = export(uneven, tmp_path)
    raw, lfp = traces_of(nwbfile)
    assert lfp.data.shape == (2500, 8)
    np.testing.assert_allclose(lfp.timestamps[:], raw.timestamps[::24], rtol=0, atol=2 * TOLERANCE_S)
    np.testing.assert_array_equal(nwbfile.units["spike_times"][0], raw.timestamps[:][SAMPLES])


def test_spikes_after_t_start_keep_the_clock(data, tmp_path):
    nwbfile = export(data, tmp_path, t_start=0.05)
    np.testing.assert_allclose(nwbfile.units["spike_times"][0], 5.05 + SAMPLES / 30000)
    np.testing.assert_allclose(nwbfile.units["obs_intervals"][0], [[5.05, 7.0]])


def joined_series(nwbfile):
    """Raw and LFP series, segment by segment."""
    lfps = nwbfile.processing["ecephys"]["LFP"].electrical_series
    for series in (nwbfile.acquisition, lfps):
        assert [name.rpartition("ProbeA-")[2] for name in series] == ["segment1", "segment2"]
    return list(nwbfile.acquisition.values()), list(lfps.values())


def segments_table(nwbfile):
    table = nwbfile.intervals["segments"].to_dataframe()
    return table[["start_time", "stop_time", "segment", "source_start_time"]].to_numpy().tolist()


@pytest.mark.parametrize("backend", rest_is_slow(["hdf5", "zarr"]))
def test_joined_segments_keep_the_instruments_clock(backend, data, tmp_path):
    nwbfile = export(data, tmp_path, backend=backend, split_segments=False)
    raw, lfp = joined_series(nwbfile)
    assert [series.data.shape for series in raw] == [(60000, 8), (30000, 8)]
    assert [series.data.shape for series in lfp] == [(2500, 8), (1250, 8)]
    for series in (raw, lfp):
        assert [start_of(one) for one in series] == [pytest.approx(5.0), pytest.approx(105.0)]
    # The last sample is in the first segment: it is 60000 samples long.
    np.testing.assert_allclose(nwbfile.units["spike_times"][0], 5.0 + SAMPLES / 30000)
    np.testing.assert_allclose(nwbfile.units["obs_intervals"][0], [[5.0, 7.0], [105.0, 106.0]])
    assert segments_table(nwbfile) == [[5.0, 7.0, 1, 5.0], [105.0, 106.0, 2, 105.0]]
    assert "times are the instrument's timestamps" in nwbfile.notes


def test_spikes_of_a_later_segment(data, tmp_path):
    nwbfile = export(data, tmp_path, t_start=0.5, split_segments=False)
    # 58000 samples after half a second lie in the second segment, 13000 samples from its start.
    np.testing.assert_allclose(nwbfile.units["spike_times"][0], [5.6, 6.5, 105.0 + 13000 / 30000])
    np.testing.assert_allclose(nwbfile.units["obs_intervals"][0], [[5.5, 7.0], [105.0, 106.0]])


def test_segments_whose_clocks_overlap_are_counted_in_turn(data, tmp_path):
    import shutil

    alike = tmp_path / "data"
    shutil.copytree(data, alike)
    for file in alike.rglob("timestamps.npy"):
        times = np.load(file)
        np.save(file, times - times[0])
    nwbfile = export(alike, tmp_path, split_segments=False)
    for series in joined_series(nwbfile):
        assert [start_of(one) for one in series] == [0.0, 2.0]
    np.testing.assert_allclose(nwbfile.units["spike_times"][0], SAMPLES / 30000)
    assert segments_table(nwbfile) == [[0.0, 2.0, 1, 0.0], [2.0, 3.0, 2, 0.0]]
    assert "segments one after the other from 0 on: their own clocks overlap" in nwbfile.notes
    assert "own zero" not in nwbfile.notes


def test_timestamps_that_jump_back_are_not_in_the_file(data, tmp_path):
    import shutil

    broken = tmp_path / "data"
    shutil.copytree(data, broken)
    for file in broken.rglob("timestamps.npy"):
        times = np.load(file)
        times[len(times) // 2 :] -= 0.25
        np.save(file, times)
    for file in broken.rglob("sample_numbers.npy"):
        file.unlink()
    # Open Ephys before 0.6 has no sample numbers, and these times under another name.
    for file in list(broken.rglob("timestamps.npy")):
        np.save(file.with_name("synchronized_timestamps.npy"), np.load(file))
        np.save(file, np.arange(len(np.load(file))) + 5 * 30000)
    nwbfile = export(broken, tmp_path)
    for series in traces_of(nwbfile):
        assert series.timestamps is None
        assert series.starting_time == pytest.approx(5.0)
    np.testing.assert_allclose(nwbfile.units["spike_times"][0], 5.0 + SAMPLES / 30000)
    assert "time is counted by samples" in nwbfile.notes


@pytest.mark.parametrize("backend", rest_is_slow(["zarr", "hdf5"]))
def test_the_timestamps_of_an_nwb_input_are_kept(backend, tmp_path):
    from datetime import UTC, datetime

    from hdmf_zarr import NWBZarrIO
    from pynwb import NWBHDF5IO, NWBFile
    from pynwb.ecephys import ElectricalSeries

    nwbfile = NWBFile("test", "rat", datetime(2026, 1, 1, tzinfo=UTC))
    group = nwbfile.create_electrode_group("shank", "a", "unknown", nwbfile.create_device("probe"))
    for index in range(8):
        nwbfile.add_electrode(group=group, location="CA1", rel_x=0.0, rel_y=20.0 * index)
    times = 5 + np.arange(60000) / 30000
    # SpikeInterface tells the rate by the first 1000.
    times[2000:] += 1e-3 * (times[2000:] - times[2000]) ** 2
    region = nwbfile.create_electrode_table_region(list(range(8)), "all")
    traces = formats.counts("nwb", 0, 60000, 8)
    nwbfile.add_acquisition(ElectricalSeries("ProbeA", traces, region, timestamps=times, conversion=1e-6))
    (tmp_path / "data").mkdir()
    with (NWBHDF5IO if backend == "hdf5" else NWBZarrIO)(str(tmp_path / "data" / "rat.nwb"), "w") as io:
        io.write(nwbfile)
    exported = export(tmp_path / "data", tmp_path, input="nwb")
    raw, lfp = traces_of(exported)
    within = {"rtol": 0, "atol": TOLERANCE_S}
    np.testing.assert_allclose(raw.timestamps[:], times, **within)
    np.testing.assert_allclose(lfp.timestamps[:], times[::24], **within)
    np.testing.assert_allclose(exported.units["spike_times"][0], times[SAMPLES], **within)


def test_unsigned_samples_are_counted_from_where_they_should():
    from spikeinterface.core import NumpyRecording
    from spikeinterface.preprocessing import unsigned_to_signed

    recording = NumpyRecording([np.zeros((3000, 2), "uint16")], 30000.0)
    recording.set_times(7.0 + np.arange(3000) / 29000)
    regular = set_clock(unsigned_to_signed(recording), count_clock(3000, 30000.0, 2.0))
    assert not regular.has_time_vector()
    assert regular.get_start_time() == 2.0
    np.testing.assert_allclose(regular.clone().sample_index_to_time(np.array([0, 1500])), [2.0, 2.05])


@pytest.mark.parametrize(
    ("seconds", "samples"), [(1e-9, [1]), (0.5, [500]), (1.0, [1000]), (1.2, [1000, 200]), (9, [1000, 1000])]
)
def test_the_first_seconds_of_segments(seconds, samples):
    segments = [generate_recording(num_channels=1, sampling_frequency=1000, durations=[1.0]) for _ in range(2)]
    assert [kept.get_num_samples() for kept in keep_first_seconds(segments, seconds)] == samples
