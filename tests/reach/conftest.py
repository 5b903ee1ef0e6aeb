"""One small recording, sorted by its own truth, for the tests of what reaches the libraries."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.data import ProbeSpec, as_counts, ground_truth
from tests.reach.spy import Spy


@pytest.fixture(scope="module")
def module_patch():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def spy(module_patch):
    return Spy(module_patch)


@pytest.fixture(scope="session")
def truth():
    """Recording (16 channels, 4 s) and its true sorting."""
    return ground_truth(ProbeSpec("imec0", channels=16, units=4, duration_s=4.0, seed=3))


@pytest.fixture(scope="session")
def data(truth, tmp_path_factory):
    """A data folder with the recording as counts, in SpikeInterface's own format."""
    folder = tmp_path_factory.mktemp("reach") / "data"
    counts = as_counts(truth[0])
    counts.set_property("inter_sample_shift", np.arange(16) / 16)
    counts.save(folder=folder / "rec")
    return folder


@pytest.fixture(scope="module")
def inputs(truth, data, tmp_path_factory):
    """The folders of the earlier stages, as a later stage finds them."""
    import spikeinterface as si
    import spikeinterface.preprocessing as spre

    folder = tmp_path_factory.mktemp("inputs")
    traces = si.load(data / "rec")
    (folder / "preprocessing_r").mkdir()
    spre.astype(spre.highpass_filter(traces), "int16").save(folder=folder / "preprocessing_r" / "traces")
    (folder / "preprocessing_r" / "bad_channels.json").write_text(
        json.dumps({str(channel): "good" for channel in traces.channel_ids})
    )
    write_record(folder / "preprocessing_r", "preprocessing", start_s=0.0, motion_applied=False, referenced=True)
    (folder / "spikesorting_r").mkdir()
    truth[1].save(folder=folder / "spikesorting_r" / "spikesorted")
    write_record(folder / "spikesorting_r", "spikesorting", sorter="spykingcircus2", sorter_version="1")
    return folder


def write_record(folder, stage, status="ok", **facts):
    motion = {"motion_correction": {"preset": "dredge_fast", "interpolate_motion_kwargs": {}}}
    id = folder.name.removeprefix(f"{stage}_")
    record = {"stage": stage, "id": id, "recording": id, "status": status, "reason": None, "facts": facts}
    record["params"] = motion
    (folder / "stage.json").write_text(json.dumps(record))
