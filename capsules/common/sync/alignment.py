"""The map from a stream's own seconds to those of the reference stream, and how well the pulses fit it."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

Status = Literal["reference", "aligned", "ambiguous", "no pulses", "failed"]
"""`ambiguous`: the pulses fit several offsets, all of them whole periods apart. Only `aligned` has knots."""

MOST_RESIDUALS = 500
"""An alignment is in each job, which must stay small. Keep the largest of each stretch, so that no outlier is lost."""


class Alignment(BaseModel):
    """How a stream's clock relates to the clock of the reference stream: piecewise linear between knots.

    Attributes
    ----------
    stream, reference : str
        The stream, and the stream whose clock is the reference.
    status : str
        `reference`, `aligned`, `ambiguous` (the pulses fit several offsets), `no pulses` or `failed`.
    line, reference_line : str or None
        The lines with the sync pulses.
    own_s, reference_s : list of float
        The knots on the stream's own clock, and the same moments on the reference clock (s). Both are empty unless
        `status` is `aligned`; the map is the identity then.
    pulses, reference_pulses, matched : int
        How many pulses each line has, and how many of them are pairs.
    period_s : float or None
        Period of regular pulses; None for coded ones, whose intervals vary.
    drift_ppm : float or None
        How much longer a second of the stream lasts on the reference clock.
    offset_s : float or None
        How much later the recording starts on the reference clock.
    residual_rms_us, residual_max_us : float or None
        Differences between matched pulses and the map.
    residuals : list of (float, float)
        Time on the reference clock (s) and residual (us), over the whole recording; at most 500, the largest of each
        stretch.
    problems : list of str
        Lines for the user.
    """

    model_config = ConfigDict(extra="forbid")

    stream: str
    reference: str
    status: Status
    line: str | None = None
    reference_line: str | None = None
    own_s: list[float] = []
    reference_s: list[float] = []
    pulses: int = 0
    reference_pulses: int = 0
    matched: int = 0
    period_s: float | None = None
    drift_ppm: float | None = None
    offset_s: float | None = None
    residual_rms_us: float | None = None
    residual_max_us: float | None = None
    residuals: list[tuple[float, float]] = Field([], max_length=MOST_RESIDUALS)
    problems: list[str] = []

    @model_validator(mode="after")
    def _check_knots(self) -> Self:
        increasing = all(
            earlier < later for knots in (self.own_s, self.reference_s) for earlier, later in pairwise(knots)
        )
        enough = len(self.own_s) == len(self.reference_s) and len(self.own_s) != 1
        if not increasing or not enough or bool(self.own_s) != (self.status == "aligned"):
            raise ValueError("an aligned stream has two or more knots that increase on both clocks, any other has none")
        return self

    def map(self, own_s: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Times of the stream (array of float, any shape, s) on the reference clock; extrapolated beyond the ends."""
        return _interpolate(own_s, self.own_s, self.reference_s)

    def unmap(self, reference_s: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Times on the reference clock (array of float, any shape, s) by the stream's own clock."""
        return _interpolate(reference_s, self.reference_s, self.own_s)

    def slope(self, own_s: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Seconds of the reference per own second, at own times; at a knot, that of the stretch that begins there."""
        own_s = np.asarray(own_s, dtype=float)
        if not self.own_s:
            return np.ones_like(own_s)
        slopes = np.diff(self.reference_s) / np.diff(self.own_s)
        stretch = (np.searchsorted(self.own_s, own_s, side="right") - 1).clip(0, len(slopes) - 1)
        chosen: npt.NDArray[np.float64] = slopes[stretch]
        return chosen


def _interpolate(times_s: npt.ArrayLike, source_s: list[float], target_s: list[float]) -> npt.NDArray[np.float64]:
    times = np.asarray(times_s, dtype=float)
    if not source_s:
        return times.copy()
    # Interpolated is the difference of the clocks: it is small, so that no digit of a long time is lost.
    shifts = np.asarray(target_s) - np.asarray(source_s)
    stretch = (np.searchsorted(source_s, times, side="right") - 1).clip(0, len(source_s) - 2)
    starts, ends = np.asarray(source_s)[stretch], np.asarray(source_s)[stretch + 1]
    fraction = (times - starts) / (ends - starts)
    mapped: npt.NDArray[np.float64] = times + shifts[stretch] + fraction * (shifts[stretch + 1] - shifts[stretch])
    return mapped
