"""`spikerelay validate` and `spikerelay params diff`: a params file, without a run."""

from __future__ import annotations

import argparse
import json
import re
import sys
import unicodedata
from pathlib import Path

from capsules.commands.layout import Page, print_pages
from capsules.common.errors import Rejected
from capsules.resolve_params.params_file import differences, validate_file

SHOWN_BEFORE, SHOWN_AFTER = 60, 40
"""Of a long line, the letters around the mistake."""
MOST_MARKED = 10
"""Problems whose place in the line is marked."""


def validate(arguments: argparse.Namespace) -> int:
    try:
        validate_file(arguments.file)
    except Rejected as refusal:
        problems = refusal.problems
        problems = [mark_place(problem, arguments.file) for problem in problems[:MOST_MARKED]] + problems[MOST_MARKED:]
        print_pages([Page(f"{arguments.file}: {len(problems)} to correct", problems)], sys.stderr)
        return 2
    print_pages([Page(f"{arguments.file}: good")])
    return 0


def mark_place(problem: str, file: Path) -> str:
    """A problem with its line of the file, and a caret below the place; without a place, the problem alone."""
    place = re.match(rf"{re.escape(str(file))}, line (\d+), column (\d+): ", problem)
    if place is None:
        return problem
    number, column = int(place[1]), int(place[2])
    # As bytes: the reader of the file ends lines at \n alone. A pipe has no content the second time.
    lines = file.read_bytes().decode().split("\n")
    if number > len(lines) or column > len(lines[number - 1]) + 1:
        return problem
    begin = max(0, column - 1 - SHOWN_BEFORE)
    # A letter each: a tab, or one that a terminal does not show, would move the caret.
    text = "".join(letter if letter.isprintable() else " " for letter in lines[number - 1])
    before, after = text[begin : column - 1], text[column - 1 : column - 1 + SHOWN_AFTER]
    margin = f"{number} | "
    return f"{problem}\n{margin}{before}{after}\n{' ' * (len(margin) + _width(before))}^"


def _width(text: str) -> int:
    """The columns that a terminal needs: two for each letter of Chinese and similar scripts, none for an accent."""
    letters = [letter for letter in text if not unicodedata.combining(letter)]
    return len(letters) + sum(unicodedata.east_asian_width(letter) in "WF" for letter in letters)


def show_differences(arguments: argparse.Namespace) -> int:
    for dotted, (default, value) in differences(validate_file(arguments.file)).items():
        print(f"{dotted}: {json.dumps(default)} -> {json.dumps(value)}")
    return 0
