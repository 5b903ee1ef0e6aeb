"""What `make test` takes of a test's cases: the first ones; `make test-full` takes all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def rest_is_slow(cases: Iterable[Any], here: int = 1) -> list[Any]:
    """The cases of a parametrized test, of which all but the first `here` are marked as slow."""
    cases = [case if isinstance(case, tuple) else (case,) for case in cases]
    return [pytest.param(*case, marks=[pytest.mark.slow] * (index >= here)) for index, case in enumerate(cases)]
