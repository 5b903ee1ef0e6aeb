"""Every parameter of job dispatch changes the jobs that it gives."""

import json

import numpy as np
import pytest

from capsules.common.errors import SpikeRelayError
from capsules.common.recordings.saturation import find_converter_limits
from capsules.job_dispatch import stage
from capsules.job_dispatch.data_check import check_data
from capsules.job_dispatch.params import PARAMS, DataCheck, Sync
from tests.reach.spy import stage_leaves, task_for

INFO = {"reader_type": "spikeinterface", "reader_kwargs": {"file_or_folder_path": "rec"}}


def jobs(data, folder, **settings):
    task = task_for("job_dispatch", PARAMS.model_validate(settings), folder, data)
    stage.run(task)
    return json.loads((task.out / "jobs.json").read_text())


@pytest.fixture(scope="module")
def two_by_two(tmp_path_factory):
    """Two segments, two groups, with timestamps that have a gap and a step back."""
    from spikeinterface.core import generate_recording

    folder = tmp_path_factory.mktemp("two") / "data"
    recording = generate_recording(num_channels=4, durations=[2.0, 1.0], sampling_frequency=30000.0, seed=0)
    recording.set_property("group", np.array([0, 0, 1, 1]))
    times = np.arange(60000) / 30000
    times[30000:] += 0.5
    times[40000:] -= 1.0
    recording.set_times(times, segment_index=0)
    recording.set_times(np.arange(30000) / 30000, segment_index=1)
    recording.save(folder=folder / "rec")
    return folder


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({}, 4),
        ({"split_segments": False}, 2),
        ({"split_groups": False}, 2),
        ({"split_segments": False, "split_groups": False}, 1),
    ],
)
def test_split_segments_and_groups(settings, count, two_by_two, tmp_path):
    assert len(jobs(two_by_two, tmp_path, input="spikeinterface", spikeinterface_info=INFO, **settings)) == count


def test_split_gaps(data, tmp_path):
    import shutil

    import spikeinterface as si

    shutil.copytree(data, tmp_path / "data")
    recording = si.load(tmp_path / "data" / "rec")
    times = np.arange(recording.get_num_samples()) / 30000
    times[50000:] += 1.2
    recording.set_times(times)
    recording.save(folder=tmp_path / "gap" / "rec")
    common = {"input": "spikeinterface", "spikeinterface_info": INFO}
    (whole,) = jobs(tmp_path / "gap", tmp_path, **common)
    parts = jobs(tmp_path / "gap", tmp_path, split_gaps=True, **common)
    assert (whole["part"], [part["part"] for part in parts]) == (None, [[0, 50000], [50000, len(times) - 50000]])
    assert [part["id"] for part in parts] == [f"{whole['id']}.1", f"{whole['id']}.2"]


def test_channel_groups(tmp_path):
    from tests import formats

    formats.write_neuroscope(tmp_path / "data")
    info = {"reader_type": "neuroscope", "reader_kwargs": {"file_path": "rat.xml"}}
    found = jobs(tmp_path / "data", tmp_path, input="spikeinterface", spikeinterface_info=info, channel_groups="4x2")
    assert [(job["group"], job["num_channels"]) for job in found] == [("0", 2), ("1", 2), ("2", 2), ("3", 2)]


def test_debug_and_its_duration(data, tmp_path):
    common = {"input": "spikeinterface", "spikeinterface_info": INFO}
    for settings, seconds in (({}, 4.0), ({"debug": True}, 4.0), ({"debug": True, "debug_duration": 1.5}, 1.5)):
        (job,) = jobs(data, tmp_path, **common, **settings)
        assert job["duration_s"] == seconds
        assert (job["clip_s"] is not None) == ("debug" in settings)


def test_skip_timestamps_check(two_by_two, tmp_path):
    common = {"input": "spikeinterface", "spikeinterface_info": INFO, "split_groups": False}
    first, second = jobs(two_by_two, tmp_path, **common)
    told = " ".join(first["warnings"])
    assert "1 steps back, -1 s in all: -1 s at 1.833 s" in told
    assert "1 gaps, 0.5 s in all: 0.5 s at 1.000 s" in told
    assert (first["regular_clock"], second["regular_clock"]) == (True, False)
    for job in jobs(two_by_two, tmp_path, **common, skip_timestamps_check=True):
        assert job["regular_clock"]
        assert "timestamps" not in " ".join(job["warnings"])


def test_multi_session_and_input(tiny_session, tmp_path):
    import shutil

    for name in ("monday", "tuesday"):
        shutil.copytree(tiny_session, tmp_path / "data" / name)
    found = jobs(tmp_path / "data", tmp_path, input="spikeglx", multi_session=True)
    assert {job["session"] for job in found} == {"monday", "tuesday"}
    assert len({job["id"] for job in found}) == 4
    together = jobs(tmp_path / "data", tmp_path, input="spikeglx")
    assert {job["session"] for job in together} == {"data"}


def test_min_recording_duration(data, tmp_path):
    common = {"input": "spikeinterface", "spikeinterface_info": INFO}
    assert jobs(data, tmp_path, **common, min_recording_duration=4)[0]["skip"] is None
    assert "min_recording_duration = 5 s" in jobs(data, tmp_path, **common, min_recording_duration=5)[0]["skip"]


