import keyword
import time

import numpy as np
import pandas as pd
import pytest

from capsules.common.units.metric_names import INSUFFICIENT
from capsules.curation.labels import label_units
from capsules.curation.query import MAX_DEPTH, QueryError, metric_names, parse
from capsules.curation.verdicts import Verdict, evaluate

DEFINED = pd.DataFrame(
    {
        "snr": [1.0, 5.0, 9.0, -2.0, np.inf],
        "isi_violations_ratio": [0.1, 0.6, 0.2, 7.0, 0.5],
        "num_spikes": [0, 12, 500, 12, 3],
        "l_ratio": [1e-6, 0.01, 0.3, 2.5, 0.0],
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
def test_agrees_with_pandas_where_all_metrics_are_defined(query):
    in_one_line = " ".join(query.split())
    expected = DEFINED.eval(in_one_line).to_numpy()
    assert expected.dtype == bool
    assert met(query, DEFINED) == expected.tolist()
    assert list(DEFINED.query(in_one_line).index) == list(np.flatnonzero(met(query, DEFINED)))
    assert set(metric_names(parse(query))) <= set(DEFINED.columns)


def met(query, metrics, leave_out=()):
    answers = evaluate(query, metrics, leave_out)
    assert {answer.verdict for answer in answers} <= {Verdict.MET, Verdict.FAILED}
    return [answer.verdict is Verdict.MET for answer in answers]


T, F, U, L = Verdict.MET, Verdict.FAILED, Verdict.UNKNOWN, Verdict.LEFT_OUT
AND = {(T, T): T, (T, F): F, (T, U): U, (T, L): T, (F, F): F, (F, U): F, (F, L): F, (U, U): U, (U, L): U, (L, L): L}
OR = {(T, T): T, (T, F): T, (T, U): T, (T, L): T, (F, F): F, (F, U): U, (F, L): F, (U, U): U, (U, L): U, (L, L): L}
NOT = {T: F, F: T, U: U, L: L}
PARTS = {T: "num_spikes > 1", F: "num_spikes < 1", U: "l_ratio > 1", L: "snr > 1"}
"""A clause of each verdict for a unit without `l_ratio` and `snr`, of which the latter's clauses are left out."""
NO_SNR_NO_L_RATIO = pd.DataFrame({"num_spikes": [7], "l_ratio": [np.nan], "snr": [np.nan]})


def verdict(query):
    (answer,) = evaluate(query, NO_SNR_NO_L_RATIO, {"snr"})
    return answer.verdict


@pytest.mark.parametrize(("joint", "table"), [("and", AND), ("or", OR)])
def test_and_and_or_of_undefined_clauses(joint, table):
    for (a, b), expected in table.items():
        assert verdict(f"{PARTS[a]} {joint} {PARTS[b]}") is expected
        assert verdict(f"{PARTS[b]} {joint} {PARTS[a]}") is expected


def test_not_of_an_undefined_clause_is_undefined():
    for part, expected in NOT.items():
        assert verdict(PARTS[part]) is part
        assert verdict(f"not ({PARTS[part]})") is expected
        assert verdict(f"not not ({PARTS[part]})") is part


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("1 < num_spikes < 9", T),
        ("1 < num_spikes < 5", F),
        ("1 < snr < 9", L),
        ("1 < l_ratio < 9", U),
        ("9 < num_spikes < snr", L),  # A chain is one clause: it is undefined as a whole.
        ("snr < num_spikes < l_ratio", U),
        ("snr != snr", L),
        ("l_ratio == l_ratio", U),
        ("snr > 1 or l_ratio > 1 or num_spikes > 1", T),
        ("not (snr > 1 and num_spikes > 1)", F),
    ],
)
def test_chains_and_whole_queries_with_undefined_metrics(query, expected):
    assert verdict(query) is expected


