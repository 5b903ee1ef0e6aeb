"""Open Ephys: several record nodes and experiments of the binary format, and the older format."""

from __future__ import annotations

import json

import numpy as np
import pytest

from capsules.common.recordings.job import Job
from capsules.common.recordings.reading import load_lfp_segments, load_recording
from capsules.job_dispatch import stage
from capsules.job_dispatch.params import PARAMS
from tests import formats
from tests.formats import RATE, counts
from tests.reach.spy import task_for


def dispatch(data, out, **settings):
    settings = {"input": "openephys", "split_groups": False, "data_check": {"chunks": 0}} | settings
    task = task_for("job_dispatch", PARAMS.model_validate(settings), out, data)
    stage.run(task)
    return {job["id"]: Job.model_validate(job) for job in json.loads((task.out / "jobs.json").read_text())}


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    """Two record nodes with experiments 1, 2 and 10 each, of two recordings; each experiment is 1000 s later."""
    data = tmp_path_factory.mktemp("nodes")
    for node in (101, 104):
        for experiment in (1, 2, 10):
            start_s = 1000.0 * experiment
            formats.write_openephys(data, [formats.PROBE_A], [1.0, 0.5], start_s, node_id=node, experiment=experiment)
    return data


def test_each_node_and_experiment_is_read_from_its_own_files(nodes, tmp_path):
    # Each has its own traces: the first sample of a file is its number.
    for number, file in enumerate(sorted(nodes.rglob("*ProbeA-AP/continuous.dat"))):
        traces = np.fromfile(file, "int16")
        traces[0] = number
        traces.tofile(file)
    numbers = {
        "/".join(file.relative_to(nodes).parts[:3]): number
        for number, file in enumerate(sorted(nodes.rglob("*ProbeA-AP/continuous.dat")))
    }
    jobs = dispatch(nodes, tmp_path)
    assert len(jobs) == 2 * 3 * 2
    for node in (101, 104):
        for experiment in (1, 2, 10):
            for segment, duration_s in enumerate((1.0, 0.5)):
                stream = f"Record-Node-{node}-Neuropix-PXI-100.ProbeA-AP"
                job = jobs[f"experiment{experiment}_{stream}_recording{segment + 1}"]
                place = f"Record Node {node}/experiment{experiment}/recording{segment + 1}"
                assert load_recording(job, nodes).get_traces(end_frame=1)[0, 0] == numbers[place]
                assert job.duration_s == duration_s
                assert job.clock.starts_s == pytest.approx([1000 * experiment + 100 * segment])
                (lfp,) = load_lfp_segments(job, nodes)
                np.testing.assert_array_equal(
                    lfp.get_traces(), counts("ProbeA-LFP", segment, round(duration_s * RATE / 12), 4)
                )


def test_a_stream_that_two_nodes_recorded_is_warned_of(nodes, tmp_path):
    jobs = dispatch(nodes, tmp_path)
    twice = "Record Node 104 recorded the same stream as Record Node 101, which is sorted as well"
    assert {id for id, job in jobs.items() if any(twice in warning for warning in job.warnings)} == {
        id for id in jobs if "Node-104" in id
    }
    # The same node's name in two sessions is another recording.
    for day in ("monday", "tuesday"):
        formats.write_openephys(tmp_path / "days" / day, [formats.PROBE_A], [0.5])
    assert [job.warnings for job in dispatch(tmp_path / "days", tmp_path / "two").values()] == [[], []]


def test_joined_recordings_of_an_experiment_keep_their_gap(nodes, tmp_path):
    jobs = dispatch(nodes, tmp_path, split_segments=False)
    job = jobs["experiment2_Record-Node-101-Neuropix-PXI-100.ProbeA-AP_recording1-2"]
    assert (job.duration_s, job.clock.gaps()) == (1.5, [(30_000, pytest.approx(2001), pytest.approx(99))])


def test_the_older_format_is_read(tmp_path):
    data = tmp_path / "data"
    formats.write_openephys_older(data / "older", [1.0])
    (job,) = dispatch(data, tmp_path, channel_groups="1x4").values()
    samples = 30_000 // 1024 * 1024
    assert (job.id, job.failure, job.clock.starts_s) == ("older_Signals-CH_recording1", None, [5.0])
    recording = load_recording(job, data)
    np.testing.assert_array_equal(recording.get_traces(), counts("older", 0, samples, 4))
    np.testing.assert_allclose(recording.get_channel_gains(), formats.UV_PER_COUNT)
    assert not any("zeros" in warning for warning in job.warnings)
    (unplaced,) = dispatch(data, tmp_path / "unplaced").values()
    assert "the channels have no positions" in unplaced.failure


def test_the_older_formats_gaps_are_counted(tmp_path):
    data = tmp_path / "data"
    formats.write_openephys_older(data, [1.0, 0.5])
    (job,) = dispatch(data, tmp_path, channel_groups="1x4").values()
    missing_s = 100 - 30_000 // 1024 * 1024 / RATE
    assert f"the files lack {missing_s:.6g} s between their records, which are zeros here" in " ".join(job.warnings)
    traces = load_recording(job, data).get_traces(start_frame=30_000, end_frame=60_000)
    assert not traces.any()
