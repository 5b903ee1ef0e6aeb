"""docs/security.md names, for each promise, a test that exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_promise_names_a_test_that_exists():
    page = (ROOT / "docs" / "security.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ") and "`tests/" in line]
    assert len(rows) >= 15
    for row in rows:
        file = None
        for name, test in re.findall(r"`(tests/[\w/]+\.py)?(?:::(\w+))?`", row):
            file = name or file
            text = (ROOT / file).read_text()
            assert not test or f"def {test}(" in text, (file, test)


def test_every_file_of_tests_of_security_is_named():
    page = (ROOT / "docs" / "security.md").read_text()
    files = {path.name for path in Path(__file__).parent.glob("test_*.py")} - {Path(__file__).name}
    assert [name for name in sorted(files) if name not in page] == []
