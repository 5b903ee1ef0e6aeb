"""The drift of the probe: peaks are detected while the traces are written, and the motion is estimated from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, TypedDict, cast

import numpy as np
import numpy.typing as npt
from spikeinterface import BaseRecording
from spikeinterface.core.motion import Motion
from spikeinterface.core.node_pipeline import PipelineNode
from spikeinterface.preprocessing.motion import motion_options_preset
from spikeinterface.sortingcomponents import motion
from spikeinterface.sortingcomponents.peak_selection import select_peaks

from capsules.common.recordings.dredge_stretches import DREDGE_PRESETS, choose_batching
from capsules.common.recordings.peaks import complete_settings, detect_peaks, localize_peaks
from capsules.common.recordings.saturation import Frames, remove_frames
from capsules.preprocessing.params import MotionCorrection

RANGE_S = 300.0
"""The interval of a longer recording's range is estimated from so many seconds in its middle."""
MIN_WINDOW_UM = 100.0
"""Narrower windows have too few peaks: with 46 um on a short probe, an end was wrong by 10 um rms, with 100 um by 3."""
MIN_PEAKS = 200
"""Half of fewer peaks gives no motion to compare."""

Array = npt.NDArray[Any]


class MotionInfo(TypedDict):
    """SpikeInterface's `motion_info`."""

    peaks: Array
    peak_locations: Array
    motion: Motion
    parameters: dict[str, dict[str, Any]]
    run_times: dict[str, float]


@dataclass(frozen=True)
class Recipe:
    """SpikeInterface's preset with the user's changes: the settings of each step of the estimate."""

    detect: dict[str, Any]
    select: dict[str, Any]
    localize: dict[str, Any]
    estimate: dict[str, Any]

    def peak_settings(self) -> dict[str, Any] | None:
        """The settings that the saved peaks depend on; None when a selection of peaks was saved."""
        return None if self.select else complete_settings(self.detect, self.localize)


def make_recipe(
    recording: BaseRecording, params: MotionCorrection, record_change: Callable[[str], None] = print
) -> Recipe:
    """Combine the settings of each step as SpikeInterface's `compute_motion` does.

    `win_step_norm` and `win_scale_norm` are fractions of the probe's span along y; SpikeInterface takes micrometres.
    The windows are not narrower than MIN_WINDOW_UM. `record_change` records an automatic adjustment.
    """
    chosen = params.estimate_motion_kwargs.model_dump()
    depths_um = recording.get_channel_locations()[:, 1]
    span_um = float(depths_um.max() - depths_um.min())
    for name in ("win_step", "win_scale"):
        fraction = chosen.pop(f"{name}_norm")
        if fraction is not None:
            chosen[f"{name}_um"] = max(fraction * span_um, MIN_WINDOW_UM)
            if fraction * span_um < MIN_WINDOW_UM:
                record_change(
                    f"motion_correction: {name}_um is {MIN_WINDOW_UM:g}, not {fraction * span_um:g} ({name}_norm = "
                    f"{fraction:g}): narrower windows have too few peaks"
                )
    if chosen["bin_s"] is None:
        del chosen["bin_s"]
    preset = deepcopy(cast(dict[str, Any], motion_options_preset[params.preset]))
    estimate = preset["estimate_motion_kwargs"] | chosen
    if params.preset in DREDGE_PRESETS:
        estimate |= choose_batching(chosen, recording.get_total_duration(), record_change)
    return Recipe(
        preset["detect_kwargs"] | params.detect_kwargs.model_dump(),
        preset["select_kwargs"] | params.select_kwargs.model_dump(),
        preset["localize_peaks_kwargs"] | params.localize_peaks_kwargs.model_dump(),
        estimate,
    )


