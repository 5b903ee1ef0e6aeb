"""The verdict of a curation query on each unit.

A clause is met, failed, left out or unknown for a unit. Left out: one of its metrics is undefined because the recording
is too short or the unit has too few spikes; the verdict is then that of the query without the clause. Unknown: a metric
is undefined for another reason, or the user wants undefined metrics to count. `and`, `or` and `not` follow Kleene's
three-valued logic: a failed part fails an `and` and a met part meets an `or`, whatever is unknown.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from typing import Any

import pandas as pd

from capsules.common.errors import nearest
from capsules.curation.query import COMPARISONS, QueryError, metric_names, parse


class Verdict(Enum):
    """The result of a clause, or of the whole query, for a unit."""

    MET = "met"
    FAILED = "failed"
    LEFT_OUT = "left out"
    UNKNOWN = "unknown"


OPPOSITE = {
    Verdict.MET: Verdict.FAILED,
    Verdict.FAILED: Verdict.MET,
    Verdict.LEFT_OUT: Verdict.LEFT_OUT,
    Verdict.UNKNOWN: Verdict.UNKNOWN,
}


@dataclass(frozen=True)
class Answer:
    """The query's verdict on one unit, and the clauses behind it, each with the unit's values.

    `failed`: the clauses that made it fail, as `isi_violations_ratio < 0.5 (0.92)`. `left_out` and `unknown`: those
    with an undefined metric.
    """

    verdict: Verdict
    failed: list[str]
    left_out: list[str]
    unknown: list[str]


def evaluate(query: str, metrics: pd.DataFrame, leave_out: Collection[str]) -> list[Answer]:
    """Evaluate the query for each unit.

    Parameters
    ----------
    query : str
    metrics : pandas.DataFrame
        One row per unit.
    leave_out : collection of str
        The metrics whose clauses are left out where they are undefined (NaN); a clause with another one is unknown.

    Returns
    -------
    list of Answer
        One per unit.

    Raises
    ------
    QueryError
        When the query names a metric that is not in the table.
    """
    tree = parse(query)
    columns = [str(column) for column in metrics.columns]
    names = metric_names(tree)
    for name in names:
        if name not in columns:
            raise QueryError(f"no metric {name!r}{nearest(name, columns)}")
    rows = metrics[names].astype(float).to_dict(orient="records") if names else [{}] * len(metrics)
    return [_Evaluation(row, leave_out).answer(tree) for row in rows]


class _Evaluation:
    """The evaluation of a query for one unit; `verdicts` has those of all parts of the query."""

    def __init__(self, values: dict[Any, float], leave_out: Collection[str]):
        self.values, self.leave_out = values, leave_out
        self.verdicts: dict[ast.expr, Verdict] = {}

    def answer(self, tree: ast.expr) -> Answer:
        verdict = self.judge(tree)
        failures = self.failures(tree) if verdict is Verdict.FAILED else []
        return Answer(verdict, failures, self.clauses(Verdict.LEFT_OUT), self.clauses(Verdict.UNKNOWN))

    def clauses(self, kind: Verdict) -> list[str]:
        parts = [part for part, verdict in self.verdicts.items() if verdict is kind and isinstance(part, ast.Compare)]
        return list(map(self.show, parts))

    def judge(self, node: ast.expr) -> Verdict:
        """The verdict of a part of the query."""
        match node:
            case ast.BoolOp(op=joint, values=parts):
                verdicts = [self.judge(part) for part in parts]
                decisive = Verdict.FAILED if isinstance(joint, ast.And) else Verdict.MET
                by_weight = (decisive, Verdict.UNKNOWN, OPPOSITE[decisive])
                verdict = next((kind for kind in by_weight if kind in verdicts), Verdict.LEFT_OUT)
            case ast.UnaryOp(op=ast.Not(), operand=part):
                verdict = OPPOSITE[self.judge(part)]
            case ast.Compare():
                verdict = self.compare(node)
            case _:
                raise AssertionError(ast.dump(node))
        self.verdicts[node] = verdict
        return verdict

    def compare(self, clause: ast.Compare) -> Verdict:
        undefined = {name for name in metric_names(clause) if math.isnan(self.values[name])}
        if undefined:
            return Verdict.LEFT_OUT if undefined <= set(self.leave_out) else Verdict.UNKNOWN
        sides = [self.number(side) for side in (clause.left, *clause.comparators)]
        pairs = zip(clause.ops, sides, sides[1:], strict=False)
        return Verdict.MET if all(COMPARISONS[type(sign)](a, b) for sign, a, b in pairs) else Verdict.FAILED

    def number(self, node: ast.expr) -> float:
        match node:
            case ast.Name(id=name):
                return self.values[name]
            case ast.UnaryOp(op=sign, operand=part):
                return -self.number(part) if isinstance(sign, ast.USub) else self.number(part)
            case ast.Constant(value=int() | float() as value):
                return float(value)
        raise AssertionError(ast.dump(node))

    def failures(self, node: ast.expr) -> list[str]:
        """The clauses that decided a part's verdict, which is met or failed."""
        match node:
            case ast.BoolOp(values=parts):
                decisive = [part for part in parts if self.verdicts[part] is self.verdicts[node]]
                return [text for part in decisive for text in self.failures(part)]
            case ast.UnaryOp(operand=part):
                return self.failures(part)
        return [("not " if self.verdicts[node] is Verdict.MET else "") + self.show(node)]

    def show(self, clause: ast.expr) -> str:
        """A clause with the unit's values."""
        values = [self.values[name] for name in metric_names(clause)]
        shown = ", ".join("undefined" if math.isnan(value) else f"{value:.4g}" for value in values)
        return f"{ast.unparse(clause)} ({shown})" if shown else ast.unparse(clause)
