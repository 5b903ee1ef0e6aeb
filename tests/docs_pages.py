"""The manual's pages, as the tests read them."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path, PurePath

ROOT = Path(__file__).parents[1]
OUTSIDE = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "release_notes.md"}
"""Files of the root that the site has as pages."""
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", *(ROOT / name for name in OUTSIDE)]
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")


def without_code(text: str) -> str:
    return SPAN.sub("``", FENCE.sub("", text))


def code_of(text: str) -> list[str]:
    """Code spans and blocks."""
    blocks = [block.split("\n", 1)[1].removesuffix("```") for block in FENCE.findall(text)]
    return blocks + SPAN.findall(FENCE.sub("", text))


def first_cells(page: str) -> list[str]:
    """The code in the first column of a page's tables."""
    rows = re.findall(r"^\| (.*?) \|", (ROOT / "docs" / page).read_text(), re.MULTILINE)
    return [code for cell in rows for code in SPAN.findall(cell)]


def table_messages() -> list[str]:
    """The messages that docs/troubleshooting.md explains."""
    return first_cells("troubleshooting.md")


def named_files() -> list[str]:
    """The files and folders (ending in /) that docs/outputs.md names, as patterns."""
    return [re.sub(r"<\w+>", "*", path) for path in first_cells("outputs.md")]


def is_named(path: PurePath) -> bool:
    """Whether docs/outputs.md names a file of the results folder, or as a stub has it: a file in place of a folder."""

    def fits(pattern: str) -> bool:
        wanted = pattern.rstrip("/").split("/")
        deep_enough = pattern.endswith("/") or len(path.parts) <= len(wanted)
        return deep_enough and all(map(fnmatchcase, path.parts, wanted))

    return any(map(fits, named_files()))


def unnamed(results: Path) -> list[str]:
    """The files of a results folder that docs/outputs.md does not name."""
    files = [file.relative_to(results) for file in results.rglob("*") if file.is_file()]
    return [str(file) for file in files if not is_named(file)]
