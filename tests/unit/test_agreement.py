"""The agreement of two sorters: what is matched, and every two units that share spikes."""

from __future__ import annotations

import numpy as np
import pytest

from capsules.results.agreement import LISTED, compare_sorters


def test_two_sorters_of_which_one_splits_a_unit(tmp_path):
    import spikeinterface as si

    draw = np.random.default_rng(0)
    whole = np.sort(draw.choice(290_000, 1000, replace=False)) + 100
    other = np.sort(draw.choice(290_000, 400, replace=False)) + 100
    trains = {"a": {0: whole, 1: other}, "b": {0: whole[::4], 1: np.delete(whole, slice(None, None, 4)), 2: other}}
    folders = {}
    for name, units in trains.items():
        folders[name] = tmp_path / name
        si.NumpySorting.from_unit_dict([units], 30000.0).save(folder=folders[name])
    assert compare_sorters({"alone": {"a": folders["a"]}}) == {}
    table = compare_sorters({"r": folders})["r"]
    assert table["units"] == {"a": 2, "b": 3} and table["agreed_by_all"] == 2
    (pair,) = table["pairs"]
    matches = {tuple(match["units"]): match["agreement"] for match in pair["matches"]}
    assert matches == {("0", "1"): pytest.approx(0.75, abs=0.05), ("1", "2"): pytest.approx(1, abs=0.01)}
    listed = {tuple(one["units"]): one["agreement"] for one in pair["agreements"]}
    assert listed[("0", "0")] == pytest.approx(0.25, abs=0.05)
    assert set(listed) >= {("0", "0"), ("0", "1"), ("1", "2")} and min(listed.values()) >= LISTED
