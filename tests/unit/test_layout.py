"""The layout of `plan`, `inspect`, `doctor` and `validate`: order, colour, the place in a params file; and times."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from capsules.commands.layout import Page
from capsules.commands.params_file import mark_place, validate_file
from capsules.commands.rates import RATES, Machine, Rate, show_time
from capsules.common.contract import RECORDING_STAGES
from capsules.common.errors import Rejected

ESCAPE = "\x1b["


def test_problems_come_first_and_notes_last():
    page = Page("the heading", ["wrong\n  where"], {"facts": ["one"], "nothing": []}, ["a note\x1b[31m"])
    assert list(page.lines()) == [
        "the heading", "", "problems:", "  wrong", "    where", "",
        "facts:", "  one", "", "notes:", "  a note\\x1b[31m",
    ]  # fmt: skip
    assert [line for line in page.lines(colour=True) if ESCAPE in line] == [
        "\x1b[1;31mthe heading\x1b[0m", "\x1b[1;31mproblems:\x1b[0m", "\x1b[1mfacts:\x1b[0m", "\x1b[33mnotes:\x1b[0m",
    ]  # fmt: skip


def on_a_terminal(words, **environment):
    """What the command writes to a pseudo-terminal."""
    ours, theirs = pty.openpty()
    own = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | {"TERM": "xterm"} | environment
    subprocess.run([sys.executable, "-m", "capsules", *words], stdout=theirs, stderr=theirs, env=own, check=False)
    os.close(theirs)
    text = b""
    try:
        while part := os.read(ours, 4096):
            text += part
    except OSError:
        # Linux reports the closed end of a pseudo-terminal as an error.
        pass
    os.close(ours)
    return text.decode()


def test_colour_where_there_is_a_terminal_that_wants_it(tmp_path):
    file = tmp_path / "my.json"
    file.write_text('{"curation": {"qery": null}}')
    words = ["validate", str(file)]
    coloured = on_a_terminal(words)
    assert "\x1b[1;31mproblems:\x1b[0m" in coloured
    for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        plain = on_a_terminal(words, **environment)
        assert "problems:" in plain and ESCAPE not in plain


@pytest.mark.parametrize(
    ("text", "line", "caret"),
    [
        ('{\n  "curation": {"qery": 1}\n}', '2 |   "curation": {"qery": 1}', '"qery"'),
        ('{\r\n\t"curation": {"qery": 1}\r\n}', '2 |  "curation": {"qery": 1} ', '"qery"'),
        ('{"preprocessing": {"t_start": -1}, ' + " " * 200 + '"x": 1}', None, '"x": 1}'),
    ],
)
def test_the_place_in_the_line_is_marked(text, line, caret, tmp_path):
    file = tmp_path / "my.json"
    file.write_bytes(text.encode())
    with pytest.raises(Rejected) as refused:
        validate_file(file)
    message, shown, mark = mark_place(refused.value.problems[-1], file).split("\n")
    assert message == refused.value.problems[-1]
    assert line is None or shown == line
    assert mark.strip() == "^" and shown[mark.index("^") :].startswith(caret)
    assert len(shown) < 120


def test_a_problem_without_a_place_and_wide_letters(tmp_path):
    file = tmp_path / "my.json"
    file.write_text('{"数据": 1}', encoding="utf-8")
    assert mark_place(f"{file}: too large", file) == f"{file}: too large"
    # Each of the two letters takes two columns.
    assert mark_place(f"{file}, line 1, column 7: wrong", file).split("\n")[2] == " " * 12 + "^"


def test_rates():
    assert set(RATES) > set(RECORDING_STAGES) - {"spikesorting"}
    assert Rate(2, 0.1, 1).seconds(10, cores=4) == pytest.approx(2 + 1 + 2.5)
    assert [Machine(cores, 0).cores_of(2) for cores in (1, 2, 3, 4, 16)] == [1, 1, 1, 1, 7]
    assert [show_time(seconds) for seconds in (7, 99, 100, 3600, 9000)] == ["7 s", "99 s", "2 min", "60 min", "2.5 h"]
    # docs/benchmarks.md: one recording of 346 MB on 2 cores takes 124 s.
    stages = (
        "preprocessing",
        "spykingcircus2",
        "postprocessing",
        "curation",
        "visualization",
        "nwb_ecephys",
        "nwb_units",
    )
    assert 90 < sum(RATES[stage].seconds(346, 2) for stage in stages) < 150
