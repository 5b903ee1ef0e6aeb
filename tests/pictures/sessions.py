"""The overview of the sessions of a sheet: generated numbers of two animals over a week."""

from __future__ import annotations

from typing import Any

import numpy as np

from capsules.results import overview
from tests.pictures.studio import Studio

DAYS = 5


def make(studio: Studio) -> None:
    draw = np.random.default_rng(1)
    sessions = {f"rat{rat}_day{day + 1}": _session(draw, rat, day) for rat in (1, 2) for day in range(DAYS)}
    lost = {"status": "failed", "reason": "imec0: preprocessing: no space left on device", "good_units": None}
    lost |= {"units": None, "noise_uv": None, "drift_um": None, "recordings": {"ok": 0, "skipped": 0, "failed": 1}}
    sessions["rat2_day3"] |= lost
    file = studio.cache / "sessions.html"
    file.write_text(overview.page({"status": "failed", "sessions": sessions}, []))
    with studio.open(file, width=1300, height=1120) as page:
        studio.shoot("sessions.webp", page)


def _session(draw: np.random.Generator, rat: int, day: int) -> dict[str, Any]:
    units = round(500 - 28 * day + draw.normal(0, 15))
    return {
        "data": f"/data/rat{rat}/2026-01-{15 + day}",
        "status": "ok",
        "reason": None,
        "recordings": {"ok": 2, "skipped": 0, "failed": 0},
        "units": units,
        "good_units": round(units * draw.uniform(0.42, 0.55)),
        "noise_uv": round(7 + 0.25 * day + draw.normal(0, 0.3), 1),
        "drift_um": round(draw.uniform(10, 30), 1),
        "seconds": round(draw.uniform(3300, 3900)),
    }
