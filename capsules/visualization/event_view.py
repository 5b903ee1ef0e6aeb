"""What visualization shows of events: their timeline, and the responses of the units to the line that is named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from capsules.common.recordings.clock import Clock
from capsules.common.tasks.task import Task
from capsules.visualization import event_figures
from capsules.visualization.event_lines import (
    EventLine,
    are_inside,
    choose_line,
    collect_event_data,
    list_names,
    read_event_lines,
)
from capsules.visualization.params import VisualizationParams
from capsules.visualization.pictures import Gallery
from capsules.visualization.psth import (
    MIN_EVENTS,
    MOST_EVENTS,
    EventResponses,
    Window,
    make_window,
    select_covered,
)
from capsules.visualization.spike_statistics import SpikeStatistics
from capsules.visualization.unit_data import pack

TIMELINE_CAPTION = (
    "Timeline of events: rising edges of each digital line over time, darker where there are more; their number is in "
    "brackets. A line that stops before the end was disconnected, or its device stopped"
)
OVERVIEW_CAPTION = (
    "Units around the {edge} edges of {line}: above, their mean firing rate; below, z-score of each unit, by the time "
    "of its peak and by depth. Red is a higher rate than before the event, blue a lower one; a column at 0 s in all "
    "units is an artifact of the stimulus"
)
UNITS_CAPTION = (
    "Each unit around the {edge} edges of {line}, {start:g} to {end:g} s: above, a mark for each spike, one row for "
    "each event, the first at the top; below, the PSTH, scaled to its highest bin. A response is a change after the "
    "red line"
)
WHOLE_Z = 100
"""z-scores are written for the report in hundredths."""

Array = npt.NDArray[Any]
EventTask = Task[VisualizationParams]


def load_event_lines(task: EventTask) -> list[EventLine]:
    """The lines of the recording's block; where the events stage failed, those that it wrote, and it is recorded."""
    block = task.job.block
    record = task.input_record("events", block)
    if record is None or record["status"] != "ok":
        reason = "the stage left nothing" if record is None else record["reason"]
        task.change(f"events are missing: {reason}")
    return read_event_lines(task.input("events", "stage.json", block).parent)


def show_event_timeline(
    task: EventTask, gallery: Gallery, lines: Sequence[EventLine], clock: Clock, duration_s: float
) -> dict[str, Any] | None:
    """Draw the timeline of all lines and return it for the report; None without lines."""
    if any(are_inside(line.edges_s, clock).any() for line in lines):
        figure = event_figures.draw_event_timeline(lines, clock, duration_s)
        gallery.add(figure, "quality_control/events", TIMELINE_CAPTION, in_report=False)
    elif lines:
        task.change("no timeline of events: no line has an event during this recording")
    return collect_event_data(lines, clock, duration_s)


def show_responses(
    task: EventTask,
    gallery: Gallery,
    lines: Sequence[EventLine],
    clock: Clock,
    statistics: SpikeStatistics,
    depths_um: Array | None,
    bad: Array,
) -> dict[str, Any] | None:
    """Draw raster and PSTH of each unit for the line that the parameters name, and return them for the report.

    Where they cannot be computed, `reason` says why; None where there is nothing to say.
    """
    line = _choose(task, lines)
    if not isinstance(line, EventLine):
        return None if line is None else {"reason": line}
    settings, window = task.params.events, make_window(task.params.events)
    if window.width_s > 1.001 * settings.bin_ms / 1000:
        task.change(f"events.bin_ms: {window.width_s * 1000:.4g} ms, so that the window has at most {window.bins} bins")
    times_s = line.times_s(settings.edge)
    events_s = select_covered(times_s, window, clock.intervals())
    if reason := _too_few(line, settings.edge, len(times_s), len(events_s), statistics.units):
        task.warn(f"no raster and PSTH: {reason}")
        return {"reason": reason}
    if len(events_s) < len(times_s):
        task.change(
            f"PSTH of {line.name}: {len(times_s) - len(events_s)} of {len(times_s)} events are left out, since the "
            "window around them is not whole in this recording (its ends and gaps)"
        )
    if len(events_s) > MOST_EVENTS:
        task.change(f"PSTH of {line.name}: {MOST_EVENTS} of {len(events_s)} events are used, evenly spread")
    trains_s = [clock.seconds(train) for train in statistics.trains]
    responses = EventResponses(trains_s, events_s, window)
    _draw(task, gallery, responses, line, depths_um, bad, statistics.ids)
    return collect_responses(responses, line, settings.edge, len(times_s))


