"""Notebooks of the documentation, run without Jupyter."""

from __future__ import annotations

import ast
import base64
import io
import json
from pathlib import Path
from typing import Any


def run_cell(source: str, name: str, scope: dict[str, Any]) -> Any:
    """Run a cell in `scope`, and return the value of its last line if that is an expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, name, "exec"), scope)
    return None if last is None else eval(compile(ast.Expression(last.value), name, "eval"), scope)


def run_notebook(file: Path, scope: dict[str, Any]) -> list[str]:
    """Run the cells one after the other in `scope`, as Jupyter does without its magics; return what they show."""
    values = [
        run_cell("".join(cell["source"]), file.name, scope)
        for cell in json.loads(file.read_text())["cells"]
        if cell["cell_type"] == "code"
    ]
    return [show(value) for value in values if value is not None]


def show(value: Any) -> str:
    """HTML if the value has it, otherwise text."""
    return str(value._repr_html_() if hasattr(value, "_repr_html_") else repr(value))


def execute_notebook(file: Path, scope: dict[str, Any], folder: Path) -> None:
    """Run a notebook in `scope`, and write what each cell shows, and its figures, to its file.

    Parameters
    ----------
    file : Path
    scope : dict
        Receives the variables of the notebook.
    folder : Path
        The folder that it runs in, which is removed from what the cells show.
    """
    import matplotlib.pyplot as plt

    notebook = json.loads(file.read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for number, cell in enumerate(code, start=1):
        before = set(plt.get_fignums())
        value = run_cell("".join(cell["source"]), file.name, scope)
        cell["execution_count"] = number
        cell["outputs"] = [_make_figure(plt.figure(drawn)) for drawn in plt.get_fignums() if drawn not in before]
        if value is not None:
            data = {"text/plain": repr(value)}
            data |= {"text/html": value._repr_html_()} if hasattr(value, "_repr_html_") else {}
            data = {kind: text.replace(f"{folder}/", "").splitlines(keepends=True) for kind, text in data.items()}
            result = {"output_type": "execute_result", "execution_count": number, "data": data, "metadata": {}}
            cell["outputs"].append(result)
    file.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")


def _make_figure(figure: Any) -> dict[str, Any]:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=80)
    data = {"image/png": base64.b64encode(stream.getvalue()).decode(), "text/plain": ["<Figure>"]}
    return {"output_type": "display_data", "data": data, "metadata": {}}
