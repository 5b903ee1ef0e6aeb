"""Every input format: what is found in it, what is left out and why, and how it breaks."""

import json
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

from capsules.common.errors import SpikeRelayError
from capsules.common.recordings.job import Job
from capsules.common.recordings.reading import load_lfp_segments, load_recording, load_segments
from capsules.job_dispatch import stage
from capsules.job_dispatch.formats import guess_format
from capsules.job_dispatch.loaders import LOADERS
from capsules.job_dispatch.params import PARAMS
from tests import formats
from tests.data import differ_at_most_where_chunks_end
from tests.halves import rest_is_slow
from tests.reach.spy import task_for

OE = "experiment1_Record-Node-101-Neuropix-PXI-100."
NEUROSCOPE = {"reader_type": "neuroscope", "reader_kwargs": {"file_path": "rat.xml"}, "probe_paths": "probe.json"}
OWN = {"reader_type": "spikeinterface", "reader_kwargs": {"file_or_folder_path": "rec"}}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A session in each format: two probes, one with four shanks, and two segments where the format has them."""
    root = tmp_path_factory.mktemp("formats")
    formats.write_openephys(root / "openephys", [formats.PROBE_A, formats.FOUR_SHANKS], [2.0, 1.0])
    formats.write_spikeglx_segments(root / "spikeglx", [2.0, 1.0])
    formats.write_aind(root / "aind")
    for backend, name in (("hdf5", "nwb"), ("zarr", "nwb_zarr")):
        (root / name).mkdir()
        formats.write_nwb(root / name / "rat.nwb", {"ElectricalSeriesA": 1, "ElectricalSeriesB": 4}, backend)
    formats.write_neuroscope(root / "neuroscope")
    formats.numpy_recording("own", [2.0, 1.0], 4).save(folder=root / "own" / "rec")
    formats.numpy_recording("own", [2.0, 1.0], 4).save(folder=root / "own_zarr" / "rec.zarr", format="zarr")
    return root


INPUTS = {"nwb_zarr": "nwb", "neuroscope": "spikeinterface", "own": "spikeinterface", "own_zarr": "spikeinterface"}
OWN_ZARR = {"reader_type": "zarr", "reader_kwargs": {"folder_path": "rec.zarr"}}
INFOS = {"neuroscope": NEUROSCOPE, "own": OWN, "own_zarr": OWN_ZARR}
READ = {
    # format: [(id without segment and group, stream of the generator, groups, segments)]
    "openephys": [(f"{OE}ProbeA-AP", "ProbeA-AP", None, 2), (f"{OE}ProbeB-AP", "ProbeB-AP", "0123", 2)],
    "spikeglx": [("run_g0_imec0.ap", "imec0.ap", None, 2), ("run_g0_imec1.ap", "imec1.ap", "0123", 2)],
    "aind": [(f"{OE}ProbeA-AP", "ProbeA-AP", None, 2), (f"{OE}ProbeB-AP", "ProbeB-AP", "0123", 2)],
    "nwb": [
        ("rat_ElectricalSeriesA", "ElectricalSeriesA", None, 1),
        ("rat_ElectricalSeriesB", "ElectricalSeriesB", [f"ElectricalSeriesB-{shank}" for shank in range(4)], 1),
    ],
    "neuroscope": [("rat_Signals", "neuroscope", None, 1)],
    "own": [("rec_spikeinterface", "own", "0123", 2)],
}
READ["nwb_zarr"], READ["own_zarr"] = READ["nwb"], [("rec_zarr", "own", "0123", 2)]


def run(data, folder, **settings):
    """The jobs of a data folder, and job dispatch's record."""
    task = task_for("job_dispatch", PARAMS.model_validate(settings), folder, data)
    stage.run(task)
    return [Job.model_validate(job) for job in json.loads((task.out / "jobs.json").read_text())], task.record


