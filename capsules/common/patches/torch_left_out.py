"""SpikeInterface's methods imported without torch, where no method that needs it is used."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def hide_torch() -> Iterator[None]:
    """Let no import find torch, unless it is imported already.

    SpikeInterface (0.105.3) imports torch with its methods of peak detection wherever it is installed, which takes
    1.5 s and 270 MB.
    """
    hidden = "torch" not in sys.modules
    if hidden:
        sys.modules["torch"] = None  # type: ignore[assignment]  # the import then fails
    try:
        yield
    finally:
        if hidden:
            del sys.modules["torch"]
