"""Writing files: whole or not at all, and linked rather than copied."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from capsules.common.untrusted.places import make_unused_name


def write_json(file: Path, content: Any) -> None:
    """Write JSON in one step: the file is whole or absent. A link in its place is replaced, not followed."""
    write_text(file, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def write_text(file: Path, text: str) -> None:
    """Write a text in one step, as `write_json` does."""
    partial = make_unused_name(file)
    with partial.open("x") as stream:
        stream.write(text)
    partial.rename(file)


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """A hard link, or a copy where the file system has none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