def test_spikeinterface_info(two_by_two, tmp_path):
    from probeinterface import generate_linear_probe, write_probeinterface

    probe = generate_linear_probe(4)
    probe.set_device_channel_indices(np.arange(4))
    probe.model_name = "mine"
    write_probeinterface(two_by_two / "probe.json", probe)
    common = {"input": "spikeinterface", "split_groups": False}
    for paths in ("probe.json", ["probe.json"], {"spikeinterface": "probe.json"}):
        found = jobs(two_by_two, tmp_path, **common, spikeinterface_info=INFO | {"probe_paths": paths})
        assert found[0]["reader"]["probe_path"] == "probe.json"
    for keep, skip, count in (("spike", None, 2), (["spike", "x"], None, 2), (None, "other", 2)):
        info = INFO | {"keep_stream_substrings": keep, "skip_stream_substrings": skip}
        assert len(jobs(two_by_two, tmp_path, **common, spikeinterface_info=info)) == count


@pytest.mark.parametrize("chosen", [{"keep_stream_substrings": "AP"}, {"skip_stream_substrings": ["spike"]}])
def test_streams_that_are_not_chosen_leave_nothing(chosen, data, tmp_path):
    with pytest.raises(SpikeRelayError, match="nothing to sort"):
        jobs(data, tmp_path, input="spikeinterface", spikeinterface_info=INFO | chosen)


@pytest.fixture(scope="module")
def two_nwb_files(truth, tmp_path_factory):
    from datetime import UTC, datetime

    from neuroconv.tools.spikeinterface import add_recording_to_nwbfile
    from pynwb import NWBHDF5IO, NWBFile

    folder = tmp_path_factory.mktemp("nwb")
    short = truth[0].frame_slice(0, 30000)
    for name in ("one.nwb", "two.nwb"):
        nwbfile = NWBFile("test", name, datetime(2026, 1, 1, tzinfo=UTC))
        add_recording_to_nwbfile(short, nwbfile=nwbfile, metadata=None)
        with NWBHDF5IO(str(folder / name), "w") as io:
            io.write(nwbfile)
    return folder


def test_nwb_files(two_nwb_files, tmp_path):
    with pytest.raises(SpikeRelayError, match=r"2 NWB files .* --nwb-files one.nwb,two.nwb"):
        jobs(two_nwb_files, tmp_path, input="nwb")
    assert len(jobs(two_nwb_files, tmp_path, input="nwb", nwb_files=["one.nwb", "two.nwb"])) == 2
    (job,) = jobs(two_nwb_files, tmp_path, input="nwb", nwb_files=["two.nwb"])
    assert job["id"].startswith("two_")


def recorded(traces, gain=0.195):
    """A recording of given traces (samples, channels) on a probe."""
    from probeinterface import generate_linear_probe
    from spikeinterface.core import NumpyRecording

    recording = NumpyRecording([traces], 30000.0)
    probe = generate_linear_probe(traces.shape[1])
    probe.set_device_channel_indices(np.arange(traces.shape[1]))
    recording.set_probe(probe)
    recording.set_channel_gains(gain)
    recording.set_channel_offsets(0.0)
    return recording


NOISE = np.random.default_rng(0).normal(0, 50, (60000, 4)).astype("int16")
SPIKES = NOISE.copy()
SPIKES[100::1000] -= 900
ONE_NAN = np.where(np.arange(60000)[:, None] == 30000, np.nan, SPIKES)
HALF_FLAT = SPIKES * np.array([0, 0, 1, 1], dtype="int16")
HALF_SATURATED = np.where(np.arange(60000)[:, None] % 4 == 0, 32767, SPIKES).astype("int16")


@pytest.mark.parametrize(
    ("settings", "traces", "gain", "failure", "warning"),
    [
        ({}, SPIKES, 0.195, None, None),
        ({}, SPIKES * 0, 0.195, "100% of the channels never change", None),
        ({}, HALF_FLAT, 0.195, None, "2 of 4 channels never change"),
        ({"max_flat_fraction": 0.4}, HALF_FLAT, 0.195, "max_flat_fraction = 0.4", None),
        ({}, HALF_SATURATED, 0.195, "max_saturated_fraction = 0.2", None),
        (
            {"max_saturated_fraction": 0.3},
            HALF_SATURATED,
            0.195,
            None,
            "25.00% of the samples are at",
        ),
        ({}, NOISE, 0.195, None, "no spike was detected"),
        ({"spike_threshold": 2}, NOISE, 0.195, None, None),
        ({}, SPIKES, 1e-6, None, "uV: check the gain and the sample type"),
        ({"min_noise_uv": 20}, SPIKES, 0.195, None, "the gain"),
        ({"max_noise_uv": 5}, SPIKES, 0.195, None, "the gain"),
        ({"chunks": 0}, SPIKES * 0, 0.195, None, None),
        ({"chunks": 2}, ONE_NAN, 0.195, None, None),
        ({"chunks": 2, "chunk_duration_s": 2.0}, ONE_NAN, 0.195, "contain NaN", None),
    ],
)
def test_data_check(settings, traces, gain, failure, warning):
    recording = recorded(traces, gain)
    found = check_data(recording, [0], DataCheck.model_validate(settings), find_converter_limits(recording))
    ended = found.failure or found.skip
    assert (ended is not None) == (failure is not None)
    assert failure is None or failure in ended
    assert bool(found.warnings) == (warning is not None)
    assert warning is None or warning in found.warnings[0]


def test_every_parameter_has_a_test_above():
    covered = {
        "split_segments", "split_gaps", "split_groups", "channel_groups", "debug", "debug_duration", "input",
        "skip_timestamps_check", "multi_session", "spikeinterface_info", "nwb_files", "min_recording_duration",
    }  # fmt: skip
    covered |= {f"data_check.{name}" for name in DataCheck.model_fields}
    # In tests/unit/test_synchronisation.py.
    covered |= {f"sync.{name}" for name in Sync.model_fields}
    assert set(stage_leaves("job_dispatch")) == covered
