"""Generated events and responses of units, and a sync document, in the shape that the stages leave."""

from __future__ import annotations

from typing import Any

import numpy as np

from capsules.common.recordings.clock import count_clock
from capsules.visualization.event_lines import EventLine, collect_event_data
from capsules.visualization.event_view import collect_responses
from capsules.visualization.psth import EventResponses, Window

WINDOW = Window(before=50, after=100, width_s=0.01)
LATENCIES_S = (0.06, 0.12, 0.3)


def event_lines(draw: np.random.Generator, duration_s: float, names: tuple[str, ...]) -> list[EventLine]:
    """A stimulus, licks, a camera with more events than a timeline has pixels, and a line without events."""
    stimulus_s = np.arange(10.0, duration_s - 10, 6.0) + draw.uniform(0, 2, len(np.arange(10.0, duration_s - 10, 6.0)))
    lick_s = np.sort(draw.uniform(0, duration_s, 500))
    camera_s = np.arange(30.0, 0.8 * duration_s, 1 / 30)
    high_s = ((stimulus_s, 1.0), (lick_s, 0.05), (camera_s, 0.01), (np.zeros(0), 0.0))
    return [
        _line(f"XD{index}", name, starts_s, length_s)
        for index, (name, (starts_s, length_s)) in enumerate(zip(names, high_s, strict=True))
    ]


def _line(line: str, name: str, starts_s: np.ndarray, length_s: float) -> EventLine:
    edges_s = np.column_stack([starts_s, starts_s + length_s]).ravel()
    return EventLine(
        stream="nidq",
        line=line,
        name=name,
        id=f"nidq_{line}",
        kind="digital",
        edges_s=edges_s,
        rising=np.arange(len(edges_s)) % 2 == 0,
        durations_s=np.append(np.diff(edges_s), np.nan)[: len(edges_s)],
    )


def add_events(
    content: dict[str, Any], seed: int = 0, names: tuple[str, ...] = ("stimulus", "lick", "camera", "XD3")
) -> None:
    """Add the timeline of events to a recording's content, and the responses of its units."""
    draw = np.random.default_rng(seed)
    duration_s = content["recording"]["duration_s"]
    lines = event_lines(draw, duration_s, names)
    content["recording"]["events"] = collect_event_data(
        lines, count_clock(round(30000 * duration_s), 30000.0), duration_s
    )
    if not content["units"]:
        return
    events_s = lines[0].times_s("rising")
    rates_hz = content["units"]["metrics"]["firing_rate"]
    trains_s = [_train(draw, unit, rate_hz, events_s, duration_s) for unit, rate_hz in enumerate(rates_hz)]
    content["units"]["events"] = collect_responses(
        EventResponses(trains_s, events_s, WINDOW), lines[0], "rising", len(events_s) + 2
    )


def _train(draw: np.random.Generator, unit: int, rate_hz: float, events_s: np.ndarray, duration_s: float) -> np.ndarray:
    """Spikes at random; two of five units respond with a burst, one is silent for 0.3 s."""
    spikes_s = np.sort(draw.uniform(0, duration_s, draw.poisson(rate_hz * duration_s)))
    kind = unit % 5
    if kind < 2:
        latency_s = LATENCIES_S[unit % len(LATENCIES_S)]
        lags_s = draw.normal(latency_s, 0.02 + latency_s / 10, (len(events_s), 1 + int(rate_hz / 4)))
        return np.sort(np.concatenate([spikes_s, (events_s[:, None] + lags_s).ravel()]))
    if kind == 2:
        since_s = spikes_s - events_s[np.clip(np.searchsorted(events_s, spikes_s) - 1, 0, None)]
        return spikes_s[(since_s < 0.05) | (since_s > 0.35)]
    return spikes_s


def sync_content() -> dict[str, Any]:
    """A sync document with each status."""
    draw = np.random.default_rng(3)
    residuals = [[float(second), round(float(draw.normal(0, 6)), 2)] for second in np.linspace(2, 1798, 450)]
    aligned = {
        "stream": "imec0.ap",
        "reference": "nidq",
        "status": "aligned",
        "line": "SY6",
        "reference_line": "XD7",
        "own_s": [0.0, 1800.0],
        "reference_s": [0.0021, 1800.0124],
        "pulses": 1798,
        "reference_pulses": 1800,
        "matched": 1795,
        "period_s": 1.0,
        "drift_ppm": -5.77,
        "offset_s": 0.0021,
        "residual_rms_us": 6.1,
        "residual_max_us": 19.4,
        "residuals": residuals,
        "problems": ["3 pulses are missing on imec0.ap"],
    }
    bare = dict.fromkeys(("drift_ppm", "offset_s", "residual_rms_us", "residual_max_us"))
    bare |= {"own_s": [], "reference_s": [], "residuals": [], "problems": []}
    reference = aligned | bare | {"stream": "nidq", "status": "reference", "line": "XD7", "pulses": 1800, "matched": 0}
    ambiguous = (
        aligned
        | bare
        | {
            "stream": "imec1.ap",
            "status": "ambiguous",
            "pulses": 1700,
            "matched": 0,
            "problems": ["offsets of 0, 1 and 2 s fit equally well: give the start time in job_dispatch.sync"],
        }
    )
    silent = aligned | bare | {"stream": "imec2.ap", "status": "no pulses", "line": None, "pulses": 0, "matched": 0}
    failed = (
        aligned
        | bare
        | {"stream": "obx0", "status": "failed", "matched": 12, "pulses": 1700, "problems": ["12 of 1700 pulses match"]}
    )
    streams = [reference, aligned, ambiguous, silent, failed]
    return {"blocks": {"block0": {"reference": "nidq", "streams": streams}}}
