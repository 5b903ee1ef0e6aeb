"""Nextflow's timeline of the demo."""

from __future__ import annotations

from tests.pictures.studio import Studio
from tests.pictures.tutorial import run_demo


def make(studio: Studio) -> None:
    with studio.open(run_demo(studio.cache) / "results" / "nextflow" / "timeline.html", width=1100, height=700) as page:
        page.wait_for_selector("#timeline svg")
        studio.shoot("timeline.webp", page, "#timeline")
