"""A probe as text: a line for each shank, along its depth, in braille dots, or ASCII where the terminal lacks them."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

WIDTH = 48
"""Characters of a line; each has two dots along the shank and four across."""
ALONG, ACROSS = 2, 4
BRAILLE = 0x2800
DOT_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bit of a dot in Unicode's braille, by its row and column."""
ASCII = " .:#"
"""Characters for none, few, half and more of the dots."""
MOST_SHANKS = 8
"""Lines of a drawing: a drive of more tetrodes is cut."""
Positions = npt.NDArray[np.floating]


def draw_probe(positions: Positions, groups: list[str], braille: bool | None = None) -> Iterator[str]:
    """The contacts of each group, from the tip (left) up.

    Parameters
    ----------
    positions : array (channels, 2)
        Across and along the shank, in um.
    groups : list of str
        The group of each channel: a shank or a tetrode.
    braille : bool, optional
        Whether to use braille dots; None: when the terminal can show them.
    """
    braille = _shows_braille() if braille is None else braille
    depths_um = positions[:, 1]
    lowest_um, highest_um = float(depths_um.min()), float(depths_um.max())
    names = list(dict.fromkeys(groups))
    labels = [f"group {name}" if len(names) > 1 else "" for name in names]
    margin = max(map(len, labels[:MOST_SHANKS]))
    for name, label in list(zip(names, labels, strict=True))[:MOST_SHANKS]:
        own = positions[[group == name for group in groups]]
        dots = _place_dots(own, lowest_um, highest_um)
        line = "".join(_letter(dots[:, column : column + ALONG], braille) for column in range(0, dots.shape[1], ALONG))
        yield f"{label:<{margin}}{'  ' * (margin > 0)}{line}".rstrip()
    if len(names) > MOST_SHANKS:
        yield f"and {len(names) - MOST_SHANKS} more groups"
    yield f"{'':<{margin + 2 * (margin > 0)}}{_scale(lowest_um, highest_um)}"


def _place_dots(positions: Positions, lowest_um: float, highest_um: float) -> npt.NDArray[np.bool_]:
    """Which dots have a contact: (across, along)."""
    dots = np.zeros((ACROSS, WIDTH * ALONG), bool)
    across_um = positions[:, 0] - positions[:, 0].min()
    rows = _bins(across_um, float(across_um.max()), ACROSS)
    columns = _bins(positions[:, 1] - lowest_um, highest_um - lowest_um, WIDTH * ALONG)
    dots[rows, columns] = True
    return dots


def _bins(values: Positions, span: float, count: int) -> npt.NDArray[np.int64]:
    """The bin of each value from 0 to `span`; the first one if `span` is 0."""
    if span <= 0:
        return np.zeros(len(values), np.int64)
    return np.minimum((values / span * count).astype(np.int64), count - 1)


def _letter(dots: npt.NDArray[np.bool_], braille: bool) -> str:
    if not braille:
        filled = int(dots.sum())
        return ASCII[min(len(ASCII) - 1, -(-filled // 2))] if filled else ASCII[0]
    bits = sum(DOT_BITS[row][column] for row in range(ACROSS) for column in range(ALONG) if dots[row, column])
    return chr(BRAILLE + bits) if bits else " "


def _scale(lowest_um: float, highest_um: float) -> str:
    """The depths at both ends of the lines."""
    low, high = f"{lowest_um:g} um", f"{highest_um:g} um"
    return low if lowest_um == highest_um else f"{low}{high:>{max(1, WIDTH - len(low))}}"


def _shows_braille() -> bool:
    try:
        chr(BRAILLE).encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
