"""An estimated drift: reading it, and interpolating traces along it."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def load_motion_info(folder: Path) -> dict[str, Any]:
    """The drift that preprocessing saved: `motion`, `peaks` and `peak_locations`, in SpikeInterface's forms."""
    import spikeinterface.preprocessing as spre

    return spre.load_motion_info(folder)


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
