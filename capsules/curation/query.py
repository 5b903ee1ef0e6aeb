"""Curation queries: a condition on the metrics table, read as a small language and never run as code.

Names of metrics, numbers, `<`, `<=`, `>`, `>=`, `==`, `!=`, `and`, `or`, `not` and parentheses; comparisons chain as
in Python and pandas. NaN meets no comparison but `!=`, as in pandas.
"""

from __future__ import annotations

import ast
import operator
from typing import Any

from capsules.common.errors import SpikeRelayError, nearest
from capsules.common.problems import shown

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


def evaluate(query: str, metrics: Any) -> Any:
    """Which units meet the query.

    Parameters
    ----------
    query : str
    metrics : pandas.DataFrame
        One row per unit.

    Returns
    -------
    array of bool, (units,)
    """
    import numpy as np

    tree = parse(query)
    columns = [str(column) for column in metrics.columns]
    for name in (node.id for node in ast.walk(tree) if isinstance(node, ast.Name)):
        if name not in columns:
            raise QueryError(f"no metric {name!r}{nearest(name, columns)}")
    return np.broadcast_to(np.asarray(_value(tree, metrics), dtype=bool), len(metrics)).copy()


def names(query: str) -> set[str]:
    """The metrics that a query uses."""
    return {node.id for node in ast.walk(parse(query)) if isinstance(node, ast.Name)}


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


def _value(node: ast.expr, metrics: Any) -> Any:
    import numpy as np

    match node:
        case ast.BoolOp(op=joint, values=parts):
            join = np.logical_and if isinstance(joint, ast.And) else np.logical_or
            return join.reduce([_value(part, metrics) for part in parts])
        case ast.UnaryOp(op=ast.Not(), operand=part):
            return np.logical_not(_value(part, metrics))
        case ast.UnaryOp(op=sign, operand=part):
            return -_value(part, metrics) if isinstance(sign, ast.USub) else _value(part, metrics)
        case ast.Compare(left=left, ops=operators, comparators=rights):
            sides = [_value(side, metrics) for side in (left, *rights)]
            pairs = zip(operators, sides, sides[1:], strict=False)
            return np.logical_and.reduce([COMPARISONS[type(sign)](a, b) for sign, a, b in pairs])
        case ast.Name(id=name):
            return metrics[name].to_numpy(dtype=float)
        case ast.Constant(value=value):
            return float(value)
    raise AssertionError(ast.dump(node))
