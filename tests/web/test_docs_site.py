"""The manual as a site: built without a warning, asking no other host for anything, searchable, readable by all."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.docs_pages import OUTSIDE, ROOT
from tests.halves import rest_is_slow

MKDOCS = ROOT / ".docs" / "venv" / "bin" / "mkdocs"
SHOWN = ("extending.html", "index.html", "parameters.html")


def build(settings: Path, site: Path) -> subprocess.CompletedProcess:
    if not MKDOCS.exists():
        say = pytest.fail if os.environ.get("CI") else pytest.skip
        say("mkdocs is missing: make setup-docs installs it")
    command = [MKDOCS, "build", "--config-file", settings, "--site-dir", site]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("manual") / "site"
    built = build(ROOT / "docs" / "site" / "mkdocs.yml", folder)
    assert built.returncode == 0, built.stderr
    return folder


def test_a_broken_link_stops_the_build(tmp_path):
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    for name in OUTSIDE:
        shutil.copyfile(ROOT / name, tmp_path / name)
    for name in ("capsules", "spikerelay.py"):  # what docs/python.md takes the docstrings from
        (tmp_path / name).symlink_to(ROOT / name)
    with (tmp_path / "docs" / "gpu.md").open("a") as page:
        page.write("\n[one](nowhere.md), [two](sorters.md#nothing), [three](../CONTRIBUTING.md#nothing)\n")
    (tmp_path / "docs" / "alone.md").write_text("# Not in the navigation\n")
    built = build(tmp_path / "docs" / "site" / "mkdocs.yml", tmp_path / "site")
    assert built.returncode == 1
    for told in ("'nowhere.md'", "'#nothing'", "'contributing.md' does not contain", "alone.md", "4 warnings"):
        assert told in built.stdout + built.stderr


def test_nothing_is_fetched_from_elsewhere(site):
    pages = list(site.glob("*.html"))
    assert len(pages) > 20
    loads = r"""<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=["']?(?:https?:)?//[^\s"'>]*"""
    found = {page.name: links for page in pages if (links := re.findall(loads, page.read_text()))}
    assert found == {}
    sheets = [sheet.read_text() for sheet in site.rglob("*.css")]
    assert not [
        url for sheet in sheets for url in re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//[^)\"']*", sheet)
    ]


@pytest.mark.parametrize(
    ("name", "scheme"), rest_is_slow([(name, scheme) for scheme in ("light", "dark") for name in SHOWN])
)
def test_a_page(site, visit, name, scheme):
    page, seen = visit(site / name, color_scheme=scheme, viewport={"width": 1300, "height": 900})
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background)[:3])) < 200) == (scheme == "dark")
    assert page.locator(".md-nav--primary a.md-nav__link--active:visible").count() == 1
    assert seen.console == []
    assert [url for url in seen.requests if not url.startswith(("file:", "data:", "blob:"))] == []
    # Last: axe asks for the style sheets, which a page that is a file may not.
    violations = Axe().run(page).response["violations"]
    assert [found["id"] for found in violations if found["impact"] in ("serious", "critical")] == []


def test_the_search_finds_a_parameter_in_a_page_opened_as_a_file(site, visit):
    page, seen = visit(site / "index.html")
    page.fill("input.md-search__input", "duplicate_threshold")
    page.locator(".md-search-result__item a").first.wait_for(state="attached")
    links = page.locator(".md-search-result__item a").evaluate_all("links => links.map(link => link.href)")
    assert any("parameters.html" in link for link in links)
    assert seen.console == []


def test_a_page_fits_a_narrow_screen(site, visit):
    page, _ = visit(site / "index.html", viewport={"width": 360, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
