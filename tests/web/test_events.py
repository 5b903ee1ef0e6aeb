"""Synchronisation and events in the report, in a real browser: the table, timeline, heat map, raster and PSTH."""

from __future__ import annotations

import base64
import copy
import re

import numpy as np
import pytest
from playwright.sync_api import expect

from capsules.common.recordings.job import Job
from capsules.common.sync.alignment import Alignment
from capsules.common.sync.document import sync_document
from capsules.common.sync.lines import LineSource
from capsules.results.findings import collect_findings
from capsules.results.synchronisation import (
    NO_MATCH,
    NO_PULSES,
    ONE_STREAM,
    SWITCHED_OFF,
    describe_clocks,
    describe_sync,
    sync_findings,
)
from tests.web.event_data import add_events, sync_content
from tests.web.report_data import report_content
from tests.web.test_report import VIEWS, drawn_pixels, jobs, open_unit, page_of, ready

PANELS = '[data-panels="first"]'
RESPONSES = f'{PANELS} [data-panel="responses"]'
REASON = "set visualization.events.line to one of stimulus, lick"


@pytest.fixture(scope="module")
def shown():
    content = report_content(24, seed=5, channels=64, pictures=0)
    add_events(content)
    return content


@pytest.fixture(scope="module")
def file(shown, tmp_path_factory):
    unnamed, without = copy.deepcopy(shown), copy.deepcopy(shown)
    unnamed["units"]["events"] = {"reason": REASON}
    without["units"]["events"] = without["recording"]["events"] = None
    made = tmp_path_factory.mktemp("events") / "report.html"
    made.write_text(page_of({"first": shown, "unnamed": unnamed, "without": without}, sync=sync_content()))
    return made


@pytest.fixture(params=VIEWS, ids=lambda view: "-".join(map(str, view)))
def page(file, tab, request):
    """The report in each width and scheme."""
    opened, seen = tab
    width, scheme = request.param
    opened.set_viewport_size({"width": width, "height": 900})
    opened.emulate_media(color_scheme=scheme)
    opened.goto("about:blank")
    seen.console.clear()
    opened.goto(file.as_uri())
    ready(opened)
    yield opened
    assert seen.console == []


def tip_at(page, place, x, y):
    """The text over a place of a chart, which is a share of its width and height."""
    page.locator(place).scroll_into_view_if_needed()
    page.wait_for_selector(f"{place} canvas")
    box = page.locator(place).bounding_box()
    page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
    tip = page.locator("#tip:visible")
    return tip.inner_text() if tip.count() else None


# --- synchronisation


def test_each_stream_has_a_row_in_plain_words(page):
    rows = page.locator("#synchronisation ~ .wide tbody tr")
    cells = {row.locator("th").inner_text(): row.locator("td").all_inner_texts() for row in rows.all()}
    assert cells["nidq"][:3] == ["◆reference clock", "XD7", "1800 pulses"]
    assert cells["imec0.ap"] == [
        *("●on the reference clock", "SY6", "1795 of 1798", "−5.770", "6.1 / 19.4", "+0.002100"),
        "3 pulses are missing on imec0.ap",
    ]
    assert [cells[stream][0] for stream in ("imec1.ap", "imec2.ap", "obx0")] == [
        "△own clock: several offsets fit the pulses",
        "○own clock: no pulses",
        "✕own clock: the pulses do not match",
    ]
    assert page.locator(".contents a", has_text="Synchronisation").get_attribute("href") == "#synchronisation"
    assert "stream imec1.ap keeps its own clock" in page.locator(".findings").inner_text().lower()


def test_residuals_over_time(page):
    place = "[data-residuals]"
    assert page.locator(place).count() == 1
    page.locator(place).scroll_into_view_if_needed()
    page.wait_for_selector(f"{place} canvas")
    assert page.locator(place).get_attribute("aria-label").startswith("Residuals of 450 pulses of imec0.ap")
    assert drawn_pixels(page, f"{place} canvas") > 500
    # A point has its time and its residual: the one nearest to the middle, wherever it is.
    points = page.evaluate("run.sync.block0['imec0.ap'].map(([time, residual]) => time)")
    assert len(points) == 450 and points[0] == 2


