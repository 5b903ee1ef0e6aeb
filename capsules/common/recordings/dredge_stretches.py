"""DREDge on long recordings: it compares every bin of time with every other, so it works in stretches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

DREDGE_PRESETS = ("dredge", "dredge_fast", "rigid_fast")
"""SpikeInterface's presets whose method it is."""
LONG_S = 2000.0
"""All at once takes 2 GB for this long, four times that for twice as long."""
STRETCH_S = 1000.0


def choose_batching(
    chosen: dict[str, Any], duration_s: float, record_change: Callable[[str], None], what: str = "the motion"
) -> dict[str, Any]:
    """The user's settings of `estimate_motion_kwargs`, with SpikeInterface's `batching_mode` where they have none.

    The preset `dredge` (0.105.3) has the mode's former name, which the method rejects.
    """
    if "batching_mode" in chosen:
        return chosen
    if duration_s <= LONG_S:
        return chosen | {"batching_mode": "full"}
    record_change(f"{what} is estimated in parts of {STRETCH_S:g} s: the whole recording would need too much memory")
    return chosen | {"batching_mode": "online", "chunk_len_s": STRETCH_S}
