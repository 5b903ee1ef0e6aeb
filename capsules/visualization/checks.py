"""Is this session good? A few figures of a recording and its units, each beside the range where nobody would worry.

The ranges are conventions of extracellular recording in general; a figure outside its range is a reason to look at
the figures, not a verdict.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Check:
    """One figure: what it is, its range (None: no such end), and why it matters."""

    name: str
    unit: str
    low: float | None
    high: float | None
    meaning: str


BAD_CHANNELS = Check("bad channels", "%", None, 10, "dead, noisy or outside the brain")
NOISE = Check("noise, median channel", "uV", 1, 20, "after preprocessing; less is a channel that records nothing")
DRIFT = Check("drift, upper end", "um", None, 40, "upper end of the 95 % interval of the range of the estimated motion")
UNITS = Check("units", "", 1, None, "what the sorter found, without duplicates")
GOOD_UNITS = Check("good units", "", 1, None, "that meet curation.query")
UNDETERMINED_UNITS = Check("undetermined units", "", None, None, "too few spikes or too little evidence for a label")
SUSPICIOUS_UNITS = Check("suspicious good units", "", None, 0, "good by the query, and marked as mixed or drifting")


def result(check: Check, value: float | None) -> dict[str, Any] | None:
    """The check with its `value` and whether it is `within` its range; None without a value."""
    if value is None:
        return None
    below = check.low is not None and value < check.low
    above = check.high is not None and value > check.high
    return asdict(check) | {"value": round(float(value), 2), "within": not (below or above)}


def check_all(records: dict[str, dict[str, Any] | None], channels: int, noise_uv: float | None) -> list[dict[str, Any]]:
    """All checks that the recording came far enough for.

    Parameters
    ----------
    records : dict
        Stage -> its `stage.json`, or None.
    channels : int
        Of the raw recording.
    noise_uv : float or None
        Median over the channels, after preprocessing.
    """
    facts = {stage: record["facts"] if record else {} for stage, record in records.items()}
    bad, motion, curated = (
        facts["preprocessing"].get("bad_channels"),
        facts["preprocessing"].get("motion"),
        facts["curation"],
    )
    values = [
        (BAD_CHANNELS, None if bad is None else 100 * sum(map(len, bad.values())) / channels),
        (NOISE, noise_uv),
        (UNITS, curated.get("units")),
        (GOOD_UNITS, curated.get("good_units")),
        (UNDETERMINED_UNITS, curated.get("undetermined_units")),
        (SUSPICIOUS_UNITS, curated.get("suspicious_good_units")),
    ]
    if motion:
        low_um, high_um = motion["range_interval_um"] or (None, motion["range_um"])
        ends = "unknown: too few peaks" if low_um is None else f"{low_um:g} to {high_um:g} um"
        estimate = f"; estimate {motion['range_um']:g} um, interval {ends}"
        values.insert(2, (replace(DRIFT, meaning=DRIFT.meaning + estimate), high_um))
    return [found for check, value in values if (found := result(check, value)) is not None]