def aligned(stream, status="aligned", **facts):
    knots = {"own_s": [0.0, 9.0], "reference_s": [0.1, 9.1]} if status == "aligned" else {}
    return Alignment(stream=stream, reference="nidq", status=status, **knots, **facts)


def sync_of(*alignments):
    """The sync document of a job with the first alignment, and sources of events with the others."""
    (job,) = jobs("a")
    common = {"format": "csv", "paths": [], "dataset": "", "segments": []}
    sources = [LineSource(stream=known.stream, alignment=known, **common) for known in alignments]
    first = alignments[0] if alignments else None
    return sync_document([Job(**job.model_dump() | {"alignment": first, "event_sources": sources})])


@pytest.mark.parametrize(
    ("alignments", "enabled", "note"),
    [
        ([], True, ONE_STREAM),
        ([], False, SWITCHED_OFF),
        ([aligned("nidq", "no pulses"), aligned("imec0.ap", "no pulses")], True, NO_PULSES),
        ([aligned("nidq", "reference"), aligned("imec0.ap", "ambiguous")], True, NO_MATCH),
        ([aligned("nidq", "reference", pulses=9), aligned("imec0.ap", pulses=9)], True, None),
    ],
)
def test_it_is_said_why_nothing_was_synchronised(alignments, enabled, note):
    (block,) = describe_sync(sync_of(*alignments), enabled)
    assert block.note == note
    assert {row.stream for row in block.rows} == {alignment.stream for alignment in alignments}


def test_the_sync_document_lists_the_reference_first_and_each_stream_once():
    document = sync_of(aligned("imec0.ap", residuals=[(1.0, 2.5)]), aligned("nidq", "reference"))
    block = document["blocks"]["b"]
    assert block["reference"] == "nidq"
    assert [stream["stream"] for stream in block["streams"]] == ["nidq", "imec0.ap"]
    assert block["streams"][1]["residuals"] == [[1.0, 2.5]]
    assert list(sync_findings(document)) == []
    (finding,) = sync_findings(sync_of(aligned("imec0.ap", "failed", problems=["2 of 9 pulses match"])))
    assert finding.text == "stream imec0.ap keeps its own clock: 2 of 9 pulses match"
    assert describe_clocks(document).startswith("Times of imec0.ap were mapped to the clock of nidq by matched")
    assert "(largest residual: 19 us)" in describe_clocks(sync_content()) and describe_clocks(sync_of()) == ""
    assert collect_findings({"recordings": {}, "blocks": {}}, {}, [finding]) == [finding]


def test_a_run_with_one_stream_says_so_in_one_line(visit, tmp_path):
    (tmp_path / "report.html").write_text(page_of({}, sync=sync_of()))
    page, seen = visit(tmp_path / "report.html")
    assert page.inner_text("section[aria-labelledby=synchronisation]").split("\n\n")[1:] == [f"{ONE_STREAM}."]
    assert seen.console == []


# --- events


def test_the_timeline_names_each_line_and_its_events(page, shown):
    place = f'{PANELS} [data-panel="events"] .plot'
    lines = shown["recording"]["events"]["lines"]
    assert [line["name"] for line in lines] == ["stimulus", "lick", "camera"] and "density" in lines[2]
    # Rows from top to bottom.
    number = f"{lines[2]['rising']:,}".replace(",", "\u202f")
    assert tip_at(page, place, 0.6, 0.55).startswith(f"camera: nidq XD2, digital\n{number} rising and {number} falling")
    assert "lick: nidq XD1" in tip_at(page, place, 0.6, 0.35)
    assert drawn_pixels(page, f"{place} canvas") > 2000
    remark = page.locator(f"{PANELS} [data-panel=events] .remark").inner_text()
    assert "1000 events are shown as density" in remark and "No events during this recording: XD3." in remark
    assert (
        page.locator(f"{place}")
        .get_attribute("aria-label")
        .startswith(f"Timeline of events: stimulus {lines[0]['rising']}")
    )
    assert page.locator('[data-panels="without"] [data-panel="events"]').is_hidden()


