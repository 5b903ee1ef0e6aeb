"""Interpolating traces along an estimated drift."""

from __future__ import annotations

from typing import Any


def motion_corrected(recording: Any, motion: Any, preset: str, interpolate_kwargs: dict[str, Any]) -> Any:
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
    import spikeinterface.preprocessing as spre
    from spikeinterface.sortingcomponents.motion import interpolate_motion

    settings = spre.get_motion_parameters_preset(preset)["interpolate_motion_kwargs"] | interpolate_kwargs
    return interpolate_motion(spre.astype(recording, "float32"), motion, **settings)
