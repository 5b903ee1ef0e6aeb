"""SpikeInterface's template metrics (0.105.3) corrected: only the chosen metrics, on any probe."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from spikeinterface.metrics.template import metrics, template_metrics

Floats = npt.NDArray[np.floating[Any]]


def mend_template_metrics() -> None:
    """For the rest of this process, add no metric that was not chosen, and accept units with channels at one depth.

    SpikeInterface adds the metrics of several channels from 64 channels on, whichever were chosen. Its spread fails
    for all units when one unit has no spikes, or its channels at one depth: as on contacts that are
    further apart than the sparsity's radius.
    """
    template_metrics.MIN_CHANNELS_FOR_MULTI_CHANNEL_METRICS = sys.maxsize
    if metrics.get_spread.__module__ != __name__:
        metrics.get_spread = _spread(metrics.get_spread, metrics.transform_column_range)


def _spread(plain: Callable[..., float], in_column: Callable[..., Any]) -> Callable[..., float]:
    def spread(template: Floats, channel_locations: Floats, sampling_frequency: float, **settings: Any) -> float:
        _, places = in_column(template, channel_locations, settings["column_range"])
        depths = places[:, 1 if settings["depth_direction"] == "y" else 0]
        if np.ptp(depths) == 0 or not np.any(template):
            return np.nan
        return plain(template, channel_locations, sampling_frequency, **settings)

    return spread
