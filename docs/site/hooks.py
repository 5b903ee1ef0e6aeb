"""What mkdocs needs beyond its settings: two pages are files of the repository's root; what the theme leaves out."""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
PAGES = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "release_notes.md"}
"""File of the root -> the page that it is on the site."""


def on_files(files, config):
    """Add the root's files; seen from the site, docs/ is where they are."""
    for name, page in PAGES.items():
        text = re.sub(r"\]\(docs/", "](", (ROOT / name).read_text())
        files.append(File.generated(config, page, content=linked(text, "")))
    return files


def on_page_markdown(markdown, **_):
    """Links from docs/ to the root's files lead to their pages."""
    return linked(markdown, "../")


def on_post_page(output, **_):
    """Name the search for those who hear the page."""
    return output.replace('role="dialog">', 'role="dialog" aria-label="Search">')


def linked(text: str, prefix: str) -> str:
    for name, page in PAGES.items():
        text = text.replace(f"]({prefix}{name}", f"]({page}")
    return text
