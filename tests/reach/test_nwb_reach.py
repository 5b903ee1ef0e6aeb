"""Every parameter of the NWB export: what the libraries are called with, or what comes out otherwise."""

import numpy as np
import pytest

from capsules.common.errors import SpikeRelayError
from capsules.nwb_ecephys import lfp, stage
from capsules.nwb_ecephys.params import PARAMS
from tests.leaf_values import LEAVES, other_value
from tests.reach.spy import Spy, changed_section, stage_leaves, task_for

PREFIX = "nwb.ecephys"


@pytest.fixture(scope="module")
def seen(data, tmp_path_factory, module_patch):
    spy = Spy(module_patch)
    for name in ("bandpass_filter", "resample", "highpass_filter", "decimate", "common_reference"):
        spy.watch(lfp, name)
    spy.watch(stage, "configure_and_write_nwbfile")
    params = changed_section(PARAMS, PREFIX, stub_seconds=1.5, write_lfp=True, lfp__filter__freq_max=400)
    task = task_for("nwb_ecephys", params, tmp_path_factory.mktemp("nwb"), data)
    stage.run(task)
    return spy, task, _contents(task)


def _contents(task):
    """Series name -> (samples, channels) of the file written."""
    from pynwb import read_nwb

    nwbfile = read_nwb(task.out / "file.nwb")
    found = dict(nwbfile.acquisition)
    if "ecephys" in nwbfile.processing:
        found |= nwbfile.processing["ecephys"]["LFP"].electrical_series
    return {name: (series.data.shape, series.rate) for name, series in found.items()}


def series(contents, lfp):
    return next((value for name, value in contents.items() if ("LFP" in name) == lfp), None)


def argument(function, name):
    return lambda spy, task, contents, value: spy.saw(function, name, value)


EVIDENCE = {
    "backend": lambda spy, task, contents, value: (
        spy.saw("configure_and_write_nwbfile", "backend", value) and (task.out / "file.nwb").is_file()
    ),
    "stub": lambda spy, task, contents, value: series(contents, False)[0][0] < 4 * 30000,
    "stub_seconds": lambda spy, task, contents, value: series(contents, False)[0][0] == 1.5 * 30000,
    "write_raw": lambda spy, task, contents, value: series(contents, False)[0][1] == 16,
    "lfp_temporal_factor": argument("decimate", "decimation_factor"),
    "lfp_spatial_factor": lambda spy, task, contents, value: series(contents, True)[0][1] == -(-16 // value),
    "lfp_highpass_freq_min": argument("highpass_filter", "freq_min"),
    "surface_channel_agar_probes_indices": lambda spy, task, contents, value: (
        len(spy.calls["common_reference"][0]["ref_channel_ids"]) == 16 - 3 - 1
    ),
    "lfp.filter.freq_min": argument("bandpass_filter", "freq_min"),
    "lfp.filter.freq_max": lambda spy, task, contents, value: spy.saw("bandpass_filter", "freq_max", 400),
    "lfp.sampling_rate": lambda spy, task, contents, value: spy.saw("resample", "resample_rate", int(value)),
}


@pytest.mark.parametrize("name", [name for name in stage_leaves(PREFIX) if name != "write_lfp"])
def test_the_parameter_has_its_effect(name, seen):
    assert EVIDENCE[name](*seen, other_value(LEAVES[f"{PREFIX}.{name}"])), seen[0].calls


@pytest.mark.parametrize("write_lfp", [True, False])
def test_write_lfp(write_lfp, data, tmp_path):
    params = PARAMS.model_validate({"write_lfp": write_lfp, "stub": True, "stub_seconds": 1})
    task = task_for("nwb_ecephys", params, tmp_path, data)
    stage.run(task)
    assert (series(_contents(task), True) is not None) == write_lfp
    assert series(_contents(task), False) is None


def test_zeros_and_ones_keep_everything(data, tmp_path):
    keep = {"lfp_temporal_factor": 0, "lfp_spatial_factor": 1, "lfp_highpass_freq_min": 0}
    task = task_for("nwb_ecephys", PARAMS.model_validate(keep), tmp_path, data)
    stage.run(task)
    (shape, rate) = series(_contents(task), True)
    assert (shape, rate) == ((4 * 2500, 16), 2500)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"imec7": 3}', "no probe 'imec7' in this block; there are imec0, imec0.ap"),
        ('{"imec0": 15}', "leaves none of 16 channels in agar"),
        ('{"imec0": -1}', "leaves none of 16 channels in agar"),
    ],
)
def test_a_probe_in_agar_that_cannot_be_is_refused(text, message, data, tmp_path):
    task = task_for("nwb_ecephys", PARAMS.model_validate({"surface_channel_agar_probes_indices": text}), tmp_path, data)
    with pytest.raises(SpikeRelayError, match=message):
        stage.run(task)


def test_the_agars_median_is_gone_from_every_channel(data):
    import spikeinterface as si

    recording = si.load(data / "rec")
    traces = recording.get_traces().astype(float)
    expected = traces - np.median(traces[:, 4:], axis=1, keepdims=True)
    assert np.allclose(lfp.subtract_agar_median(recording, 3).get_traces(), expected, atol=1e-3)
