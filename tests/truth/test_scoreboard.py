"""A small row of the scoreboard: no true unit is lost on the way, times are right, and labels say what units are."""

from __future__ import annotations

import pytest

from tests.truth.rows import ROWS, SMALL, Generated
from tests.truth.scoreboard import PIPELINE, cells, made, pooled, run_pipeline, score_pipeline
from tests.truth.scores import Share


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scoreboard")
    data = made(SMALL.recording, folder / "recording")
    job = run_pipeline(SMALL, data, folder / "row", keep_sorted=False)
    scores, units = score_pipeline(SMALL, data, folder / "row", job)
    assert set(units.stage) == {"sorted", "postprocessed", "labelled", "nwb"}
    return scores


@pytest.mark.slow
def test_no_true_unit_is_lost_on_the_way_to_the_file(scored):
    found, postprocessed, _, in_file = scored["well"]
    assert found >= 4
    assert postprocessed >= found
    assert in_file == postprocessed


@pytest.mark.slow
def test_times_in_the_file_are_those_of_the_sorted_spikes(scored):
    median, _, from_sorted = scored["nwb_errors"]
    assert median <= 1
    assert from_sorted < 1


@pytest.mark.slow
def test_well_found_units_are_good_and_good_units_are_one_neuron_each(scored):
    assert scored["recall"].cases >= 4
    assert scored["recall"].value >= 0.75
    assert scored["precision"].value >= 0.9


def test_sums_and_cells_of_the_table():
    scored = {
        "row": "a",
        "held_out": True,
        "chain": PIPELINE,
        "true": 10,
        "units": 9,
        "well": [8, 8, 7, 8],
        "recall": Share(7, 8),
        "precision": Share(6, 6),
        "completeness": 0.987,
        "oversplit": 1,
        "overmerged": 0,
        "false": 2,
        "drift_um": 1.26,
        "nwb_errors": [0.5, 3.0, 0.0],
    }
    line = cells(scored)
    assert line[:6] == ("a (held out)", PIPELINE, "10", "9", "8 > 8 > 7 > 8", "7/8 (0.53 to 0.98)")
    assert line[-2:] == ("1.3", "0.5 / 3 / 0")
    both = pooled("all", [scored, scored])
    assert (both["true"], both["well"], both["recall"]) == (20, [16, 16, 14, 16], Share(14, 16))


def test_the_grid_has_what_a_real_recording_has():
    generated = [row.recording.make.args[0] for row in ROWS.values() if row.recording.session is None]
    assert all(isinstance(settings, Generated) for settings in generated)
    assert {row.recording.session for row in ROWS.values()} == {None, "t181", "t196"}
    assert {settings.drift_um for settings in generated} == {0.0, 30.0}
    for part in ("bursts", "hum_uv", "common_uv", "stimulation_uv", "bad_channels"):
        assert any(getattr(settings, part) for settings in generated), part
    assert any(row.held_out and row.quick for row in ROWS.values())
