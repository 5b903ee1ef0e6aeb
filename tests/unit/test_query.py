import keyword
import time

import numpy as np
import pandas as pd
import pytest

from capsules.curation.query import MAX_DEPTH, QueryError, evaluate, names, parse

METRICS = pd.DataFrame(
    {
        "snr": [1.0, 5.0, np.nan, 9.0, -2.0, np.inf],
        "isi_violations_ratio": [0.1, 0.6, 0.0, 0.2, np.nan, 0.5],
        "num_spikes": [0, 12, 7, 500, 12, 3],
        "l_ratio": [1e-6, 0.01, np.nan, np.nan, 2.5, 0.0],
    }
)


@pytest.mark.parametrize(
    "query",
    [
        "snr > 2",
        "snr >= 5",
        "snr < 5",
        "snr <= 5.0",
        "snr == 5",
        "snr != 5",
        "2 < snr",
        "1 < snr <= 5",
        "1 < snr < 9 != num_spikes",
        "snr > -1e-3",
        "snr > +1",
        "snr < .5e1",
        "snr > 1_000",
        "snr < 1e999",
        "num_spikes == 12",
        "num_spikes >= 0x0c",
        "snr > isi_violations_ratio",
        "snr != snr",
        "snr == snr",
        "not snr > 2",
        "not not snr > 2",
        "not (snr > 2 or num_spikes < 10)",
        "snr > 2 and isi_violations_ratio < 0.5",
        "snr > 2 or isi_violations_ratio < 0.05",
        "snr > 2 and num_spikes > 10 or l_ratio < 0.1",
        "snr > 2 and (num_spikes > 10 or l_ratio < 0.1)",
        "not snr > 2 and not l_ratio > 1",
        "snr > 2 and num_spikes > 10 and l_ratio < 1 and isi_violations_ratio < 1",
        "((((snr)) > ((2))))",
        "(snr > 2 and isi_violations_ratio < 0.5)\nor snr == 1",
        "\tsnr  >  2\n  and num_spikes\n  > 3\n",
        "l_ratio != 0.01 and snr != 9 or num_spikes == 3",
        "0 <= isi_violations_ratio <= 0.5",
    ],
)
def test_agrees_with_pandas(query):
    in_one_line = " ".join(query.split())
    expected = METRICS.eval(in_one_line).to_numpy()
    assert expected.dtype == bool
    assert np.array_equal(evaluate(query, METRICS), expected)
    assert list(METRICS.query(in_one_line).index) == list(np.flatnonzero(evaluate(query, METRICS)))
    assert names(query) <= set(METRICS.columns)


HOSTILE = {
    "call": "__import__('os').system('touch {mark}')",
    "call of a metric": "snr() > 1",
    "call beside a comparison": "snr > 1 and __import__('os').system('touch {mark}')",
    "call as an operand": "snr > __import__('os').system('touch {mark}')",
    "pandas' variable": "@snr > 1",
    "pandas' call": "@pd.eval('1') > 1",
    "backticks": "`snr` > 1",
    "attribute": "snr.__class__ > 1",
    "attribute of a number": "(1).__class__ > 1",
    "subscript": "snr[0] > 1",
    "slice": "snr[:] > 1",
    "lambda": "lambda: 1",
    "lambda as an operand": "snr > (lambda: 1)",
    "walrus": "(snr := 1) > 0",
    "text": "snr > 'a'",
    "bytes": "snr > b'a'",
    "text with a value": "snr > f'{{snr}}'",
    "list comprehension": "[snr for snr in (1, 2)]",
    "comprehension as an operand": "snr > [x for x in (1, 2)]",
    "generator": "snr > (x for x in ())",
    "conditional": "snr > 1 if snr else snr",
    "conditional as an operand": "snr > (1 if snr else 2)",
    "await": "await snr > 1",
    "yield": "(yield) > 1",
    "star": "*snr > 1",
    "in": "snr in (1, 2)",
    "is": "snr is 1",
    "tuple": "(snr, snr) > (1, 1)",
    "dictionary": "snr > {{}}",
    "arithmetic": "snr + 1 > 2",
    "power": "snr > 9**9**9",
    "bitwise": "(snr > 1) & (snr < 2)",
    "inverse": "~snr > 1",
    "minus a metric": "-snr > 1",
    "True": "snr > True",
    "None": "snr == None",
    "ellipsis": "snr > ...",
    "complex number": "snr > 1j",
    "number too large": "snr > 1" + "0" * 400,
    "number too long": "snr > 1" + "0" * 5000,
    "metric alone": "snr",
    "number alone": "1",
    "two statements": "snr > 1; snr < 2",
    "assignment": "snr = 1",
    "import": "import os",
    "comment": "snr > 1 # and snr < 2",
    "NUL": "snr > 1\0",
    "lone surrogate": "snr > 1 and \ud800 > 1",
    "nothing": "",
    "blanks": " \n ",
    "unfinished": "snr >",
    "long": "snr > 1 and " * 100_000 + "snr > 1",
    "long nonsense": "a" * 1_000_000,
    "deep parentheses": "(" * 1000 + "snr > 1" + ")" * 1000,
    "deep negation": "not " * (MAX_DEPTH + 1) + "snr > 1",
    "very deep negation": "not " * 2000 + "snr > 1",
    "deep minus": "snr > " + "-" * 5000 + "1",
    "deep calls": "f(" * 150 + "snr" + ")" * 150 + " > 1",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_everything_else_is_refused_and_nothing_of_it_is_run(name, tmp_path):
    mark = tmp_path / "mark"
    start = time.monotonic()
    with pytest.raises(QueryError) as refused:
        parse(HOSTILE[name].format(mark=mark))
    assert time.monotonic() - start < 1
    assert not mark.exists()
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize("name", ["__class__", "__builtins__", "os", "pd", "index", "self", "print"])
def test_a_name_is_a_metric_or_nothing(name):
    assert not keyword.iskeyword(name)
    with pytest.raises(QueryError, match=f"no metric '{name}'"):
        evaluate(f"{name} > 1", METRICS)


def test_what_is_read_can_be_worked_out():
    assert evaluate("not " * MAX_DEPTH + "snr > 2", METRICS).tolist() == (METRICS["snr"] > 2).tolist()
    assert evaluate(" or ".join(["snr > 2"] * 900), METRICS).tolist() == (METRICS["snr"] > 2).tolist()
    assert evaluate("1 < 2", METRICS).all()


def test_an_unknown_metric_is_named_with_the_nearest():
    with pytest.raises(QueryError, match="no metric 'snrr'; did you mean 'snr'"):
        evaluate("snrr > 1", METRICS)
