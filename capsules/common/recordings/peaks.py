"""Detection and localization of peaks, in one pass over the traces for all nodes that read them."""

from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, overload

import numpy as np
import numpy.typing as npt
from spikeinterface import BaseRecording, get_noise_levels
from spikeinterface.core.node_pipeline import (
    ExtractDenseWaveforms,
    PeakDetector,
    PeakRetriever,
    PeakSource,
    PipelineNode,
    run_node_pipeline,
)
from spikeinterface.sortingcomponents.peak_localization.grid import LocalizeGridConvolution
from spikeinterface.sortingcomponents.peak_localization.method_list import peak_localization_methods

from capsules.common.patches.torch_left_out import hide_torch
from capsules.common.recordings.grid_convolution import GridConvolution, NoWaveforms

Peaks = npt.NDArray[np.void]
"""A structured array, an item for each peak."""
WINDOW_MS = {"ms_before": 0.1, "ms_after": 0.3}
"""The traces around a peak that SpikeInterface's `compute_motion` localizes it from."""


@overload
def detect_peaks(
    recording: BaseRecording,
    detection: dict[str, Any],
    localization: dict[str, Any],
    also: Sequence[PipelineNode] = (),
    quiet: BaseRecording | None = None,
) -> tuple[Peaks, Peaks]: ...


@overload
def detect_peaks(
    recording: BaseRecording,
    detection: dict[str, Any],
    localization: None,
    also: Sequence[PipelineNode] = (),
    quiet: BaseRecording | None = None,
) -> tuple[Peaks, None]: ...


def detect_peaks(
    recording: BaseRecording,
    detection: dict[str, Any],
    localization: dict[str, Any] | None,
    also: Sequence[PipelineNode] = (),
    quiet: BaseRecording | None = None,
) -> tuple[Peaks, Peaks | None]:
    """Detect peaks and localize them, in one pass over the traces.

    Parameters
    ----------
    recording : BaseRecording
    detection : dict
        `method`, one of SpikeInterface's peak detection methods, and its arguments.
    localization : dict or None
        `method`, one of SpikeInterface's peak localization methods, and its arguments; `ms_before` and `ms_after`
        are the traces around a peak (default: WINDOW_MS). None: the peaks are only detected.
    also : sequence of PipelineNode
        Nodes that read the same chunks of traces.
    quiet : BaseRecording, optional
        The recording without the periods that noise levels must not be estimated from.

    Returns
    -------
    peaks : array, (peaks,)
        SpikeInterface's peak vector.
    locations : array, (peaks,), or None
        `x`, `y` (and `z`) in um.
    """
    detector = _detector(recording, detection, quiet)
    nodes = [] if localization is None else _localizers(recording, detector, localization)
    outputs = run_node_pipeline(recording, [detector, *nodes, *also], {}, job_name="detect peaks", squeeze_output=False)
    return outputs if localization is not None else (outputs[0], None)


def localize_peaks(recording: BaseRecording, peaks: Peaks, localization: dict[str, Any]) -> Peaks:
    """Localize peaks that were detected before, as `detect_peaks` does."""
    source = PeakRetriever(recording, peaks)
    locations: Peaks = run_node_pipeline(
        recording, [source, *_localizers(recording, source, localization)], {}, job_name="localize peaks"
    )
    return locations


def estimate_noise_levels(recording: BaseRecording) -> npt.NDArray[np.float64]:
    """Each channel's noise (MAD), in counts, from chunks that are the same each time; array, (channels,)."""
    return get_noise_levels(recording, return_in_uV=False, random_slices_kwargs={"seed": 0}, progress_bar=False)


def _detection_methods(asked: str) -> dict[str, Any]:
    """SpikeInterface's methods of peak detection by name; those with torch work only if `asked` is one of them."""
    with nullcontext() if asked.endswith("_torch") else hide_torch():
        from spikeinterface.sortingcomponents.peak_detection.method_list import detect_peak_methods
    return detect_peak_methods


def _detector(recording: BaseRecording, detection: dict[str, Any], quiet: BaseRecording | None = None) -> PeakDetector:
    method, settings = _method(_detection_methods(detection["method"]), detection)
    if method.need_noise_levels:
        noise = estimate_noise_levels(recording if quiet is None else quiet)
        # SpikeInterface's compiled code does not expect NaN, and may divide by zero. Such a channel has no peaks.
        settings["noise_levels"] = np.where(np.isnan(noise), np.inf, noise)
    detector: PeakDetector = method(recording, **settings)
    return detector


def _localizers(recording: BaseRecording, source: PeakSource, localization: dict[str, Any]) -> list[PipelineNode]:
    """The nodes that localize the peaks of a source."""
    method, settings = _method(peak_localization_methods, localization)
    window = {name: settings.pop(name, default) for name, default in WINDOW_MS.items()}
    extract: type[ExtractDenseWaveforms] = ExtractDenseWaveforms
    # Also when postprocessing's patch has replaced it in this process.
    if issubclass(method, LocalizeGridConvolution):
        method, extract = GridConvolution, NoWaveforms
    waveforms = extract(recording, parents=[source], return_output=False, **window)
    return [waveforms, method(recording, parents=[source, waveforms], **settings)]


def complete_settings(detection: dict[str, Any], localization: dict[str, Any]) -> dict[str, Any]:
    """All settings that the peaks depend on, with the library's defaults, as JSON: equal for equal peaks."""
    methods = _detection_methods(detection["method"])
    settings = {
        "detection": _defaults(methods[detection["method"]]) | detection,
        "localization": _defaults(peak_localization_methods[localization["method"]]) | WINDOW_MS | localization,
    }
    as_json: dict[str, Any] = json.loads(json.dumps(settings, default=lambda array: array.tolist()))
    return as_json


def _method(methods: dict[str, Any], settings: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    return methods[settings["method"]], {name: value for name, value in settings.items() if name != "method"}


def _defaults(method: type[PipelineNode]) -> dict[str, Any]:
    parameters = inspect.signature(method.__init__).parameters.values()
    fixed = {"noise_levels", "return_output", "parents"}
    return {item.name: item.default for item in parameters if item.default is not item.empty and item.name not in fixed}


def is_located(locations: Peaks) -> npt.NDArray[np.bool_]:
    """Whether each peak has a location: where the triangulation fails, SpikeInterface writes zeros.

    Such peaks would be at the tip of the probe, which may be millimetres below the contacts.
    """
    if "z" not in (locations.dtype.names or ()):
        return np.ones(len(locations), bool)
    return np.asarray(locations["z"] != 0)