def settings_of(name, **more):
    return {"input": INPUTS.get(name, name), "spikeinterface_info": INFOS.get(name)} | more


@pytest.mark.parametrize(
    ("split_segments", "split_groups"), rest_is_slow([(True, True), (False, False), (True, False), (False, True)], 2)
)
@pytest.mark.parametrize("name", READ)
def test_ids_durations_and_traces(name, split_segments, split_groups, folders, tmp_path):
    settings = settings_of(name, split_segments=split_segments, split_groups=split_groups)
    jobs, _ = run(folders / name, tmp_path, **settings)
    expected = {}
    for base, stream, groups, count in READ[name]:
        seconds = [2.0, 1.0][:count]
        parts = [([index], f"recording{index + 1}") for index in range(count)]
        if not split_segments:
            parts = [(list(range(count)), "recording1" + ("-2" if count > 1 else ""))]
        for chosen, part in parts:
            for group in groups if groups and split_groups else [None]:
                id = f"{base}_{part}" + (f"_group{group}" if group else "")
                expected[id] = (stream, chosen, group, sum(seconds[index] for index in chosen))
    assert [job.id for job in jobs] == list(expected)
    for job in jobs:
        stream, chosen, group, duration = expected[job.id]
        assert job.duration_s == duration
        recording = load_recording(job, folders / name)
        channels = 4 if stream == "ProbeA-AP" and name == "openephys" else 8
        known = [formats.counts(stream, index, round([2.0, 1.0][index] * 30000), channels) for index in chosen]
        shank = None if group is None else int(group[-1])
        columns = slice(None) if shank is None else slice(2 * shank, 2 * shank + 2)
        assert np.array_equal(recording.get_traces(), np.concatenate(known)[:, columns])
        assert recording.has_probe() or recording.has_channel_location()
        assert recording.get_num_channels() == job.num_channels
        assert not any(os.path.isabs(file) for file, _, _ in job.files)


@pytest.mark.parametrize("name", rest_is_slow(READ, 2))
def test_a_moved_folder_loads(name, folders, tmp_path):
    jobs, _ = run(folders / name, tmp_path, **settings_of(name))
    moved = tmp_path / "moved"
    shutil.copytree(folders / name, moved)
    for job in jobs:
        assert str(folders) not in job.model_dump_json(exclude={"session"})
        assert load_recording(job, moved).get_num_channels() == job.num_channels


@pytest.mark.parametrize("name", rest_is_slow(READ))
def test_preprocessed_traces_load_after_data_and_results_moved(name, folders, tmp_path):
    """The lazy traces in the results open from the moved data, and are those that were sorted."""
    import spikeinterface as si

    from capsules.preprocessing import stage as preprocessing
    from capsules.preprocessing.params import PARAMS as PREPROCESSING

    before, after = tmp_path / "before", tmp_path / "after"
    shutil.copytree(folders / name, before / "data")
    settings = {"min_preprocessing_duration": 0, "max_bad_channel_fraction": 1, "remove_bad_channels": False}
    settings |= {"remove_out_channels": False, "motion_correction": {"compute": False}}
    for job in run(before / "data", tmp_path, **settings_of(name))[0]:
        task = task_for("preprocessing", PREPROCESSING.model_validate(settings), tmp_path / job.id, before / "data")
        task.jobs = [job]
        preprocessing.run(task)
    after.mkdir()
    (before / "data").rename(after / "data")
    task.out.rename(after / "results")
    lazy = si.load(after / "results" / "preprocessed.json", base_folder=after)
    written = si.load(after / "results" / "traces")
    assert str(before) not in (after / "results" / "preprocessed.json").read_text()
    chunk = {"start_frame": 0, "end_frame": 30000}
    assert differ_at_most_where_chunks_end(lazy.get_traces(**chunk), written.get_traces(**chunk))


