"""Read a pickled dictionary of arrays and numbers, such as Kilosort's `ops.npy`, without executing anything in it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from capsules.common.errors import SpikeRelayError

MAX_BYTES = 500_000_000
"""An `ops.npy` holds whitening matrices and drift: some megabytes."""
ARRAY_NAMES = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    *((f"numpy.{core}.multiarray", name) for core in ("_core", "core") for name in ("_reconstruct", "scalar")),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("_core", "core")),
    ("collections", "OrderedDict"),
}
"""What such a pickle may name (module, name): all of them only hold data."""


class _DataUnpickler(pickle.Unpickler):
    """Rejects every name but those of arrays and numbers, before Python imports it."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ARRAY_NAMES:
            raise SpikeRelayError(f"the file holds a pickle that would run {module}.{name}: it is not read")
        return super().find_class(module, name)


def load_pickled_dict(file: Path) -> dict[str, Any]:
    """The dictionary in a `.npy` file that `numpy.save` wrote.

    Raises
    ------
    OSError
        When it cannot be opened.
    SpikeRelayError
        When it is too large, holds anything else, or names anything but arrays and numbers.
    """
    # numpy takes longer to import than the help of a command may take.
    import numpy as np

    if not file.is_file():
        raise SpikeRelayError(f"{file}: no such file")
    if (size := file.stat().st_size) > MAX_BYTES:
        raise SpikeRelayError(f"{file}: too large ({size / 1e6:.0f} MB; limit: {MAX_BYTES / 1e6:g} MB)")
    try:
        with file.open("rb") as stream:
            version = np.lib.format.read_magic(stream)
            read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            shape, _, dtype = read_header[version](stream)
            if shape != () or not dtype.hasobject:
                raise SpikeRelayError(f"{file}: an array of numbers; a saved dictionary is needed, such as ops.npy")
            content = _DataUnpickler(stream, encoding="latin1").load()
            value = content.item() if isinstance(content, np.ndarray) and content.shape == () else content
    except SpikeRelayError as error:
        raise SpikeRelayError(f"{file}: {error}" if str(file) not in str(error) else str(error)) from None
    # A broken pickle raises any kind of error.
    except Exception as error:  # noqa: BLE001
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise SpikeRelayError(f"{file}: not a dictionary that numpy saved: {why}") from None
    if not isinstance(value, dict):
        raise SpikeRelayError(f"{file}: holds a {type(value).__name__}; a dictionary is needed, such as ops.npy")
    return value
