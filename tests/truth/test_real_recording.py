"""Half a second from a real Neuropixels 2.0 probe: too short to sort, long enough to read and preprocess.

Recorded by Steve Lenzi, Sainsbury Wellcome Centre, and shipped with the package spikewrap (BSD-3-Clause), which `make
setup` installs for this alone.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from tests.truth.chain import preprocess, stage

SESSION = "examples/example_tiny_data/spikeglx/rawdata/sub-001/ses-001/ephys"
SHANKS = [f"run-001_g0_imec0.ap_recording1_group{shank}" for shank in (0, 1)]


@pytest.fixture(scope="module")
def data() -> Path:
    return Path(find_spec("spikewrap").submodule_search_locations[0]) / SESSION


@pytest.fixture(scope="module")
def jobs(data, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("real")
    ended = stage("job_dispatch", folder, "job_dispatch", "--data", data, "--input", "spikeglx")
    assert ended.code == 0, ended.output
    for job in json.loads((ended.folder / "jobs.json").read_text()):
        (folder / f"{job['id']}.json").write_text(json.dumps(job))
    return {file.stem: file for file in folder.glob("*.json")}


def by_hand(data: Path, shank: int, bad: list[str]):
    """SpikeInterface's calls for one shank of the first run, in float32."""
    import spikeinterface.preprocessing as spre
    from spikeinterface.extractors import read_spikeglx

    raw = read_spikeglx(data / "run-001_g0_imec0", stream_name="imec0.ap").split_by("group")[shank]
    traces = spre.highpass_filter(raw, freq_min=300.0, margin_ms=5.0, dtype="float32")
    traces = spre.phase_shift(traces, margin_ms=100.0).remove_channels(bad)
    return spre.common_reference(traces).get_traces()


@pytest.mark.slow
@pytest.mark.parametrize("shank", [0, 1])
def test_traces_of_a_real_shank_are_those_by_hand(shank, data, jobs, tmp_path):
    import spikeinterface as si

    job = jobs[SHANKS[shank]]
    ended = preprocess(job, data, tmp_path, "--motion", "skip")
    assert ended.status == "ok", ended.output
    bad = [channel for channels in ended.record["facts"]["bad_channels"].values() for channel in channels]
    # The probe's reference contact, which is channel 127, and nothing else.
    assert bad == (["imec0.ap#AP127"] if shank == 1 else [])
    traces = si.load(ended.folder / "traces")
    assert traces.get_num_channels() == 192 - len(bad)
    steps = ended.record["facts"]["steps_per_raw_count"]
    assert steps >= 16
    # One step instead of four rounds elsewhere: by a few of the stored counts, which are parts of a raw one.
    difference = traces.get_traces() / steps - by_hand(data, shank, bad)
    assert np.abs(difference).max() < 0.5
    assert np.std(difference) < 0.05
    noise_uv = np.median(np.abs(traces.get_traces(return_in_uV=True)), axis=0) / 0.6745
    assert 5 < np.median(noise_uv) < 30


def test_every_shank_of_every_run_is_a_job(jobs):
    assert set(SHANKS) <= set(jobs)
    assert len(jobs) == 4