def test_what_is_not_neural_is_left_out_with_its_reason(folders, tmp_path):
    for name, left_out in (
        ("openephys", ["ProbeA-LFP: the LFP band", "NI-DAQmx: not a neural signal"]),
        ("spikeglx", ["imec0.lf: the LFP band", "imec0.ap-SYNC: not a neural signal"]),
        ("aind", ["ProbeA-LFP: the LFP band", "NI-DAQmx: not a neural signal"]),
    ):
        jobs, record = run(folders / name, tmp_path / name, **settings_of(name))
        told = "\n".join(record["facts"]["not_sorted"])
        assert all(text in told for text in left_out), told
        # The LF band goes on to the NWB step.
        assert load_lfp_segments(jobs[0], folders / name) is not None


def test_the_format_is_guessed(folders):
    for name in ("openephys", "spikeglx", "aind", "nwb", "nwb_zarr"):
        assert guess_format(folders / name) == INPUTS.get(name, name)
    assert guess_format(folders / "neuroscope") is None
    assert guess_format(folders) is None


def test_the_clock_of_each_segment(folders, tmp_path):
    first, second = run(folders / "openephys", tmp_path / "a", **settings_of("openephys"))[0][:2]
    assert (first.segment_starts_s, second.segment_starts_s) == ([5.0], [105.0])
    assert not first.regular_clock
    (timed,) = load_segments(second, folders / "openephys")
    assert timed.sample_index_to_time(3000) == pytest.approx(105.1)
    assert load_recording(second, folders / "openephys").get_start_time() == 0
    both = run(folders / "openephys", tmp_path / "b", **settings_of("openephys", split_segments=False))[0][0]
    assert (both.segment_starts_s, both.segment_durations_s) == ([5.0, 105.0], [2.0, 1.0])
    first, second = run(folders / "spikeglx", tmp_path / "c", **settings_of("spikeglx"))[0][:2]
    assert (first.first_samples, second.first_samples) == ([1000], [1001000])
    assert first.regular_clock
    alignments = [source.alignment for source in first.event_sources]
    assert [(each.stream, each.status) for each in alignments] == [("imec0.ap", "reference"), ("imec1.ap", "failed")]
    assert "4 are needed" in alignments[1].problems[0]
    assert second.segment_starts_s == [pytest.approx(1001000 / 30000)]


