import numpy as np
import pandas as pd
import pytest

from capsules.curation.query import QueryError, evaluate, parse

METRICS = pd.DataFrame({"snr": [1.0, 5.0, np.nan, 9.0], "isi_violations_ratio": [0.1, 0.6, 0.0, 0.2]})


@pytest.mark.parametrize(
    "query",
    [
        "snr > 2",
        "snr > 2 and isi_violations_ratio < 0.5",
        "snr > 2 or isi_violations_ratio < 0.05",
        "not snr > 2",
        "1 < snr <= 5",
        "snr != 5",
        "(snr > 2 and isi_violations_ratio < 0.5)\nor snr == 1",
        "snr > -1e-3",
    ],
)
def test_agrees_with_pandas(query):
    expected = METRICS.eval(query.replace("\n", " ")).to_numpy()
    assert np.array_equal(evaluate(query, METRICS), expected)


@pytest.mark.parametrize(
    "query",
    [
        "__import__('os').system('true')",
        "@snr > 1",
        "`snr` > 1",
        "snr.__class__ > 1",
        "snr[0] > 1",
        "snr",
        "snr > 'a'",
        "snr + 1 > 2",
        "snr > 1; snr < 2",
        "lambda: 1",
        "snr in (1, 2)",
        "",
        "snr > 1 and " * 10_000,
        "(" * 1000 + "snr > 1" + ")" * 1000,
    ],
)
def test_everything_else_is_refused(query):
    with pytest.raises(QueryError):
        parse(query)


def test_an_unknown_metric_is_named_with_the_nearest():
    with pytest.raises(QueryError, match="no metric 'snrr'; did you mean 'snr'"):
        evaluate("snrr > 1", METRICS)
