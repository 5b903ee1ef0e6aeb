"""The pictures of the documentation: each is made by `make pictures`, used in a page, and described in words."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.docs_pages import PAGES, ROOT, without_code
from tests.pictures.listing import GROUPS, PICTURES

IMAGES = ROOT / "docs" / "images"
PICTURE = re.compile(r"!\[(?P<alt>[^\]]*)\]\((?P<file>[^)\s]+)\)")
MOST_BYTES, MOST_BYTES_OF_ALL = 120_000, 2_500_000


def pictures_of(page: Path) -> list[tuple[str, Path]]:
    """The pictures of a page: what is said of each in words, and its file."""
    return [(alt, (page.parent / file).resolve()) for alt, file in PICTURE.findall(without_code(page.read_text()))]


def test_every_picture_is_made_by_the_command():
    assert sorted(PICTURES) == sorted(file.name for file in IMAGES.iterdir())
    assert len(PICTURES) == sum(map(len, GROUPS.values()))
    assert [group for group in GROUPS if find_spec(f"tests.pictures.{group}") is None] == []


def test_every_picture_is_used_in_a_page():
    used = {file for page in PAGES for _, file in pictures_of(page)}
    assert sorted(file.name for file in IMAGES.iterdir() if file not in used) == []


@pytest.mark.parametrize("page", [page for page in PAGES if pictures_of(page)], ids=lambda page: page.stem)
def test_the_pictures_of_a_page_exist_and_are_described(page):
    for alt, file in pictures_of(page):
        assert file.is_file(), file
        # Who cannot see a picture needs more than its title.
        assert len(alt.split()) >= 4, f"{page.name}: describe {file.name} in words: ![...]"


def test_pictures_are_small():
    sizes = {file.name: file.stat().st_size for file in IMAGES.iterdir()}
    assert {name: size for name, size in sizes.items() if size > MOST_BYTES} == {}
    assert sum(sizes.values()) < MOST_BYTES_OF_ALL
