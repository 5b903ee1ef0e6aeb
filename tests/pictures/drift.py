"""Drift, before and after its correction: a hybrid recording of a probe that moves by 40 um and back."""

from __future__ import annotations

from pathlib import Path

from tests.pictures.hybrid import load_truth, make_drift
from tests.pictures.stages import run_stages
from tests.pictures.studio import Studio
from tests.pictures.units import figure_of, unit_page

FEWEST_SPIKES = 100
WIDE_WINDOWS = tuple(
    word
    for name in ("win_step_norm", "win_scale_norm")
    for word in (f"--motion_correction.estimate_motion_kwargs.{name}", "0.5")
)
"""As docs/preprocessing.md advises for a short probe."""


PICTURES = {
    "compute": ("drift_before.webp", "unit_drifting.webp"),
    "apply": ("drift_after.webp", "unit_corrected.webp"),
}
"""What is done with the motion -> the drift map and the page of a unit."""
NEURON = "T196_u33"


def results(motion: str) -> Path:
    """The stages' folders, with the motion computed (`compute`) or also applied (`apply`)."""
    data = make_drift()
    trains = {unit: train for unit, train in enumerate(load_truth(data).values()) if len(train) >= FEWEST_SPIKES}
    options = ("--motion", motion, *WIDE_WINDOWS), ("--duplicate_shared_spikes", "2")
    return run_stages(data, motion, trains, *options)


def make(studio: Studio) -> None:
    for motion, (drift_map, page_of_unit) in PICTURES.items():
        folder = results(motion)
        studio.save(drift_map, figure_of(folder, "visualization/drift_map"))
        unit = list(load_truth(make_drift())).index(NEURON)
        with unit_page(studio, folder, unit, ("amplitudes", "position")) as page:
            studio.shoot(page_of_unit, page, "dialog")
