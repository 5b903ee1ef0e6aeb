"""Recordings that are no good, past the look that job dispatch takes: each ends well, or with its cause in one line."""

from __future__ import annotations

import importlib
import json
from functools import cache

import numpy as np
import pytest

from capsules.common.contract import STAGES
from capsules.common.recordings.job import Job
from capsules.common.tasks import perform as performing
from capsules.common.tasks.task import Task
from tests.data import ProbeSpec, as_counts, ground_truth, shank_probe
from tests.halves import rest_is_slow
from tests.truth.chain import READER

RATE_HZ = 30000.0


@cache
def good():
    """Traces (150000, 8) of four units, int16."""
    recording, _ = ground_truth(ProbeSpec(channels=8, units=4, duration_s=5.0, seed=3), shank_probe(8, 0.0))
    return as_counts(recording).get_traces().copy()


def noise(channels=8):
    return np.random.default_rng(0).normal(0, 40, (150000, channels)).round().astype("int16")


def with_spikes_on_one(channels):
    traces = noise(channels).astype(float)
    for spike in range(500, 149500, 1500):
        traces[spike : spike + 40, 0] -= 900 * np.hanning(40)
    return traces.astype("int16")


def with_constant_channel():
    traces = good().copy()
    traces[:, 3] = 77
    return traces


def with_nan():
    traces = good().astype("float32")
    traces[50000:100000, 3] = np.nan
    return traces


def in_steps():
    """Three states, one after another: as recorded, at the upper and at the lower limit."""
    state = np.arange(len(good())) // 15000 % 3
    return np.where(state[:, None] == 0, good(), np.where(state[:, None] == 1, 32767, -32768)).astype("int16")


def mostly_silent():
    traces = good().copy()
    traces[15000:] = 0
    return traces


def recording_of(traces, gain_uv=0.195, probe=True):
    from spikeinterface.core import NumpyRecording

    recording = NumpyRecording([np.ascontiguousarray(traces)], RATE_HZ)
    if probe:
        recording.set_probe(shank_probe(8, 0.0).get_slice(np.arange(traces.shape[1])))
    if gain_uv is not None:
        recording.set_channel_gains(gain_uv)
        recording.set_channel_offsets(0.0)
    return recording


@pytest.fixture
def end(tmp_path, monkeypatch):
    """Take a recording through dispatch, preprocessing and sorting: exit codes and records of the stages.

    Job dispatch does not look at the traces, as when the sample that it looks at is good.
    """
    monkeypatch.setattr(performing, "_start_log", lambda task: (task.out / "log.txt").touch())

    def run(recording, preprocessing=None, sorter="spykingcircus2", looks=False):
        recording.save(folder=tmp_path / "data" / "rec", format="binary", progress_bar=False)
        sections = {
            "job_dispatch": {"input": "spikeinterface", "spikeinterface_info": READER}
            | ({} if looks else {"data_check": {"chunks": 0}}),
            "preprocessing": {"min_preprocessing_duration": 0} | (preprocessing or {}),
            "spikesorting": {"sorter": sorter},
        }
        ended, jobs = {}, []
        for name, section in sections.items():
            params = importlib.import_module(f"capsules.{name}.params").PARAMS.model_validate(section)
            stage, id = STAGES[name], "r" if jobs else name
            out = tmp_path / f".{stage.folder(id)}.partial"
            out.mkdir()
            task = Task(stage, id, jobs, params, tmp_path, tmp_path / "data", out, 1)
            code = performing.perform(task, importlib.import_module(f"capsules.{name}.stage").run, tmp_path)
            folder = tmp_path / stage.folder(id)
            record = json.loads(((folder if folder.exists() else out) / "stage.json").read_text())
            ended[name] = (code, record)
            assert (folder / "spikesorted").exists() == (name == "spikesorting" and record["status"] == "ok")
            if code:
                break
            if name == "job_dispatch":
                (job,) = json.loads((folder / "jobs.json").read_text())
                jobs = [Job.model_validate(job | {"id": "r"})]
        return ended

    return run


@pytest.fixture
def unsorted(monkeypatch):
    """Sorting is skipped at once."""
    from capsules.common.errors import Skip
    from capsules.spikesorting import stage

    def skip(task):
        raise Skip("not asked for")

    monkeypatch.setattr(stage, "run", skip)


