"""Duplicated units planted in a sorting: the capsule removes them, and keeps units that resemble each other."""

import json
import shutil

import numpy as np
import pytest

from tests.reach.conftest import write_record
from tests.reach.test_postprocessing_reach import ONLY_TEMPLATES, run

SECONDS = 10
RATE_HZ = 30000


def planted(train, shift=0, jitter=0, every=2):
    """A copy of a fraction of the spikes, all `shift` samples off and each up to `jitter` more."""
    copy = train[::every] + shift
    return np.sort(copy + np.random.default_rng(0).integers(-jitter, jitter + 1, len(copy)))


@pytest.fixture
def removed(truth, inputs, tmp_path):
    """The capsule's run on the true units as `plant` changes them: the pairs removed, the units, merge candidates."""
    import spikeinterface as si

    def found(plant, **settings):
        folder = tmp_path / "inputs"
        shutil.copytree(inputs, folder)
        trains = {str(unit): truth[1].get_unit_spike_train(unit) for unit in truth[1].unit_ids}
        plant(trains)
        shutil.rmtree(folder / "spikesorting_r" / "spikesorted")
        si.NumpySorting.from_unit_dict([trains], RATE_HZ).save(folder=folder / "spikesorting_r" / "spikesorted")
        task = run(folder, tmp_path / "out", **ONLY_TEMPLATES | settings)
        units = [str(unit) for unit in si.load(task.out / "postprocessed.zarr").unit_ids]
        candidates = json.loads((task.out / "merge_candidates.json").read_text())
        assert task.record["facts"]["merge_candidates"] == len(candidates)
        return task.record["facts"]["duplicated_units_removed"], units, candidates

    return found


@pytest.mark.parametrize(
    ("shift", "jitter"), [(0, 0), (0, 1), (4, 0), (-5, 1)], ids=["as they are", "jittered", "late", "early"]
)
def test_a_planted_copy_is_removed(shift, jitter, removed):
    (pair,), units, candidates = removed(lambda trains: trains.update(copy=planted(trains["1"], shift, jitter)))
    assert (pair["removed"], pair["kept"], pair["shared_spikes"]) == ("copy", "1", 1)
    assert pair["correlation"] > 0.9
    assert units == ["0", "1", "2", "3"]
    assert candidates == []


def test_the_larger_one_is_kept(removed):
    (pair,), units, _ = removed(lambda trains: trains.update({"copy": trains["1"], "1": trains["1"][::2]}))
    assert (pair["removed"], pair["kept"]) == ("1", "copy")
    assert units == ["0", "2", "3", "copy"]


def test_one_neuron_split_in_two_is_a_merge_candidate(removed):
    """The templates are the same, and no spike is shared: nothing is deleted."""
    pairs, units, (candidate,) = removed(
        lambda trains: trains.update({"half": trains["1"][2::3], "1": np.delete(trains["1"], np.s_[2::3])})
    )
    assert pairs == []
    assert units == ["0", "1", "2", "3", "half"]
    assert set(candidate["units"]) == {"half", "1"}
    assert (candidate["shared_spikes"], candidate["distance_um"]) == (0, 0)
    assert candidate["correlation"] > 0.9
    assert candidate["amplitude_ratio"] == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(("setting", "value"), [("duplicate_threshold", 1), ("duplicate_shared_spikes", 1.1)])
def test_the_thresholds_decide(setting, value, removed):
    pairs, units, candidates = removed(lambda trains: trains.update(copy=planted(trains["1"])), **{setting: value})
    assert pairs == []
    assert "copy" in units
    assert len(candidates) == (setting == "duplicate_shared_spikes")


def test_units_at_one_place_with_other_waveforms_are_kept(tmp_path):
    """Two units on the same channels, with the same amplitudes there: one narrow, the other wide and later back."""
    import spikeinterface as si
    from probeinterface import generate_linear_probe

    rng = np.random.default_rng(0)
    traces = rng.normal(0, 10, (SECONDS * RATE_HZ, 4))
    falloff = np.array([1.0, 0.6, 0.3, 0.1])
    time_ms = (np.arange(90) - 30) / 30
    narrow = -np.exp(-((time_ms / 0.12) ** 2))
    wide = -np.exp(-((time_ms / 0.35) ** 2)) + 0.6 * np.exp(-(((time_ms - 0.9) / 0.3) ** 2))
    trains = {}
    for index, shape in enumerate((narrow, wide)):
        trains[str(index)] = np.arange(1000 + 700 * index, len(traces) - 100, 1500)
        for spike in trains[str(index)]:
            traces[spike - 30 : spike + 60] += 400 * shape[:, None] * falloff
    recording = si.NumpyRecording([traces.astype("int16")], RATE_HZ)
    probe = generate_linear_probe(4)
    probe.set_device_channel_indices(np.arange(4))
    recording.set_probe(probe)
    recording.set_channel_gains(0.195)
    recording.set_channel_offsets(0.0)
    recording.save(folder=tmp_path / "preprocessing_r" / "traces")
    write_record(tmp_path / "preprocessing_r", "preprocessing", start_s=0.0, motion_applied=False)
    si.NumpySorting.from_unit_dict([trains], RATE_HZ).save(folder=tmp_path / "spikesorting_r" / "spikesorted")
    write_record(tmp_path / "spikesorting_r", "spikesorting", sorter="spykingcircus2", sorter_version="1")
    task = run(tmp_path, tmp_path / "out", **ONLY_TEMPLATES)
    assert task.record["facts"]["units"] == 2
    assert task.record["facts"]["duplicated_units_removed"] == []