def test_timestamps_that_jump_back_give_way_to_the_sample_numbers(folders, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(folders / "openephys", data)
    (file, _) = sorted(data.rglob("*ProbeA-AP/timestamps.npy"))
    times = np.load(file)
    times[30000:] -= 0.25
    np.save(file, times)
    first, second = run(data, tmp_path, **settings_of("openephys"))[0][:2]
    told = " ".join(first.warnings)
    assert "1 steps back, -0.25 s in all: -0.25 s at 6.000 s; time is counted by sample numbers instead" in told
    assert not second.regular_clock
    (timed,) = load_segments(first, data)
    assert timed.sample_index_to_time(45000) == pytest.approx(6.5)
    numbers = np.load(file.with_name("sample_numbers.npy"))
    numbers[30000:] -= 7500
    np.save(file.with_name("sample_numbers.npy"), numbers)
    first = run(data, tmp_path / "both", **settings_of("openephys"))[0][0]
    assert first.regular_clock
    assert "time is counted by samples instead" in " ".join(first.warnings)
    unread = run(data, tmp_path / "unread", **settings_of("openephys", skip_timestamps_check=True))[0][0]
    assert unread.regular_clock
    assert unread.reader.kwargs["load_sync_timestamps"] is False


def cut_file(file, size):
    with file.open("r+b") as stream:
        stream.truncate(size)


def bin_of(data, probe):
    return sorted(data.rglob(f"*imec{probe}.ap.bin"))[0]


def grow(file):
    with file.open("ab") as stream:
        stream.write(b"\0" * 18)


def odd(file):
    cut_file(file, file.stat().st_size - 3)
    meta = file.with_suffix(".meta")
    lines = [line for line in meta.read_text().splitlines() if not line.startswith("fileSizeBytes")]
    meta.write_text("\n".join([*lines, f"fileSizeBytes={file.stat().st_size}"]))


def empty(file):
    cut_file(file, 0)
    meta = file.with_suffix(".meta")
    meta.write_text(meta.read_text().replace("fileSizeBytes=", "fileSizeBytes=0\nwas="))


def dangle(file):
    file.unlink()
    file.symlink_to("nowhere.bin")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda file: file.with_suffix(".meta").unlink(), "has no .meta file in the same folder"),
        (lambda file: cut_file(file, 1800), "the copy or the recording is incomplete"),
        (grow, "the copy or the recording is incomplete"),
        (odd, "not a multiple of the 18 bytes of a sample"),
        (empty, "is empty"),
        (dangle, "is a link to nowhere.bin, which does not exist"),
        (lambda file: file.with_suffix(".meta").write_text("nonsense"), "cannot be read"),
    ],
)
def test_one_broken_probe_of_three_leaves_the_others(harm, message, tmp_path):
    data = tmp_path / "data"
    formats.write_spikeglx_segments(data, [1.0], probes=(0, 1))
    shutil.copytree(data / "run_g0" / "run_g0_imec0", data / "run_g0" / "run_g0_imec2")
    for file in sorted((data / "run_g0" / "run_g0_imec2").iterdir()):
        moved = file.rename(file.with_name(file.name.replace("imec0", "imec2")))
        if moved.suffix == ".meta":
            moved.write_text(
                moved.read_text().replace("imec0", "imec2").replace("imDatPrb_sn=1000", "imDatPrb_sn=1002")
            )
    harm(bin_of(data, 2))
    jobs, _ = run(data, tmp_path, input="spikeglx", split_groups=False)
    assert [(job.id, job.failure is None) for job in jobs] == [
        ("run_g0_imec0.ap_recording1", True),
        ("run_g0_imec1.ap_recording1", True),
        ("run_g0_imec2.ap_recording1", False),
    ]
    assert message in jobs[2].failure


def test_traces_that_break_within_fail_their_own_recording(tmp_path):
    data = tmp_path / "data"
    formats.write_aind(data)
    (compressed,) = data.rglob("*ProbeA-AP.zarr")
    (compressed / "traces_seg0" / "1.0").write_bytes(b"broken")
    jobs, _ = run(data, tmp_path, input="aind", split_groups=False)
    failed = [job for job in jobs if job.failure]
    assert [(job.stream.rpartition(".")[2], job.segments) for job in failed] == [("ProbeA-AP", [0])]
    assert failed[0].failure.startswith("the traces cannot be read: RuntimeError: error during blosc")
    assert len(jobs) == 4


def test_no_such_folder_and_an_empty_one(tmp_path):
    for name, list_streams in LOADERS.items():
        if name != "spikeinterface":
            with pytest.raises(SpikeRelayError, match=r"in .*data"):
                (tmp_path / "data").mkdir(exist_ok=True)
                list(list_streams(tmp_path / "data", PARAMS.model_validate({"input": name})))


