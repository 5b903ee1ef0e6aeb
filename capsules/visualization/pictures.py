"""Figures as files, and as small pictures for the report."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

NO_DATES = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
"""Format -> metadata that would make equal figures differ, switched off."""
DPI = 100
REPORT_PIXELS, REPORT_QUALITY = 1000, 75
"""Longest side of a picture in the report, and its quality as WebP: small, since the report is one file."""


class Gallery:
    """The figures of one task, in a folder and a file format.

    Attributes
    ----------
    pictures : list of dict
        Of each figure its `file` (within `folder`), its `caption`, and `data`: a small copy as a data URI.
    """

    def __init__(self, folder: Path, file_format: str):
        self.folder, self.file_format = folder, file_format
        self.pictures: list[dict[str, str]] = []

    def add(self, figure: Figure, name: str, caption: str) -> None:
        """Write a figure and close it. Screen readers read the caption to those who cannot see the figure."""
        file = f"{name}.{self.file_format}"
        figure.savefig(self.folder / file, dpi=DPI, metadata=NO_DATES[self.file_format])
        raster: Path | io.BytesIO = self.folder / file
        if self.file_format != "png":
            raster = io.BytesIO()
            figure.savefig(raster, dpi=DPI, format="png")
        plt.close(figure)
        self.pictures.append({"file": file, "caption": caption, "data": _shrink(raster)})


def _shrink(raster: Path | io.BytesIO) -> str:
    image = Image.open(raster).convert("RGB")
    image.thumbnail((REPORT_PIXELS, REPORT_PIXELS))
    content = io.BytesIO()
    image.save(content, "webp", quality=REPORT_QUALITY)
    return "data:image/webp;base64," + base64.b64encode(content.getvalue()).decode()
