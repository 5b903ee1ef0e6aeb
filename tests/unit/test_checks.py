"""The checks of a recording: values, ranges, and the drift with its uncertainty."""

import pytest

from capsules.common.facts import CurationFacts, MotionRange, PreprocessingFacts
from capsules.visualization.checks import check_recording


def drift_check(**motion):
    preprocessing = PreprocessingFacts(motion=MotionRange(preset="dredge_fast", **motion))
    (drift,) = check_recording(preprocessing, CurationFacts(), 32, None)
    return drift


def test_a_drift_of_too_few_peaks_has_no_interval():
    drift = drift_check(range_um=30.0, range_interval_um=None)
    assert drift["value"] == 30.0 and "interval unknown: too few peaks" in drift["meaning"]


@pytest.mark.parametrize(("high_um", "within"), [(39.0, True), (45.0, False)])
def test_drift_is_checked_by_the_upper_end_of_its_interval(high_um, within):
    """The estimate itself is within the range both times."""
    drift = drift_check(range_um=30.0, range_interval_um=[12.0, high_um])
    assert (drift["name"], drift["value"], drift["within"]) == ("drift, upper end", high_um, within)
    assert f"estimate 30 um, interval 12 to {high_um:g} um" in drift["meaning"]
