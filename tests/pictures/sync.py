"""The residuals of the synchronisation of the demo's streams, as `spikerelay sync --figure` draws them."""

from __future__ import annotations

import subprocess
import sys

from PIL import Image

from capsules.generate import ROOT
from tests.pictures.studio import Studio
from tests.pictures.tutorial import run_demo


def make(studio: Studio) -> None:
    figure = studio.cache / "residuals.png"
    session = run_demo(studio.cache) / "session"
    subprocess.run([sys.executable, "-m", "capsules", "sync", session, "--figure", figure], check=True, cwd=ROOT)
    studio.save("sync_residuals.webp", Image.open(figure))
