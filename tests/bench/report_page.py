"""The report of 2 x 400 units in Chromium: its size, when it is usable, and how long each interaction takes."""

from __future__ import annotations

import shutil
import statistics
import tempfile
from pathlib import Path

from tests.bench.measure import table
from tests.web.conftest import QUIET
from tests.web.report_data import report_content
from tests.web.test_report import page_of

ROUNDS = 5
WANTED_MB, WANTED_USABLE_MS, WANTED_MS = 15, 1500, 100
ACTIONS = {
    "sort by snr": "table.sort(table.columns.find(({ name }) => name === 'snr'))",
    "type in the query": "explorer.ask(explorer.query.text + ' ')",
    "filter by a metric": "explorer.setFilter('snr', 3 + Math.random(), null)",
    "draw the linked views": "explorer.visible = true; explorer.draw()",
    "open a unit": "openUnit(explorer, Math.floor(Math.random() * 400))",
    "scroll the table": "table.place.scrollTop = Math.random() * 15000; table.paint()",
}

PREPARE = "() => { const explorer = explorers.imec0, { table } = explorer; const start = performance.now();"


def main() -> None:
    """Write the report, open it anew for each round, and print the medians."""
    from playwright.sync_api import sync_playwright

    content = {name: report_content(400, seed) for seed, name in enumerate(("imec0", "imec1"))}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / "report.html"
        file.write_text(page_of(content))
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=QUIET)
        times: dict[str, list[float]] = {}
        for _ in range(ROUNDS):
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(file.as_uri())
            page.wait_for_selector("html[data-ready]")
            times.setdefault("usable", []).append(page.evaluate("usableAt"))
            page.evaluate("explorerOf('imec0')")
            for name, action in ACTIONS.items():
                script = f"{PREPARE} {action}; return performance.now() - start; }}"
                times.setdefault(name, []).append(page.evaluate(script))
            page.close()
        browser.close()
        size = file.stat().st_size / 1e6
    rows = [(name, f"{statistics.median(values):.0f}", f"{max(values):.0f}") for name, values in times.items()]
    print(table(("interaction", "median, ms", "longest, ms"), *rows))
    print(f"\nThe report has {size:.1f} MB (wanted: {WANTED_MB}).")
    print(f"Wanted: usable within {WANTED_USABLE_MS} ms, each interaction within {WANTED_MS} ms.")


if __name__ == "__main__":
    main()
