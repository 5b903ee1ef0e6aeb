"""Is this session good? Checks of a recording and its units, each compared with a typical range.

The ranges are conventions of extracellular recording in general: a value outside its range is a reason to inspect the
figures, not a verdict.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from capsules.common.facts import CurationFacts, MotionRange, PreprocessingFacts


@dataclass(frozen=True)
class Check:
    """A checked quantity: its typical range (None: no limit), and its meaning."""

    name: str
    physical_unit: str
    low: float | None
    high: float | None
    meaning: str

    def result(self, value: float) -> dict[str, Any]:
        """The check as the report shows it, with its `value` and whether this is `within` the range."""
        below = self.low is not None and value < self.low
        above = self.high is not None and value > self.high
        return {
            "name": self.name,
            "unit": self.physical_unit,
            "low": self.low,
            "high": self.high,
            "meaning": self.meaning,
            "value": round(float(value), 2),
            "within": not (below or above),
        }


BAD_CHANNELS = Check("bad channels", "%", None, 10, "dead, noisy or outside the brain")
NOISE = Check("noise, median channel", "uV", 1, 20, "after preprocessing; a channel with less records nothing")
DRIFT = Check("drift, upper end", "um", None, 40, "upper end of the 95 % interval of the range of the estimated motion")
UNITS = Check("units", "", 1, None, "units that the sorter detected, without duplicates")
GOOD_UNITS = Check("good units", "", 1, None, "units that meet curation.query")
UNDETERMINED_UNITS = Check("undetermined units", "", None, None, "too few spikes or too little evidence for a label")
SUSPICIOUS_UNITS = Check("suspicious good units", "", None, 0, "good by the query, and marked as mixed or drifting")


def check_recording(
    preprocessing: PreprocessingFacts, curation: CurationFacts, channels: int, noise_uv: float | None
) -> list[dict[str, Any]]:
    """All checks for which the earlier stages left a value.

    Parameters
    ----------
    preprocessing, curation
        What these stages left; without values where a stage did not run.
    channels : int
        Of the raw recording.
    noise_uv : float or None
        Median over the channels, after preprocessing.
    """
    bad = preprocessing.bad_channels
    drift_um, drift_remark = _upper_drift(preprocessing.motion)
    values = [
        (BAD_CHANNELS, None if bad is None else 100 * sum(map(len, bad.values())) / channels),
        (NOISE, noise_uv),
        (replace(DRIFT, meaning=DRIFT.meaning + drift_remark), drift_um),
        (UNITS, curation.units),
        (GOOD_UNITS, curation.good_units),
        (UNDETERMINED_UNITS, curation.undetermined_units),
        (SUSPICIOUS_UNITS, curation.suspicious_good_units),
    ]
    return [check.result(value) for check, value in values if value is not None]


def _upper_drift(motion: MotionRange | None) -> tuple[float | None, str]:
    """The upper end of the drift's range in um, and a remark on the estimate."""
    if motion is None:
        return None, ""
    low_um, high_um = motion.range_interval_um or (None, motion.range_um)
    interval = "unknown: too few peaks" if low_um is None else f"{low_um:g} to {high_um:g} um"
    return high_um, f"; estimate {motion.range_um:g} um, interval {interval}"
