"""Where the pictures are made: a browser, a folder of intermediate results, and the folder of the pictures."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from capsules.generate import ROOT
from tests.web.conftest import QUIET

CACHE = ROOT / ".pictures"
IMAGES = ROOT / "docs" / "images"
MOST_BYTES = 120_000
QUALITIES = (72, 60)
SCALE = 1.5
"""Pixels of a picture for each pixel of the page: the site shows pictures at most 1000 pixels wide."""
MARGIN = 12
DRAW_MS = 500


class Unavailable(Exception):
    """What a group needs and this machine lacks; its pictures stay as they are."""


@dataclass
class Studio:
    """Opens pages and saves pictures.

    Attributes
    ----------
    browser : Browser
        Of Playwright.
    saved : list of str
        The files that were written.
    """

    browser: Any
    saved: list[str] = field(default_factory=list)

    @property
    def cache(self) -> Path:
        """Intermediate results, which a later run uses again."""
        CACHE.mkdir(exist_ok=True)
        return CACHE

    @contextmanager
    def open(self, address: Path | str, width: int = 1000, height: int = 800, scale: float = SCALE) -> Iterator[Any]:
        """A page in light colours."""
        size = {"width": width, "height": height}
        page = self.browser.new_page(viewport=size, color_scheme="light", device_scale_factor=scale)
        page.goto(address if isinstance(address, str) else address.as_uri())
        yield page
        page.close()

    def shoot(self, name: str, page: Any, *selectors: str) -> None:
        """Save what the window shows as a picture, or the parts of the page that are selected, with a margin."""
        clip = None
        if selectors:
            # Charts are drawn when they come into view.
            for selector in selectors:
                page.locator(selector).first.scroll_into_view_if_needed()
                page.wait_for_timeout(DRAW_MS)
            boxes = [page.locator(selector).first.bounding_box() for selector in selectors]
            scrolled = page.evaluate("[scrollX, scrollY]")
            clip = _surround(boxes, *scrolled)
        self.save(name, Image.open(io.BytesIO(page.screenshot(clip=clip, full_page=clip is not None))))

    def save(self, name: str, picture: Image.Image) -> None:
        """Save a picture as WebP, with the highest quality that keeps it small, or with fewer pixels."""
        for smaller in (1.0, 1 / SCALE):
            size = (round(picture.width * smaller), round(picture.height * smaller))
            for quality in QUALITIES:
                stream = io.BytesIO()
                picture.convert("RGB").resize(size).save(stream, "webp", quality=quality, method=6)
                if len(stream.getvalue()) <= MOST_BYTES:
                    self.write(name, stream.getvalue())
                    return
        raise ValueError(f"{name}: {len(stream.getvalue())} bytes at the lowest quality (limit: {MOST_BYTES})")

    def write(self, name: str, content: bytes) -> None:
        """Write the file of a picture."""
        IMAGES.mkdir(exist_ok=True)
        (IMAGES / name).write_bytes(content)
        self.saved.append(name)
        print(f"  {name}: {len(content) / 1000:.0f} kB", flush=True)


def _surround(boxes: list[dict[str, float]], x: float, y: float) -> dict[str, float]:
    """The rectangle around boxes of a window that is scrolled by x and y."""
    left, top = min(box["x"] for box in boxes) + x - MARGIN, min(box["y"] for box in boxes) + y - MARGIN
    right = max(box["x"] + box["width"] for box in boxes) + x + MARGIN
    bottom = max(box["y"] + box["height"] for box in boxes) + y + MARGIN
    left, top = max(0, left), max(0, top)
    return {"x": left, "y": top, "width": right - left, "height": bottom - top}


@contextmanager
def open_studio() -> Iterator[Studio]:
    """A studio with Debian's Chromium."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("Chromium is missing: make setup-web installs it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=QUIET)
        yield Studio(browser)
        browser.close()
