"""The NWB file as others read it: traces, electrodes, devices, session; valid, and complete as far as is known."""

import itertools
import json
import shutil

import numpy as np
import pytest

from capsules.common.errors import RecordedFailure, SpikeRelayError
from capsules.common.recordings.job import Job
from capsules.common.recordings.reading import load_segments
from capsules.job_dispatch import stage as job_dispatch
from capsules.job_dispatch.params import PARAMS as DISPATCH
from capsules.nwb_ecephys import stage
from capsules.nwb_ecephys.lfp import read_agar_surfaces
from capsules.nwb_ecephys.params import PARAMS
from tests import formats
from tests.halves import rest_is_slow
from tests.reach.spy import task_for

BY_HAND = """
NWBFile:
  session_start_time: 2026-01-15T10:30:00+01:00
  session_description: A rat in an open field
  experiment_description: Place cells
  experimenter: ["Doe, Jane"]
  institution: Some Institute
  lab: Some Lab
  keywords: [place cells]
Subject: {subject_id: rat7, species: Rattus norvegicus, sex: F, age: P90D}
Ecephys: {ElectrodeGroups: {imec0: {location: CA1}}}
"""
KEEP_LFP = {"lfp_spatial_factor": 1, "lfp_temporal_factor": 1}


@pytest.fixture(scope="module")
def spikeglx(tmp_path_factory):
    """Two probes, of which the first has an LF stream, two segments, and metadata by hand."""
    folder = tmp_path_factory.mktemp("file") / "data"
    formats.write_spikeglx_segments(folder, [2.0, 1.0])
    (folder / "nwb_metadata.yaml").write_text(BY_HAND)
    return folder


def dispatched(data, folder, **settings):
    task = task_for("job_dispatch", DISPATCH.model_validate(settings), folder, data)
    job_dispatch.run(task)
    return [Job.model_validate(job) for job in json.loads((task.out / "jobs.json").read_text())]


def export(jobs, data, folder, **settings):
    """The task that wrote the first block, and what pynwb reads of it."""
    from pynwb import read_nwb

    task = task_for("nwb_ecephys", PARAMS.model_validate(settings), folder, data)
    task.jobs = [job for job in jobs if job.block == jobs[0].block]
    stage.run(task)
    return task, read_nwb(task.out / "file.nwb")


def findings(nwbfile):
    """nwbinspector's findings that count, by DANDI's configuration, and pynwb's errors."""
    from nwbinspector import Importance, inspect_nwbfile_object, load_config
    from pynwb import validate

    found = [
        f"{message.importance.name} {message.check_function_name} {message.object_name}: {message.message}"
        # The form of names is DANDI's own schema's, which is not installed.
        for message in inspect_nwbfile_object(nwbfile, config=load_config("dandi"), ignore=["check_experimenter_form"])
        if message.importance in (Importance.CRITICAL, Importance.BEST_PRACTICE_VIOLATION, Importance.ERROR)
        or "no description" in message.message
    ]
    return [*found, *map(str, validate(io=nwbfile.read_io))]


