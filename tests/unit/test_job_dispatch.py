import shutil

import numpy as np
import pytest

from capsules.common.errors import SpikeRelayError
from capsules.common.recordings.reading import load_lfp_segments, load_recording
from capsules.job_dispatch.jobs import clean_id, jobs_of_stream, number_equal_ids
from capsules.job_dispatch.loaders import LOADERS
from capsules.job_dispatch.loaders.spikeinterface import read_spikeinterface_info
from capsules.job_dispatch.loaders.streams import LeftOutStream
from capsules.job_dispatch.params import JobDispatchParams, SpikeInterfaceInfo
from tests.data import UV_PER_COUNT_AP


def jobs_of(data, **settings):
    params = JobDispatchParams(**settings)
    streams = [stream for stream in LOADERS[params.input](data, params) if not isinstance(stream, LeftOutStream)]
    return [job for stream in streams for job in jobs_of_stream(stream, data, data, params)]


def test_a_spikeglx_session_gives_one_job_per_probe(tiny_session):
    jobs = jobs_of(tiny_session, input="spikeglx")
    assert [job.id for job in jobs] == ["run_g0_imec0.ap_recording1", "run_g0_imec1.ap_recording1"]
    assert {job.block for job in jobs} == {"run_g0_recording1"}
    first = jobs[0]
    assert (first.num_channels, first.duration_s, first.sampling_frequency_hz) == (4, 2.0, 30000.0)
    assert first.session_start_time == "2026-01-15T10:30:00"
    assert [name.split("/")[-1] for name, _, _ in first.files] == [
        f"run_g0_t0.imec0.{name}" for name in ("ap.bin", "ap.meta", "lf.bin", "lf.meta")
    ]
    assert not any(name.startswith("/") for name, _, _ in first.files)


def test_the_recording_is_what_the_generator_wrote(tiny_session):
    job = jobs_of(tiny_session, input="spikeglx")[1]
    recording = load_recording(job, tiny_session)
    raw = np.fromfile(next(tiny_session.rglob("*.imec1.ap.bin")), dtype="int16").reshape(-1, 5)[:, :4]
    assert np.array_equal(recording.get_traces(), raw)
    assert recording.get_channel_gains().tolist() == [UV_PER_COUNT_AP] * 4
    assert recording.get_channel_locations().tolist() == [[16, 0], [48, 0], [0, 20], [32, 20]]
    assert "inter_sample_shift" in recording.get_property_keys()
    assert load_lfp_segments(job, tiny_session)[0].sampling_frequency == 2500


def test_debug_clips_and_lifts_the_minimum(tiny_session):
    jobs = jobs_of(tiny_session, input="spikeglx", debug=True, debug_duration=0.5, min_recording_duration=60)
    assert {job.duration_s for job in jobs} == {0.5}
    assert not any(job.skip for job in jobs)
    assert load_recording(jobs[0], tiny_session).get_total_duration() == 0.5
    assert all("shorter than" in job.skip for job in jobs_of(tiny_session, input="spikeglx", min_recording_duration=60))


@pytest.fixture
def four_shanks(tmp_path):
    """A SpikeInterface folder with two segments and four channel groups."""
    from spikeinterface.core import generate_recording

    recording = generate_recording(num_channels=8, durations=[1.0, 2.0], sampling_frequency=10000.0, seed=0)
    recording.set_channel_groups([0, 0, 1, 1, 2, 2, 3, 3])
    recording.save(folder=tmp_path / "data" / "rec")
    return tmp_path / "data"


@pytest.mark.parametrize(
    ("split_segments", "split_groups", "durations", "channels"),
    [
        (True, True, [1.0] * 4 + [2.0] * 4, 2),
        (True, False, [1.0, 2.0], 8),
        (False, True, [3.0] * 4, 2),
        (False, False, [3.0], 8),
    ],
)
def test_segments_and_groups_are_split_or_joined(four_shanks, split_segments, split_groups, durations, channels):
    info = {"reader_type": "spikeinterface", "reader_kwargs": {"file_or_folder_path": "rec"}}
    settings = {"input": "spikeinterface", "spikeinterface_info": info}
    jobs = jobs_of(four_shanks, **settings, split_segments=split_segments, split_groups=split_groups)
    assert [job.duration_s for job in jobs] == durations
    for job in jobs:
        recording = load_recording(job, four_shanks)
        assert recording.get_num_segments() == 1
        assert recording.get_num_channels() == channels == job.num_channels
        assert recording.get_total_duration() == job.duration_s
    assert len({job.id for job in jobs}) == len(jobs)


