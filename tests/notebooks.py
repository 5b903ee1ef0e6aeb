"""Notebooks of the documentation, run without Jupyter."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any


def run_notebook(file: Path, scope: dict[str, Any]) -> list[str]:
    """Run the cells one after the other in `scope`, as Jupyter does without its magics; return what they show."""
    shown = []
    for cell in json.loads(file.read_text())["cells"]:
        if cell["cell_type"] == "code":
            tree = ast.parse("".join(cell["source"]))
            last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
            exec(compile(tree, file.name, "exec"), scope)
            if last is not None:
                value = eval(compile(ast.Expression(last.value), file.name, "eval"), scope)
                shown.append(value._repr_html_() if hasattr(value, "_repr_html_") else repr(value))
    return shown
