"""The drift of the probe: peaks found while the traces are written, and the motion told from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from capsules.common.recordings.peaks import complete_settings, find_peaks, locate
from capsules.common.recordings.saturation import without_frames
from capsules.preprocessing.params import MotionCorrection

LONG_S = 2000.0
"""`dredge_ap` compares every bin of time with every other: 2 GB for this long, four times that for twice as long."""
STRETCH_S = 1000.0
MIN_PEAKS = 200
"""Half of fewer peaks gives no motion to compare."""


@dataclass(frozen=True)
class Recipe:
    """SpikeInterface's preset with the user's changes: the settings of each step of the estimate."""

    detect: dict[str, Any]
    select: dict[str, Any]
    localize: dict[str, Any]
    estimate: dict[str, Any]

    def peak_settings(self) -> dict[str, Any] | None:
        """What the kept peaks depend on; None when only some of them were kept."""
        return None if self.select else complete_settings(self.detect, self.localize)


def recipe(recording: Any, params: MotionCorrection, change: Callable[[str], None] = print) -> Recipe:
    """The settings of each step, as SpikeInterface's `compute_motion` puts them together.

    `win_step_norm` and `win_scale_norm` are fractions of the probe's span along y; SpikeInterface takes micrometres.
    `change` takes what is done otherwise.
    """
    from spikeinterface.preprocessing.motion import motion_options_preset

    estimate = params.estimate_motion_kwargs.model_dump()
    depths = recording.get_channel_locations()[:, 1]
    span_um = float(depths.max() - depths.min())
    for name in ("win_step", "win_scale"):
        fraction = estimate.pop(f"{name}_norm")
        if fraction is not None:
            estimate[f"{name}_um"] = fraction * span_um
    if estimate["bin_s"] is None:
        del estimate["bin_s"]
    preset = deepcopy(motion_options_preset[params.preset])
    if preset["estimate_motion_kwargs"].get("batching_mode") == "offline":
        # The preset `dredge` (0.105.3) has the mode's former name, which the method refuses.
        preset["estimate_motion_kwargs"]["batching_mode"] = "full"
    estimate = preset["estimate_motion_kwargs"] | estimate
    long = recording.get_total_duration() > LONG_S and estimate["method"] == "dredge_ap"
    if long and "batching_mode" not in params.estimate_motion_kwargs.model_dump():
        estimate |= {"batching_mode": "online", "chunk_len_s": STRETCH_S}
        change(f"the drift is estimated in stretches of {STRETCH_S:g} s: all at once would take too much memory")
    return Recipe(
        preset["detect_kwargs"] | params.detect_kwargs.model_dump(),
        preset["select_kwargs"] | params.select_kwargs.model_dump(),
        preset["localize_peaks_kwargs"] | params.localize_peaks_kwargs.model_dump(),
        estimate,
    )


def estimate_motion(
    recording: Any,
    steps: Recipe,
    also: Sequence[Any] = (),
    again: Callable[[], Any] | None = None,
    excluded: Sequence[tuple[int, int]] = (),
) -> dict[str, Any]:
    """Estimate the drift in one pass over the traces; a choice of peaks needs a second look at the chosen ones.

    SpikeInterface's `compute_motion` takes the same steps, but lets nothing else see the traces, and its way with a
    choice of peaks is broken in 0.105.3 (it calls `detect_peaks` as that was before).

    Parameters
    ----------
    recording : BaseRecording
        One segment, filtered and referenced.
    steps : Recipe
    also : sequence of PipelineNode
        Nodes that see the same chunks of traces, e.g. one that writes them.
    again : callable, optional
        Gives the recording for the second look, e.g. as it is written by then.
    excluded : sequence of (int, int)
        Samples, start and end, whose peaks and noise are not used, e.g. where the converter was saturated.

    Returns
    -------
    dict
        SpikeInterface's `motion_info`: `motion`, `peaks`, `peak_locations`, `parameters`.
    """
    from spikeinterface.sortingcomponents import motion
    from spikeinterface.sortingcomponents.peak_selection import select_peaks

    quiet = without_frames(recording, list(excluded))
    if steps.select:
        peaks, _ = find_peaks(recording, steps.detect, None, also, quiet)
        peaks = peaks[_outside(peaks, excluded)]
        peaks = select_peaks(peaks, recording=recording, **({"seed": 0} | steps.select))
        locations = locate(again() if again else recording, peaks, steps.localize)
    else:
        peaks, locations = find_peaks(recording, steps.detect, steps.localize, also, quiet)
        kept = _outside(peaks, excluded)
        peaks, locations = peaks[kept], locations[kept]
    return {
        "peaks": peaks,
        "peak_locations": locations,
        "motion": motion.estimate_motion(recording, peaks, locations, **steps.estimate),
        "parameters": {f"{name}_kwargs": settings for name, settings in vars(steps).items()},
        # Times would make equal results differ; stage.json has them.
        "run_times": {},
    }


def range_interval(recording: Any, info: dict[str, Any], steps: Recipe) -> tuple[float, tuple[float, float] | None]:
    """The range of the estimated motion and the ends of its 95 % interval, in um; None for fewer than MIN_PEAKS.

    Two estimates, each from every second peak, differ by twice the error of the estimate from all peaks; the range is
    the difference of two displacements. This is the error from few or noisy peaks; what a method gets wrong with all
    peaks alike, such as windows that are too wide, is not in it.
    """
    import numpy as np
    from spikeinterface.sortingcomponents import motion

    range_um = float(np.ptp(_displacement(info["motion"])))
    if len(info["peaks"]) < MIN_PEAKS:
        return range_um, None
    halves = []
    for first in (0, 1):
        peaks, locations = info["peaks"][first::2], info["peak_locations"][first::2]
        halves.append(_displacement(motion.estimate_motion(recording, peaks, locations, **steps.estimate)))
    # The last bin of time can be missing in one half.
    bins = min(map(len, halves))
    difference = halves[0][:bins] - halves[1][:bins]
    error_um = float(np.std(difference)) / 2
    margin_um = 1.96 * np.sqrt(2) * error_um
    return range_um, (max(0.0, range_um - margin_um), range_um + margin_um)


def _displacement(motion: Any) -> Any:
    """Displacement in um, (bins of time, windows), of the only segment."""
    return motion.displacement[0]


def _outside(peaks: Any, excluded: Sequence[tuple[int, int]]) -> Any:
    """Which peaks are in none of the excluded periods, which are in order; array of bool, (peaks,)."""
    import numpy as np

    if not excluded:
        return np.ones(len(peaks), dtype=bool)
    starts, ends = np.array(excluded).T
    before = np.searchsorted(starts, peaks["sample_index"], side="right") - 1
    return (before < 0) | (peaks["sample_index"] >= ends[before])
