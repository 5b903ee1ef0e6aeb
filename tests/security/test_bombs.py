"""JSON and files of the data that would take time and memory without bound."""

from __future__ import annotations

import json
import time
import tracemalloc

import pytest

from capsules.commands.params_file import MOST_MARKED
from capsules.common.errors import MOST_SHOWN, Rejected
from capsules.parameters import strict_json

MB = 1_000_000


def nested(depth, size):
    return "[" + ",".join(["[" * depth + "]" * depth] * (size // (2 * depth + 1))) + "]"


JSON_BOMBS = {
    "open brackets": "[" * (2 * MB),
    "nested": nested(90, 400_000),
    "nested too deeply": nested(200, 400_000),
    "many more": nested(90, 40 * MB),
    "given twice": "{" + ",".join(['"a":1'] * (MB // 20)) + "}",
    "no numbers": "[" + ",".join(["NaN"] * (MB // 20)) + "]",
    "large": "[" + ",".join(["1" * 5] * (MB // 6)) + "]",
}


@pytest.mark.parametrize("bomb", JSON_BOMBS)
def test_json_takes_bounded_time_and_memory(bomb):
    text = JSON_BOMBS[bomb]
    tracemalloc.start()
    began = time.process_time()
    try:
        strict_json.read(text)
    except Rejected as refusal:
        assert len(refusal.problems) <= MOST_SHOWN + 1
    spent_s, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # Traced, Python is some times slower. Brackets, some 90 bytes each, are bounded by their number.
    assert spent_s < 20
    assert peak < max(20 * len(text), 50 * MB)


def test_the_rest_of_the_problems_is_counted():
    with pytest.raises(Rejected) as refusal:
        strict_json.read(JSON_BOMBS["given twice"])
    assert len(refusal.value.problems) == 21
    assert refusal.value.problems[0] == "line 1, column 8: a is given twice in one object"
    assert refusal.value.problems[-1] == f"and {MB // 20 - 21} more problems"


@pytest.mark.parametrize(
    ("text", "last"),
    [
        (JSON_BOMBS["nested"], "a JSON object is needed, with one section per stage"),
        (JSON_BOMBS["many more"], "brackets (limit: 500000)"),
        (JSON_BOMBS["given twice"], "more problems"),
        (json.dumps({f"a{n}": 1 for n in range(100)}), "and 80 more problems"),
        (json.dumps({f"a{n}": 1 for n in range(100_000)}), "keys and values (limit: 20000)"),
    ],
)
def test_params_files_that_are_bombs_are_rejected_in_few_lines(tmp_path, spikerelay, text, last):
    (tmp_path / "params.json").write_text(text)
    code, _, complaint = spikerelay("validate", tmp_path / "params.json")
    lines = complaint.splitlines()
    assert code == 2
    # A heading, 21 problems, and two lines more for each that is marked.
    assert len(lines) <= 3 + 21 + 2 * MOST_MARKED
    assert last in lines[-1]


def test_places_are_those_of_the_text():
    text = '{\n "a": [1, {"b": null}],\n "c": "[,:"\n}'
    document = strict_json.read(text)
    found = {path: document.place(path) for path in [(), ("a",), ("a", 1), ("a", 1, "b"), ("c",), ("c", "x"), ("z",)]}
    assert found == {
        (): "line 1, column 1",
        ("a",): "line 2, column 2",
        ("a", 1): "line 2, column 11",
        ("a", 1, "b"): "line 2, column 12",
        ("c",): "line 3, column 2",
        ("c", "x"): "line 3, column 2",
        ("z",): "line 1, column 1",
    }
    assert document.holds(("a", 0)) and not document.holds(("a", 2))
