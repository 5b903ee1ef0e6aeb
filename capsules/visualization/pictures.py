"""Figures as files, and as small pictures for the report."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

NO_DATES = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
"""Metadata that would make equal figures differ, by format."""
DPI = 100
REPORT_PIXELS, REPORT_QUALITY = 1000, 75
"""Longest side of a picture in the report, and its quality as WebP: small, for the report is one file."""


class Gallery:
    """The figures of one task, written below `folder` in the format `form`.

    Attributes
    ----------
    pictures : list of dict
        Of each figure its `file` (within `folder`), its `caption`, and `data`: a small copy as a data URI.
    """

    def __init__(self, folder: Path, form: str):
        self.folder, self.form = folder, form
        self.pictures: list[dict[str, str]] = []

    def add(self, figure: Any, name: str, caption: str) -> None:
        """Write a figure and close it; the caption also tells what it shows to those who cannot see it."""
        import matplotlib.pyplot as plt

        file = f"{name}.{self.form}"
        figure.savefig(self.folder / file, dpi=DPI, metadata=NO_DATES[self.form])
        raster: Any = self.folder / file
        if self.form != "png":
            raster = io.BytesIO()
            figure.savefig(raster, dpi=DPI, format="png")
        plt.close(figure)
        self.pictures.append({"file": file, "caption": caption, "data": _small(raster)})


def _small(raster: Any) -> str:
    from PIL import Image

    image = Image.open(raster).convert("RGB")
    image.thumbnail((REPORT_PIXELS, REPORT_PIXELS))
    content = io.BytesIO()
    image.save(content, "webp", quality=REPORT_QUALITY)
    return "data:image/webp;base64," + base64.b64encode(content.getvalue()).decode()