def test_the_heat_map_is_ordered_and_opens_units(page, shown):
    events, places = shown["units"]["events"], shown["units"]["places"]["y"]
    row_of = "orderResponses(sortings[0], '{}', {}).map(unit => unit)"
    by_peak = page.evaluate(row_of.format("peak", "false"))
    assert [events["peaks"][unit] for unit in by_peak] == sorted(events["peaks"], reverse=True)
    by_depth = page.evaluate(row_of.format("depth", "false"))
    assert [places[unit] for unit in by_depth] == sorted(places)
    plot = f"{RESPONSES} .plot"
    page.locator(plot).scroll_into_view_if_needed()
    page.wait_for_selector(f"{plot} canvas")
    page.locator(f"{RESPONSES} [data-order=depth]").click()
    assert page.locator(f"{RESPONSES} [data-order=depth]").get_attribute("aria-pressed") == "true"
    assert page.locator(f"{RESPONSES} [data-order=peak]").get_attribute("aria-pressed") == "false"
    assert page.locator(plot).get_attribute("aria-label").endswith("by depth")
    good = shown["units"]["labels"]["default_qc"].count("good")
    page.get_by_role("button", name="good units only").first.click()
    assert (
        page.locator(plot)
        .get_attribute("aria-label")
        .startswith(f"Response of {good} units to 297 of 299 rising edges")
    )
    page.get_by_role("button", name="good units only").first.click()
    # The row at the top is the highest unit of the probe.
    assert tip_at(page, plot, 0.6, 0.03).startswith(f"unit {shown['units']['ids'][by_depth[-1]]}: ")
    box = page.locator(plot).bounding_box()
    page.mouse.click(box["x"] + 0.6 * box["width"], box["y"] + 0.03 * box["height"])
    expect(page.locator("#unit-title")).to_contain_text(f"Unit {shown['units']['ids'][by_depth[-1]]}")


def test_a_units_page_has_its_raster_and_psth(page, shown):
    events = shown["units"]["events"]
    open_unit(page, 6)
    page.locator("#unit-psth").scroll_into_view_if_needed()
    page.wait_for_selector("#unit-psth canvas")
    rates_hz = np.frombuffer(base64.b64decode(events["rates_hz"]), "<f4").reshape(-1, events["bins"])[6]
    label = page.locator("#unit-psth").get_attribute("aria-label")
    # The unit responds 60 ms after the event, or 120 ms, or 300 ms.
    assert f"{events['start_s'] + (rates_hz.argmax() + 0.5) * 0.01:.3g}"[:5] in label
    assert f"{rates_hz[: events['before']].mean():.3g}" in label
    spikes = events["raster"]["counts"][6]
    assert page.locator("#unit-raster").get_attribute("aria-label").startswith(f"Raster: {spikes} spikes around ")
    assert drawn_pixels(page, "#unit-raster canvas") > 2 * spikes
    assert "of 297" in page.locator("#unit-around").inner_text()
    bin_of = page.evaluate("((rates) => Array.from(rates))(sortings[0].eventRates(6))")
    assert bin_of == pytest.approx(rates_hz.tolist())
    assert re.match(r"event \d+ of the 100 in the raster, 0.\d+ s", tip_at(page, "#unit-raster", 0.6, 0.4))
    page.evaluate("location.hash = sortings[1].link(6)")
    expect(page.locator("#unit-around-note")).to_have_text(f"Raster and PSTH: not computed: {REASON}.")
    assert page.locator("#unit-raster").is_hidden()
    page.evaluate("location.hash = sortings[2].link(6)")
    expect(page.locator("#unit-around")).to_be_hidden()


def test_what_prevents_the_heat_map_is_said(page):
    place = page.locator('[data-panels="unnamed"] [data-panel="responses"]')
    place.scroll_into_view_if_needed()
    expect(place).to_contain_text(f"Not computed: {REASON}.")
    assert place.locator("button").count() == 0
    assert page.locator('[data-panels="without"] [data-panel="responses"]').is_hidden()
