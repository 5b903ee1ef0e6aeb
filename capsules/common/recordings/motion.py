"""Interpolating traces along an estimated drift."""

from __future__ import annotations

from typing import Any

from spikeinterface import BaseRecording
from spikeinterface.core.motion import Motion
from spikeinterface.preprocessing import get_motion_parameters_preset
from spikeinterface.preprocessing.astype import astype
from spikeinterface.sortingcomponents.motion import interpolate_motion


def correct_motion(
    recording: BaseRecording, motion: Motion, preset: str, interpolate_kwargs: dict[str, Any]
) -> BaseRecording:
    """Interpolate the traces along the drift, with the preset's settings under the user's.

    Parameters
    ----------
    recording : BaseRecording
    motion : spikeinterface Motion
    preset : str
        The motion preset that the drift was estimated with.
    interpolate_kwargs : dict
        The user's changes to it.

    Returns
    -------
    BaseRecording
        Lazy, float32.
    """
    settings = get_motion_parameters_preset(preset)["interpolate_motion_kwargs"] | interpolate_kwargs
    corrected: BaseRecording = interpolate_motion(astype(recording, "float32"), motion, **settings)
    return corrected
