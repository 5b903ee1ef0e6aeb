"""The report in a real browser: no request, nothing on the console, its charts, tables and unit pages at work."""

from __future__ import annotations

import copy
import json
import re

import numpy as np
import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from capsules.common.contract import BLOCK_STAGES, RECORDING_STAGES
from capsules.common.recordings.job import Job, Reader
from capsules.common.units.metric_names import metrics_that_need_more_data
from capsules.curation.labels import label_units
from capsules.curation.query import QueryError, parse
from capsules.results import overview, report
from capsules.results.stage import planned_memory
from capsules.results.status import status_document
from tests.halves import rest_is_slow
from tests.web.event_data import add_events, sync_content
from tests.web.report_data import QUERY, report_content

SORTERS = [{"name": "spykingcircus2", "suffix": ""}]
HOSTILE = "</script><script>document.title='taken'</script><b>\"'&"
CLASSIFIER = "curation.sua_mua_classifier: 'a/b': could not be fetched: [Errno -2] Name or service not known"
PARAMS = {
    "differences": {"curation.query": ["snr > 1", HOSTILE]},
    "origins": {"curation.query": "--curation_args"},
    "notes": [f"a note {HOSTILE}", CLASSIFIER],
}
UNITS = 30
FIRST = '[data-units="first"]'
VIEWS = [
    pytest.param((width, scheme), marks=[pytest.mark.slow] * ((width, scheme) != (1440, "light")))
    for width in (1440, 390, 2560)
    for scheme in ("light", "dark")
]
"""Width of the window and colour scheme; `make test` takes the first."""


def jobs(*ids):
    reader = Reader(name="none", kwargs={})
    sizes = {"sampling_frequency_hz": 30000.0, "num_channels": 16, "duration_s": 10.0, "dtype": "int16", "megabytes": 9}
    return [Job(id=id, session="s", block="b", stream="s", segments=[0], reader=reader, **sizes) for id in ids]


def record(stage, status="ok", reason=None, **facts):
    told = [f"{stage} says {HOSTILE}"]
    measured = {"seconds": 1.5, "peak_memory_mb": 512, "versions": {"numpy": "2"}}
    return measured | {"status": status, "reason": reason, "warnings": told, "changes": told, "facts": facts}


def counts_of(units):
    """The number of units and of good ones, as the stages record them."""
    if units is None:
        return {"units": 6, "good_units": 3}
    return {"units": len(units["ids"]), "good_units": units["labels"].get("default_qc", []).count("good")}


def page_of(content, failed=(), agreement=None, sync=None):
    """The report of a run over the recordings of `content` and those that failed."""
    records = {
        (stage, id): record(stage, **counts_of(content[id]["units"]))
        for id in content
        for stage in (*RECORDING_STAGES, *BLOCK_STAGES)
    }
    records |= {(stage, "b"): record(stage) for stage in BLOCK_STAGES}
    failures = {("preprocessing", id): {"reason": f"broken {HOSTILE}", "kind": "failed"} for id in failed}
    run = jobs(*content, *failed)
    status = status_document(run, SORTERS, records, failures)
    content = report.add_settings(content, PARAMS)
    planned = planned_memory(run, SORTERS)
    facts = {"planned": planned, "versions": {"numpy": "2"}, "ended": None}
    return report.render(status, content, PARAMS, agreement or {}, sync or {"blocks": {}}, **facts)