def test_unsigned_samples_are_made_signed(tmp_path):
    from spikeinterface.core import NumpyRecording, generate_recording

    traces = (generate_recording(num_channels=4, durations=[1.0], seed=0).get_traces() * 10).astype("int16")
    unsigned = NumpyRecording([(traces.astype("int32") + 2**15).astype("uint16")], 30000.0)
    unsigned.set_dummy_probe_from_locations(np.array([[0, 20 * index] for index in range(4)]))
    unsigned.save(folder=tmp_path / "rec")
    info = {"reader_type": "spikeinterface", "reader_kwargs": {"file_or_folder_path": "rec"}}
    (job,) = jobs_of(tmp_path, input="spikeinterface", spikeinterface_info=info)
    recording = load_recording(job, tmp_path)
    assert recording.get_dtype() == "int16"
    assert np.array_equal(recording.get_traces(), traces)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda folder: next(folder.glob("*.ap.meta")).unlink(), "has no .meta file in the same folder"),
        (lambda folder: _truncate(next(folder.glob("*.ap.bin"))), "its .meta lists"),
        (lambda folder: next(folder.glob("*.ap.meta")).write_text(""), "cannot be read"),
        (lambda folder: next(folder.glob("*.ap.bin")).write_bytes(b""), "is empty: copy it again"),
    ],
)
def test_a_broken_probe_fails_alone(tiny_session, tmp_path, harm, message):
    data = tmp_path / "session"
    shutil.copytree(tiny_session, data)
    harm(next(data.rglob("*.imec1.ap.bin")).parent)
    good, broken = jobs_of(data, input="spikeglx")
    assert (good.id, good.failure) == ("run_g0_imec0.ap_recording1", None)
    assert broken.id == "run_g0_imec1.ap_recording1"
    assert message in broken.failure
    assert load_recording(good, data).get_num_channels() == 4


def _truncate(file):
    file.write_bytes(file.read_bytes()[:-1001])


def test_a_probe_folder_alone_is_that_probe(tiny_session):
    (job,) = jobs_of(tiny_session / "run_g0" / "run_g0_imec1", input="spikeglx")
    assert job.stream == "imec1.ap"
    assert all("/" not in name for name, _, _ in job.files)


def test_ids_hold_only_plain_characters_and_never_collide(tiny_session):
    assert clean_id("a b", "é/ü", "", "x.y-1") == "a-b_---_x.y-1"
    jobs = jobs_of(tiny_session, input="spikeglx")
    for job in jobs:
        job.id = "same"
    number_equal_ids(jobs)
    assert [job.id for job in jobs] == ["same", "same-2"]


@pytest.mark.parametrize(
    ("info", "message"),
    [
        (None, "needs --spikeinterface-info"),
        ("{", "is not JSON"),
        ("nowhere.json", "no such file"),
        ('{"reader_typ": "intan"}', "did you mean 'reader_type'"),
        ("{}", "reader_type: is missing"),
    ],
)
def test_bad_spikeinterface_info_is_refused(info, message, tmp_path):
    with pytest.raises(SpikeRelayError, match=message):
        read_spikeinterface_info(info, tmp_path)


def test_spikeinterface_info_as_object_text_or_file(tmp_path):
    info = SpikeInterfaceInfo(reader_type="intan")
    (tmp_path / "info.json").write_text(info.model_dump_json())
    assert read_spikeinterface_info(info, tmp_path) == info
    assert read_spikeinterface_info(info.model_dump_json(), tmp_path) == info
    assert read_spikeinterface_info("info.json", tmp_path) == info
