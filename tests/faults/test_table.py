"""The table of faults is whole: every row has its test, every test its row, and the docs show it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.faults import cases, test_disks, test_folders, test_killed


def names_in(module) -> set[str]:
    """The names of a module's tests, with their parameters as pytest writes them."""
    names = set()
    for node in ast.parse(Path(module.__file__).read_text()).body:
        if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test_"):
            continue
        marks = [mark for mark in getattr(getattr(module, node.name), "pytestmark", []) if mark.name == "parametrize"]
        names |= {f"{node.name}[{value}]" for mark in marks for value in mark.args[1]} or {node.name}
    return names


def test_every_row_has_its_test_and_every_test_its_row():
    assert set(cases.CASES) == set().union(*map(names_in, (test_disks, test_folders, test_killed)))
    assert len(cases.CASES) >= 30


def test_the_docs_show_the_table():
    text = cases.DOC.read_text()
    assert cases.with_table(text) == text, "run `python -m tests.faults.cases`"
    assert cases.table() in text


def test_a_test_without_a_row_is_noticed(monkeypatch):
    monkeypatch.delitem(cases.CASES, "test_files_used_up")
    with pytest.raises(AssertionError):
        test_every_row_has_its_test_and_every_test_its_row()
