"""The report in a real browser: nothing asked for, nothing on the console, its tables and unit pages at work."""

from __future__ import annotations

import copy
import json
import random

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from capsules.common.contract import BLOCK_STAGES, RECORDING_STAGES
from capsules.common.recordings.job import Job, Reader
from capsules.results import report
from capsules.results.stage import planned_memory
from capsules.results.status import status_document
from tests.halves import rest_is_slow

SORTERS = [{"name": "spykingcircus2", "suffix": ""}]
HOSTILE = "</script><script>document.title='taken'</script><b>\"'&"
PARAMS = {
    "differences": {"curation.query": ["snr > 1", HOSTILE]},
    "origins": {"curation.query": "--curation_args"},
    "notes": [f"a note {HOSTILE}"],
}


def jobs(*ids):
    reader = Reader(name="none", kwargs={})
    sizes = {"sampling_frequency_hz": 30000.0, "num_channels": 16, "duration_s": 10.0, "dtype": "int16", "megabytes": 9}
    return [Job(id=id, session="s", block="b", stream="s", segments=[0], reader=reader, **sizes) for id in ids]


def record(stage, status="ok", reason=None, **facts):
    told = [f"{stage} says {HOSTILE}"]
    measured = {"seconds": 1.5, "peak_memory_mb": 512, "versions": {"numpy": "2"}}
    return measured | {"status": status, "reason": reason, "warnings": told, "changes": told, "facts": facts}


def page_of(content, failed=()):
    """The report of a run over the recordings of `content` and those that failed."""
    records = {
        (stage, id): record(stage, units=6, good_units=3)
        for id in content
        for stage in (*RECORDING_STAGES, *BLOCK_STAGES)
    }
    records |= {(stage, "b"): record(stage) for stage in BLOCK_STAGES}
    failures = {("preprocessing", id): {"reason": f"broken {HOSTILE}", "kind": "failed"} for id in failed}
    run = jobs(*content, *failed)
    status = status_document(run, SORTERS, records, failures)
    return report.render(
        status, content, PARAMS, {}, planned=planned_memory(run, SORTERS), versions={"numpy": "2"}, ended=None
    )


@pytest.fixture(scope="session")
def shown(tmp_path_factory):
    """What visualization gives for one recording of six generated units."""
    import matplotlib as mpl
    import numpy as np
    import spikeinterface as si

    from capsules.common.facts import CurationFacts, PreprocessingFacts
    from capsules.common.units.metrics import get_metrics_table
    from capsules.visualization import unit_figures
    from capsules.visualization.checks import check_recording
    from capsules.visualization.pictures import Gallery
    from capsules.visualization.unit_data import collect_unit_data

    mpl.use("Agg")
    recording, sorting = si.generate_ground_truth_recording(durations=[10.0], num_channels=16, num_units=6, seed=1)
    analyzer = si.create_sorting_analyzer(sorting, recording, format="memory", sparse=True)
    names = ["random_spikes", "waveforms", "templates", "noise_levels", "correlograms", "spike_amplitudes"]
    names += ["unit_locations", "template_similarity"]
    analyzer.compute(
        {name: {} for name in names} | {"quality_metrics": {"metric_names": ["num_spikes", "snr", "firing_rate"]}}
    )
    labels = {"default_qc": np.array(["good", "bad"] * 3), "decoder_probability": np.linspace(0.5, 0.9, 6)}
    gallery = Gallery(tmp_path_factory.mktemp("gallery"), "png")
    gallery.add(unit_figures.draw_yield(get_metrics_table(analyzer), labels), "yield", f"Units {HOSTILE}")
    for figure in unit_figures.draw_summaries(analyzer, labels["default_qc"]):
        gallery.add(figure, "summaries", "Units in brief")
    contacts = [str(channel) for channel in recording.channel_ids]
    x, y = recording.get_channel_locations().T
    facts = (PreprocessingFacts(bad_channels={"dead": contacts[:4]}), CurationFacts(units=6))
    return {
        "probe": {"ids": contacts, "x": x.tolist(), "y": y.tolist(), "labels": ["dead"] * 4 + ["good"] * 12},
        "checks": check_recording(*facts, 16, 9.0),
        "units": collect_unit_data(analyzer, labels, get_metrics_table(analyzer), contacts),
        "pictures": gallery.pictures,
    }


@pytest.fixture(scope="session")
def file(shown, tmp_path_factory):
    made = tmp_path_factory.mktemp("report") / "report.html"
    made.write_text(page_of({"first": shown, "a % of/2": shown}, failed=["third"]))
    return made


@pytest.fixture
def opened(file, tab):
    """The report in a page, and what is Seen of it."""
    page, seen = tab
    page.goto("about:blank")
    seen.console.clear()
    seen.requests.clear()
    page.goto(file.as_uri())
    return page, seen


def units_shown(page):
    return page.locator('[data-units="first"] tbody th').all_inner_texts()


def column(page, index):
    return page.locator(f'[data-units="first"] tbody tr td:nth-child({index})').all_inner_texts()