def estimate_motion(
    recording: BaseRecording,
    recipe: Recipe,
    nodes: Sequence[PipelineNode] = (),
    load_written: Callable[[], BaseRecording] | None = None,
    excluded: Frames | None = None,
) -> MotionInfo:
    """Estimate the motion in one pass over the traces; a selection of peaks needs a second pass to localize them.

    SpikeInterface's `compute_motion` has the same steps, but shares its pass with no other node, and its selection of
    peaks is broken in 0.105.3 (it calls `detect_peaks` with the arguments of a former version).

    Parameters
    ----------
    recording : BaseRecording
        One segment, filtered and referenced.
    recipe : Recipe
    nodes : sequence of PipelineNode
        More nodes of the same pass, e.g. one that writes the traces.
    load_written : callable, optional
        Returns the recording for the second pass, e.g. as the first one wrote it.
    excluded : Frames, optional
        Periods whose peaks and noise are not used, e.g. where the converter was saturated.
    """
    excluded = excluded or []
    quiet = remove_frames(recording, excluded)
    if recipe.select:
        peaks, _ = detect_peaks(recording, recipe.detect, None, nodes, quiet)
        peaks = peaks[_are_outside(peaks, excluded)]
        peaks = select_peaks(peaks, recording=recording, **({"seed": 0} | recipe.select))
        locations = localize_peaks(load_written() if load_written else recording, peaks, recipe.localize)
    else:
        peaks, locations = detect_peaks(recording, recipe.detect, recipe.localize, nodes, quiet)
        outside = _are_outside(peaks, excluded)
        peaks, locations = peaks[outside], locations[outside]
    return {
        "peaks": peaks,
        "peak_locations": locations,
        "motion": _estimate(recording, peaks, locations, recipe),
        "parameters": {f"{name}_kwargs": settings for name, settings in vars(recipe).items()},
        # Times would make equal results differ; stage.json has them.
        "run_times": {},
    }


def estimate_range(
    recording: BaseRecording, info: MotionInfo, recipe: Recipe
) -> tuple[float, tuple[float, float] | None]:
    """The range of the estimated motion and its 95 % interval, in um; None instead for fewer than MIN_PEAKS.

    Two estimates, each from every second peak, differ by twice the error of the estimate from all peaks; the range is
    the difference of two displacements. The interval covers the error from few or noisy peaks; it does not cover what
    a method gets wrong with all peaks alike, such as windows that are too wide. The error is that of RANGE_S in the
    middle, since the work grows with the square of the time.
    """
    range_um = float(np.ptp(_displacement_um(info["motion"])))
    recording, all_peaks, all_locations = _select_middle(recording, info["peaks"], info["peak_locations"])
    if len(all_peaks) < MIN_PEAKS:
        return range_um, None
    halves = []
    for first in (0, 1):
        peaks, locations = all_peaks[first::2], all_locations[first::2]
        halves.append(_displacement_um(_estimate(recording, peaks, locations, recipe)))
    # The last bin of time can be missing in one half.
    bins = min(map(len, halves))
    error_um = float(np.std(halves[0][:bins] - halves[1][:bins])) / 2
    margin_um = float(1.96 * np.sqrt(2) * error_um)
    return range_um, (max(0.0, range_um - margin_um), range_um + margin_um)


def _select_middle(recording: BaseRecording, peaks: Array, locations: Array) -> tuple[BaseRecording, Array, Array]:
    """RANGE_S in the middle of a longer recording, with its peaks."""
    first = int((recording.get_total_duration() - RANGE_S) / 2 * recording.sampling_frequency)
    if first <= 0:
        return recording, peaks, locations
    end = first + int(RANGE_S * recording.sampling_frequency)
    inside = (peaks["sample_index"] >= first) & (peaks["sample_index"] < end)
    chosen = peaks[inside]
    chosen["sample_index"] -= first
    return recording.frame_slice(first, end), chosen, locations[inside]


def _estimate(recording: BaseRecording, peaks: Array, locations: Array, recipe: Recipe) -> Motion:
    return cast(Motion, motion.estimate_motion(recording, peaks, locations, **recipe.estimate))


def _displacement_um(estimate: Motion) -> Array:
    """Displacement, (bins of time, windows), of the only segment."""
    displacement_um: Array = estimate.displacement[0]
    return displacement_um


def _are_outside(peaks: Array, excluded: Frames) -> npt.NDArray[np.bool_]:
    """Which peaks are in none of the excluded periods, which are in order; (peaks,)."""
    if not excluded:
        return np.ones(len(peaks), dtype=bool)
    starts, ends = np.array(excluded).T
    samples = peaks["sample_index"]
    before = np.searchsorted(starts, samples, side="right") - 1
    outside: npt.NDArray[np.bool_] = (before < 0) | (samples >= ends[before])
    return outside
