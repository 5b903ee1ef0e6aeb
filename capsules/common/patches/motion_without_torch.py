"""SpikeInterface's DREDge (0.105.3) without torch, for the motion of spikes: `motion_correlations` correlates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from spikeinterface.sortingcomponents.motion import dredge
from spikeinterface.sortingcomponents.motion.motion_utils import get_window_domains

from capsules.common.recordings import motion_correlations
from capsules.common.tasks.resources import count_cores


def leave_torch_out_of_dredge() -> None:
    """Correlate by numpy's matrix products for the rest of this process.

    SpikeInterface imports torch, which takes 2 to 4 s and 270 MB, and correlates on a GPU where it finds one: another
    recording may be sorted there, and needs its memory.
    """
    if dredge.xcorr_windows.__module__ != __name__:
        module: Any = dredge
        module.xcorr_windows = _without_torch(dredge.xcorr_windows)
        module.DredgeApRegistration.run = classmethod(_run)  # type: ignore[arg-type]  # `cls` by name


def _without_torch(plain: Callable[..., Any]) -> Callable[..., Any]:
    def correlate_windows(
        raster_a: Any,
        windows: Any,
        spatial_bin_edges_um: Any,
        win_scale_um: float,
        raster_b: Any = None,
        rigid: bool = False,
        bin_um: float = 1,
        max_disp_um: float | None = None,
        max_dt_bins: int | None = None,
        progress_bar: bool = True,
        **rare: Any,
    ) -> tuple[Any, Any, float]:
        if not (rare.pop("centered", True) and rare.pop("normalized", True)) or any(
            value is not None for value in rare.values()
        ):
            raise NotImplementedError(f"correlations without torch, with {rare}")
        if max_disp_um is None:
            max_disp_um = int((np.ptp(spatial_bin_edges_um) if rigid else win_scale_um) // 4)
        max_bins = int(max_disp_um // bin_um)
        searched = raster_a if raster_b is None else raster_b
        depths = len(raster_a)
        compared = []
        for window, domain in zip(windows, get_window_domains(windows), strict=True):
            low, high = max(0, domain.start - max_bins), min(depths, domain.stop + max_bins)
            padding = max(low - domain.start + max_bins, domain.stop + max_bins - high)
            left, right = padding + domain.start - low, padding + high - domain.stop
            compared.append(
                motion_correlations.Window(
                    _by_time(raster_a[domain]),
                    _by_time(searched[low:high]),
                    np.asarray(window[domain], np.float32),
                    -np.arange(-left, right + 1) * bin_um,
                    padding,
                )
            )
        displacements, correlations = motion_correlations.correlate_windows(compared, max_dt_bins, count_cores())
        return displacements, correlations, max_disp_um

    return correlate_windows


def _by_time(raster: Any) -> motion_correlations.Floats:
    """(bins of time, depths), with the depths of a bin next to each other."""
    return np.ascontiguousarray(np.asarray(raster, np.float32).T)


def _run(
    cls: Any,
    recording: Any,
    peaks: Any,
    peak_locations: Any,
    direction: str,
    rigid: bool,
    win_shape: str,
    win_step_um: float,
    win_scale_um: float,
    win_margin_um: float | None,
    verbose: bool,
    progress_bar: bool,
    extra: dict[str, Any] | None,
    **settings: Any,
) -> Any:
    """`DredgeApRegistration.run` without its import of torch."""
    windows = {"win_shape": win_shape, "win_step_um": win_step_um, "win_scale_um": win_scale_um}
    settings |= windows | {"win_margin_um": win_margin_um, "direction": direction, "rigid": rigid}
    result = dredge.dredge_ap(
        recording, peaks, peak_locations, extra_outputs=extra is not None, progress_bar=progress_bar, **settings
    )
    if extra is None:
        return result
    motion, more = result
    extra.update(more)
    return motion
