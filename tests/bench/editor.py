"""The parameter editor in Chromium: how heavy the page is, when its form is ready, how long a search takes."""

from __future__ import annotations

import shutil
import statistics

from playwright.sync_api import Page, sync_playwright

from capsules.generate import ROOT
from tests.bench.measure import table
from tests.web.conftest import QUIET

ROUNDS = 7
WORDS = ("freq_min", "drift", "@modified", "isi_violations", "")
APP = ROOT / "params_app"


def main() -> None:
    """Open the page ROUNDS times as a file; print the medians beside what is wanted."""
    ready, searches = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=QUIET)
        for _ in range(ROUNDS):
            page = browser.new_page()
            page.goto((APP / "index.html").as_uri())
            page.wait_for_selector("html[data-ready]")
            ready.append(float(page.locator("html").get_attribute("data-ready")))
            searches += [search_ms(page, words) for words in WORDS]
            page.close()
        browser.close()
    weight = sum(file.stat().st_size for file in APP.rglob("*") if file.suffix in (".html", ".css", ".js"))
    weight -= (APP / "data.js").stat().st_size
    rows = [
        ("page without its data, KB", f"{weight / 1000:.0f}", "300"),
        ("form ready, ms (median)", f"{statistics.median(ready):.0f}", "600"),
        ("search, ms (longest)", f"{max(searches):.0f}", "50"),
    ]
    print(table(("what", "measured", "wanted at most"), *rows))


def search_ms(page: Page, words: str) -> float:
    """What the page itself takes to answer a search."""
    page.locator("#search").fill(words)
    return float(page.locator("#form").get_attribute("data-search-ms"))


if __name__ == "__main__":
    main()
