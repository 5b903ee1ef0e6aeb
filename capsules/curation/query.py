"""The language of curation queries: conditions on the metrics, parsed here and never run as code.

A query has names of metrics, numbers, `<`, `<=`, `>`, `>=`, `==`, `!=`, `and`, `or`, `not` and parentheses. Comparisons
chain as in Python and pandas; a chain of comparisons is one clause.
"""

from __future__ import annotations

import ast
import operator

from capsules.common.errors import SpikeRelayError
from capsules.parameters.problems import quote

MAX_LENGTH = 10_000
MAX_DEPTH = 100
"""Nesting of `and`, `or` and `not`; Python's own limit is far higher."""
COMPARISONS = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


class QueryError(SpikeRelayError):
    """The query is not in the language, or names an unknown metric; `problem` is the message without the path."""

    def __init__(self, problem: str):
        super().__init__(f"curation.query: {problem}")
        self.problem = problem


def parse(query: str) -> ast.expr:
    """Parse a query and reject everything outside the language.

    Raises
    ------
    QueryError
        With the part that is not allowed.
    """
    if "#" in query:
        raise QueryError("'#' starts a comment, and the text after it would be ignored: remove it")
    if len(query) > MAX_LENGTH:
        raise QueryError(f"is {len(query)} characters long (limit: {MAX_LENGTH})")
    try:
        tree = ast.parse(" ".join(query.split()), mode="eval").body
        _check(tree)
    except SyntaxError as error:
        raise QueryError(f"cannot be read: {error.msg}; got {quote(query)}") from None
    except (ValueError, OverflowError, RecursionError, MemoryError) as error:
        raise QueryError(f"cannot be read: {error}") from None
    return tree


def metric_names(part: ast.expr) -> list[str]:
    """The metrics in a parsed query or a part of it, each once."""
    return list(dict.fromkeys(node.id for node in ast.walk(part) if isinstance(node, ast.Name)))


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
                raise QueryError("use only < <= > >= == != to compare")
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
            float(number)  # Raises OverflowError when an integer is too large to compare with a metric.
            return
    raise QueryError(f"{ast.unparse(node)!r} is neither a metric's name nor a number")