@pytest.mark.skipif(os.geteuid() != 0, reason="root tries it as another user; others are tried by the file's mode")
def test_no_permission_is_said(folders, tmp_path):
    """As another user, since root may read everything."""
    from capsules.resolve_params.machine.folders import data_problems

    data = tmp_path / "private"
    data.mkdir(mode=0o700)
    pid = os.fork()
    if pid == 0:
        os.setuid(65534)
        os._exit(0 if "no permission" in str(data_problems(str(data))) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_nan_in_a_float_recording(tmp_path):
    recording = formats.numpy_recording("nan", [1.0], dtype="float32")
    recording.get_traces()[:, 3] = np.nan
    recording.save(folder=tmp_path / "data" / "rec")
    (job,), _ = run(tmp_path / "data", tmp_path, **settings_of("own"))
    assert job.failure == "the traces contain NaN or infinity"


def test_nwb_files_that_cannot_be_sorted(folders, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(folders / "nwb", data)
    shutil.copy(data / "rat.nwb", data / "mouse.nwb")
    with pytest.raises(SpikeRelayError, match=r"2 NWB files .*--nwb-files mouse.nwb,rat.nwb"):
        run(data, tmp_path, input="nwb")
    with pytest.raises(SpikeRelayError, match=r"no such file: .*cat.nwb"):
        run(data, tmp_path, input="nwb", nwb_files=["cat.nwb"])
    (data / "mouse.nwb").write_bytes(b"no hdf5")
    jobs, _ = run(data, tmp_path, input="nwb", nwb_files=["mouse.nwb", "rat.nwb"], split_groups=False)
    assert "cannot be read" in jobs[0].failure
    assert [job.failure for job in jobs[1:]] == [None, None]


def test_nwb_without_electrode_positions(tmp_path):
    from datetime import UTC, datetime

    from pynwb import NWBHDF5IO, NWBFile
    from pynwb.ecephys import ElectricalSeries

    nwbfile = NWBFile("test", "x", datetime(2026, 1, 1, tzinfo=UTC))
    device = nwbfile.create_device("probe")
    group = nwbfile.create_electrode_group("group", description="", location="unknown", device=device)
    for _ in range(4):
        nwbfile.add_electrode(group=group, location="unknown")
    region = nwbfile.create_electrode_table_region([0, 1, 2, 3], "all")
    nwbfile.add_acquisition(ElectricalSeries("Raw", np.ones((3000, 4), "int16"), region, rate=30000.0))
    (tmp_path / "data").mkdir()
    with NWBHDF5IO(str(tmp_path / "data" / "x.nwb"), "w") as io:
        io.write(nwbfile)
    (job,), _ = run(tmp_path / "data", tmp_path, input="nwb")
    assert "the channels have no positions" in job.failure
    assert "probe_paths" in job.failure


@pytest.mark.parametrize(
    ("info", "message"),
    [
        (NEUROSCOPE | {"reader_type": "neuroscop"}, "no reader 'neuroscop'; did you mean 'neuroscope'"),
        (NEUROSCOPE | {"reader_kwargs": {"file_path": "cat.xml"}}, "the neuroscope reader cannot read the data"),
        (NEUROSCOPE | {"probe_paths": ["a.json", "b.json"]}, "2 files for 1 streams"),
        (NEUROSCOPE | {"probe_paths": {"Signal": "probe.json"}}, "no stream 'Signal'; did you mean 'Signals'"),
    ],
)
def test_spikeinterface_info_that_does_not_fit_is_refused(info, message, folders, tmp_path):
    with pytest.raises(SpikeRelayError, match=message.replace("(", r"\(")):
        run(folders / "neuroscope", tmp_path, input="spikeinterface", spikeinterface_info=info)


def test_a_probe_that_does_not_fit_fails_its_stream(folders, tmp_path):
    from probeinterface import generate_linear_probe, write_probeinterface

    data = tmp_path / "data"
    shutil.copytree(folders / "neuroscope", data)
    probe = generate_linear_probe(16)
    probe.set_device_channel_indices(np.arange(16))
    write_probeinterface(data / "probe.json", probe)
    for paths, text in (
        ("probe.json", "cannot be read"),
        ("nowhere.json", "nowhere.json"),
        (None, "have no positions"),
    ):
        (job,), _ = run(data, tmp_path, input="spikeinterface", spikeinterface_info=NEUROSCOPE | {"probe_paths": paths})
        assert text in job.failure


def test_a_missing_package_is_named_with_where_to_put_it(folders, tmp_path, monkeypatch):
    import spikeinterface.extractors.extractor_classes as classes

    def needs_a_package(**kwargs):
        raise ModuleNotFoundError("No module named 'sonpy'", name="sonpy")

    monkeypatch.setitem(classes.recording_extractor_full_dict, "ibl", needs_a_package)
    (job,), _ = run(folders / "own", tmp_path, input="spikeinterface", spikeinterface_info={"reader_type": "ibl"})
    assert "No module named 'sonpy'" in job.failure
    assert "EXTRA_INSTALLS" in job.failure


def test_names_that_a_shell_would_mind(folders, tmp_path):
    data = tmp_path / """a "b" 'c'; $(d) é数"""
    shutil.copytree(folders / "spikeglx", data / "run g0 ü")
    jobs, _ = run(data, tmp_path, input="spikeglx")
    assert len(jobs) == 10
    for job in jobs:
        assert job.failure is None
        assert all(character.isalnum() or character in "._-" for character in job.id)
        assert load_recording(job, data).get_num_samples() > 0


def test_the_same_stream_of_two_sessions_has_two_ids(folders, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(folders / "spikeglx", data / "one")
    shutil.copytree(folders / "spikeglx", data / "two")
    for file in (data / "two").rglob("*.meta"):
        file.write_text(file.read_text().replace("fileCreateTime=2026-01-15", "fileCreateTime=2026-01-16"))
    ids = [job.id for job in run(data, tmp_path, input="spikeglx", split_groups=False, split_segments=False)[0]]
    probes = ["run_g0_imec0.ap_recording1-2", "run_g0_imec1.ap_recording1-2"]
    assert ids == [f"{session}_{probe}" for session in ("one", "two") for probe in probes]


def test_sessions_stand_apart_and_an_empty_one_is_told(folders, tmp_path):
    data = tmp_path / "data"
    for name in ("monday", "tuesday"):
        shutil.copytree(folders / "openephys", data / name)
    (data / "notes").mkdir()
    (next((data / "tuesday").rglob("structure.oebin"))).write_text("{")
    jobs, record = run(data, tmp_path, input="openephys", multi_session=True, split_groups=False, split_segments=False)
    assert {(job.session, job.failure is None) for job in jobs} == {("monday", True), ("tuesday", False)}
    assert "notes is left out: it has no openephys recording" in record["warnings"]


MEASURE = """
import json, re, sys, time
from pathlib import Path
from capsules.job_dispatch import stage
from capsules.job_dispatch.params import PARAMS
from tests.reach.spy import task_for
start = time.monotonic()
data, out = map(Path, sys.argv[1:])
stage.run(task_for("job_dispatch", PARAMS.model_validate({"input": "spikeglx"}), out, data))
# Not ru_maxrss: it begins with what the process that started this one had.
peak_kb = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
print(json.dumps([time.monotonic() - start, peak_kb / 1024]))
"""


@pytest.mark.slow
def test_half_an_hour_of_384_channels_is_dispatched_in_little_memory(tmp_path):
    """Seconds are in docs/benchmarks.md; memory does not depend on the machine's load."""
    from tests.data import ProbeSpec, write_spikeglx

    data = tmp_path / "data"
    write_spikeglx(data, [ProbeSpec("imec0", channels=384, units=2, duration_s=1.0)])
    samples = 30 * 60 * 30000
    for file, rate in ((bin_of(data, 0), 1), (next(data.rglob("*.lf.bin")), 12)):
        size = samples // rate * 385 * 2
        os.truncate(file, size)
        meta = file.with_suffix(".meta")
        lines = [line for line in meta.read_text().splitlines() if not line.startswith("fileSizeBytes")]
        meta.write_text("\n".join([*lines, f"fileSizeBytes={size}"]))
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", MEASURE, data, tmp_path], capture_output=True, text=True, check=True)
    seconds, megabytes = json.loads(done.stdout.splitlines()[-1])
    assert megabytes < 500
    print(f"dispatched in {seconds:.1f} s of {time.monotonic() - start:.1f} s, {megabytes:.0f} MB")
