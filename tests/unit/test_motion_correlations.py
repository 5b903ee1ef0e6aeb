"""The correlations from which DREDge estimates the motion: without torch, and equal to SpikeInterface's."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from spikeinterface.core import generate_recording
from spikeinterface.core.node_pipeline import base_peak_dtype

from capsules.preprocessing import drift
from capsules.preprocessing.params import MotionCorrection

ROOT = Path(__file__).parents[2]
COMPARE = """
import sys
import numpy as np
from scipy.ndimage import gaussian_filter
from spikeinterface.sortingcomponents.motion import dredge
from capsules.common.patches.motion_without_torch import leave_torch_out_of_dredge
plain = dredge.xcorr_windows
for _ in range(2):
    leave_torch_out_of_dredge()
rng = np.random.default_rng(0)

def make_raster(depths, bins):
    column = rng.poisson(0.2, 2 * depths)
    moved = [np.roll(column, round(10 * np.sin(bin / 20)))[:depths] + rng.poisson(0.1, depths) for bin in range(bins)]
    raster = np.log1p(gaussian_filter(np.stack(moved, axis=1).astype("float32"), 1))
    raster[:, 3] = 0  # A second without peaks.
    return raster

depths = 400
one, other = make_raster(depths, 60), make_raster(depths, 25)
places = np.arange(depths)
windows = np.exp(-0.5 * ((places - np.array([[60], [200], [340]])) / 60) ** 2)
windows[windows < 1e-3] = 0
edges = np.arange(depths + 1)
for settings in (
    {"raster_b": None}, {"raster_b": other}, {"rigid": True}, {"max_disp_um": 30}, {"max_dt_bins": 10}, {"bin_um": 2}
):
    theirs = plain(one, windows, edges, 200, progress_bar=False, device="cpu", **settings)
    ours = dredge.xcorr_windows(one, windows, edges, 200, progress_bar=False, **settings)
    np.testing.assert_allclose(ours[1], theirs[1], atol=3e-5, err_msg=str(settings))
    # Two shifts that correlate equally well but for rounding.
    assert (ours[0] != theirs[0]).mean() < 0.001, settings
    assert ours[2] == theirs[2]
"""
WITHOUT_TORCH = """
import sys
import numpy as np
from spikeinterface.core import generate_recording
from spikeinterface.core.node_pipeline import base_peak_dtype
from spikeinterface.sortingcomponents.motion import estimate_motion
from capsules.common.patches.motion_without_torch import leave_torch_out_of_dredge
leave_torch_out_of_dredge()
recording = generate_recording(num_channels=16, durations=[20.0], sampling_frequency=1000.0, seed=0)
peaks = np.zeros(2000, base_peak_dtype)
peaks["sample_index"] = np.arange(2000) * 10
locations = np.zeros(2000, [("x", "float64"), ("y", "float64")])
locations["y"] = np.random.default_rng(0).choice(recording.get_channel_locations()[:, 1], 2000)
estimate_motion(recording, peaks, locations, method="dredge_ap", rigid=True)
assert "torch" not in sys.modules
"""


@pytest.mark.parametrize("code", [COMPARE, WITHOUT_TORCH], ids=["equal", "without torch"])
def test_correlations_are_those_of_spikeinterface_without_torch(code):
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_the_interval_of_a_long_recording_is_that_of_its_middle():
    """As for a recording that ends after RANGE_S: the peaks outside do not matter."""
    seconds = 3 * drift.RANGE_S
    recording = generate_recording(num_channels=16, durations=[seconds], sampling_frequency=100.0, seed=0)
    short = recording.frame_slice(0, int(drift.RANGE_S * 100))
    peaks = np.zeros(30000, base_peak_dtype)
    peaks["sample_index"] = np.linspace(0, seconds * 100 - 1, 30000).astype(int)
    peaks["amplitude"] = -50.0
    locations = np.zeros(30000, [("x", "float64"), ("y", "float64")])
    draw = np.random.default_rng(0)
    locations["y"] = draw.choice([100.0, 150.0, 200.0], 30000) + draw.normal(0, 4, 30000)
    recipe = drift.make_recipe(recording, MotionCorrection(preset="rigid_fast"))
    motion = drift._estimate(recording, peaks, locations, recipe)
    range_um, (low_um, high_um) = drift.estimate_range(
        recording, {"peaks": peaks, "peak_locations": locations, "motion": motion}, recipe
    )
    middle = (peaks["sample_index"] >= drift.RANGE_S * 100) & (peaks["sample_index"] < 2 * drift.RANGE_S * 100)
    moved = peaks[middle].copy()
    moved["sample_index"] -= int(drift.RANGE_S * 100)
    info = {"peaks": moved, "peak_locations": locations[middle], "motion": motion}
    assert drift.estimate_range(short, info, recipe) == (range_um, (low_um, high_um))
    assert low_um < range_um < high_um
