"""The tutorial: the report and a unit of the demo, and the figures of the notebook, run on its results.

What the cells of the notebook show is written to its file too.
"""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

from PIL import Image

from capsules.generate import ROOT
from tests.notebooks import execute_notebook
from tests.pictures.studio import Studio

FIGURES = {"raster": "tutorial_raster.webp", "psth": "tutorial_psth.webp"}
"""Name of a figure in the notebook -> its file."""

RESPONSES = '[data-panel="responses"]'


def make(studio: Studio) -> None:
    demo = run_demo(studio.cache)
    scope = run_on(demo)
    for name, file in FIGURES.items():
        stream = io.BytesIO()
        scope[name].savefig(stream, dpi=130)
        studio.save(file, Image.open(stream))
    with studio.open(demo / "results" / "report.html", width=1100, height=760) as page:
        page.wait_for_selector("html[data-ready]")
        page.wait_for_timeout(500)
        studio.shoot("tutorial_report.webp", page)
        page.evaluate("sortings.forEach(({ id }) => explorerOf(id))")
        studio.shoot("tutorial_responses.webp", page, RESPONSES)
        page.evaluate("link => location.hash = link", f"unit/{scope['id']}/{scope['chosen'][0]}")
        page.wait_for_selector("dialog[open]")
        studio.shoot("tutorial_unit.webp", page, "#unit-around")


def run_demo(cache: Path) -> Path:
    """The folder of the demo; it is sorted once."""
    folder = cache / "spikerelay_demo"
    if not (folder / "results" / "report.html").exists():
        subprocess.run([sys.executable, "-m", "capsules", "demo", folder], check=True, cwd=ROOT)
    return folder


def run_on(demo: Path) -> dict[str, Any]:
    """Execute the notebook next to the demo's folder, and return its variables."""
    import matplotlib

    matplotlib.use("agg")
    scope: dict[str, Any] = {}
    with contextlib.chdir(demo.parent):
        execute_notebook(ROOT / "docs" / "tutorial.ipynb", scope, demo.parent)
    return scope
