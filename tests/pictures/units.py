"""Good and bad units: real neurons in a hybrid recording, as they are and spoiled on purpose."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.pictures.hybrid import RATE_HZ, load_truth, make_examples
from tests.pictures.stages import Trains, run_stages
from tests.pictures.studio import Studio

LARGE = "T196_u45"
MOVED = ("T196_u44", "T196_u43")
"""Of the original sorting: one neuron, which moved to the next contacts after 70 s."""
MIXED = ("T196_u31", "T196_u30")
FEWEST_SPIKES = 100
CUT_OFF = 0.3
"""Share of a unit's spikes that are missed by each of two measures of the amplitude."""
PAGES = {
    "unit_good.webp": ("true", 1),
    "unit_contaminated.webp": ("spoiled", 1),
    "unit_before.webp": ("true", 2),
    "unit_cut_off.webp": ("spoiled", 2),
    "unit_after.webp": ("true", 3),
    "unit_noise.webp": ("true", 4),
    "unit_single.webp": ("true", 5),
    "unit_merged.webp": ("spoiled", 5),
}
"""File -> sorting and unit."""
FIGURES = {
    "traces.webp": "visualization/traces_1",
    "channels.webp": "quality_control/channels",
    "units.webp": "visualization/units",
}
"""File -> figure of the recording."""
PAIRS = {"pair_one_neuron.webp": (2, 3), "pair_two_neurons.webp": (5, 6)}
"""File -> two units of the true sorting."""
ALONE = "body { visibility: hidden } dialog { visibility: visible } dialog::backdrop { background: white }"
"""The unit's page without what is behind it."""
FOR_A_COLUMN = """
dialog { height: fit-content !important; max-height: none !important; width: 520px !important; margin: 0 }
dialog .buttons, dialog .decide, dialog figcaption, #unit-count, #unit-around, #unit-similar, #unit-around ~ *
{ display: none !important }
"""
SHOWN = ("waveform", "correlogram", "amplitudes")
"""Figures of a unit's page."""


def results(name: str) -> Path:
    """The stages' folders of the examples: `true` units, or `spoiled` ones."""
    data = make_examples()
    trains = true_units(data)
    if name == "spoiled":
        trains = spoil(trains, large_spikes(results("true"), 2))
    return run_stages(data, name, trains, ("--motion", "skip"), (), ("--noise-strategy", "bombcell"))


def true_units(data: Path) -> Trains:
    """The true units, those of the pictures first, and the pops as a unit."""
    truth = load_truth(data)
    chosen = [LARGE, *MOVED, "pops", *MIXED]
    chosen += [unit for unit, train in truth.items() if unit not in chosen and len(train) >= FEWEST_SPIKES]
    truth["pops"] = np.load(data.parent / "pops.npy")
    return {number: truth[unit] for number, unit in enumerate(chosen, start=1)}


def spoil(trains: Trains, is_large: np.ndarray) -> Trains:
    """Move foreign spikes to unit 1, keep the large spikes of unit 2, and merge units 5 and 6."""
    large, fast, moved, pops, first, second, *others = trains.values()
    draw = np.random.default_rng(5)
    fast_is_foreign, moved_is_foreign = draw.random(len(fast)) < 0.04, draw.random(len(moved)) < 0.04
    spoiled = [
        _join(large, fast[fast_is_foreign], moved[moved_is_foreign]),
        fast[is_large & ~fast_is_foreign],
        moved[~moved_is_foreign],
        pops,
        _join(first, second),
    ]
    return dict(enumerate([*spoiled, *others], start=1))


def _join(*trains: np.ndarray) -> np.ndarray:
    """The spikes of several trains; of those within 0.3 ms of each other a sorter detects one."""
    joined = np.sort(np.concatenate(trains))
    return joined[np.diff(joined, prepend=-RATE_HZ) > 0.0003 * RATE_HZ]


def large_spikes(folder: Path, unit: int) -> np.ndarray:
    """Which spikes of a unit are large, by their amplitude on one channel and by the fit of the whole template.

    Sorters have thresholds of either kind. `amplitude_cutoff` is computed from the fits, and the report shows the
    amplitudes.
    """
    import spikeinterface as si

    (file,) = folder.glob("postprocessing_*/postprocessed.zarr")
    analyzer = si.load_sorting_analyzer(file)
    is_large = True
    for name in ("spike_amplitudes", "amplitude_scalings"):
        sizes = np.abs(analyzer.get_extension(name).get_data(outputs="by_unit")[0][unit])
        is_large &= sizes >= np.quantile(sizes, CUT_OFF)
    return np.asarray(is_large)


def make(studio: Studio) -> None:
    folders = {name: results(name) for name in ("true", "spoiled")}
    for name, figure in FIGURES.items():
        studio.save(name, figure_of(folders["true"], figure))
    for name, (sorting, unit) in PAGES.items():
        with unit_page(studio, folders[sorting], unit) as page:
            studio.shoot(name, page, "dialog")
    for name, (unit, other) in PAIRS.items():
        with unit_page(studio, folders["true"], unit) as page:
            page.add_style_tag(content="#unit-similar { display: block !important }")
            card = f'#unit-similar li:has(a[href$="/{other}"])'
            page.add_style_tag(content=f"#unit-similar li:not(:has(a[href$='/{other}'])) {{ display: none }}")
            studio.shoot(name, page, card)
    with open_report(studio, folders["spoiled"], width=1090) as page:
        page.evaluate("location.hash = `#unit/${sortings[0].id}/5`")
        page.wait_for_selector("dialog[open]")
        page.add_style_tag(content=ALONE)
        studio.shoot("unit.webp", page, "dialog header", ".unit-grid")


@contextmanager
def open_report(studio: Studio, folder: Path, width: int) -> Iterator[Any]:
    """The report of the stages' folders."""
    with studio.open(folder / "results_run" / "report.html", width=width, height=1600) as page:
        page.wait_for_selector("html[data-ready]")
        yield page


@contextmanager
def unit_page(studio: Studio, folder: Path, unit: int, shown: tuple[str, ...] = SHOWN) -> Iterator[Any]:
    """The page of a unit with its label and some figures, as narrow as a column of a table."""
    with open_report(studio, folder, width=520) as page:
        wanted = "".join(f":not(:has(#unit-{name}))" for name in shown)
        page.add_style_tag(content=f"{ALONE} {FOR_A_COLUMN} .unit-grid > figure{wanted} {{ display: none !important }}")
        page.evaluate(f"location.hash = `#unit/${{sortings[0].id}}/{unit}`")
        page.wait_for_selector("dialog[open]")
        page.wait_for_timeout(500)
        yield page


def figure_of(folder: Path, name: str) -> Image.Image:
    """A figure of visualization."""
    (file,) = folder.glob(f"visualization_*/{name}.png")
    return Image.open(file)
