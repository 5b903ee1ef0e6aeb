"""The checks of a recording: values, ranges, and the drift with its uncertainty."""

import pytest

from capsules.visualization.checks import check_all


def test_a_drift_of_too_few_peaks_has_no_interval():
    records = {"preprocessing": {"facts": {"motion": {"range_um": 30.0, "range_interval_um": None}}}, "curation": None}
    (drift,) = [check for check in check_all(records, 32, None) if check["name"].startswith("drift")]
    assert drift["value"] == 30.0 and "interval unknown: too few peaks" in drift["meaning"]


@pytest.mark.parametrize(("high_um", "within"), [(39.0, True), (45.0, False)])
def test_drift_is_checked_by_the_upper_end_of_its_interval(high_um, within):
    """The estimate itself is within the range both times."""
    motion = {"range_um": 30.0, "range_interval_um": [12.0, high_um]}
    records = {"preprocessing": {"facts": {"motion": motion}}, "curation": None}
    (drift,) = [check for check in check_all(records, 32, None) if check["name"].startswith("drift")]
    assert (drift["value"], drift["within"]) == (high_um, within)
    assert f"estimate 30 um, interval 12 to {high_um:g} um" in drift["meaning"]
