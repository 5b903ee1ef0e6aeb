"""Figures as files, and as small pictures for the report."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any, cast

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

NO_DATES = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
"""Format -> metadata that would make equal figures differ, switched off."""
DPI = 100
REPORT_PIXELS, REPORT_QUALITY = 1200, 75
"""Longest side of a picture in the report, and its quality as WebP: small, since the report is one file."""


class Gallery:
    """The figures of one task, in a folder and a file format.

    Attributes
    ----------
    files : list of str
        Of all figures, within `folder`.
    pictures : list of dict
        Of each figure in the report its `file`, its `caption`, a small copy as a data URI (`data`), and the `width` and
        `height` of this in pixels. The background is white: a dark page shows it as a light card.
    """

    def __init__(self, folder: Path, file_format: str):
        self.folder, self.file_format = folder, file_format
        self.files: list[str] = []
        self.pictures: list[dict[str, Any]] = []

    def add(self, figure: Figure, name: str, caption: str, in_report: bool = True) -> None:
        """Write a figure. Screen readers read the caption to those who cannot see the figure.

        Parameters
        ----------
        figure : Figure
            With a canvas of Agg.
        name : str
            File within the folder, without its suffix.
        caption : str
        in_report : bool
            False for a figure whose content the report shows as an interactive one.
        """
        file = f"{name}.{self.file_format}"
        self.files.append(file)
        if self.file_format != "png":
            figure.savefig(self.folder / file, metadata=NO_DATES[self.file_format])
            if not in_report:
                return
        # Drawn once for both files: matplotlib's `savefig` would draw twice for each.
        image = _render(figure)
        if self.file_format == "png":
            image.save(self.folder / file, dpi=(DPI, DPI))
        if in_report:
            data, (width, height) = _shrink(image)
            self.pictures.append({"file": file, "caption": caption, "data": data, "width": width, "height": height})


def _render(figure: Figure) -> Image.Image:
    figure.set_dpi(DPI)
    canvas = cast(FigureCanvasAgg, figure.canvas)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def _shrink(image: Image.Image) -> tuple[str, tuple[int, int]]:
    """A picture as a data URI, with its width and height."""
    image.thumbnail((REPORT_PIXELS, REPORT_PIXELS))
    content = io.BytesIO()
    image.save(content, "webp", quality=REPORT_QUALITY)
    return "data:image/webp;base64," + base64.b64encode(content.getvalue()).decode(), image.size
