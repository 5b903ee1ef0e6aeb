"""SpikeInterface's own sorters (0.105.3): their filter in one step, what they keep of it, and the drift's peaks."""

from __future__ import annotations

from typing import Any

from spikeinterface.preprocessing.astype import AstypeRecording
from spikeinterface.sortingcomponents.peak_localization.method_list import peak_localization_methods

from capsules.common.patches.faster_grid_weights import speed_up_grid_weights
from capsules.common.recordings.fused import fuse
from capsules.common.recordings.grid_convolution import GridConvolution


def speed_up_sorter(module: Any) -> None:
    """Replace all of this for a sorter's module, which calls SpikeInterface's functions by its own names."""
    fuse_before_whitening(module)
    keep_half_precision(module)
    # For the drift; SpikeInterface copies the traces of all channels around each peak.
    peak_localization_methods["grid_convolution"] = GridConvolution
    speed_up_grid_weights()


def fuse_before_whitening(module: Any) -> None:
    """Compute the filter and the common reference in one step.

    A sorter filters the written traces again, in the pass that keeps them and in one more that estimates the motion:
    in SpikeInterface's steps that is more than half of its work on 384 channels.
    """
    if module.whiten.__module__ != __name__:
        module.whiten = _make_whiten(module.whiten)


def _make_whiten(plain: Any) -> Any:
    def whiten(recording: Any, *args: Any, **kwargs: Any) -> Any:
        return plain(fuse(recording), *args, **kwargs)

    return whiten


def keep_half_precision(module: Any) -> None:
    """Let a sorter keep its traces as float16, and read them as float32: half the memory, or half the disk.

    SpikeInterface keeps float32. float16 has 11 significant bits: a whitened trace of 10 standard deviations of the
    noise is rounded by at most 0.004 of one.
    """
    if module.cache_preprocessing.__module__ != __name__:
        module.cache_preprocessing = _make_cache(module.cache_preprocessing)


def _make_cache(plain: Any) -> Any:
    def cache_preprocessing(recording: Any, *args: Any, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        kept, description = plain(AstypeRecording(recording, "float16"), *args, **kwargs)
        if description["mode"] == "no-cache":
            return recording, description
        return AstypeRecording(kept, "float32"), description

    return cache_preprocessing
