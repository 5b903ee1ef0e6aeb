"""Drift, before and after its correction: a hybrid recording of a probe that moves by 40 um and back."""

from __future__ import annotations

from pathlib import Path

from tests.pictures.hybrid import load_truth, make_drift
from tests.pictures.stages import run_stages
from tests.pictures.studio import Studio

FEWEST_SPIKES = 100
WIDE_WINDOWS = tuple(
    word
    for name in ("win_step_norm", "win_scale_norm")
    for word in (f"--motion_correction.estimate_motion_kwargs.{name}", "0.5")
)
"""As docs/preprocessing.md advises for a short probe."""


def results(motion: str) -> Path:
    """The stages' folders, with the motion computed (`compute`) or also applied (`apply`)."""
    data = make_drift()
    trains = {unit: train for unit, train in enumerate(load_truth(data).values()) if len(train) >= FEWEST_SPIKES}
    options = ("--motion", motion, *WIDE_WINDOWS), ("--duplicate_shared_spikes", "2")
    return run_stages(data, motion, trains, *options)


def make(studio: Studio) -> None:
    results("compute")
    results("apply")
