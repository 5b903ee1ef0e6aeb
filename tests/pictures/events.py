"""Synchronisation, and units around events, of generated data."""

from __future__ import annotations

from tests.pictures.studio import Studio
from tests.web.event_data import add_events, sync_content
from tests.web.report_data import report_content
from tests.web.test_report import page_of

PICTURES = {
    "report_sync.webp": 'section[aria-labelledby="synchronisation"]',
    "report_events.webp": '[data-panel="responses"]',
    "unit_events.webp": "#unit-around",
}
"""File -> what it shows."""


def make(studio: Studio) -> None:
    content = report_content(200, seed=2)
    add_events(content)
    file = studio.cache / "events.html"
    file.write_text(page_of({"imec0": content}, sync=sync_content()))
    with studio.open(file, width=1120, height=1000) as page:
        page.wait_for_selector("html[data-ready]")
        for name, selector in PICTURES.items():
            if name == "unit_events.webp":
                page.evaluate("location.hash = sortings[0].link(6)")
                page.wait_for_selector("dialog[open]")
            studio.shoot(name, page, selector)