def test_it_asks_for_nothing_and_complains_of_nothing(opened, file):
    page, seen = opened
    page.locator("[data-probe]").first.scroll_into_view_if_needed()
    page.wait_for_selector("[data-probe] .main-svg")
    page.locator('[data-units="first"] tbody a').first.click()
    page.wait_for_selector("#unit-amplitudes .main-svg")
    assert seen.console == []
    assert [url for url in seen.requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert [url for url in seen.requests if url.startswith("file:")] == [file.as_uri()]


def test_what_comes_from_the_data_is_text(opened):
    page, _ = opened
    assert page.title() == "SpikeRelay report: failed"
    assert page.get_by_text(HOSTILE).count() > 3
    assert page.locator("b").count() == 0


def test_parameters_are_shown_as_they_are_written(opened):
    page, _ = opened
    cells = page.locator("tr", has_text="curation.query").locator("td").all_inner_texts()
    assert cells[:2] == ['"snr > 1"', json.dumps(HOSTILE)]


def test_a_run_without_recordings_has_a_report(visit, tmp_path):
    (tmp_path / "report.html").write_text(page_of({}))
    page, seen = visit(tmp_path / "report.html")
    assert "The run is ok: 0 recordings, 0 with warnings." in page.inner_text("main")
    assert seen.console == []


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


def test_the_table_sorts_both_ways(opened):
    page, _ = opened
    button = page.locator('[data-units="first"] [data-column="snr"]')
    button.click()
    headers = page.locator('[data-units="first"] thead th')
    index = headers.all_inner_texts().index("snr") + 1
    assert headers.nth(index - 1).get_attribute("aria-sort") == "descending"
    values = [float(text) for text in column(page, index)]
    assert values == sorted(values, reverse=True)
    button.click()
    assert [float(text) for text in column(page, index)] == sorted(values)
    assert button.evaluate("button => button === document.activeElement")


def test_the_table_filters(opened):
    page, _ = opened
    assert len(units_shown(page)) == 6
    filters = page.locator('[data-units="first"] .filters')
    filters.locator('[data-filter="default_qc"]').select_option("good")
    assert column(page, 2) == ["good"] * 3
    assert page.locator('[data-units="first"] [role="status"]').inner_text() == "3 of 6 units"
    filters.locator('[data-filter="default_qc"]').select_option("any")
    filters.locator('[data-filter="metric"]').select_option("num_spikes")
    filters.locator('[data-filter="least"]').fill("1000000")
    assert units_shown(page) == []
    filters.locator('[data-filter="least"]').fill("")
    unit = file_units(page)[2]
    filters.locator('[data-filter="unit"]').fill(unit)
    assert unit in units_shown(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save shown units as CSV").first.click()
    lines = download.value.path().read_text().splitlines()
    assert lines[0].startswith("unit,default_qc") and len(lines) == 1 + len(units_shown(page))


def file_units(page):
    return page.evaluate("content.first.units.ids")


def test_a_units_page(opened, shown):
    page, _ = opened
    page.locator('[data-units="first"] tbody a').nth(1).click()
    dialog = page.locator("dialog#unit")
    units = shown["units"]
    assert dialog.locator("h2").inner_text() == f"Unit {units['ids'][1]} of first"
    assert "default_qc: bad" in dialog.locator("#unit-labels").inner_text()
    snr = dialog.locator("#unit-metrics tr", has_text="snr").locator("td").inner_text()
    assert float(snr) == units["metrics"]["snr"][1]
    for plot in ("waveform", "correlogram", "amplitudes", "place"):
        page.wait_for_selector(f"#unit-{plot} .main-svg")
    # What is drawn is what was sent: the spikes' times of the second unit.
    times = page.evaluate("Array.from(document.getElementById('unit-amplitudes').data[0].x)")
    assert len(times) == units["amplitudes"]["counts"][1]
    assert all(0 <= time <= 10 for time in times)
    page.keyboard.press("Tab")
    dialog.get_by_role("button", name="Next").click()
    # The page shows a unit when its address has changed, which is a moment later.
    expect(dialog.locator("h2")).to_contain_text(f"Unit {units['ids'][2]} ")
    other = dialog.locator("#unit-similar a").first
    name = other.inner_text()
    other.click()
    expect(dialog.locator("h2")).to_contain_text(f"Unit {name} ")
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert page.evaluate("location.hash") == ""


def test_the_keyboard_stays_in_a_units_page_to_its_ends(opened, shown):
    page, _ = opened
    held = "document.activeElement.id"
    page.locator('[data-units="first"] tbody a').first.press("Enter")
    page.wait_for_selector("dialog[open]")
    assert page.evaluate(held) == "unit-close"
    page.locator("#unit-after").focus()
    *others, last = shown["units"]["ids"][1:]
    for unit in others:
        page.keyboard.press("Enter")
        page.get_by_role("heading", name=f"Unit {unit} of first", exact=True).wait_for()
        assert page.evaluate(held) == "unit-after"
    page.keyboard.press("Enter")
    page.get_by_role("heading", name=f"Unit {last} of first", exact=True).wait_for()
    page.wait_for_selector("#unit-after:disabled")
    assert page.evaluate(held) == "unit-close"


def test_paper_has_the_probe_map_below_the_checks(file, visit):
    """Beside them it would be cut off at the edge of the page."""
    page, _ = visit(file)
    page.emulate_media(media="print")
    checks, probe = (page.locator(f".columns > {place}").first.bounding_box() for place in ("div", ".probe"))
    assert probe["y"] >= checks["y"] + checks["height"]


def test_a_link_to_a_unit_opens_it(opened):
    page, seen = opened
    page.evaluate("location.hash = '#unit/' + encodeURIComponent('a % of/2') + '/3'")
    page.wait_for_selector("dialog[open]")
    assert page.locator("dialog h2").inner_text().endswith("of a % of/2")
    for nonsense in ("#unit/nonsense/3", "#unit/%/1"):
        page.evaluate("hash => { location.hash = hash; }", nonsense)
        page.wait_for_selector("dialog:not([open])", state="attached")
    assert seen.console == []


def test_what_was_not_computed_is_said(shown, visit, tmp_path):
    bare = copy.deepcopy(shown)
    bare["units"] |= {"waveforms": None, "correlograms": None, "amplitudes": None, "similar": None, "places": None}
    bare["probe"] = None
    (tmp_path / "report.html").write_text(page_of({"first": bare}))
    page, seen = visit(tmp_path / "report.html")
    page.locator('[data-units="first"] tbody a').first.click()
    for plot, extension in (("waveform", "templates"), ("correlogram", "correlograms"), ("place", "unit_locations")):
        assert f"postprocessing.extensions.{extension} is null" in page.locator(f"#unit-{plot}").inner_text()
    assert seen.console == []


@pytest.mark.parametrize("scheme", rest_is_slow(["light", "dark"]))
def test_axe_finds_nothing(file, visit, scheme):
    page, _ = visit(file, bypass_csp=True, color_scheme=scheme)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    page.locator('[data-units="first"] tbody a').first.click()
    page.wait_for_selector("#unit-amplitudes .main-svg")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_a_phone_needs_no_scrolling_sideways(file, visit):
    page, _ = visit(file, viewport={"width": 360, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_session_of_600_units_stays_small(shown, visit, tmp_path):
    """Two probes of 300 units: what the units hold is made as large as theirs would be."""
    large = {name: many_units(shown, 300, seed) for seed, name in enumerate(("imec0", "imec1"))}
    kept, left_out = report.shrink_to_limit(large)
    assert left_out == []
    made = tmp_path / "report.html"
    made.write_text(page_of(kept))
    assert made.stat().st_size < 15e6
    page, seen = visit(made)
    assert page.locator('[data-units="imec1"] tbody tr').count() == 300
    assert seen.console == []


def test_units_that_do_not_fit_are_left_out_and_named(shown):
    content = {f"imec{index}": many_units(shown, 300, index) for index in range(6)}
    kept, left_out = report.shrink_to_limit(content)
    assert left_out and set(kept) == set(content)
    assert all((kept[id]["units"] is None) == (id in left_out) for id in kept)
    assert len(page_of(kept)) < 15e6


def many_units(shown, count, seed):
    """As many units as `count`, with as many metrics as the defaults give and random numbers, which pack badly."""
    import numpy as np

    from capsules.visualization.unit_data import AMPLITUDES, WAVEFORM_CHANNELS, pack

    draw, choose = np.random.default_rng(seed), random.Random(seed)
    samples, bins = 90, 100
    units = {
        "ids": [str(unit) for unit in range(count)],
        "labels": {"default_qc": [choose.choice(["good", "bad"]) for _ in range(count)]},
        "metrics": {f"metric {index}": draw.normal(size=count).round(4).tolist() for index in range(50)},
        "places": {axis: draw.uniform(0, 3000, count).round(1).tolist() for axis in "xy"},
        "waveforms": shown["units"]["waveforms"]
        | {
            "channels": draw.integers(0, 16, (count, WAVEFORM_CHANNELS)).tolist(),
            "scale": [0.123456] * count,
            "shape": [2, samples, WAVEFORM_CHANNELS],
            "values": pack(draw.integers(-999, 999, (count, 2, samples, WAVEFORM_CHANNELS)), "i2"),
        },
        "correlograms": {
            "rates_hz": pack(draw.normal(size=(count, bins)), "f4"),
            "start_ms": -50.0,
            "width_ms": 1.0,
            "bins": bins,
        },
        "amplitudes": {
            "counts": [AMPLITUDES] * count,
            "times_s": pack(draw.uniform(0, 9, count * AMPLITUDES), "f4"),
            "values": pack(draw.normal(size=count * AMPLITUDES), "f4"),
            "unit": "uV",
        },
        "similar": [[[choose.randrange(count), 0.9] for _ in range(4)] for _ in range(count)],
    }
    return shown | {"units": units}
