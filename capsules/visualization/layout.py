"""How all figures look, and how their panels are placed: by inches, which takes half the time of a computed layout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

WIDTH_IN = 12.0
"""Of all figures without a parameter for their size: at 100 pixels per inch the width of the report's column."""
BLUE, GREY, RED, ORANGE = "#0072b2", "#8c8c8c", "#d55e00", "#e69f00"
"""Okabe and Ito's colours, which are different for the colour-blind too."""
STYLE: dict[Any, Any] = {
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 10,
    # The background is white in the report's dark mode too: colours of data must not change with it.
    "figure.facecolor": "white",
    # Otherwise matplotlib reads a name with two $ in it as a formula.
    "text.parse_math": False,
}


def set_style(seed: str) -> None:
    """Set how figures look; `seed` makes the ids in an SVG the same each time."""
    mpl.use("Agg")
    for name, value in (STYLE | {"svg.hashsalt": seed}).items():
        mpl.rcParams[name] = value


def make_figure(
    size_in: Sequence[float],
    widths: Sequence[float] = (1,),
    heights: Sequence[float] = (1,),
    *,
    gaps_in: tuple[float, float] = (0.9, 0.75),
    left_in: float = 0.85,
    right_in: float = 0.25,
) -> tuple[Figure, npt.NDArray[np.object_]]:
    """Make a figure with a grid of axes.

    Parameters
    ----------
    size_in : width and height of the figure
    widths, heights : sequence of float
        Of the columns and rows, relative to each other.
    gaps_in : (float, float)
        Between columns and between rows.
    left_in, right_in : float
        Margins of the figure.

    Returns
    -------
    Figure
    array of Axes, (rows, columns)
    """
    width, height = size_in
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    # A small figure keeps some room for its axes.
    across = min(1.0, 0.4 * width / (left_in + right_in + gaps_in[0] * (len(widths) - 1)))
    down = min(1.0, 0.4 * height / (0.4 + 0.65 + gaps_in[1] * (len(heights) - 1)))
    inner_width = width - across * (left_in + right_in)
    inner_height = height - down * (0.4 + 0.65)
    grid = figure.add_gridspec(
        len(heights),
        len(widths),
        width_ratios=widths,
        height_ratios=heights,
        left=across * left_in / width,
        right=1 - across * right_in / width,
        top=1 - down * 0.4 / height,
        bottom=down * 0.65 / height,
        wspace=_relative_gap(across * gaps_in[0], len(widths), inner_width),
        hspace=_relative_gap(down * gaps_in[1], len(heights), inner_height),
    )
    return figure, np.asarray(grid.subplots(squeeze=False))


def _relative_gap(gap_in: float, cells: int, inner_in: float) -> float:
    """A gap in units of the mean size of a cell, as matplotlib expects it."""
    return gap_in * cells / max(inner_in - gap_in * (cells - 1), 1e-3)


def add_colour_bar(axis: Axes, mappable: mpl.cm.ScalarMappable, label: str, space_in: float = 0.1) -> None:
    """Draw a colour bar to the right of an axis, in the margin or the gap there."""
    figure = axis.get_figure(root=True)
    assert figure is not None
    width, height = figure.get_size_inches()
    box = axis.get_position()
    tall = min(box.height, 3 / height)
    place = figure.add_axes((box.x1 + space_in / width, box.y1 - tall, 0.14 / width, tall))
    bar = figure.colorbar(mappable, cax=place, label=label)
    bar.outline.set_visible(False)
    if bar.solids is not None:
        bar.solids.set_alpha(1)