@pytest.fixture(scope="session")
def shown():
    """The content of one recording of generated units, with hostile texts where the data has texts."""
    content = report_content(UNITS, seed=3, channels=64, pictures=2)
    content["pictures"][0]["caption"] += HOSTILE
    content["units"]["labels"]["brain_region"] = ["CA1", HOSTILE] * (UNITS // 2)
    add_events(content, names=("stimulus", "lick", HOSTILE, HOSTILE[::-1]))
    return content


@pytest.fixture(scope="session")
def file(shown, tmp_path_factory):
    made = tmp_path_factory.mktemp("report") / "report.html"
    made.write_text(page_of({"first": shown, "a % of/2": shown}, failed=["third"], sync=sync_content()))
    return made


def ready(page):
    page.wait_for_selector("html[data-ready]")
    page.evaluate("sortings.forEach(({ id }) => explorerOf(id))")


@pytest.fixture(params=VIEWS, ids=lambda view: "-".join(map(str, view)))
def opened(file, tab, request):
    """The report in a page of each width and scheme, and what is Seen of it."""
    page, seen = tab
    width, scheme = request.param
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    page.goto("about:blank")
    seen.console.clear()
    seen.requests.clear()
    page.goto(file.as_uri())
    ready(page)
    yield page, seen
    page.evaluate("localStorage.clear()")


def order(page):
    """The units that the table shows, in its order; it draws those in view only."""
    return page.evaluate("explorers.first.table.order.map((unit) => explorers.first.sorting.ids[unit])")


def part(page, name):
    return page.locator(f'{FIRST} [data-part="{name}"]')


def open_unit(page, index):
    page.evaluate("index => { location.hash = explorers.first.sorting.link(index); }", index)
    page.wait_for_selector("dialog#unit[open]")
    expect(page.locator("#unit-title")).to_contain_text(f"Unit {page.evaluate(f'sortings[0].ids[{index}]')}")


@pytest.fixture(scope="module")
def analyzed():
    """The content that visualization makes of a small analyzer."""
    import spikeinterface as si

    from capsules.common.units.metrics import get_metrics_table
    from capsules.visualization.spike_statistics import SpikeStatistics
    from capsules.visualization.unit_data import collect_unit_data

    recording, sorting = si.generate_ground_truth_recording(durations=[10.0], num_channels=16, num_units=4, seed=1)
    analyzer = si.create_sorting_analyzer(sorting, recording, format="memory", sparse=True)
    names = ["random_spikes", "waveforms", "templates", "noise_levels", "spike_amplitudes", "spike_locations"]
    names += ["unit_locations", "template_similarity"]
    analyzer.compute({name: {} for name in names} | {"quality_metrics": {"metric_names": ["num_spikes", "snr"]}})
    contacts = [str(channel) for channel in recording.channel_ids]
    labels = {"default_qc": np.array(["good", "bad"] * 2)}
    x, y = recording.get_channel_locations().T
    return report_content(4, seed=0, channels=16, pictures=1) | {
        "probe": {"ids": contacts, "x": x.tolist(), "y": y.tolist(), "labels": ["good"] * 16},
        "units": collect_unit_data(analyzer, SpikeStatistics(analyzer), labels, get_metrics_table(analyzer), contacts),
    }


# --- the file


def test_what_visualization_writes_is_drawn(analyzed, visit, tmp_path):
    (tmp_path / "report.html").write_text(page_of({"first": analyzed}))
    page, seen = visit(tmp_path / "report.html")
    ready(page)
    assert order(page) == analyzed["units"]["ids"]
    open_unit(page, 2)
    page.wait_for_function("document.querySelectorAll('dialog#unit canvas').length >= 6")
    snr = page.locator("dialog#unit tr", has_text="snr").first.inner_text()
    assert f"{analyzed['units']['metrics']['snr'][2]:.3g}"[:3] in snr
    assert seen.console == []


def test_it_asks_for_nothing_and_complains_of_nothing(opened, file):
    page, seen = opened
    for place in page.locator("section").all():
        place.scroll_into_view_if_needed()
    open_unit(page, 1)
    assert seen.console == []
    assert [url for url in seen.requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert {url for url in seen.requests if url.startswith("file:")} == {file.as_uri()}


def test_what_comes_from_the_data_is_text(opened):
    page, _ = opened
    assert page.title() == "SpikeRelay report: failed"
    assert page.get_by_text(HOSTILE).count() > 3
    assert page.locator("b").count() == 0
    assert page.locator(f'{FIRST} [data-filter="brain_region"] option').all_inner_texts() == ["any", "CA1", HOSTILE]


def test_no_script_but_its_own_runs(opened):
    """Not even one that had got into the page."""
    page, seen = opened
    page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "document.title = 'taken'";
            document.body.append(script);
            document.body.insertAdjacentHTML("beforeend", "<img src=x onerror=document.title='taken'>");
        }"""
    )
    page.wait_for_timeout(300)
    assert page.title() == "SpikeRelay report: failed"
    assert len([line for line in seen.console if "Content Security Policy" in line]) >= 2
    assert not [url for url in seen.requests if url.startswith("http")]


def test_a_run_without_recordings_has_a_report(visit, tmp_path):
    (tmp_path / "report.html").write_text(page_of({}))
    page, seen = visit(tmp_path / "report.html")
    assert "No recording was sorted" in page.inner_text("main")
    assert seen.console == []


def test_units_that_do_not_fit_are_left_out_and_named(shown, monkeypatch):
    content = {f"imec{index}": shown for index in range(9)}
    assert report.shrink_to_limit(content)[1] == []
    monkeypatch.setattr(report, "MAX_MEGABYTES", 2.2)
    kept, left_out = report.shrink_to_limit(content)
    assert 0 < len(left_out) < 9 and set(kept) == set(content)
    assert all((kept[id]["units"] is None) == (id in left_out) for id in kept)
    assert len(page_of(kept)) < 2.35e6
    assert "the units' pages are left out" in page_of(kept).lower().replace("&#39;", "'")


# --- the top


def test_the_first_sentence_is_on_the_recordings(opened):
    page, _ = opened
    sentence = f"2 of 3 recordings were sorted: {2 * UNITS} units, 40 of them good. 1 failed."
    assert sentence in page.inner_text(".verdict")
    assert "Errno" not in page.inner_text("header.top")
    assert page.locator(".chip", has_text="classifier labels not computed").count() == 1


def test_what_needs_attention_is_ordered_and_warnings_come_once(opened):
    page, _ = opened
    findings = page.locator(".findings > li").all_inner_texts()
    assert findings[0].startswith("Failed in preprocessing: broken") and "third" in findings[0]
    (drift,) = [text for text in findings if "46.1 µm (usual: at most 40 µm)" in text]
    assert "first, a % of/2" in drift
    assert page.locator("main").evaluate("main => main.textContent").count("spikesorting says") == 1 + 2  # Changes.


def test_parameters_are_shown_as_they_are_written(opened):
    page, _ = opened
    cells = page.locator("#provenance ~ * tr", has_text="curation.query").locator("td").all_inner_texts()
    assert cells[:2] == ['"snr > 1"', json.dumps(HOSTILE)]


def test_the_methods_can_be_copied(opened):
    page, _ = opened
    page.locator("#copy-methods").click()
    # Without the permission to write to the clipboard, the text is selected.
    expect(page.locator("#copy-methods")).to_have_text(re.compile("Copied|Selected"))
    assert "Buccino" in page.inner_text("#methods-text")


def test_the_contents_list_leads_to_each_part(opened):
    page, _ = opened
    for link in page.locator("nav.contents a").all():
        assert page.locator(link.get_attribute("href").replace("#", "#", 1)).count() == 1
    page.locator("nav.contents a", has_text="Methods").click()
    expect(page.locator("#methods")).to_be_in_viewport()


def test_the_agreement_of_sorters_is_a_matrix_and_a_list(shown, visit, tmp_path):
    match = {"units": ["2", HOSTILE], "agreement": 0.9}
    pair = {
        "sorters": ["spykingcircus2", "b"],
        "matched": 1,
        "mean_agreement": 0.9,
        "matches": [match],
        "agreements": [match],
    }
    pair["agreements"] = [match, {"units": ["3", "1"], "agreement": 0.2}]
    agreement = {"first": {"units": {"spykingcircus2": 2, "b": 2}, "agreed_by_all": 1, "pairs": [pair]}}
    (tmp_path / "report.html").write_text(page_of({"first": shown}, agreement=agreement))
    page, seen = visit(tmp_path / "report.html")
    page.locator("[data-agreement]").scroll_into_view_if_needed()
    page.wait_for_selector("[data-agreement] canvas")
    assert "agreement" in page.locator("[data-agreement]").get_attribute("aria-label").lower()
    assert page.locator(".agreement tbody tr").all_inner_texts() == [f"2\t{HOSTILE}\t0.9"]
    ready(page)
    open_unit(page, 0)
    assert f"b: unit {HOSTILE} agrees best, in 90 % of the spikes" in page.inner_text("#unit-labels")
    open_unit(page, 1)
    assert "b: no unit agrees with it" in page.inner_text("#unit-labels")
    assert seen.console == []


# --- the unit table and its filters


def test_the_table_sorts_both_ways(opened, shown):
    page, _ = opened
    button = page.locator(f'{FIRST} [data-column="snr"]')
    button.click()
    assert button.evaluate("button => button.closest('th').getAttribute('aria-sort')") == "descending"
    snr = dict(zip(shown["units"]["ids"], shown["units"]["metrics"]["snr"], strict=True))
    values = [snr[unit] for unit in order(page)]
    assert values == sorted(values, reverse=True) and len(values) == UNITS
    button.click()
    assert [snr[unit] for unit in order(page)] == sorted(values)
    assert button.evaluate("button => button === document.activeElement")


def test_only_the_rows_in_view_are_drawn(opened):
    page, _ = opened
    rows = page.locator(f"{FIRST} tr[data-unit]")
    assert 5 < rows.count() < UNITS
    part(page, "table").evaluate("place => { place.scrollTop = 1e6; }")
    expect(page.locator(f'{FIRST} tr[aria-rowindex="{UNITS + 1}"]')).to_be_visible()
    assert rows.count() < UNITS


def test_filters_by_labels_and_several_metrics(opened, shown):
    page, _ = opened
    units = shown["units"]
    good = [id for id, label in zip(units["ids"], units["labels"]["default_qc"], strict=True) if label == "good"]
    part(page, "labels").locator('[data-filter="good"]').click()
    assert order(page) == good
    assert part(page, "count").inner_text() == f"{len(good)} of {UNITS} units"
    for metric, least in (("snr", 8), ("firing_rate", 1)):
        part(page, "metric").select_option(metric)
        page.keyboard.type(str(least))
    wanted = [
        id
        for id, label, snr, rate in zip(
            units["ids"],
            units["labels"]["default_qc"],
            units["metrics"]["snr"],
            units["metrics"]["firing_rate"],
            strict=True,
        )
        if label == "good" and snr >= 8 and rate >= 1
    ]
    assert 0 < len(wanted) < len(good)
    assert order(page) == wanted
    with page.expect_download() as download:
        part(page, "save").click()
    lines = download.value.path().read_text().splitlines()
    assert lines[0].startswith("unit,default_qc") and len(lines) == 1 + len(wanted)
    part(page, "clear").click()
    assert len(order(page)) == UNITS
    page.locator(f'{FIRST} [data-filter="brain_region"]').select_option(HOSTILE)
    assert len(order(page)) == UNITS // 2


def test_a_histogram_filters_by_a_drag(opened):
    page, _ = opened
    chart = page.locator(f'{FIRST} [data-metric="snr"] .plot')
    chart.scroll_into_view_if_needed()
    page.wait_for_selector(f'{FIRST} [data-metric="snr"] canvas')
    box = chart.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 30, steps=3)
    page.mouse.up()
    least = float(page.locator(f'{FIRST} [data-metric="snr"] [data-filter="least"]').input_value())
    values = page.evaluate("explorers.first.table.order.map((unit) => sortings[0].units.metrics.snr[unit])")
    assert 0 < len(values) < UNITS and min(values) >= least * 0.999


def test_a_box_on_the_depths_selects_in_all_views(opened):
    page, _ = opened
    chart = part(page, "depths")
    chart.scroll_into_view_if_needed()
    page.wait_for_selector(f'{FIRST} [data-part="depths"] canvas')
    everything = page.evaluate("plots.get(document.querySelector('[data-part=probe]')).spec.points().length")
    box = chart.bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 3, box["y"] + box["height"] / 2, steps=3)
    page.mouse.up()
    expect(part(page, "selection")).to_be_visible()
    page.wait_for_timeout(100)
    selected = len(order(page))
    assert 0 < selected < everything == UNITS
    assert page.evaluate("plots.get(document.querySelector('[data-part=probe]')).spec.points().length") == selected
    assert part(page, "selection").inner_text().startswith(f"{selected} units in the box")
    part(page, "selection").get_by_role("button").click()
    assert len(order(page)) == UNITS


def test_what_is_pointed_at_is_named(opened):
    page, _ = opened
    part(page, "depths").scroll_into_view_if_needed()
    page.wait_for_selector(f'{FIRST} [data-part="depths"] canvas')
    point = page.evaluate(
        """() => {
            const place = document.querySelector("[data-part=depths]");
            const { spec, frame } = plots.get(place);
            const box = place.getBoundingClientRect();
            const { x, y, text } = spec.points()[4];
            const [across, up] = [x - spec.x.least, y - spec.y.least].map((value, axis) => {
                const { least, most } = axis ? spec.y : spec.x;
                return value / (most - least);
            });
            return { text, x: box.x + frame.left + across * (frame.right - frame.left),
                     y: box.y + frame.bottom - up * (frame.bottom - frame.top) };
        }"""
    )
    page.mouse.move(point["x"], point["y"])
    assert page.inner_text("#tip").split("\n")[0].startswith("unit ")
    page.mouse.move(point["x"] + 1, point["y"])
    assert page.inner_text("#tip") == point["text"]


# --- the live query


def test_the_query_is_evaluated_as_it_is_typed(opened, shown):
    page, _ = opened
    field, verdict = part(page, "query"), part(page, "verdict")
    assert field.input_value() == QUERY
    good = shown["units"]["labels"]["default_qc"].count("good")
    assert verdict.inner_text().startswith(f"{good} good of {UNITS} units")
    field.fill("snr > 5 and firing_rate > 4")
    metrics = pd.DataFrame({name: shown["units"]["metrics"][name] for name in ("snr", "firing_rate")})
    kept = (metrics["snr"] > 5) & (metrics["firing_rate"] > 4)
    assert verdict.inner_text().startswith(f"{good} → {kept.sum()} good of {UNITS} units")
    rejects = (metrics["firing_rate"] <= 4).to_numpy()
    condition = part(page, "conditions").locator("button", has_text="firing_rate > 4")
    assert f"rejects {rejects.sum()}" in condition.inner_text()
    condition.click()
    assert order(page) == [id for id, out in zip(shown["units"]["ids"], rejects, strict=True) if out]
    assert part(page, "conditions").locator("[aria-pressed=true]").count() == 1
    field.fill("snr > ")
    assert verdict.inner_text() == "The query ends too early."
    assert field.get_attribute("aria-invalid") == "true"
    part(page, "query-reset").click()
    assert verdict.inner_text().startswith(f"{good} good of")


LANGUAGE = [
    *("snr > 2", "snr>=5", "2 < snr", "1 < snr <= 5", "1 < snr < 9 != num_spikes", "snr > -1e-3", "snr > +1"),
    *("snr < .5e1", "snr > 1_000", "snr < 1e999", "num_spikes >= 0x0c", "num_spikes == 0b11", "snr == snr", "snr < 5."),
    *(
        "not snr > 2",
        "not not snr > 2",
        "not (snr > 2 or num_spikes < 10)",
        "((((snr)) > ((2))))",
        "1 < 2",
        "snr > -(3)",
    ),
    *("snr > 2 and num_spikes > 10 or l_ratio < 0.1", "snr > 2 and (num_spikes > 10 or l_ratio < 0.1)", "-1 < snr"),
    *("not snr > 2 and not l_ratio > 1", "\tsnr  >  2\n and num_spikes\n > 3\n", "snr > l_ratio", "l_ratio > 0"),
    *("trough != 1 or snr > 0", "sliding > 0.1 or snr > 100", "sliding > 0.1 and snr > 0", "not trough > 0"),
    *("l_ratio > 0.1 and trough > 0", "not l_ratio > 0", "l_ratio > 0 or l_ratio < 9"),
    "snr > 3 and not (l_ratio > 1 and trough > 1)",
]
REJECTED = [
    *(
        "",
        "snr",
        "5",
        "snr >",
        "snr = 5",
        "snr > 5 and",
        "and snr > 5",
        "snr > 5 6",
        "(snr > 5",
        "snr > 5)",
        "snr => 5",
    ),
    *(
        "snr <> 5",
        "snr > 5 or or snr < 2",
        "snr is 5",
        "snr in 5",
        "snr > '5'",
        "snr > 5 # no",
        "snr + 1 > 5",
        "snr * 2 > 3",
    ),
    *("f(snr) > 5", "snr[0] > 5", "snr.real > 5", "lambda: 1", "snr > True", "snr > None", "snr > 5j", "snr > 1__0"),
    *("snr > 1_", "snr > 0x", "snr > 05", "snr > --3", "snr > -snr", "(snr > 5) > 3", "snr > (not snr)", "snr & 5"),
    *(
        "snr && 5",
        "snr > 5; snr",
        "!snr",
        "snr > 1" + "0" * 400,
        "snr > 1e",
        "snr if 1 else 2",
        "not",
        "()",
        "snr > ()",
    ),
    *("snr > (5", "and", "class > 3", "~snr > 1", "snr := 5", "nothing > 5", "(" * 250 + "snr > 1" + ")" * 250),
    *("not " * 150 + "snr > 1", "snr > 1 " + " and snr > 1" * 1200),
]


def test_the_pages_query_language_is_pythons(opened, shown):
    """The same texts are rejected, and the others give the same labels."""
    page, _ = opened
    draw = np.random.default_rng(0)
    metrics = pd.DataFrame(
        {
            "snr": draw.normal(5, 4, 60).round(2),
            "num_spikes": draw.integers(0, 90, 60),
            "l_ratio": np.where(draw.random(60) < 0.4, np.nan, draw.random(60)),
            "trough": np.where(draw.random(60) < 0.4, np.nan, draw.normal(size=60)),
            "sliding": np.where(draw.random(60) < 0.4, np.nan, draw.random(60)),
        }
    ).rename(columns={"trough": "trough_width", "sliding": "sliding_rp_violation"})
    cases = [
        text.replace("trough", "trough_width").replace("sliding", "sliding_rp_violation")
        for text in [*LANGUAGE, *REJECTED]
    ]
    expected = [verdict_of_python(text, metrics) for text in cases]
    assert expected.count(None) == len(REJECTED)
    columns = {name: [None if np.isnan(value) else value for value in metrics[name].tolist()] for name in metrics}
    settings = {
        "undefined_metric": "leave_out",
        "min_spikes": 50,
        "leave_out": list(metrics_that_need_more_data(metrics)),
    }
    assert set(settings["leave_out"]) == {"snr", "num_spikes", "l_ratio"}
    found = page.evaluate(
        """([cases, metrics, settings]) => cases.map((text) => {
            const sorting = { settings, units: { metrics }, ids: metrics.snr.map(String), spikes: metrics.num_spikes };
            try { return labelByQuery(sorting, parseQuery(text)).labels; } catch (error) {
                if (!(error instanceof QueryError)) throw new Error(`${text}: ${error}`);
                return null;
            }
        })""",
        [cases, columns, settings],
    )
    for text, page_says, python_says in zip(cases, found, expected, strict=True):
        assert page_says == python_says, text


def verdict_of_python(text, metrics):
    """The labels by Python; None when it rejects the query."""
    try:
        parse(text)
        counts = metrics["num_spikes"].to_numpy()
        return [label.label for label in label_units(text, metrics, counts, "leave_out", 50)]
    except QueryError:
        return None


# --- a unit's page


def test_a_units_page(opened, shown):
    page, _ = opened
    page.locator(f"{FIRST} tbody a").nth(1).click()
    dialog = page.locator("dialog#unit")
    units = shown["units"]
    assert dialog.locator("h2").inner_text() == f"Unit {units['ids'][1]} first"
    assert page.evaluate("location.hash") == f"#unit/first/{units['ids'][1]}"
    label, reason = units["labels"]["default_qc"][1], units["labels"]["default_qc_reason"][1]
    said = dialog.locator("#unit-labels").inner_text()
    assert f"{label}: {reason}" in said if reason else f"{label}: it meets" in said
    snr = dialog.locator("#unit-metrics tr", has_text="snr").first.locator("td").all_inner_texts()
    value = units["metrics"]["snr"][1]
    assert float(snr[0]) == pytest.approx(value, rel=0.01)
    smaller = sum(other < value for other in units["metrics"]["snr"])
    assert float(snr[1]) == pytest.approx(100 * (smaller + 0.5) / UNITS, abs=1)
    assert snr[2] == "5"
    for chart in ("waveform", "correlogram", "amplitudes", "distribution", "rates", "position", "place"):
        assert page.locator(f"#unit-{chart} canvas").count() == 1, chart
        assert drawn_pixels(page, f"#unit-{chart} canvas") > 100, chart
    assert "0.5 ms" in dialog.inner_text() and "1.5 ms" in page.locator("#unit-correlogram").get_attribute("aria-label")


def drawn_pixels(page, canvas):
    """Pixels of a chart with anything on them."""
    return page.locator(canvas).evaluate(
        """canvas => {
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            return data.filter((value, index) => index % 4 === 3 && value > 0).length;
        }"""
    )


def test_what_is_drawn_is_what_was_sent(opened, shown):
    import base64

    page, _ = opened
    units = shown["units"]
    for unit in (0, 7):
        points = page.evaluate(f"Array.from(sortings[0].amplitudePoints({unit}).times)")
        sent = np.frombuffer(base64.b64decode(units["amplitudes"]["times_s"]), "<f4")
        first = sum(units["amplitudes"]["counts"][:unit])
        assert points == sent[first : first + units["amplitudes"]["counts"][unit]].tolist()
        rates = np.frombuffer(base64.b64decode(units["correlograms"]["rates_hz"]), "<f4").reshape(UNITS, -1)
        assert page.evaluate(f"Array.from(sortings[0].autocorrelogram({unit}))") == rates[unit].tolist()
    pairs = units["pairs"]
    at = pairs["index"].index([7, 8])
    counts = np.frombuffer(base64.b64decode(pairs["counts"]), "<u2").reshape(-1, pairs["bins"])[at].tolist()
    assert page.evaluate("Array.from(sortings[0].crossCorrelogram(7, 8))") == counts
    # Lags are those of the other unit's spikes around this one's.
    assert page.evaluate("Array.from(sortings[0].crossCorrelogram(8, 7))") == counts[::-1]


def test_similar_units_and_merge_candidates_show_their_evidence(opened, shown):
    page, _ = opened
    open_unit(page, 10)
    items = page.locator("#unit-similar li")
    candidate = items.first.inner_text()
    assert "merge candidate" in candidate
    assert "92 % of the expected spike pairs are missing" in candidate and "14.2 µm apart" in candidate
    assert "0.4 % of the spikes violate" in candidate
    assert items.count() == len(shown["units"]["similar"][10])
    assert items.locator("canvas").count() >= 2
    other = items.nth(1).locator("a")
    name = other.inner_text()
    other.click()
    expect(page.locator("#unit-title")).to_contain_text(name)


def test_keys_turn_the_pages_in_the_tables_order(opened):
    page, _ = opened
    page.locator(f'{FIRST} [data-column="snr"]').click()
    ids = order(page)
    page.locator(f"{FIRST} tbody a").first.click()
    title = page.locator("#unit-title")
    for key, index in (("j", 1), ("ArrowRight", 2), ("k", 1), ("ArrowLeft", 0), ("k", 0)):
        page.keyboard.press(key)
        expect(title).to_have_text(f"Unit {ids[index]} first")
    assert page.locator("#unit-before").is_disabled()
    page.locator("#unit-after").click()
    expect(title).to_have_text(f"Unit {ids[1]} first")
    page.keyboard.press("Escape")
    expect(page.locator("dialog#unit")).not_to_be_visible()
    assert page.evaluate("location.hash") == ""
    # The table's row of the unit has the focus, and its keys go on from there.
    assert page.evaluate("document.activeElement.textContent") == ids[1]
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.textContent") == ids[2]
    page.keyboard.press("Enter")
    expect(title).to_have_text(f"Unit {ids[2]} first")


def test_the_keyboard_stays_in_a_units_page_at_its_end(opened):
    page, _ = opened
    open_unit(page, UNITS - 2)
    page.locator("#unit-after").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#unit-after:disabled")
    assert page.evaluate("document.activeElement.id") == "unit-close"


def test_a_link_to_a_unit_opens_it(opened, shown):
    page, seen = opened
    id = shown["units"]["ids"][3]
    page.evaluate(f"location.hash = '#unit/' + encodeURIComponent('a % of/2') + '/{id}'")
    page.wait_for_selector("dialog[open]")
    assert page.locator("dialog h2").inner_text() == f"Unit {id} a % of/2"
    for nonsense in ("#unit/nonsense/3", "#unit/%/1", "#unit/first/none"):
        page.evaluate("hash => { location.hash = hash; }", nonsense)
        page.wait_for_selector("dialog:not([open])", state="attached")
    assert seen.console == []


def test_what_was_not_computed_is_said(shown, visit, tmp_path):
    bare = copy.deepcopy(shown)
    missing = ("waveforms", "correlograms", "amplitudes", "similar", "places", "rates", "depths", "pairs")
    bare["units"] |= dict.fromkeys(missing) | {"merges": [], "labels": {}, "query": None}
    bare |= {"probe": None, "recording": None}
    (tmp_path / "report.html").write_text(page_of({"first": bare, "no units": bare | {"units": None}}))
    page, seen = visit(tmp_path / "report.html")
    ready(page)
    for place in page.locator("section").all():
        place.scroll_into_view_if_needed()
    open_unit(page, 0)
    for plot, extension in (("waveform", "templates"), ("correlogram", "correlograms"), ("place", "unit_locations")):
        assert f"postprocessing.extensions.{extension} is null" in page.locator(f"#unit-{plot}").inner_text()
    assert "no curation query" in page.inner_text("#unit-labels")
    assert seen.console == []


# --- decisions


def test_decisions_are_counted_kept_and_saved(opened, shown):
    page, _ = opened
    ids = shown["units"]["ids"]
    page.locator(f"{FIRST} tbody a").first.focus()
    for key in ("g", "j", "m", "j", "x", "j", "n", "n"):
        page.keyboard.press(key)
    said = part(page, "decisions").locator("[role=status]").inner_text()
    assert said == f"You decided 3 of {UNITS}: 1 good, 1 mua, 0 noise, 1 removed, 0 merges"
    open_unit(page, 10)
    page.keyboard.press("c")
    page.keyboard.type("a good <one>")
    page.locator("#unit-similar button").first.click()
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog:not([open])", state="attached")
    page.reload()
    ready(page)
    said = part(page, "decisions").locator("[role=status]").inner_text()
    assert said.endswith("1 good, 1 mua, 0 noise, 1 removed, 1 merge, 1 comment")
    document = saved(page)
    assert document["removed"] == [int(ids[2])]
    assert document["merges"] == [{"unit_ids": [int(ids[10]), int(ids[11])]}]
    assert document["manual_labels"][:2] == [
        {"unit_id": int(ids[0]), "labels": {"quality": ["good"]}},
        {"unit_id": int(ids[1]), "labels": {"quality": ["mua"]}},
    ]
    page.on("dialog", lambda dialog: dialog.accept())
    part(page, "decisions").get_by_text("Remove all").click()
    assert "decided 0 of" in part(page, "decisions").inner_text()


def saved(page):
    with page.expect_download() as download:
        part(page, "decisions").get_by_text("Save as curation.json").click()
    assert download.value.suggested_filename == "first_curation.json"
    return json.loads(download.value.path().read_text())


def test_a_removed_unit_is_in_no_merge_and_merges_that_touch_are_one(opened):
    page, _ = opened
    state = page.evaluate(
        """() => {
            const { decisions, sorting: { ids } } = explorers.first;
            decisions.merge(0, 1); decisions.merge(2, 3); decisions.merge(1, 2); decisions.set(3, { removed: true });
            return [decisions.document(), ids.slice(0, 4).map(Number)];
        }"""
    )
    document, ids = state
    assert sorted(document["merges"][0]["unit_ids"]) == ids[:3] and len(document["merges"]) == 1
    assert document["removed"] == [ids[3]]


@pytest.mark.parametrize("integer_ids", rest_is_slow([True, False]))
def test_spikerelay_curate_applies_the_saved_file(shown, visit, tmp_path, integer_ids):
    import spikeinterface as si

    from capsules.commands.curate import edit_units
    from capsules.commands.curation_file import check_labels, name_new_units, parse_curation, read_curation

    recording, sorting = si.generate_ground_truth_recording(durations=[5.0], num_channels=8, num_units=6, seed=1)
    sorting = sorting.rename_units([10 * index + 3 if integer_ids else f"u{index}" for index in range(6)])
    analyzer = si.create_sorting_analyzer(sorting, recording, format="memory", sparse=True, radius_um=500)
    analyzer.compute({"random_spikes": {}, "templates": {}})
    content = report_content(6, channels=16, pictures=0)
    content["units"] |= {"ids": [str(unit) for unit in sorting.unit_ids], "integer_ids": integer_ids}
    (tmp_path / "report.html").write_text(page_of({"first": content}))
    page, _ = visit(tmp_path / "report.html")
    ready(page)
    page.evaluate(
        """() => {
            const { decisions } = explorers.first;
            decisions.set(0, { label: "mua", comment: "two neurons?" }); decisions.set(1, { removed: true });
            decisions.merge(2, 4); decisions.set(5, { label: "good" });
        }"""
    )
    file = tmp_path / "curation.json"
    file.write_text(json.dumps(saved(page)))
    units = [unit.item() for unit in analyzer.unit_ids]
    curation = parse_curation(read_curation(file), file, "first", units)
    check_labels(curation, file, {"snr", "id"})
    name_new_units(curation, file, analyzer.sorting)
    edited = edit_units(analyzer, curation)
    kept = [unit.item() for unit in edited.unit_ids]
    assert len(kept) == 4 and set(kept) > {units[0], units[3], units[5]}
    quality = dict(zip(kept, edited.sorting.get_property("quality"), strict=True))
    assert (quality[units[0]], quality[units[5]], quality[units[3]]) == ("mua", "good", "")
    comment = dict(zip(kept, edited.sorting.get_property("comment"), strict=True))
    assert comment[units[0]] == "two neurons?"


# --- every size, both schemes, paper


@pytest.mark.parametrize(
    ("width", "scheme"),
    rest_is_slow([(390, "light"), (1440, "dark"), (360, "dark"), (1440, "light"), (2560, "dark")], 2),
)
def test_axe_finds_nothing_and_nothing_is_cut_off(file, visit, width, scheme):
    page, seen = visit(file, bypass_csp=True, color_scheme=scheme, viewport={"width": width, "height": 900})
    ready(page)
    for place in page.locator("section").all():
        place.scroll_into_view_if_needed()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    open_unit(page, 10)
    assert (
        page.evaluate("(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)(document.getElementById('unit'))")
        <= 0
    )
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert seen.console == []


def test_pictures_and_charts_fill_their_width(file, visit):
    page, _ = visit(file, viewport={"width": 1440, "height": 900})
    ready(page)
    widths = page.evaluate(
        """() => [...document.querySelectorAll("figure img, .plot")].filter((one) => one.offsetParent)
            .map((one) => one.clientWidth / one.parentElement.clientWidth)"""
    )
    assert len(widths) > 10 and min(widths) > 0.98


def test_the_histograms_are_drawn_on_a_phone(file, visit):
    """The maps below them are out of sight there."""
    page, _ = visit(file, viewport={"width": 390, "height": 700}, has_touch=True)
    page.wait_for_selector("html[data-ready]")
    page.locator(f"{FIRST} .conditions").scroll_into_view_if_needed()
    page.wait_for_selector(f'{FIRST} [data-metric="snr"] canvas')
    page.wait_for_timeout(100)
    assert drawn_pixels(page, f'{FIRST} [data-metric="snr"] canvas') > 100


def test_the_charts_follow_a_change_to_dark(opened):
    page, _ = opened
    page.emulate_media(color_scheme="light")
    part(page, "depths").scroll_into_view_if_needed()
    page.wait_for_selector(f'{FIRST} [data-part="depths"] canvas')
    light = page.evaluate("[colour('page'), colour('good')]")
    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(100)
    dark = page.evaluate("[colour('page'), colour('good')]")
    assert not set(light) & set(dark)
    page.emulate_media(color_scheme="light")


def test_paper_has_every_unit(file, visit):
    page, _ = visit(file, viewport={"width": 794, "height": 1123})
    ready(page)
    page.emulate_media(media="print")
    page.evaluate("beforePrint()")
    assert page.locator(f"{FIRST} tr[data-unit]").count() == UNITS
    assert not page.locator(".contents").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 794
    assert page.evaluate("[...document.images].every((picture) => picture.complete && picture.naturalWidth > 0)")
    assert page.evaluate("document.querySelector('[data-part=table]').clientHeight") > 44 * UNITS
    page.emulate_media(media="screen")
    page.evaluate("afterPrint()")
    assert page.locator(f"{FIRST} tr[data-unit]").count() < UNITS


@pytest.mark.slow
def test_800_units_are_small_and_quick(visit, tmp_path):
    """The times are a few times what they may be on a quiet machine: `python -m tests.bench.report_page` measures."""
    content = {name: report_content(400, seed) for seed, name in enumerate(("first", "imec1"))}
    kept, left_out = report.shrink_to_limit(content)
    assert left_out == []
    (tmp_path / "report.html").write_text(page_of(kept))
    assert (tmp_path / "report.html").stat().st_size < 15e6
    page, seen = visit(tmp_path / "report.html")
    ready(page)
    took = page.evaluate(
        """() => {
            const { table } = explorers.first;
            const start = performance.now();
            table.sort(table.columns.find(({ name }) => name === "snr"));
            return performance.now() - start;
        }"""
    )
    assert took < 500
    assert page.locator(f"{FIRST} tr[data-unit]").count() < 60
    assert seen.console == []


def test_every_figure_says_what_to_see(opened):
    page, _ = opened
    for figure in page.locator("main figure:visible").all():
        assert re.search(r"\w", figure.locator("figcaption").inner_text())


def test_the_overview_of_sessions(visit, tmp_path):
    entry = {"data": HOSTILE, "status": "ok", "reason": None, "recordings": {"ok": 2, "skipped": 0, "failed": 0}}
    entry |= {"units": 40, "good_units": 10, "noise_uv": 7.25, "drift_um": None, "seconds": 60}
    later = entry | {"good_units": 20, "status": "failed", "reason": HOSTILE}
    sessions = {"rat1_day1": entry, "rat1_day2": later, "rat2_day1": entry}
    (tmp_path / "sessions.html").write_text(overview.page({"status": "failed", "sessions": sessions}, [HOSTILE]))
    page, seen = visit(tmp_path / "sessions.html", bypass_csp=True, viewport={"width": 390, "height": 800})
    assert page.locator("b").count() == 0 and page.get_by_text(HOSTILE).count() >= 3
    assert page.inner_text(".verdict").endswith("3 sessions, 1 of them failed: 120 units, 40 of them good.")
    assert page.locator("h3").all_inner_texts() == ["rat1"]
    columns = page.locator(".trends figure").nth(1).locator(".column")
    low, high = (columns.nth(index).bounding_box()["height"] for index in range(2))
    assert low == pytest.approx(high / 2, rel=0.05)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert seen.console == []
