"""Recordings at the edge: one or two channels, no gains, counts instead of microvolts; every stage ends well."""

import importlib
import json

import numpy as np
import pytest

from capsules.common.job import Job
from tests.reach.conftest import write_record
from tests.reach.spy import task_for

INFO = {"reader_type": "spikeinterface", "reader_kwargs": {"file_or_folder_path": "rec"}}
SPIKES = np.arange(500, 179500, 1500)
AFTER_SORTING = ("postprocessing", "curation", "visualization", "nwb_ecephys", "nwb_units")


def write(folder, channels, gains):
    from probeinterface import generate_linear_probe
    from spikeinterface.core import NumpyRecording

    traces = np.random.default_rng(0).normal(0, 40, (180000, channels))
    for spike in SPIKES:
        traces[spike - 20 : spike + 20, 0] -= 900 * np.hanning(40)
    recording = NumpyRecording([traces.astype("int16")], 30000.0)
    probe = generate_linear_probe(channels)
    probe.set_device_channel_indices(np.arange(channels))
    recording.set_probe(probe)
    if gains:
        recording.set_channel_gains(0.195)
        recording.set_channel_offsets(0.0)
    recording.save(folder=folder / "rec")


@pytest.mark.parametrize(
    ("channels", "gains", "settings", "changes"),
    [
        (1, True, {}, ["one channel has no neighbours", "fewer than 3 channels"]),
        (2, True, {}, ["fewer than 3 channels"]),
        (4, False, {}, ["the recording has no gains", "return_in_uV = false", "microvolts alone"]),
        (4, True, {"return_in_uV": False}, ["microvolts alone"]),
    ],
)
def test_every_stage_ends_well_and_says_what_it_left_out(channels, gains, settings, changes, tmp_path):
    import spikeinterface as si

    write(tmp_path / "data", channels, gains)
    given = {
        "job_dispatch": {"input": "spikeinterface", "spikeinterface_info": INFO},
        "preprocessing": {"min_preprocessing_duration": 0},
        "postprocessing": settings,
    }
    told = []
    job = None
    for stage in ("job_dispatch", "preprocessing", *AFTER_SORTING):
        section = "nwb_ecephys" if stage == "nwb_units" else stage
        params = importlib.import_module(f"capsules.{section}.params").PARAMS.model_validate(given.get(stage, {}))
        task = task_for(stage, params, tmp_path, tmp_path / "data")
        task.id = "b" if stage.startswith("nwb") else "r"
        task.jobs = [] if job is None else [job]
        importlib.import_module(f"capsules.{stage}.stage").run(task)
        told += task.record["changes"]
        if stage == "job_dispatch":
            found = Job.model_validate(json.loads((task.out / "jobs.json").read_text())[0])
            job = found.model_copy(update={"id": "r", "block": "b"})
            continue
        done = tmp_path / task.stage.folder(task.id)
        task.out.rename(done)
        (done / "stage.json").write_text(json.dumps(task.record, default=str))
        if stage == "preprocessing":
            units = {"a": SPIKES, "b": SPIKES[::2] + 700}
            folder = tmp_path / "spikesorting_r"
            si.NumpySorting.from_unit_dict([units], 30000.0).save(folder=folder / "spikesorted")
            write_record(folder, "spikesorting", sorter="spykingcircus2")
    for text in changes:
        assert any(text in change for change in told), told
    from pynwb import read_nwb

    assert len(read_nwb(tmp_path / "nwb_units_b" / "file.nwb").units) == 2
