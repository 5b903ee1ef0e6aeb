"""Curation queries: a condition on the metrics table, read as a small language and never run as code.

Names of metrics, numbers, `<`, `<=`, `>`, `>=`, `==`, `!=`, `and`, `or`, `not` and parentheses; comparisons chain as
in Python and pandas. A chain of comparisons is one clause.

A clause is met, failed, left out or unknown for a unit. Left out: a metric of it is undefined because the recording is
too short or the unit has too few spikes; the clause then counts as if it were not in the query. Unknown: a metric is
undefined for another reason, or the user wants undefined metrics to count. `and`, `or` and `not` follow Kleene's
three-valued logic: a failed part fails an `and` and a met part meets an `or`, whatever is unknown.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from typing import Any

from capsules.common.errors import SpikeRelayError, nearest
from capsules.parameters.problems import shown

MAX_LENGTH = 10_000
MAX_DEPTH = 100
"""Of `and`, `or` and `not` within each other: far from where Python's own limit would end the work."""
COMPARISONS = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


class QueryError(SpikeRelayError):
    """The query is not in the language, or names a metric that is not there; `problem` says it without the path."""

    def __init__(self, problem: str):
        super().__init__(f"curation.query: {problem}")
        self.problem = problem


def parse(query: str) -> ast.expr:
    """Parse a query and refuse everything outside the language.

    Raises
    ------
    QueryError
        Saying which part is not allowed.
    """
    if "#" in query:
        raise QueryError("'#' begins a comment, and what follows would be lost: take it out")
    if len(query) > MAX_LENGTH:
        raise QueryError(f"is {len(query)} characters long, more than {MAX_LENGTH}")
    try:
        tree = ast.parse(" ".join(query.split()), mode="eval").body
        _check(tree)
    except SyntaxError as error:
        raise QueryError(f"cannot be read: {error.msg}; got {shown(query)}") from None
    except (ValueError, OverflowError, RecursionError, MemoryError) as error:
        raise QueryError(f"cannot be read: {error}") from None
    return tree


class Verdict(Enum):
    """What a clause, or the whole query, says of a unit."""

    MET = "met"
    FAILED = "failed"
    LEFT_OUT = "left out"
    UNKNOWN = "unknown"


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


def evaluate(query: str, metrics: Any, leave_out: Collection[str]) -> list[Answer]:
    """What the query says of each unit.

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
        When the query names a metric that is not there.
    """
    tree = parse(query)
    columns = [str(column) for column in metrics.columns]
    used = _names(tree)
    for name in used:
        if name not in columns:
            raise QueryError(f"no metric {name!r}{nearest(name, columns)}")
    rows = zip(*(metrics[name].astype(float) for name in used), strict=True) if used else [()] * len(metrics)
    return [_answer(tree, dict(zip(used, row, strict=True)), leave_out) for row in rows]


def names(query: str) -> set[str]:
    """The metrics that a query uses."""
    return set(_names(parse(query)))


def _check(node: ast.expr, depth: int = 0) -> None:
    if depth > MAX_DEPTH:
        raise QueryError(f"cannot be read: nested more than {MAX_DEPTH} deep")
    match node:
        case ast.BoolOp(values=parts):
            for part in parts:
                _check(part, depth + 1)
        case ast.UnaryOp(op=ast.Not(), operand=part):
            _check(part, depth + 1)
        case ast.Compare(left=left, ops=operators, comparators=rights):
            if not all(type(sign) in COMPARISONS for sign in operators):
                raise QueryError("only < <= > >= == != compare")
            for side in (left, *rights):
                _check_operand(side)
        case _:
            raise QueryError(f"{ast.unparse(node)!r} is not a comparison")


def _check_operand(node: ast.expr) -> None:
    match node:
        case ast.Name():
            return
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=ast.Constant() as number):
            _check_operand(number)
            return
        # Python counts True and False among the integers.
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            float(number)  # An integer may be too large for a metric to be compared with.
            return
    raise QueryError(f"{ast.unparse(node)!r} is neither a metric's name nor a number")


