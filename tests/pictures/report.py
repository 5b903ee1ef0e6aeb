"""The report of a run of two probes with 400 units each: generated, because it shows a report of usual size."""

from __future__ import annotations

from typing import Any

from tests.pictures.studio import Studio
from tests.web.report_data import QUERY, report_content
from tests.web.test_report import page_of

TRIED = f"{QUERY.replace('snr > 5', 'snr > 8')} and firing_rate > 0.5"
WITHOUT_CONTENTS = ".contents { display: none }"
"""The list of contents, which each picture would repeat."""


def make(studio: Studio) -> None:
    content = {f"run1_imec{seed}_recording1": report_content(400, seed) for seed in (0, 1)}
    file = studio.cache / "report.html"
    file.write_text(page_of(content))
    with studio.open(file, width=1300, height=900) as page:
        page.wait_for_selector("html[data-ready]")
        page.wait_for_timeout(500)
        studio.shoot("report.webp", page)
    with studio.open(file, width=1090, height=900) as page:
        page.wait_for_selector("html[data-ready]")
        page.add_style_tag(content=WITHOUT_CONTENTS)
        page.evaluate("sortings.forEach(({ id }) => explorerOf(id))")
        _make_parts(studio, page)


def _make_parts(studio: Studio, page: Any) -> None:
    studio.shoot("report_comparison.webp", page, 'section[aria-labelledby="comparison"]')
    page.add_style_tag(content='[data-panel="lfp"], [data-panel="noise"] { display: none }')
    shown = [f'.panels [data-panel="{name}"]' for name in ("drift", "timeline", "motion", "population")]
    studio.shoot("report_recording.webp", page, *shown)
    page.locator('[data-part="query"]').first.fill(TRIED)
    studio.shoot("report_query.webp", page, ".explorer .ask", ".histograms", ".histograms + .caption")
    # Some decisions, by the keys that a reader would press.
    page.locator(".unit-table tbody a").first.focus()
    for key in "gjjnjjjm":
        page.keyboard.press(key)
    studio.shoot("report_table.webp", page, ".tablebar", ".unit-table", ".decisions")
