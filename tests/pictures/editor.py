"""The parameter editor: its first screen, on a narrow screen, and a file with mistakes."""

from __future__ import annotations

import json

from capsules.generate import ROOT
from tests.pictures.studio import Studio

PAGE = ROOT / "params_app" / "index.html"
WITH_MISTAKES = {
    "job_dispatch": {"input": "spikeglx"},
    "preprocessing": {"t_start": 60, "t_stop": 30, "highpass_filter": {"freq_mim": 300}},
    "spikesorting": {"sorter": "kilosort"},
}


def make(studio: Studio) -> None:
    with studio.open(PAGE, width=1200, height=860) as page:
        page.locator("#preset").select_option(index=1)
        page.locator("#preset").blur()
        studio.shoot("params_app.webp", page)
    with studio.open(PAGE, width=360, height=780) as page:
        studio.shoot("params_app_narrow.webp", page)
    with studio.open(PAGE, width=1000, height=760) as page:
        page.get_by_role("tab", name="Validate JSON").click()
        page.locator("#text").fill(json.dumps(WITH_MISTAKES, indent=4))
        page.wait_for_selector("#mistakes li")
        page.locator("#mistakes li").nth(1).get_by_role("button").first.click()
        studio.shoot("params_app_validate.webp", page)
