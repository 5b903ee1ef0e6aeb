"""Events in the report: PSTH and raster against a direct count, the timeline of lines, and messages."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest

from capsules.common.recordings.clock import Clock, count_clock
from capsules.visualization import event_figures
from capsules.visualization.event_lines import MOST_EVENTS, choose_line, collect_event_data, read_event_lines
from capsules.visualization.event_view import collect_responses, show_responses
from capsules.visualization.params import PARAMS, Events
from capsules.visualization.psth import (
    MOST_BINS,
    RASTER_EVENTS,
    RASTER_SPIKES,
    EventResponses,
    Window,
    make_window,
    select_covered,
    spread_indices,
)
from tests.event_folder import write_events

WINDOW = Window(before=50, after=100, width_s=0.01)
GAP = Clock(
    num_samples=60000,
    sampling_frequency_hz=1000.0,
    samples=[0, 30000],
    starts_s=[10.0, 45.0],
    rates_hz=[1000.0, 1000.0],
)
"""30 s, a gap of 5 s, 30 s."""


def trains_of(rates_hz, duration_s, seed=0):
    random = np.random.default_rng(seed)
    return [np.sort(random.uniform(0, duration_s, random.poisson(rate_hz * duration_s))) for rate_hz in rates_hz]


def unpack(text, kind):
    return np.frombuffer(base64.b64decode(text), dtype=f"<{kind}")


@pytest.mark.parametrize("spacing_s", [2.0, 0.3])
def test_a_psth_counts_each_spike_around_each_event(spacing_s):
    """Also where windows overlap, and a spike is around two events."""
    trains_s = trains_of([5, 40, 0], 60.0)
    events_s = np.arange(1.0, 58.0, spacing_s)
    responses = EventResponses(trains_s, events_s, WINDOW)
    edges_s = WINDOW.start_s + np.arange(WINDOW.bins + 1) * WINDOW.width_s
    for train_s, counts, rates_hz in zip(trains_s, responses.counts, responses.rates_hz, strict=True):
        lags_s = (train_s[:, None] - events_s).ravel()
        assert np.array_equal(counts, np.histogram(lags_s[lags_s < WINDOW.end_s], edges_s)[0])
        assert rates_hz == pytest.approx(counts / len(events_s) / 0.01)
    assert responses.counts[2].sum() == 0 and (responses.z_scores[2] == 0).all()


def test_a_raster_has_the_spikes_of_its_events_and_no_more_than_fit():
    trains_s = trains_of([2, 60], 400.0)
    events_s = np.arange(1.0, 390.0, 1.7)
    responses = EventResponses(trains_s, events_s, WINDOW)
    assert len(responses.raster_events) == RASTER_EVENTS
    few, many = responses.rasters
    for row in range(RASTER_EVENTS):
        lags_s = trains_s[0] - events_s[responses.raster_events[row]]
        wanted = lags_s[(lags_s >= WINDOW.start_s) & (lags_s < WINDOW.end_s)]
        assert few.lags_s[few.rows == row] == pytest.approx(wanted)
    assert few.step == 1 and many.step > 1
    assert set(many.rows % many.step) == {0} and RASTER_SPIKES / 2 < len(many.rows) < 1.2 * RASTER_SPIKES


def test_z_scores_are_relative_to_the_bins_before_the_event():
    random = np.random.default_rng(1)
    events_s = np.arange(1.0, 200.0, 1.0)
    background = np.sort(random.uniform(0, 200, 4000))
    response = np.sort(np.concatenate([background, events_s[:, None].repeat(2, 1).ravel() + 0.055]))
    calm, excited = EventResponses([background, response], events_s, WINDOW).z_scores
    assert np.abs(calm[:50].mean()) < 1e-9 and calm[:50].std() <= 1.01
    assert excited.argmax() == 55 and excited[55] > 20
    assert np.delete(excited, 55).max() < 5
    # Two spikes before the event do not make a third after it significant.
    sparse = EventResponses([np.array([0.99, 1.5, 1.6])], events_s, WINDOW).z_scores
    assert np.abs(sparse).max() < 10


def test_the_window_has_whole_bins():
    assert make_window(Events()) == WINDOW
    assert make_window(Events(before_s=0.1, after_s=0.25, bin_ms=20)) == Window(5, 13, 0.02)
    wide = make_window(Events(before_s=30.0, after_s=30.0, bin_ms=1))
    assert wide.bins <= MOST_BINS and wide.width_s == pytest.approx(0.1)


def test_events_at_the_ends_and_in_gaps_do_not_count():
    events_s = np.array([10.2, 11.0, 39.5, 42.0, 45.1, 60.0, 74.5])
    assert select_covered(events_s, WINDOW, GAP.intervals()).tolist() == [11.0, 60.0]


def test_evenly_spread_indices():
    assert spread_indices(3, 10).tolist() == [0, 1, 2]
    assert spread_indices(0, 10).tolist() == []
    chosen = spread_indices(10_001, 101)
    assert chosen[0] == 0 and chosen[-1] == 10_000 and set(np.diff(chosen)) == {100}


def test_lines_are_read_and_named(tmp_path):
    write_events(
        tmp_path, {"XD0": ("stimulus", [1.0, 3.0], [1.5, 3.5]), "XD1": ("", [], []), "XD5": ("lick", [2.0], [])}
    )
    lines = read_event_lines(tmp_path)
    assert [line.id for line in lines] == ["nidq_stimulus", "nidq_XD1", "nidq_lick"]
    assert lines[0].times_s("rising").tolist() == [1.0, 3.0] and lines[0].times_s("falling").tolist() == [1.5, 3.5]
    assert lines[0].durations_s[:3] == pytest.approx([0.5, 1.5, 0.5]) and np.isnan(lines[0].durations_s[3])
    assert lines[1].name == "nidq_XD1" and len(lines[1].edges_s) == 0
    for asked in ("stimulus", "XD0", "nidq_stimulus", "nidq:XD0", "nidq:stimulus"):
        assert choose_line(lines, asked) is lines[0]
    assert (
        choose_line(lines, "stimulos")
        == "no line 'stimulos'; did you mean 'stimulus'?; lines: stimulus, nidq_XD1, lick"
    )
    twice = [*lines, *read_event_lines(write_events(tmp_path / "b", {"XD0": ("", [1.0], [])}, "obx"))]
    assert choose_line(twice, "XD0") == "'XD0' is a line of several streams: write one of nidq:XD0, obx:XD0"
    assert choose_line(twice, "obx:XD0") is twice[3]
    assert "did you mean 'nidq:XD5'?" in choose_line(lines, "nidq.XD5")
    assert read_event_lines(tmp_path / "none") == []


def test_the_timeline_is_that_of_the_traces(tmp_path):
    """Without the gap, and without what was before and after."""
    many_s = np.linspace(11, 39, 3000)
    write_events(
        tmp_path,
        {
            "XD0": ("stimulus", [2.0, 12.0, 50.0, 74.9, 80.0], [12.5, 51.0, 79.0]),
            "XD1": ("camera", many_s, many_s + 0.001),
            "XD2": ("", [], []),
            "XD3": ("late", [90.0], [91.0]),
        },
    )
    shown = collect_event_data(read_event_lines(tmp_path), GAP, 60.0)
    stimulus, camera = shown["lines"]
    assert unpack(stimulus["starts_s"], "f4") == pytest.approx([2.0, 35.0, 59.9])
    # The last high period ends with the recording.
    assert unpack(stimulus["lengths_s"], "f4") == pytest.approx([0.5, 1.0, 0.099], abs=1e-3)
    assert (stimulus["rising"], stimulus["falling"], stimulus["outside"]) == (3, 2, 3)
    density = unpack(camera["density"], "u1")
    assert len(density) == MOST_EVENTS and density.max() == 255 and camera["width_s"] == 0.06
    assert np.flatnonzero(density)[[0, -1]] == pytest.approx([1 / 0.06, 29 / 0.06], abs=1)
    assert shown["silent"] == ["nidq_XD2", "late"] and shown["not_shown"] == []
    assert collect_event_data([], GAP, 60.0) is None
    figure = event_figures.draw_event_timeline(read_event_lines(tmp_path), GAP, 60.0)
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["stimulus (3)", "camera (3000)"]


class Recorder:
    """What `show_responses` uses of a task and of a gallery."""

    def __init__(self, **events):
        self.params = PARAMS(events=Events(**events))
        self.changes, self.warnings, self.figures = [], [], []

    def change(self, text):
        self.changes.append(text)

    def warn(self, text):
        self.warnings.append(text)

    def add(self, figure, name, caption, in_report=True):
        self.figures.append(name)
        assert "{" not in caption


class Trains:
    """Spike trains in samples, as `SpikeStatistics` has them."""

    def __init__(self, trains_s, rate_hz):
        self.trains = [np.rint(train_s * rate_hz).astype(np.int64) for train_s in trains_s]
        self.units, self.ids = len(self.trains), [str(unit) for unit in range(len(self.trains))]


def show(lines, trains_s, clock=GAP, **events):
    recorder = Recorder(**events)
    depths_um = np.linspace(0, 100, len(trains_s))
    bad = np.zeros(len(trains_s), dtype=bool)
    shown = show_responses(recorder, recorder, lines, clock, Trains(trains_s, 1000.0), depths_um, bad)
    return shown, recorder


def test_spikes_and_events_are_on_one_clock(tmp_path):
    """The traces begin at 10 s of the reference, and have a gap: each spike is 50 ms after its event."""
    events_s = np.concatenate([np.arange(12.0, 38.0, 2.0), np.arange(47.0, 70.0, 2.0)])
    lines = read_event_lines(write_events(tmp_path, {"XD0": ("stimulus", events_s, events_s + 0.1)}))
    train_s = GAP.samples_at(events_s + 0.055) / 1000
    shown, recorder = show(lines, [train_s, train_s[:0]], line="stimulus")
    rates_hz = unpack(shown["rates_hz"], "f4").reshape(2, 150)
    assert rates_hz[0].nonzero()[0].tolist() == [55] and rates_hz[0, 55] == pytest.approx(100)
    assert (shown["events"], shown["total"], shown["peaks"][0]) == (len(events_s), len(events_s), 55)
    assert shown["raster"]["counts"] == [len(events_s), 0]
    lags_s = shown["start_s"] + unpack(shown["raster"]["lags"], "u2") / 65535 * 1.5
    assert lags_s == pytest.approx(np.full(len(events_s), 0.055), abs=1e-4)
    assert recorder.warnings == [] and recorder.changes == []
    assert recorder.figures == ["visualization/psth", "visualization/psth_units_1"]
    falling, _ = show(lines, [train_s], line="stimulus", edge="falling")
    assert falling["peaks"] == [45]


def test_what_prevents_a_psth_is_said(tmp_path):
    lines = read_event_lines(
        write_events(tmp_path, {"XD0": ("", [12.0, 14.0, 42.0, 43.0, 80.0], []), "XD1": ("", [1], [])})
    )
    trains_s = trains_of([5, 5], 60.0)
    shown, recorder = show(lines, trains_s, line="XD0")
    assert "XD0 has 5 rising edges, of which 2 have their whole window in this recording" in shown["reason"]
    assert recorder.warnings == [f"no raster and PSTH: {shown['reason']}"]
    assert "nidq_XD1 has 1 rising edge, and 5 are needed" in show(lines, trains_s, line="XD1")[0]["reason"]
    shown, recorder = show(lines, trains_s, line="XD7")
    assert (
        recorder.warnings == [f"visualization.events.line: {shown['reason']}"]
        and "lines: nidq_XD0, nidq_XD1" in shown["reason"]
    )
    assert show(lines, [], line="XD0")[0]["reason"] == "this recording has no units"
    # No line is named: nothing is wrong, and the report says how to name one.
    shown, recorder = show(lines, trains_s)
    assert shown["reason"] == "set visualization.events.line to one of nidq_XD0, nidq_XD1" and recorder.warnings == []
    assert show([], trains_s)[0] is None
    shown, recorder = show([], trains_s, line="XD0")
    assert "no digital lines" in recorder.warnings[0]


def test_adjustments_are_recorded(tmp_path):
    events_s = np.linspace(0.0, 100.0, 6000)
    lines = read_event_lines(write_events(tmp_path, {"XD0": ("", events_s, [])}))
    shown, recorder = show(lines, trains_of([5], 99.0), count_clock(100_000, 1000.0), line="XD0", bin_ms=1)
    assert shown["events"] == 5000 and shown["total"] == 6000
    left_out, thinned = recorder.changes[1:]
    assert recorder.changes[0].startswith("events.bin_ms: 2.5 ms")
    assert "of 6000 events are left out" in left_out and thinned.startswith("PSTH of nidq_XD0: 5000 of")


def test_what_the_report_gets_is_small():
    """Less than 4 KB for each unit, most of it the raster."""
    responses = EventResponses(trains_of([20] * 40, 300.0), np.arange(1.0, 290.0, 1.0), WINDOW)
    line = type("Line", (), {"name": "XD0", "stream": "nidq"})()
    assert len(json.dumps(collect_responses(responses, line, "rising", 289))) / 40 < 4000
