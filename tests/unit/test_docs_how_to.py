"""The how-to pages of the documentation: their values are those of the presets, a test runs their Python."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from typing import Any

from capsules.parameters.model import get_dotted
from tests.docs_pages import ROOT

DEFAULTS = json.loads((ROOT / "pipeline" / "default_params.json").read_text())
PRESETS = json.loads((ROOT / "params_app" / "presets.json").read_text())["presets"]


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / "docs" / page).read_text(), re.DOTALL | re.MULTILINE)


def merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = deepcopy(base)
    for key, value in changes.items():
        merged[key] = merge(merged[key], value) if isinstance(value, dict) else value
    return merged


def test_the_values_for_each_probe_are_those_of_its_preset():
    """docs/choose_parameters.md: a block for each preset, in their order; defaults may be absent."""
    files = [merge(DEFAULTS, json.loads(block)) for block in blocks("choose_parameters.md", "json")]
    assert files == [merge(DEFAULTS, preset["params"]) for preset in PRESETS]


def test_the_defaults_for_each_probe_are_ours():
    """docs/choose_parameters.md: the default in parentheses, of each row with a parameter and its value."""
    page = (ROOT / "docs" / "choose_parameters.md").read_text()
    rows = re.findall(r"^\| \[`([\w.]+)`\]\([^)]*\) \| [^|]*\(([^|)]*)\) \|", page, re.MULTILINE)
    assert len(rows) > 15
    for path, default in rows:
        value = get_dotted(DEFAULTS, path, absent="absent")
        assert default.strip("`") == (value if isinstance(value, str) else f"{json.dumps(value)}".removesuffix(".0")), (
            path
        )


def test_the_tutorial_is_the_notebook():
    """docs/tutorial.md: tests/unit/test_load_units.py runs the notebook."""
    cells = json.loads((ROOT / "docs" / "tutorial.ipynb").read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    tutorial = [block.rstrip("\n") for block in blocks("tutorial.md", "python")]
    assert len(tutorial) > 4
    assert tutorial == code[: len(tutorial)]