def test_the_reasons_name_the_clauses_with_their_values():
    (answer,) = evaluate(
        "num_spikes > 100 and not num_spikes < 50 and snr > 1 or l_ratio > 3", NO_SNR_NO_L_RATIO, {"snr"}
    )
    assert answer.verdict is Verdict.UNKNOWN
    assert answer.unknown == ["l_ratio > 3 (undefined)"]
    (answer,) = evaluate("num_spikes > 100 and not num_spikes < 50 and snr > 1", NO_SNR_NO_L_RATIO, {"snr"})
    assert answer.failed == ["num_spikes > 100 (7)", "not num_spikes < 50 (7)"]
    assert answer.left_out == ["snr > 1 (undefined)"]
    (answer,) = evaluate("0.5 < num_spikes < 2 or num_spikes == 8", NO_SNR_NO_L_RATIO, set())
    assert answer.failed == ["0.5 < num_spikes < 2 (7)", "num_spikes == 8 (7)"]


QUERY = "isi_violations_ratio < 0.5 and amplitude_cutoff < 0.1"
UNITS = pd.DataFrame(
    {
        "isi_violations_ratio": [0.1, 0.1, 0.9, 0.9, 0.1],
        "amplitude_cutoff": [0.01, np.nan, np.nan, 0.01, 0.2],
    }
)


@pytest.mark.parametrize(
    ("undefined", "second"), [("leave_out", "good"), ("reject", "bad"), ("undetermined", "undetermined")]
)
def test_undefined_metric(undefined, second):
    labels = label_units(QUERY, UNITS, np.full(5, 1000), undefined, 50)
    assert [label.label for label in labels] == ["good", second, "bad", "bad", "bad"]
    assert labels[0].reason == ""
    assert "amplitude_cutoff < 0.1 (undefined)" in labels[1].reason
    assert labels[2].reason.startswith("failed: isi_violations_ratio < 0.5 (0.9)")
    assert labels[4].reason == "failed: amplitude_cutoff < 0.1 (0.2)"


def test_too_few_spikes_are_never_good():
    labels = label_units(QUERY, UNITS, np.full(5, 49), "leave_out", 50)
    assert [label.label for label in labels] == ["undetermined", "undetermined", "bad", "bad", "bad"]
    assert labels[0].reason == "too few spikes: 49 (min_spikes 50)"
    assert label_units(QUERY, UNITS, np.full(5, 49), "leave_out", 0)[0].label == "good"


def test_a_test_that_could_not_be_passed_is_no_pass():
    units = pd.DataFrame({"sliding_rp_violation": [0.02, np.nan], "snr": [9.0, 9.0]})
    labels = label_units("sliding_rp_violation < 0.1 and snr > 5", units, np.full(2, 1000), "leave_out", 50)
    assert [label.label for label in labels] == ["good", "undetermined"]
    assert labels[1].reason == "insufficient evidence: sliding_rp_violation < 0.1 (undefined)"


def test_an_undefined_shape_is_not_left_out():
    units = pd.DataFrame({"peak_to_trough_duration": [np.nan]})
    (label,) = label_units("peak_to_trough_duration > 0.0002", units, np.full(1, 1000), "leave_out", 50)
    assert label.label == "undetermined"


def test_a_unit_of_which_every_clause_is_left_out_is_undetermined():
    units = pd.DataFrame({"amplitude_cutoff": [np.nan]})
    (label,) = label_units("amplitude_cutoff < 0.1", units, np.full(1, 1000), "leave_out", 50)
    assert label.label == "undetermined"
    assert label.reason == "left out: amplitude_cutoff < 0.1 (undefined)"


def test_spikeinterface_names_the_same_metrics_whose_nan_is_a_result():
    from spikeinterface.curation import bombcell_curation

    assert bombcell_curation._NAN_MEANS_FAIL_METRICS == INSUFFICIENT


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
        evaluate(f"{name} > 1", DEFINED, ())


def test_what_is_read_can_be_worked_out():
    expected = (DEFINED["snr"] > 2).tolist()
    assert met("not " * MAX_DEPTH + "snr > 2", DEFINED) == expected
    assert met(" or ".join(["snr > 2"] * 900), DEFINED) == expected
    assert all(met("1 < 2", DEFINED))


def test_an_unknown_metric_is_named_with_the_nearest():
    with pytest.raises(QueryError, match="no metric 'snrr'; did you mean 'snr'"):
        evaluate("snrr > 1", DEFINED, ())
