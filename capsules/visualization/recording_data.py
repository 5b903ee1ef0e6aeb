"""The report's data of the recording: periods, noise, drift, motion and LFP; a part is None where it is unknown."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from spikeinterface.core.motion import Motion

from capsules.common.facts import MotionRange, PreprocessingFacts
from capsules.visualization.channel_figures import ChannelStatistics
from capsules.visualization.lfp import LfpPower
from capsules.visualization.spike_statistics import compress
from capsules.visualization.unit_data import pack

DRIFT_SHAPE = (200, 400)
"""Most bins of depth and of time in the image of the drift."""
MIN_HEIGHT_UM = 5.0
"""Peaks are localised no better than this."""
MOST_PERIODS = 1000
"""Of each kind in the report, whose timeline has about as many pixels."""

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Period:
    """A period of the recording, in seconds from the first sample that was written.

    `missing_s`: how long a gap lasted. A gap has no length in the traces, which continue after it. `count`: how many
    periods were joined.
    """

    kind: str
    start_s: float
    end_s: float
    missing_s: float = 0.0
    count: int = 1


@dataclass(frozen=True)
class Peaks:
    """Peaks of the traces: seconds, depth and amplitude of each, and which part of the recording they are from.

    `slices_s` are the starts of the equally spaced parts that were read, None when all of it was.
    """

    seconds: Array
    depths_um: Array
    amplitudes: Array
    slices_s: Array | None = None


@dataclass(frozen=True)
class DriftImage:
    """A value for each cell of depth and time, (depth bins, time bins)."""

    values: Array
    width_s: float
    lowest_um: float
    height_um: float


def list_periods(facts: PreprocessingFacts) -> list[Period]:
    """Saturated periods, artifacts (detected and listed) and gaps, in order."""
    saturated = facts.saturation.excluded_s if facts.saturation else []
    artifacts = [*facts.artifacts.detected_s, *facts.artifacts.listed_s] if facts.artifacts else []
    periods = [Period("saturation", start_s, end_s) for start_s, end_s in saturated]
    periods += [Period("artifact", start_s, end_s) for start_s, end_s in artifacts]
    if facts.clock is not None:
        seconds = [(sample / facts.clock.sampling_frequency_hz, length_s) for sample, _, length_s in facts.clock.gaps()]
        periods += [Period("gap", at_s, at_s, length_s) for at_s, length_s in seconds]
    return sorted(periods, key=lambda period: (period.start_s, period.kind))


def join_close_periods(periods: list[Period], duration_s: float) -> list[Period]:
    """Periods of a kind that has too many, joined with the next where both are at the same place of a timeline."""
    joined: list[Period] = []
    for kind in dict.fromkeys(period.kind for period in periods):
        same = [period for period in periods if period.kind == kind]
        kept = same[:1]
        for period in same[1:]:
            last = kept[-1]
            if len(same) > MOST_PERIODS and period.start_s - last.end_s < duration_s / MOST_PERIODS:
                end_s, missing_s = max(last.end_s, period.end_s), last.missing_s + period.missing_s
                kept[-1] = replace(last, end_s=end_s, missing_s=missing_s, count=last.count + 1)
            else:
                kept.append(period)
        joined += kept
    return sorted(joined, key=lambda period: (period.start_s, period.kind))


def motion_error_um(motion: MotionRange | None) -> float | None:
    """Half of the 95 % interval of one displacement; None for too few peaks.

    Preprocessing leaves the interval of the range, which is the difference of two displacements.
    """
    if motion is None or motion.range_interval_um is None:
        return None
    return (motion.range_interval_um[1] - motion.range_um) / float(np.sqrt(2))


def image_drift(peaks: Peaks, duration_s: float, depths_um: Array) -> DriftImage:
    """Sum the peaks' amplitudes in cells of depth and time.

    Parameters
    ----------
    peaks : Peaks
    duration_s : float
    depths_um : array, (channels,)
        The image spans these.
    """
    low_um, high_um = float(depths_um.min()), float(depths_um.max())
    rows = int(np.clip((high_um - low_um) / MIN_HEIGHT_UM, 1, DRIFT_SHAPE[0]))
    columns = min(DRIFT_SHAPE[1], max(1, int(duration_s)))
    if peaks.slices_s is not None:
        columns = min(columns, len(peaks.slices_s))
    height_um = max((high_um - low_um) / rows, 1e-3)
    values, _, _ = np.histogram2d(
        peaks.depths_um,
        peaks.seconds,
        bins=(rows, columns),
        range=((low_um, low_um + rows * height_um), (0, duration_s)),
        weights=np.abs(peaks.amplitudes),
    )
    return DriftImage(values, duration_s / columns, low_um, height_um)


def collect_recording_data(
    statistics: dict[str, ChannelStatistics],
    facts: PreprocessingFacts,
    duration_s: float,
    drift: DriftImage | None,
    motion: Motion | None,
    lfp: LfpPower | None,
) -> dict[str, Any]:
    """Collect what the report shows of a recording.

    Parameters
    ----------
    statistics : dict
        `raw` and, where the traces were written, `preprocessed` -> statistics of the channels.
    facts : PreprocessingFacts
    duration_s : float
        Of the preprocessed traces, or of the raw recording without them.
    drift : DriftImage or None
    motion : spikeinterface Motion or None
    lfp : LfpPower or None
    """
    raw = statistics["raw"]
    return {
        "duration_s": duration_s,
        "rate_hz": raw.rate_hz,
        "channels": len(raw.ids),
        "start_s": facts.start_s or 0.0,
        "periods": [asdict(period) for period in join_close_periods(list_periods(facts), duration_s)],
        "channels_noise": _noise(raw, statistics.get("preprocessed")),
        "drift": None if drift is None else _pack_drift(drift),
        "motion": None if motion is None else _motion(motion, motion_error_um(facts.motion)),
        "lfp": None if lfp is None else _lfp(lfp),
    }


def _noise(raw: ChannelStatistics, preprocessed: ChannelStatistics | None) -> dict[str, Any]:
    """Noise of each raw channel; None after preprocessing for those that were removed."""
    after: list[float | None] | None = None
    if preprocessed is not None:
        values = dict(zip(preprocessed.ids, preprocessed.noise, strict=True))
        after = [_rounded(values[channel]) if channel in values else None for channel in raw.ids]
    return {
        "depth_um": [_rounded(depth) for depth in raw.depths_um],
        "raw_uv": [_rounded(value) for value in raw.noise],
        "preprocessed_uv": after,
        "physical_unit": raw.physical_unit,
    }


def _pack_drift(image: DriftImage) -> dict[str, Any]:
    return {
        "counts": pack(compress(image.values, axes=(0, 1)), "u1"),
        "shape": list(image.values.shape),
        "start_s": 0.0,
        "width_s": image.width_s,
        "lowest_um": image.lowest_um,
        "height_um": image.height_um,
    }


def _motion(motion: Motion, error_um: float | None) -> dict[str, Any]:
    depths_um, displacement = np.atleast_1d(motion.spatial_bins_um), motion.displacement[0]
    return {
        "times_s": [_rounded(time) for time in motion.temporal_bins_s[0]],
        "depths_um": [_rounded(depth) for depth in depths_um],
        "displacement_um": pack(displacement, "f4"),
        # Preprocessing leaves one estimate for all depths.
        "error_um": None if error_um is None else [_rounded(error_um)] * len(depths_um),
    }


def _lfp(lfp: LfpPower) -> dict[str, Any]:
    return {
        "depths_um": [_rounded(depth) for depth in lfp.depths_um],
        "bands": {name: [_rounded(value) for value in values] for name, values in lfp.bands_db.items()},
        "physical_unit": lfp.physical_unit,
        "surface_um": None if lfp.surface_um is None else _rounded(lfp.surface_um),
        "surface_reason": lfp.surface_reason,
        "source": lfp.source,
    }


def _rounded(value: float) -> float:
    return round(float(value), 3)
