"""Good and bad units: real neurons in a hybrid recording, as they are and spoiled on purpose."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tests.pictures.hybrid import POPPING, RATE_HZ, load_truth, make_examples
from tests.pictures.stages import Trains, run_stages
from tests.pictures.studio import Studio

GOOD, CONTAMINATED, COMPLETE, CUT_OFF, NOISE, MERGED, SINGLE = 1, 2, 3, 4, 5, 6, 7
HALVES = (8, 9)
FAST, OTHER_FAST, LARGE, MIXED = "T196_u44", "T196_u43", "T196_u45", ("T196_u46", "T196_u128")
FEWEST_SPIKES = 100


PAGES = {
    "unit_good.webp": GOOD,
    "unit_contaminated.webp": CONTAMINATED,
    "unit_complete.webp": COMPLETE,
    "unit_cut_off.webp": CUT_OFF,
    "unit_noise.webp": NOISE,
    "unit_merged.webp": MERGED,
    "unit_single.webp": SINGLE,
}
"""File -> unit."""
PAIRS = {"pair_split.webp": HALVES, "pair_two_neurons.webp": (GOOD, COMPLETE)}
"""File -> two units."""
FOR_A_COLUMN = """
dialog { height: auto !important; max-height: none !important; width: 520px !important; margin: 0 }
dialog .buttons, dialog .decide, dialog figcaption, #unit-count, #unit-around, #unit-similar, #unit-around ~ *,
.unit-wave:has(#unit-place), figure:has(#unit-rates), figure:has(#unit-position) { display: none !important }
"""


def results() -> Path:
    """The stages' folders of the examples."""
    data = make_examples()
    options = ("--motion", "skip"), ("--duplicate_shared_spikes", "2")
    return run_stages(data, "stages", spoil(data), *options)


def spoil(data: Path) -> Trains:
    """The true units under new ids, and units made from them.

    With a share of spikes above 1, no unit is a duplicate of the one that it was made from.
    """
    truth = load_truth(data)
    draw = np.random.default_rng(5)
    foreign = np.concatenate([train for unit, train in truth.items() if unit != FAST])
    share = draw.choice(foreign, round(0.3 * len(truth[FAST])), replace=False)
    large, small = _halve(data, truth[LARGE])
    kept, _ = _halve(data, truth[OTHER_FAST], share=0.35)
    trains = {
        GOOD: truth[FAST],
        CONTAMINATED: _join(truth[FAST], share),
        COMPLETE: truth[OTHER_FAST],
        CUT_OFF: kept,
        NOISE: np.load(data.parent / "pops.npy"),
        MERGED: _join(*(truth[unit] for unit in MIXED)),
        SINGLE: truth[MIXED[0]],
        HALVES[0]: large,
        HALVES[1]: small,
    }
    used = {FAST, OTHER_FAST, LARGE, *MIXED}
    others = [train for unit, train in truth.items() if unit not in used and len(train) >= FEWEST_SPIKES]
    return trains | dict(enumerate(others, start=20))


def _join(*trains: np.ndarray) -> np.ndarray:
    """The spikes of several trains; of those within 0.3 ms of each other a sorter detects one."""
    joined = np.sort(np.concatenate(trains))
    return joined[np.diff(joined, prepend=-RATE_HZ) > 0.0003 * RATE_HZ]


def _halve(data: Path, train: np.ndarray, share: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """The spikes above and below a quantile of the amplitude, which is measured in the raw traces."""
    import spikeinterface as si

    traces = si.load(data / "rec").get_traces()
    around = traces[train[:, None] + np.arange(-20, 21)]
    sizes = np.ptp(around, axis=1)
    main = int(np.argmax(np.median(sizes[:, [channel for channel in range(sizes.shape[1]) if channel != POPPING]], 0)))
    amplitudes = sizes[:, main if main < POPPING else main + 1]
    is_large = amplitudes >= np.quantile(amplitudes, share)
    return train[is_large], train[~is_large]


def make(studio: Studio) -> None:
    folder = results()
    for name, unit in PAGES.items():
        with unit_page(studio, folder, unit) as page:
            studio.shoot(name, page, "dialog")
    for name, (unit, other) in PAIRS.items():
        with unit_page(studio, folder, unit) as page:
            page.add_style_tag(content="#unit-similar { display: block !important }")
            card = f'#unit-similar li:has(a[href$="/{other}"])'
            page.add_style_tag(content=f"#unit-similar li:not(:has(a[href$='/{other}'])) {{ display: none }}")
            studio.shoot(name, page, card)
    with open_report(studio, folder, width=1090) as page:
        page.evaluate(f"location.hash = `#unit/${{sortings[0].id}}/{MERGED}`")
        page.wait_for_selector("dialog[open]")
        page.add_style_tag(content="dialog { height: auto !important; max-height: none !important }")
        studio.shoot("unit.webp", page, "dialog header", "#unit-labels", ".unit-grid")


@contextmanager
def open_report(studio: Studio, folder: Path, width: int) -> Iterator[Any]:
    """The report of the stages' folders."""
    with studio.open(folder / "results_run" / "report.html", width=width, height=1600) as page:
        page.wait_for_selector("html[data-ready]")
        yield page


@contextmanager
def unit_page(studio: Studio, folder: Path, unit: int) -> Iterator[Any]:
    """The page of a unit: its label, waveform, autocorrelogram and amplitudes, for a column of the page."""
    with open_report(studio, folder, width=520) as page:
        page.add_style_tag(content=FOR_A_COLUMN)
        page.evaluate(f"location.hash = `#unit/${{sortings[0].id}}/{unit}`")
        page.wait_for_selector("dialog[open]")
        page.wait_for_timeout(500)
        yield page