def _choose(task: EventTask, lines: Sequence[EventLine]) -> EventLine | str | None:
    """The line that the user names, why there is none, or None where no line is named and none exists."""
    asked = task.params.events.line
    if asked is None:
        names = [line.name for line in lines if len(line.edges_s)]
        return f"set visualization.events.line to one of {list_names(names)}" if names else None
    if not lines:
        reason = "the session has no digital lines, or the events stage did not complete"
        task.warn(f"visualization.events.line {asked!r} is ignored: {reason}")
        return reason
    line = choose_line(lines, asked)
    if isinstance(line, str):
        task.warn(f"visualization.events.line: {line}")
    return line


def _too_few(line: EventLine, edge: str, total: int, covered: int, units: int) -> str | None:
    """Why a PSTH is not computed, or None."""
    if units == 0:
        return "this recording has no units"
    if covered >= MIN_EVENTS:
        return None
    which = f"{line.name} has {total} {edge} edge{'' if total == 1 else 's'}"
    if total < MIN_EVENTS:
        return f"{which}, and {MIN_EVENTS} are needed"
    return f"{which}, of which {covered} have their whole window in this recording, and {MIN_EVENTS} are needed"


def _draw(
    task: EventTask,
    gallery: Gallery,
    responses: EventResponses,
    line: EventLine,
    depths_um: Array | None,
    bad: Array,
    ids: Sequence[str],
) -> None:
    edge, window = task.params.events.edge, responses.window
    title = f"{len(responses.events_s)} {edge} edges of {line.name}"
    figure = event_figures.draw_responses(responses, ids, depths_um, title)
    gallery.add(figure, "visualization/psth", OVERVIEW_CAPTION.format(edge=edge, line=line.name), in_report=False)
    caption = UNITS_CAPTION.format(edge=edge, line=line.name, start=window.start_s, end=window.end_s)
    for page, figure in enumerate(event_figures.draw_unit_responses(responses, ids, bad), start=1):
        gallery.add(figure, f"visualization/psth_units_{page}", caption, in_report=False)


def collect_responses(responses: EventResponses, line: EventLine, edge: str, total: int) -> dict[str, Any]:
    """Collect what the report shows of the units' responses.

    Parameters
    ----------
    responses : EventResponses
    line : EventLine
    edge : str
        `rising` or `falling`.
    total : int
        How many such edges the line has.
    """
    window, rasters = responses.window, responses.rasters
    lags = [_scale_lags(raster.lags_s, window) for raster in rasters]
    return {
        "line": line.name,
        "stream": line.stream,
        "edge": edge,
        "total": total,
        "events": len(responses.events_s),
        "start_s": window.start_s,
        "width_s": window.width_s,
        "bins": window.bins,
        "before": window.before,
        "rates_hz": pack(responses.rates_hz, "f4"),
        "z_hundredths": pack(np.rint(WHOLE_Z * responses.z_scores).clip(-32767, 32767), "i2"),
        "z_limit": round(event_figures.colour_limit(responses.z_scores), 2),
        "peaks": responses.peaks.tolist(),
        "raster": {
            "events": len(responses.raster_events),
            "counts": [len(raster.rows) for raster in rasters],
            "steps": [raster.step for raster in rasters],
            "rows": pack(np.concatenate([raster.rows for raster in rasters]), "u1"),
            "lags": pack(np.concatenate(lags), "u2"),
        },
    }


def _scale_lags(lags_s: Array, window: Window) -> Array:
    """Lags as integers from 0 to 65535 over the window: a browser needs them to a pixel."""
    share = (lags_s - window.start_s) / (window.end_s - window.start_s)
    scaled: Array = np.rint(65535 * share).clip(0, 65535)
    return scaled