@pytest.mark.parametrize(
    ("split", "backend"), rest_is_slow([(True, "hdf5"), (False, "zarr"), (True, "zarr"), (False, "hdf5")], 2)
)
def test_traces_are_those_of_the_source(split, backend, spikeglx, tmp_path):
    from spikeinterface.extractors import read_nwb_recording

    jobs = dispatched(spikeglx, tmp_path, input="spikeglx", split_segments=split, split_groups=False)
    task, nwbfile = export(jobs, spikeglx, tmp_path, backend=backend, write_raw=True, **KEEP_LFP)
    assert findings(nwbfile) == []
    segments = {0: ""} if split else {0: "-segment1", 1: "-segment2"}
    for probe in ("imec0", "imec1"):
        for index, suffix in segments.items():
            expected = formats.counts(f"{probe}.ap", index, [60000, 30000][index], 8)
            path = f"acquisition/ElectricalSeries-{probe}{suffix}"
            read = read_nwb_recording(task.out / "file.nwb", electrical_series_path=path)
            np.testing.assert_array_equal(read.get_traces(), expected)
            source = load_segments(next(job for job in jobs if job.stream.startswith(probe)), spikeglx)[index]
            in_uv = source.get_traces(return_in_uV=True)
            np.testing.assert_allclose(read.get_traces(return_in_uV=True), in_uv, atol=1e-3)
            np.testing.assert_array_equal(read.get_channel_locations(), source.get_channel_locations())
            assert read.get_start_time() == pytest.approx([1000, 1001000][index] / 30000)
            lfp = nwbfile.processing["ecephys"]["LFP"][f"ElectricalSeriesLFP-{probe}{suffix}"]
            assert (lfp.rate, lfp.data.shape) == (2500, (len(expected) // 12, 8))
            assert lfp.starting_time == pytest.approx(read.get_start_time(), abs=1 / 2500)
    electrodes = nwbfile.electrodes.to_dataframe()
    assert electrodes["shank"].tolist() == [""] * 8 + ["0", "0", "1", "1", "2", "2", "3", "3"]
    assert electrodes["location"].tolist() == ["CA1"] * 8 + ["unknown"] * 8
    assert nwbfile.electrode_groups["imec0"].location == "CA1"
    assert {name: device.model.name for name, device in nwbfile.devices.items()} == {
        "imec0": "NP1000",
        "imec1": "NP2013",
    }
    assert nwbfile.devices["imec1"].serial_number == "1001"


# Of each two choices, every two values are together in one of the first cases.
PAIRS = [
    ("hdf5", True, True, True, None),
    ("hdf5", False, True, False, 0.5),
    ("zarr", True, False, False, None),
    ("zarr", False, False, True, None),
    ("zarr", True, True, True, 0.5),
    ("hdf5", True, False, False, 0.5),
]
ALL = list(itertools.product(["hdf5", "zarr"], [True, False], [True, False], [True, False], [None, 0.5]))


@pytest.mark.parametrize(
    ("backend", "split", "write_raw", "write_lfp", "stub_seconds"),
    rest_is_slow(PAIRS + [case for case in ALL if case not in PAIRS], len(PAIRS)),
)
def test_spikeinterface_reads_what_was_asked_for(
    backend, split, write_raw, write_lfp, stub_seconds, spikeglx, tmp_path
):
    from spikeinterface.extractors import read_nwb_recording

    jobs = dispatched(spikeglx, tmp_path, input="spikeglx", split_segments=split, split_groups=False)
    asked = {"backend": backend, "write_raw": write_raw, "write_lfp": write_lfp} | KEEP_LFP
    stub = {"stub": True, "stub_seconds": stub_seconds} if stub_seconds else {}
    task, nwbfile = export(jobs, spikeglx, tmp_path, **asked, **stub)
    whole = stub_seconds is None
    suffixes = {"": 0} if split else {"-segment1": 0, "-segment2": 1} if whole else {"-segment1": 0}
    parts = [(probe, suffix) for probe in ("imec0", "imec1") for suffix in suffixes]
    lfp = nwbfile.processing["ecephys"]["LFP"].electrical_series if write_lfp else {}
    assert set(nwbfile.acquisition) == {f"ElectricalSeries-{probe}{suffix}" for probe, suffix in parts if write_raw}
    assert set(lfp) == {f"ElectricalSeriesLFP-{probe}{suffix}" for probe, suffix in parts if write_lfp}

    def read(path):
        return read_nwb_recording(task.out / "file.nwb", electrical_series_path=path)

    for probe, suffix in parts:
        frames = round((stub_seconds or [2.0, 1.0][suffixes[suffix]]) * 30000)
        if write_raw:
            raw = read(f"acquisition/ElectricalSeries-{probe}{suffix}")
            source = formats.counts(f"{probe}.ap", suffixes[suffix], [60000, 30000][suffixes[suffix]], 8)
            np.testing.assert_array_equal(raw.get_traces(), source[:frames])
        if write_lfp:
            slow = read(f"processing/ecephys/LFP/ElectricalSeriesLFP-{probe}{suffix}")
            assert (slow.sampling_frequency, slow.get_num_samples()) == (2500, frames // 12)
            np.testing.assert_array_equal(slow.get_traces(), lfp[f"ElectricalSeriesLFP-{probe}{suffix}"].data[:])


def test_metadata_by_hand_wins_and_what_is_unknown_is_told(spikeglx, tmp_path):
    jobs = dispatched(spikeglx, tmp_path, input="spikeglx", split_groups=False)
    assert [path for path, *_ in jobs[0].metadata_files] == ["nwb_metadata.yaml"]
    task, nwbfile = export(jobs, spikeglx, tmp_path, write_lfp=False)
    assert nwbfile.session_start_time.isoformat() == "2026-01-15T10:30:00+01:00"
    assert (nwbfile.subject.subject_id, nwbfile.subject.sex, nwbfile.lab) == ("rat7", "F", "Some Lab")
    assert task.record["facts"]["metadata_unknown"] == ["NWBFile.session_id"]
    assert task.record["facts"]["metadata_from"]["Subject.sex"] == "nwb_metadata.yaml"


def test_nothing_is_invented_without_metadata(spikeglx, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(spikeglx, data, ignore=shutil.ignore_patterns("*.yaml"))
    jobs = dispatched(data, tmp_path, input="spikeglx", split_groups=False)
    task, nwbfile = export(jobs, data, tmp_path, write_lfp=False)
    assert nwbfile.subject is None
    assert nwbfile.session_start_time.isoformat() == "2026-01-15T10:30:00+00:00"
    assert "no time zone in its source" in nwbfile.notes
    assert "Subject.species" in task.record["facts"]["metadata_unknown"]


@pytest.mark.parametrize("backend", ["hdf5", "zarr"])
def test_an_nwb_inputs_session_is_kept(backend, tmp_path):
    from pynwb import NWBHDF5IO
    from pynwb.file import Subject

    data = tmp_path / "data"
    data.mkdir()
    formats.write_nwb(data / "rat.nwb", {"ElectricalSeriesA": 1}, backend)
    if backend == "hdf5":
        with NWBHDF5IO(data / "rat.nwb", "a") as io:
            nwbfile = io.read()
            nwbfile.subject = Subject(subject_id="rat7", sex="M", species="Rattus norvegicus", age="P90D")
            nwbfile.create_device("camera", description="another device")
            nwbfile.electrodes.id.data[:] = range(100, 108)
            nwbfile.electrodes["location"].data[:] = ["CA1"] * 4 + ["CA3"] * 4
            io.write(nwbfile)
    jobs = dispatched(data, tmp_path, input="nwb")
    _, nwbfile = export(jobs, data, tmp_path, write_raw=True, write_lfp=False)
    assert nwbfile.session_start_time.isoformat() == "2026-01-01T00:00:00+00:00"
    assert (nwbfile.identifier, nwbfile.session_description) == ("rat.nwb", "test")
    assert list(nwbfile.electrode_groups) == ["ElectricalSeriesA-0"]
    assert nwbfile.electrode_groups["ElectricalSeriesA-0"].device.name == "probe"
    if backend == "hdf5":
        assert findings(nwbfile) == []
        assert nwbfile.electrodes.id[:].tolist() == list(range(100, 108))
        assert nwbfile.electrodes["location"][:].tolist() == ["CA1"] * 4 + ["CA3"] * 4
        assert nwbfile.subject.subject_id == "rat7"
        assert set(nwbfile.devices) == {"probe", "camera"}


def test_the_groups_of_an_nwb_input_are_kept(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    formats.write_nwb(data / "rat.nwb", {"ElectricalSeriesA": 2, "ElectricalSeriesB": 1}, "hdf5")
    jobs = dispatched(data, tmp_path, input="nwb")
    _, nwbfile = export(jobs, data, tmp_path, write_raw=True, write_lfp=False)
    assert set(nwbfile.electrode_groups) == {"ElectricalSeriesA-0", "ElectricalSeriesA-1", "ElectricalSeriesB-0"}
    source = pynwb_electrodes(data / "rat.nwb")
    assert nwbfile.electrodes.to_dataframe()[["group_name", "channel_name"]].to_dict() == source.to_dict()
    assert set(nwbfile.acquisition) == {
        "ElectricalSeries-ElectricalSeriesA-groupElectricalSeriesA-0",
        "ElectricalSeries-ElectricalSeriesA-groupElectricalSeriesA-1",
        "ElectricalSeries-ElectricalSeriesB",
    }


def pynwb_electrodes(file):
    from pynwb import read_nwb

    return read_nwb(file).electrodes.to_dataframe()[["group_name", "channel_name"]]


def test_electrodes_have_the_places_that_a_file_tells(spikeglx, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(spikeglx, data)
    file = data / "run_g0" / "run_g0_imec0" / "imec0_channel_locations.csv"
    file.write_text("channel,acronym,ap_mm,ml_mm,dv_mm\n0,VISp,-3.1,2.5,-0.4\n1,VISl,-3.1,2.5,-0.5\n")
    (data / "imec7_channel_locations.csv").write_text("channel,acronym\n0,VISp\n")
    task = task_for("job_dispatch", DISPATCH.model_validate({"input": "spikeglx"}), tmp_path, data)
    job_dispatch.run(task)
    (unread,) = [line for line in task.record["warnings"] if "locations" in line]
    assert unread.startswith("imec7_channel_locations.csv is not read: its name has no probe of this run (imec0, imec1")
    jobs = [Job.model_validate(job) for job in json.loads((task.out / "jobs.json").read_text())]
    assert any("has no location for 6 of the 8 electrodes" in line for line in jobs[0].warnings)
    _, nwbfile = export(jobs, data, tmp_path, write_lfp=False)
    electrodes = nwbfile.electrodes.to_dataframe()
    own = electrodes[electrodes["group_name"] == "imec0"]
    # nwb_metadata.yaml has imec0 in CA1.
    assert own["location"].tolist() == ["VISp", "VISl"] + ["CA1"] * 6
    assert own["ap_um"].tolist()[:2] == [-3100.0, -3100.0]
    assert own["dv_um"].isna().sum() == 6
    assert set(electrodes[electrodes["group_name"] != "imec0"]["location"]) == {"unknown"}
    assert findings(nwbfile) == []


def test_a_file_of_some_shanks_leaves_the_others_without_places(spikeglx, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(spikeglx, data)
    (data / "imec1_channel_locations.csv").write_text("channel,acronym\n0,CA1\n1,CA1\n")
    shanks = [job for job in dispatched(data, tmp_path, input="spikeglx") if "imec1" in job.stream]
    first, *others = [job for job in shanks if job.segments == [0]]
    assert [place.region for place in first.electrode_locations.values()] == ["CA1", "CA1"]
    assert [job.electrode_locations for job in others] == [{}, {}, {}]
    assert all("has no location for 2 of the 2 electrodes" in job.warnings[-1] for job in others)


def test_a_broken_file_of_places_ends_the_run_before_it_sorts(spikeglx, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(spikeglx, data)
    (data / "imec1_channel_locations.json").write_text("{}")
    with pytest.raises(SpikeRelayError, match=r"imec1_channel_locations.json lists no electrode"):
        dispatched(data, tmp_path, input="spikeglx")


def test_open_ephys_settings_tell_the_start(tmp_path):
    data = tmp_path / "data"
    formats.write_openephys(data, [formats.PROBE_A], [1.0])
    settings = data / "Record Node 101" / "settings.xml"
    settings.write_text(settings.read_text().replace("</INFO>", "<DATE>15 Jan 2026 10:30:00</DATE></INFO>"))
    (job,) = dispatched(data, tmp_path, input="openephys")
    assert job.session_start_time == "2026-01-15T10:30:00"


def test_a_broken_lf_stream_leaves_the_rest(spikeglx, tmp_path):
    from pynwb import read_nwb

    data = tmp_path / "data"
    shutil.copytree(spikeglx, data)
    jobs = dispatched(data, tmp_path, input="spikeglx", split_groups=False)
    for file in data.rglob("*imec0.lf.bin"):
        file.unlink()
    with pytest.raises(RecordedFailure, match=r"the LFP of imec0\.ap is not in this file"):
        export(jobs, data, tmp_path, write_raw=True, **KEEP_LFP)
    nwbfile = read_nwb(tmp_path / "nwb_ecephys_out" / "file.nwb")
    assert findings(nwbfile) == []
    assert "the LFP of imec0.ap is not in this file" in nwbfile.notes
    assert set(nwbfile.acquisition) == {"ElectricalSeries-imec0", "ElectricalSeries-imec1"}
    assert set(nwbfile.processing["ecephys"]["LFP"].electrical_series) == {"ElectricalSeriesLFP-imec1"}


@pytest.fixture
def breaking(tmp_path):
    """Two probes of AIND's and their jobs; the first has an LF stream, and a wide band that breaks after a second."""
    data = tmp_path / "data"
    formats.write_aind(data)
    (data / "nwb_metadata.yaml").write_text(BY_HAND)
    jobs = dispatched(data, tmp_path, input="aind", split_groups=False)
    (compressed,) = data.rglob("*ProbeA-AP.zarr")
    (compressed / "traces_seg0" / "1.0").write_bytes(b"broken")
    return data, jobs


@pytest.mark.parametrize("backend", rest_is_slow(["hdf5", "zarr"]))
def test_raw_traces_that_break_while_they_are_written_leave_the_rest(backend, breaking, tmp_path):
    from pynwb import read_nwb

    data, jobs = breaking
    with pytest.raises(RecordedFailure, match=r"the raw traces of .*ProbeA-AP are not in this file"):
        export(jobs, data, tmp_path, backend=backend, write_raw=True, **KEEP_LFP)
    nwbfile = read_nwb(tmp_path / "nwb_ecephys_out" / "file.nwb")
    assert findings(nwbfile) == []
    assert "ProbeA-AP are not in this file" in nwbfile.notes
    assert list(nwbfile.acquisition) == ["ElectricalSeries-Neuropix-PXI-100.ProbeB"]
    assert len(nwbfile.processing["ecephys"]["LFP"].electrical_series) == 2
    np.testing.assert_array_equal(
        nwbfile.acquisition["ElectricalSeries-Neuropix-PXI-100.ProbeB"].data[:],
        formats.counts("ProbeB-AP", 0, 60000, 8),
    )
    assert len(nwbfile.electrodes) == 16


def test_what_breaks_a_file_besides_its_traces_is_an_error(spikeglx, tmp_path, monkeypatch):
    def fail(*args):
        raise OSError("no such luck")

    monkeypatch.setattr(stage, "write_file", fail)
    jobs = dispatched(spikeglx, tmp_path, input="spikeglx", split_groups=False)
    with pytest.raises(OSError, match="no such luck"):
        export(jobs, spikeglx, tmp_path, write_raw=True, write_lfp=False)


def test_the_shanks_of_a_probe_are_groups_of_one_device(spikeglx, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(spikeglx, data)
    metadata = data / "nwb_metadata.yaml"
    groups = "{imec1: {location: CA1, description: all}, imec1-group2: {location: CA3}, imec2: {location: V1}}"
    metadata.write_text(BY_HAND.replace("{imec0: {location: CA1}}", groups))
    jobs = dispatched(data, tmp_path, input="spikeglx")
    task, nwbfile = export(jobs, data, tmp_path, write_lfp=False)
    assert set(nwbfile.devices) == {"imec0", "imec1"}
    found = {name: (group.location, group.device.name) for name, group in nwbfile.electrode_groups.items()}
    shanks = {f"imec1-group{shank}": ("CA3" if shank == 2 else "CA1", "imec1") for shank in range(4)}
    assert found == {"imec0": ("unknown", "imec0")} | shanks
    assert nwbfile.electrodes["shank"].data[:].tolist() == [""] * 8 + ["0", "0", "1", "1", "2", "2", "3", "3"]
    assert any("'imec2', which is not in this file; did you mean" in line for line in task.record["warnings"])


def saved(folder, gains=0.195, offsets=0.0, duration_s=1.0):
    """A task on a recording of its own, and that recording."""
    recording = formats.numpy_recording("saved", [duration_s])
    if gains is None:
        recording.delete_property("gain_to_uV")
    else:
        recording.set_channel_gains(gains)
    recording.set_channel_offsets(offsets)
    recording.save(folder=folder / "rec")
    return task_for("nwb_ecephys", PARAMS.model_validate({"write_raw": True} | KEEP_LFP), folder, folder), recording


def test_an_offset_for_each_channel_is_kept(tmp_path):
    from pynwb import read_nwb

    task, recording = saved(tmp_path, offsets=np.arange(8.0))
    stage.run(task)
    (series,) = read_nwb(task.out / "file.nwb").acquisition.values()
    in_uv = 1e6 * (series.data[:] * series.conversion + series.offset)
    np.testing.assert_allclose(in_uv, recording.get_traces(return_in_uV=True), atol=1e-3)


def test_traces_without_gains_are_told_from_volts(tmp_path):
    from pynwb import read_nwb

    task, _ = saved(tmp_path, gains=None)
    stage.run(task)
    assert "imec0.ap: its traces are counts and not volts" in read_nwb(task.out / "file.nwb").notes


def test_a_recording_too_short_for_the_lfps_filters_keeps_its_traces(tmp_path):
    from pynwb import read_nwb

    task, recording = saved(tmp_path, duration_s=0.01)
    with pytest.raises(RecordedFailure, match=r"the LFP of imec0\.ap is not in this file: .*padlen"):
        stage.run(task)
    (series,) = read_nwb(task.out / "file.nwb").acquisition.values()
    np.testing.assert_array_equal(series.data[:], recording.get_traces())


def test_unsigned_samples_keep_their_microvolts(tmp_path):
    from pynwb import read_nwb

    unsigned = formats.numpy_recording("unsigned", [1.0])
    counts = formats.counts("unsigned", 0, 30000, 8).astype(int) + 32768
    from spikeinterface.core import NumpyRecording

    recording = NumpyRecording([counts.astype("uint16")], 30000.0)
    recording.set_probegroup(unsigned.get_probegroup())
    recording.set_channel_gains(0.195)
    recording.set_channel_offsets(-6389.76)
    recording.save(folder=tmp_path / "rec")
    task = task_for("nwb_ecephys", PARAMS.model_validate({"write_raw": True, "write_lfp": False}), tmp_path, tmp_path)
    stage.run(task)
    (series,) = read_nwb(task.out / "file.nwb").acquisition.values()
    in_uv = 1e6 * (series.data[:] * series.conversion + series.offset)
    np.testing.assert_allclose(in_uv, recording.get_traces(return_in_uV=True), atol=0.1)


def test_a_probe_in_agar_that_cannot_be_read_leaves_the_others(spikeglx, tmp_path):
    jobs = dispatched(spikeglx, tmp_path, input="spikeglx", split_groups=False)
    jobs = [job.model_copy(update={"failure": "cut off"}) if job.stream == "imec0.ap" else job for job in jobs]
    surfaces = '{"imec0": 4, "imec1": 5}'
    _, nwbfile = export(jobs, spikeglx, tmp_path, surface_channel_agar_probes_indices=surfaces, **KEEP_LFP)
    assert set(nwbfile.processing["ecephys"]["LFP"].electrical_series) == {"ElectricalSeriesLFP-imec1"}


def test_a_group_in_agar_goes_by_its_name(spikeglx, tmp_path):
    jobs = dispatched(spikeglx, tmp_path, input="spikeglx")
    jobs = [job for job in jobs if job.block == jobs[0].block]
    surfaces = read_agar_surfaces('{"imec1-group2": 0}', jobs)
    assert surfaces == {next(job.id for job in jobs if job.group == "2"): 0}


def test_an_nwb_inputs_reference_time_and_lf_series_are_kept(tmp_path):
    from datetime import UTC, datetime, timedelta

    from pynwb import NWBHDF5IO
    from pynwb.ecephys import ElectricalSeries

    data = tmp_path / "data"
    data.mkdir()
    formats.write_nwb(data / "rat.nwb", {"ElectricalSeriesAP": 1}, "hdf5")
    start = datetime(2026, 1, 1, tzinfo=UTC)
    with NWBHDF5IO(data / "rat.nwb", "r+") as io:
        nwbfile = io.read()
        region = nwbfile.create_electrode_table_region([6, 4, 5], "some electrodes")
        counts = formats.counts("lf", 0, 5000, 3)
        nwbfile.add_acquisition(ElectricalSeries("ElectricalSeriesLF", counts, region, rate=2500.0, conversion=1e-6))
        io.write(nwbfile)
        io._file["timestamps_reference_time"][()] = (start - timedelta(minutes=5)).isoformat()
    (job,) = dispatched(data, tmp_path, input="nwb")
    assert job.lfp_reader.kwargs["electrical_series_path"] == "acquisition/ElectricalSeriesLF"
    _, nwbfile = export([job], data, tmp_path, **KEEP_LFP)
    assert nwbfile.session_start_time == start
    assert nwbfile.timestamps_reference_time == start - timedelta(minutes=5)
    (lfp,) = nwbfile.processing["ecephys"]["LFP"].electrical_series.values()
    assert (lfp.rate, lfp.data.shape, len(nwbfile.electrodes)) == (2500, (5000, 3), 8)
    assert lfp.electrodes.data[:].tolist() == [6, 4, 5]
    assert nwbfile.electrodes["channel_name"].data[:].tolist() == [f"ElectricalSeriesAP{index}" for index in range(8)]