def last(ended):
    """Exit code, status and reason of the stage that ended it."""
    code, record = list(ended.values())[-1]
    return code, record["status"], record["reason"] or ""


SORTED = {
    "one channel": lambda: recording_of(with_spikes_on_one(1)),
    "two channels": lambda: recording_of(with_spikes_on_one(2)),
    "a constant channel": lambda: recording_of(with_constant_channel()),
    "no gains": lambda: recording_of(good(), gain_uv=None),
    "unsigned": lambda: recording_of((good().astype("int32") + 32768).astype("uint16")),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SORTED)
def test_odd_recordings_are_sorted(name, end):
    code, status, reason = last(end(SORTED[name](), KEEP_ALL))
    assert (code, status) == (0, "ok"), reason


KEEP_ALL = {"remove_out_channels": False, "max_bad_channel_fraction": 1}
"""Eight channels of white noise look as if they were out of the brain."""
SKIPPED = {
    "zeros": (lambda: recording_of(np.zeros_like(good())), "no channel has any signal"),
    "constant": (lambda: recording_of(np.full_like(good(), 1234)), "no channel has any signal"),
    "saturated": (lambda: recording_of(in_steps()), "at the converter's limits"),
    "noise on one channel": (lambda: recording_of(noise(1)), "detected"),
    "identical channels": (lambda: recording_of(np.repeat(good()[:, :1], 8, axis=1)), "no channel has any signal"),
}


@pytest.mark.parametrize("name", rest_is_slow(SKIPPED))
def test_recordings_with_nothing_to_sort_are_skipped_for_that_reason(name, end):
    make, why = SKIPPED[name]
    code, status, reason = last(end(make(), KEEP_ALL if name != "saturated" else None))
    assert (code, status) == (0, "skipped"), reason
    assert why in reason


def test_nan_is_named(end):
    code, status, reason = last(end(recording_of(with_nan(), gain_uv=0.195), KEEP_ALL))
    assert (code, status) == (1, "failed")
    assert "NaN" in reason


def test_a_missing_probe_is_named(end):
    code, status, reason = last(end(recording_of(good(), probe=False)))
    assert (code, status) == (1, "failed")
    assert "positions" in reason


@pytest.mark.parametrize("make", [with_nan, lambda: np.zeros_like(good())], ids=["nan", "zeros"])
def test_the_look_of_job_dispatch_sees_it_first(make, end):
    ended = end(recording_of(make()), looks=True)
    assert list(ended) == ["job_dispatch", "preprocessing"]
    code, status, reason = last(ended)
    assert (code, status) == (1, "failed")
    assert "traces" in reason or "samples" in reason or "channels" in reason


def test_the_look_of_job_dispatch_sees_saturation_first(end):
    code, status, reason = last(end(recording_of(in_steps()), looks=True))
    assert (code, status) == (0, "skipped"), reason
    assert "data_check.max_saturated_fraction" in reason


def test_the_reason_of_a_failed_sorter_is_its_error(end, monkeypatch):
    from spikeinterface.sorters import Spykingcircus2Sorter

    def fails(*args):
        raise ValueError("out of spikes")

    monkeypatch.setattr(Spykingcircus2Sorter, "_run_from_folder", fails)
    code, status, reason = last(end(recording_of(good()), KEEP_ALL))
    assert (code, status) == (1, "failed")
    assert reason == "spykingcircus2 failed: ValueError: out of spikes"


def test_traces_in_volts_keep_their_numbers(end, unsorted, tmp_path):
    import spikeinterface as si

    ended = end(recording_of(good() * 0.195e-6, gain_uv=1e6), KEEP_ALL)
    assert ended["preprocessing"][1]["reason"] is None
    lazy = si.load(tmp_path / "preprocessing_r" / "preprocessed.json", base_folder=tmp_path)
    written = si.load(tmp_path / "preprocessing_r" / "traces")
    assert np.ptp(written.get_traces()) > 1e-4
    # In chunks, the filter's margin leaves less than 1 uV.
    np.testing.assert_allclose(written.get_traces(), lazy.get_traces(), atol=1e-6)
