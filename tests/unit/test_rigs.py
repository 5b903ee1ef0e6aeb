"""Other rigs through SpikeInterface: each line of docs/rigs.md that is marked as tested reads a file of its layout."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mtscomp
import numpy as np
import pytest
from spikeinterface.extractors.extractor_classes import recording_extractor_full_dict

from capsules.common.recordings.job import Job
from capsules.common.recordings.reading import load_recording
from capsules.job_dispatch import stage
from capsules.job_dispatch.loaders.spikeinterface import read_spikeinterface_info
from capsules.job_dispatch.params import PARAMS
from tests import formats, rigs
from tests.docs_pages import ROOT
from tests.reach.spy import task_for
from tests.spikeglx_headers import PARTS, SAVED, write_stream

ROW = re.compile(r"\| ([^|]+) \| ([^|]+) \| `(\{.*\})` \| ([^|]+) \|")
LINES = {match[1]: (match[3], match[4]) for match in ROW.finditer((ROOT / "docs" / "rigs.md").read_text())}


@dataclass(frozen=True)
class Rig:
    """What writes a file, its traces, microvolts per count, rate and channel groups."""

    write: Callable[[Path], None]
    traces: str
    uv_per_count: float
    rate_hz: float = formats.RATE
    groups: str | None = "1x4"


RIGS = {
    "Intan, one file": Rig(rigs.write_intan, "intan", 0.195),
    "Intan, one file per channel": Rig(rigs.write_intan_channels, "intan", 0.195),
    "Intan, one file per signal type": Rig(rigs.write_intan_signals, "intan", 0.195),
    "Blackrock": Rig(rigs.write_blackrock, "blackrock", 0.25, groups="2x2"),
    "Plexon": Rig(rigs.write_plexon, "plexon", 5000 / 2**15),
    "Neuralynx": Rig(rigs.write_neuralynx, "neuralynx", 0.030517578125, 32_000),
    "MCS, MC_DataTool": Rig(rigs.write_mcs_raw, "mcs", 0.1),
    "MCS, DataManager": Rig(rigs.write_mcs_h5, "mcs", 0.059605, 20_000),
    "Maxwell": Rig(rigs.write_maxwell, "maxwell", 6.3, 20_000, groups=None),
    "Axona": Rig(rigs.write_axona, "axona", 1500e3 / 8000 / 2**15, 48_000),
    "any binary file": Rig(rigs.write_binary, "binary", 0.195),
}
ELSEWHERE = {"Neuroscope", "IBL, compressed SpikeGLX"}
"""Tested by test_formats.py, and below."""


def dispatch(data, out, line, groups):
    (data / "rig.json").write_text(line)
    settings = {"input": "spikeinterface", "spikeinterface_info": "rig.json", "channel_groups": groups}
    task = task_for("job_dispatch", PARAMS.model_validate(settings | {"split_groups": False}), out, data)
    stage.run(task)
    jobs = [Job.model_validate(job) for job in json.loads((task.out / "jobs.json").read_text())]
    return jobs, task.record["facts"]["not_sorted"]


def test_every_line_of_the_page_is_valid_and_every_tested_one_has_a_file():
    assert len(LINES) > 15
    for name, (line, state) in LINES.items():
        assert state.startswith(("tested", "not tried")), name
        info = read_spikeinterface_info(line, Path())
        assert info.reader_type in recording_extractor_full_dict, name
    tested = {name for name, (_, state) in LINES.items() if state.startswith("tested")}
    assert tested == set(RIGS) | ELSEWHERE


@pytest.mark.parametrize("name", RIGS)
def test_a_rigs_file_is_read_to_the_last_bit(name, tmp_path):
    rig, data = RIGS[name], tmp_path / "data"
    data.mkdir()
    rig.write(data)
    (job,), _ = dispatch(data, tmp_path, LINES[name][0], rig.groups)
    assert (job.failure, job.skip, job.num_channels) == (None, None, rigs.CHANNELS)
    assert job.sampling_frequency_hz == pytest.approx(rig.rate_hz)
    recording = load_recording(job, data)
    assert recording.get_num_samples() == rigs.SAMPLES
    np.testing.assert_array_equal(recording.get_traces(), rigs.traces(rig.traces))
    few = {"start_frame": rigs.SAMPLES - 700, "channel_ids": recording.channel_ids[[2, 0]]}
    np.testing.assert_array_equal(recording.get_traces(**few), rigs.traces(rig.traces)[-700:, [2, 0]])
    np.testing.assert_allclose(recording.get_channel_gains(), rig.uv_per_count)
    assert len(set(recording.get_channel_groups().tolist())) == int((rig.groups or "1")[0])


def test_intans_other_streams_are_left_out(tmp_path):
    rigs.write_intan(tmp_path, auxiliary=True)
    jobs, left_out = dispatch(tmp_path, tmp_path / "out", LINES["Intan, one file"][0], "1x4")
    assert [job.stream for job in jobs] == ["RHD2000 amplifier channel"]
    assert len(left_out) == 1 and "RHD2000 auxiliary input channel" in left_out[0]


def test_a_probe_file_gives_the_positions(tmp_path):
    from probeinterface import write_probeinterface

    rigs.write_intan(tmp_path)
    probe = formats.numpy_recording("p", [0.1]).select_channels([0, 1, 2, 3]).get_probegroup()
    write_probeinterface(tmp_path / "probe.json", probe)
    info = json.loads(LINES["Intan, one file"][0]) | {"probe_paths": "probe.json"}
    (job,), _ = dispatch(tmp_path, tmp_path / "out", json.dumps(info), None)
    depths = load_recording(job, tmp_path).get_channel_locations()[:, 1]
    np.testing.assert_array_equal(depths, [0, 20, 40, 60])


def test_an_ibl_cbin_file_is_read(tmp_path):
    data = tmp_path / "data"
    file = write_stream(data, PARTS["NP1000"])
    names = str(file), str(file.with_suffix(".cbin")), str(file.with_suffix(".ch"))
    mtscomp.compress(*names, sample_rate=formats.RATE, n_channels=SAVED + 1, dtype=np.int16)
    file.unlink()
    (job,), _ = dispatch(data, tmp_path, LINES["IBL, compressed SpikeGLX"][0], None)
    recording = load_recording(job, data)
    np.testing.assert_array_equal(recording.get_traces(), formats.counts("imec0.ap", 0, 30_000, SAVED))
    assert "inter_sample_shift" in recording.get_property_keys()