def _answer(tree: ast.expr, values: dict[str, float], leave_out: Collection[str]) -> Answer:
    verdicts: dict[ast.expr, Verdict] = {}
    verdict = _judge(tree, values, leave_out, verdicts)
    clauses = {clause: _with_values(clause, values) for clause in verdicts if isinstance(clause, ast.Compare)}
    return Answer(
        verdict,
        failed=_failures(tree, verdicts, values) if verdict is Verdict.FAILED else [],
        left_out=[text for clause, text in clauses.items() if verdicts[clause] is Verdict.LEFT_OUT],
        unknown=[text for clause, text in clauses.items() if verdicts[clause] is Verdict.UNKNOWN],
    )


def _judge(
    node: ast.expr, values: dict[str, float], leave_out: Collection[str], verdicts: dict[ast.expr, Verdict]
) -> Verdict:
    """The verdict of a part of the query; `verdicts` collects those of all parts."""
    match node:
        case ast.BoolOp(op=joint, values=parts):
            given = [_judge(part, values, leave_out, verdicts) for part in parts]
            decisive = Verdict.FAILED if isinstance(joint, ast.And) else Verdict.MET
            verdict = next(
                (one for one in (decisive, Verdict.UNKNOWN, _OPPOSITE[decisive]) if one in given), Verdict.LEFT_OUT
            )
        case ast.UnaryOp(op=ast.Not(), operand=part):
            verdict = _OPPOSITE[_judge(part, values, leave_out, verdicts)]
        case ast.Compare():
            verdict = _compare(node, values, leave_out)
        case _:
            raise AssertionError(ast.dump(node))
    verdicts[node] = verdict
    return verdict


_OPPOSITE = {
    Verdict.MET: Verdict.FAILED,
    Verdict.FAILED: Verdict.MET,
    Verdict.LEFT_OUT: Verdict.LEFT_OUT,
    Verdict.UNKNOWN: Verdict.UNKNOWN,
}


def _compare(clause: ast.Compare, values: dict[str, float], leave_out: Collection[str]) -> Verdict:
    undefined = [name for name in _names(clause) if math.isnan(values[name])]
    if undefined:
        return Verdict.LEFT_OUT if set(undefined) <= set(leave_out) else Verdict.UNKNOWN
    sides = [_number(side, values) for side in (clause.left, *clause.comparators)]
    pairs = zip(clause.ops, sides, sides[1:], strict=False)
    return Verdict.MET if all(COMPARISONS[type(sign)](a, b) for sign, a, b in pairs) else Verdict.FAILED


def _number(node: ast.expr, values: dict[str, float]) -> float:
    match node:
        case ast.Name(id=name):
            return values[name]
        case ast.UnaryOp(op=sign, operand=part):
            return -_number(part, values) if isinstance(sign, ast.USub) else _number(part, values)
        case ast.Constant(value=value):
            return float(value)
    raise AssertionError(ast.dump(node))


def _failures(node: ast.expr, verdicts: dict[ast.expr, Verdict], values: dict[str, float]) -> list[str]:
    """The clauses that decided a part's verdict, which is met or failed."""
    match node:
        case ast.BoolOp(values=parts):
            decisive = [part for part in parts if verdicts[part] is verdicts[node]]
            return [text for part in decisive for text in _failures(part, verdicts, values)]
        case ast.UnaryOp(operand=part):
            return _failures(part, verdicts, values)
    return [("not " if verdicts[node] is Verdict.MET else "") + _with_values(node, values)]


def _with_values(clause: ast.expr, values: dict[str, float]) -> str:
    found = [("undefined" if math.isnan(values[name]) else f"{values[name]:.4g}") for name in _names(clause)]
    return f"{ast.unparse(clause)} ({', '.join(found)})" if found else ast.unparse(clause)


def _names(part: ast.expr) -> list[str]:
    """The metrics of a query or a part of it, each once."""
    return list(dict.fromkeys(node.id for node in ast.walk(part) if isinstance(node, ast.Name)))
