"""AIND's sessions: WavPack-compressed zarr next to an Open Ephys folder with clipped traces."""

from __future__ import annotations

import json

import numpy as np
import pytest

from capsules.common.recordings.job import Job
from capsules.common.recordings.reading import load_lfp_segments, load_recording
from capsules.job_dispatch import stage
from capsules.job_dispatch.loaders import streams
from capsules.job_dispatch.params import PARAMS
from tests import formats
from tests.reach.spy import task_for

PROBE_A, PROBE_B = (f"experiment1_Record-Node-101-Neuropix-PXI-100.Probe{letter}-AP" for letter in "AB")


def dispatch(data, out, **settings):
    task = task_for("job_dispatch", PARAMS.model_validate({"input": "aind"} | settings), out, data)
    stage.run(task)
    return {job["id"]: Job.model_validate(job) for job in json.loads((task.out / "jobs.json").read_text())}


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    folder = tmp_path_factory.mktemp("aind")
    formats.write_aind(folder)
    return folder


def test_a_wavpack_session_is_read_to_the_last_bit(tmp_path):
    formats.write_aind(tmp_path / "data", formats.make_wavpack())
    store = tmp_path / "data/ecephys/ecephys_compressed/experiment1_Record Node 101#Neuropix-PXI-100.ProbeA-AP.zarr"
    compressor = json.loads((store / "traces_seg0/.zarray").read_text())["compressor"]
    assert (compressor["id"], compressor["level"]) == ("wavpack", 3)
    jobs = dispatch(tmp_path / "data", tmp_path / "out")
    assert [job.failure for job in jobs.values()] == [None] * len(jobs)
    for segment, duration_s in enumerate((2.0, 1.0)):
        job = jobs[f"{PROBE_A}_recording{segment + 1}"]
        expected = formats.counts("ProbeA-AP", segment, round(duration_s * formats.RATE), 8)
        np.testing.assert_array_equal(load_recording(job, tmp_path / "data").get_traces(), expected)
    (lfp,) = load_lfp_segments(jobs[f"{PROBE_A}_recording2"], tmp_path / "data")
    np.testing.assert_array_equal(lfp.get_traces(), formats.counts("ProbeA-LFP", 1, round(formats.RATE / 12), 8))
    # Times and the session's start come from the Open Ephys folder, whose traces are cut.
    assert {job.session_start_time for job in jobs.values()} == {"2026-01-15T10:30:00"}
    assert jobs[f"{PROBE_A}_recording2"].clock.starts_s == pytest.approx([105.0])
    assert jobs[f"{PROBE_A}_recording2"].lfp_clock.starts_s == pytest.approx([105.0])
    assert {warning for job in jobs.values() for warning in job.warnings if "spike" not in warning} == set()


def test_sample_numbers_and_settings_come_from_the_clipped_folder(session, tmp_path):
    jobs = dispatch(session, tmp_path)
    assert len(jobs) == 2 + 2 * 4
    for name, group in ((PROBE_A, ""), (PROBE_B, "_group2")):
        job = jobs[f"{name}_recording2{group}"]
        assert job.clock.starts_s == pytest.approx([105.0])
        files = [path for path, *_ in job.files if "ecephys_clipped" in path]
        assert any(path.endswith("Record Node 101/settings.xml") for path in files)
        assert any(
            path.endswith("recording2/continuous/Neuropix-PXI-100.Probe" + name[-4] + "-AP/sample_numbers.npy")
            for path in files
        )
    untimed = dispatch(session, tmp_path / "untimed", skip_timestamps_check=True)
    assert untimed[f"{PROBE_A}_recording2"].clock.starts_s == [0.0]


@pytest.mark.parametrize(
    ("codec", "is_clone", "advice"),
    [
        ("wavpack", True, "the traces are compressed by WavPack; run `make setup-aind`"),
        ("wavpack", False, "sudo apt-get install wavpack libwavpack-dev && pip install 'spikerelay[aind]'"),
        ("no_such", True, "install the Python package that brings the codec no_such"),
    ],
)
def test_a_missing_codec_is_named_with_what_to_install(codec, is_clone, advice, tmp_path, monkeypatch):
    from numcodecs import registry

    formats.write_aind(tmp_path / "data")
    stores = tmp_path / "data/ecephys/ecephys_compressed"
    for file in stores.glob("*ProbeA-AP.zarr/traces_seg*/.zarray"):
        layout = json.loads(file.read_text())
        file.write_text(json.dumps(layout | {"compressor": {"id": codec, "level": 2}}))
    for file in stores.glob("*ProbeA-AP.zarr/.zmetadata"):
        layout = json.loads(file.read_text())
        for segment in (0, 1):
            layout["metadata"][f"traces_seg{segment}/.zarray"]["compressor"] = {"id": codec, "level": 2}
        file.write_text(json.dumps(layout))
    # As where the extra is not installed.
    monkeypatch.setattr(registry, "entries", {})
    monkeypatch.delitem(registry.codec_registry, codec, raising=False)
    monkeypatch.setattr(streams, "IS_CLONE", is_clone)
    jobs = dispatch(tmp_path / "data", tmp_path / "out")
    broken = jobs[f"{PROBE_A}_recording1"]
    assert "UnknownCodecError" in broken.failure
    assert broken.failure.endswith(advice)
    assert all(job.failure is None for id, job in jobs.items() if id != broken.id)


def test_a_session_without_its_open_ephys_folder_is_warned_of(tmp_path):
    formats.write_aind(tmp_path / "data")
    node = tmp_path / "data/ecephys/ecephys_clipped/Record Node 101"
    (node / "experiment1").rename(tmp_path / "moved")
    lacking = "ecephys/ecephys_clipped has no Record Node 101/experiment1: times are counted from 0"
    assert all(lacking in " ".join(job.warnings) for job in dispatch(tmp_path / "data", tmp_path / "out").values())
    node.parent.rename(tmp_path / "clipped")
    jobs = dispatch(tmp_path / "data", tmp_path / "none")
    assert {job.session_start_time for job in jobs.values()} == {None}
    assert all(lacking in " ".join(job.warnings) for job in jobs.values())
