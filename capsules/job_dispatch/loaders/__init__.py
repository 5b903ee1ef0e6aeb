"""One module per input format: `found` tells whether a folder holds it, `streams` lists what is in it."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from capsules.common.errors import Rejected
from capsules.job_dispatch.loaders import aind, nwb, openephys, spikeglx, spikeinterface

LOADERS: dict[str, ModuleType] = {
    module.__name__.rsplit(".", 1)[1]: module for module in (aind, spikeglx, openephys, nwb, spikeinterface)
}


def guess_format(data: Path) -> str | None:
    """The one format that a folder holds, or None when it holds none or several.

    AIND's folder holds an Open Ephys folder within, which is not to be sorted.
    """
    try:
        found = {name for name, module in LOADERS.items() if module.found(data)}
    except OSError as error:
        raise Rejected([f"{error.filename or data}: cannot be read: {error.strerror}"]) from None
    if "aind" in found:
        found.discard("openephys")
    return found.pop() if len(found) == 1 else None
