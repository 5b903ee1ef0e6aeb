"""Reading what others made without running what it brings along.

A pickle may name any function, and numpy and zarr files may hold pickles; SpikeInterface's descriptions of a recording
may name any class. `distrust_files` makes all three, for the whole process, take data from a file and nothing else.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from capsules.common.errors import SpikeRelayError

PLAIN = {
    ("collections", "OrderedDict"),
    # Arrays and numbers, by numpy 2 and 1.
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    *((f"numpy.{core}.multiarray", name) for core in ("_core", "core") for name in ("_reconstruct", "scalar")),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("_core", "core")),
    # A dict: how hdmf-zarr points from one part of an NWB file to another.
    ("hdmf_zarr.utils", "ZarrReference"),
    # Arrays and settings: how SpikeInterface keeps what its principal components were computed with.
    ("sklearn.decomposition._incremental_pca", "IncrementalPCA"),
    ("sklearn.decomposition._pca", "PCA"),
    # Arrays: the drift along which an analyzer's traces were interpolated.
    ("spikeinterface.core.motion", "Motion"),
    ("scipy.interpolate._rgi", "RegularGridInterpolator"),
    ("scipy._lib.array_api_compat.numpy._aliases", "asarray"),
}
"""What a pickle may name (module, name): nothing here does more than hold data."""

EVALUATING = {
    "SinapsResearchPlatformRecordingExtractor": "sinapsresearchplatform",
    "SHYBRIDRecordingExtractor": "shybrid",
}
"""SpikeInterface's classes that run text of the data's own files as Python (0.105.3) -> their names as readers."""


class ForeignCode(SpikeRelayError):
    """A file that would have something run."""


class PlainUnpickler(pickle.Unpickler):
    """Reads pickles that hold data alone."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in PLAIN:
            raise ForeignCode(f"the file holds a pickle that would run {module}.{name}: it is not read")
        return super().find_class(module, name)


def _load(stream: Any, **settings: Any) -> Any:
    return PlainUnpickler(stream, **settings).load()


def distrust_files() -> None:
    """From now on, what this process reads with numpy, zarr and SpikeInterface cannot have anything run."""
    from spikeinterface.core import base

    if base._get_class_from_string is not _extractor_class:
        _distrust_pickles()
        _distrust_classes()


def _distrust_pickles() -> None:
    import numcodecs
    from numpy.lib import _format_impl, _npyio_impl

    class PlainPickle(numcodecs.Pickle):
        def decode(self, buf: Any, out: Any = None) -> Any:
            decoded = _load(io.BytesIO(bytes(memoryview(buf).cast("B"))))
            if out is None:
                return decoded
            out[...] = decoded
            return out

    numcodecs.register_codec(PlainPickle)
    for module in (_format_impl, _npyio_impl):
        module.pickle = SimpleNamespace(load=_load, dump=pickle.dump, UnpicklingError=pickle.UnpicklingError)


def _distrust_classes() -> None:
    from spikeinterface.core import base, zarrextractors

    for module in (base, zarrextractors):
        module._get_class_from_string = _extractor_class


def _extractor_class(name: str) -> type:
    """The class that a description names, when it is one of SpikeInterface's own that reads data alone."""
    from importlib import import_module

    from spikeinterface.core.base import BaseExtractor
    from spikeinterface.core.baserecording import BaseRecording

    module, _, last = str(name).rpartition(".")
    found = None
    if module.split(".")[0] == "spikeinterface" and last not in EVALUATING:
        found = getattr(import_module(module), last, None)
    # Of the extractors of sortings, Phy's and Klusta's run their parameter files.
    allowed = BaseRecording if module.startswith("spikeinterface.extractors") else BaseExtractor
    if not (isinstance(found, type) and issubclass(found, allowed)):
        raise ForeignCode(f"the file asks for {name!r}, which is no recording of SpikeInterface's: it is not read")
    return found


def load_saved(path: Path) -> Any:
    """A recording that SpikeInterface saved: a zarr store, a folder, or a JSON file.

    Raises
    ------
    ForeignCode
        When it would have something run.
    """
    import spikeinterface as si

    distrust_files()
    if path.is_dir() and path.suffix == ".zarr":
        return si.read_zarr(path)
    if path.is_file() and path.suffix == ".json":
        return si.load(path)
    if path.is_file():
        raise ForeignCode(f"{path.name}: only .json files are read, since a pickle may run anything")
    described = [path / name for name in ("si_folder.json", "cached.json") if (path / name).is_file()]
    if not described:
        raise ForeignCode(f"{path}: no recording that SpikeInterface saved (it has no si_folder.json)")
    return si.load(described[0], base_folder=path)
