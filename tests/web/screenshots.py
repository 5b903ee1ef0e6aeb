"""Pictures of synchronisation and events for docs/report.md, of generated data: `python -m tests.web.screenshots`."""

from __future__ import annotations

import io
import shutil
import tempfile
from pathlib import Path

from PIL import Image

from capsules.generate import ROOT
from tests.web.conftest import QUIET
from tests.web.event_data import add_events, sync_content
from tests.web.report_data import report_content
from tests.web.test_report import page_of

PICTURES = {
    "report_sync": 'section[aria-labelledby="synchronisation"]',
    "report_events": '[data-panel="responses"]',
    "unit_events": "#unit-around",
}
"""File in docs/images -> what it shows."""


def main() -> None:
    """Write each picture as WebP."""
    from playwright.sync_api import sync_playwright

    content = report_content(200, seed=2)
    add_events(content)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / "report.html"
        file.write_text(page_of({"imec0": content}, sync=sync_content()))
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=QUIET)
        page = browser.new_page(viewport={"width": 1440, "height": 1000}, color_scheme="light")
        page.goto(file.as_uri())
        page.wait_for_selector("html[data-ready]")
        for name, selector in PICTURES.items():
            if name == "unit_events":
                page.evaluate("location.hash = sortings[0].link(6)")
                page.wait_for_selector("dialog[open]")
            place = page.locator(selector)
            place.scroll_into_view_if_needed()
            page.wait_for_timeout(500)
            image = Image.open(io.BytesIO(place.screenshot()))
            image.save(ROOT / "docs" / "images" / f"{name}.webp", quality=85, method=6)
        browser.close()


if __name__ == "__main__":
    main()
