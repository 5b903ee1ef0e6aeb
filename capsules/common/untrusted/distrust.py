"""Read files from others without executing anything in them.

A pickle may name any function, and numpy, zarr and SpikeInterface files may hold pickles; SpikeInterface's
descriptions of a recording may name any class. `distrust_files` makes the whole process read only data from
files. The `load_*` functions read the parts of a results folder, each as the one kind that the contract declares:
SpikeInterface's own `load` detects the kind of a folder, and unpickles for several kinds.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any, cast

from spikeinterface import BaseRecording, NumpyFolderSorting, SortingAnalyzer, load, load_sorting_analyzer, read_zarr
from spikeinterface.core.base import BaseExtractor
from spikeinterface.preprocessing import load_motion_info

from capsules.common.errors import SpikeRelayError
from capsules.common.patches import patch_readers
from capsules.common.patches.classes import look_classes_up_by
from capsules.common.untrusted.small_files import read_small_json

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
"""Names that a pickle may contain (module, name): all of them only hold data."""

READERS = ("spikeinterface", "probeinterface", "neo", "numpy", "numcodecs", "zarr", "hdmf_zarr", "pandas", "joblib")
"""Packages whose unpickling reads files; others that unpickle (multiprocessing, numba) read what this user wrote."""

EVALUATING = {
    "SinapsResearchPlatformRecordingExtractor": "sinapsresearchplatform",
    "SHYBRIDRecordingExtractor": "shybrid",
}
"""SpikeInterface's classes that run text of the data's own files as Python (0.105.3) -> their names as readers."""


MAX_DESCRIPTION = 50_000_000
"""Bytes of a description: that of a recording with thousands of channels has the position of each."""
FUSED = "capsules.common.recordings.fused.FusedRecording"
"""Our own recording, in what a sorter describes to its workers. It computes, and its parent is looked up likewise."""


class ForeignCode(SpikeRelayError):
    """A file that would execute code."""


@cache
def distrust_files() -> None:
    """From now on, files that this process reads with numpy, zarr and SpikeInterface cannot execute anything."""
    # Covers every way to unpickle, also those that an upgrade adds. It cannot be removed again.
    sys.addaudithook(_check_unpickling)
    look_classes_up_by(_extractor_class)


def _check_unpickling(event: str, arguments: tuple[Any, ...]) -> None:
    """Stop a pickle that names more than data, before Python imports it."""
    if event != "pickle.find_class" or tuple(arguments) in PLAIN:
        return
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__") == "pickle":
        frame = frame.f_back
    caller = "" if frame is None else str(frame.f_globals.get("__name__"))
    if caller.split(".")[0] in READERS:
        raise ForeignCode(f"the file holds a pickle that would run {'.'.join(map(str, arguments))}: it is not read")


def _extractor_class(name: str) -> type[BaseExtractor]:
    """The class that a description names, if it is one of SpikeInterface's own, or of ours, that only reads data."""
    module, _, last = str(name).rpartition(".")
    kind = None
    if (module.split(".")[0] == "spikeinterface" and last not in EVALUATING) or name == FUSED:
        kind = getattr(import_module(module), last, None)
    # Of the extractors of sortings, Phy's and Klusta's run their parameter files.
    allowed = BaseRecording if module.startswith("spikeinterface.extractors") else BaseExtractor
    if not (isinstance(kind, type) and issubclass(kind, allowed)):
        raise ForeignCode(f"the file asks for {name!r}, which is not a recording of SpikeInterface: it is not read")
    return kind


def load_saved(path: Path) -> BaseRecording:
    """A recording that SpikeInterface saved: a zarr store, a folder, or a JSON file.

    Raises
    ------
    ForeignCode
        When it would execute code.
    """
    distrust_files()
    if path.is_dir() and path.suffix == ".zarr":
        return cast(BaseRecording, read_zarr(path))
    if path.is_file() and path.suffix == ".json":
        return cast(BaseRecording, load(path))
    if path.is_file():
        raise ForeignCode(f"{path.name}: only .json files are read, since a pickle may run anything")
    described = [path / name for name in ("si_folder.json", "cached.json") if (path / name).is_file()]
    if not described:
        raise ForeignCode(f"{path}: not a recording that SpikeInterface saved (it has no si_folder.json)")
    return cast(BaseRecording, load(described[0], base_folder=path))


def load_sorting(folder: Path) -> NumpyFolderSorting:
    """A sorting that a run published: a folder of numpy files.

    Raises
    ------
    SpikeRelayError
        When the folder holds anything else.
    """
    distrust_files()
    declared = _declared(folder, "si_folder.json").get("class")
    if declared != f"{NumpyFolderSorting.__module__}.{NumpyFolderSorting.__qualname__}":
        raise ForeignCode(f"{folder} is not a sorting that a run saved: its si_folder.json declares {declared!r}")
    with report_unreadable(folder):
        return NumpyFolderSorting(folder)


def load_analyzer(folder: Path, load_extensions: bool = False) -> SortingAnalyzer:
    """A SortingAnalyzer that a run published: a zarr store.

    Raises
    ------
    SpikeRelayError
        When the folder holds anything else.
    """
    distrust_files()
    with report_unreadable(folder):
        analyzer: SortingAnalyzer = load_sorting_analyzer(folder, load_extensions=load_extensions, format="zarr")
        return analyzer


def load_motion(folder: Path) -> dict[str, Any]:
    """The motion that a run published, as `load_motion_info` gives it; raises SpikeRelayError when it is not one."""
    distrust_files()
    with report_unreadable(folder):
        return cast(dict[str, Any], load_motion_info(folder))


def load_preprocessed(file: Path, data: Path) -> BaseRecording:
    """The lazy preprocessed recording that a published `preprocessed.json` describes.

    Raises
    ------
    SpikeRelayError
        When the file is not one, or the raw data are not in `data`.
    """
    distrust_files()
    patch_readers()
    description = _declared(file.parent, file.name)
    try:
        return cast(BaseRecording, BaseExtractor.from_dict(description, base_folder=data.absolute().parent))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        raise SpikeRelayError(f"{data} does not hold the recording {file.stem}: {error}") from error


def _declared(folder: Path, name: str) -> dict[str, Any]:
    try:
        declared = read_small_json(folder / name, MAX_DESCRIPTION)
    except (OSError, ValueError) as error:
        raise SpikeRelayError(f"{folder / name} cannot be read: {error}") from None
    if not isinstance(declared, dict):
        raise SpikeRelayError(f"{folder / name} is not what a run leaves: it is not a JSON object")
    return declared


@contextmanager
def report_unreadable(folder: Path) -> Iterator[None]:
    """Turn any error of reading a folder into one line for the user."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, AssertionError, EOFError) as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise SpikeRelayError(f"{folder} is not what a run leaves: {why}") from error
