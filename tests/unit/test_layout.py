"""The layout of `plan`, `inspect`, `doctor` and `validate`: order, colour, the place in a params file; and times."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from types import SimpleNamespace

import pytest

from capsules.commands.layout import Page
from capsules.commands.measured_rates import RATES, Rate, choose_rate
from capsules.commands.params_file import mark_place, validate_file
from capsules.commands.rates import Machine, describe_time, show_time
from capsules.common.contract import BLOCK_STAGES, RECORDING_STAGES
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
    assert set(RATES) == {*RECORDING_STAGES, *BLOCK_STAGES} - {"spikesorting"}
    assert Rate(2, 0.1, 1).seconds(10, cores=4) == pytest.approx(2 + 1 + 2.5)
    assert [Machine(cores, 0).cores_of(2) for cores in (1, 2, 3, 4, 16)] == [1, 1, 1, 1, 7]
    assert [show_time(seconds) for seconds in (7, 99, 100, 3600, 9000)] == ["7 s", "99 s", "2 min", "60 min", "2.5 h"]
    # docs/benchmarks.md: one recording of 346 MB on 2 cores takes 124 s.
    stages = [*RECORDING_STAGES, *BLOCK_STAGES]
    assert 90 < sum(choose_rate(stage, "spykingcircus2").seconds(346, 2) for stage in stages) < 150
    # The same page: 60 s of 384 channels, 1382 MB, take Kilosort4 49.5 s on a GPU.
    assert choose_rate("spikesorting", "kilosort4", on_gpu=True).seconds(1382, 4) == pytest.approx(49.5, rel=0.02)
    assert choose_rate("spikesorting", "kilosort4") is choose_rate("spikesorting", "lupin") is None


def test_the_expected_time_says_what_is_unknown():
    job = SimpleNamespace(megabytes=1382.0)
    options = {"n_jobs": 1, "n_gpus": 0}

    def describe(*sorters):
        resolved = SimpleNamespace(sorters=list(sorters), gpu_sorters=lambda: [n for n in sorters if n == "kilosort4"])
        return describe_time([job] * 2, RECORDING_STAGES, resolved, options)

    assert describe("spykingcircus2")[0] == "about 18 min on 1 core"
    lines = describe("lupin", "kilosort4")
    assert lines[0].endswith(" on 1 core without the sorting by lupin and kilosort4, whose time is unknown")
    assert lines[1:3] == ["lupin sorts on the CPU", "kilosort4 sorts on the CPU: this run has no GPU"]
    options["n_gpus"] = 1
    assert "unknown" not in describe("kilosort4")[0]
