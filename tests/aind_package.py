"""AIND's metadata as aind-data-schema reads them, in its separate environment (`make setup-aind-schema`)."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest

from tests.docs_pages import ROOT

PYTHON = ROOT / ".aind" / "venv" / "bin" / "python"


def ask_package(*arguments: object) -> Any:
    """What `tests/aind_schema.py` prints, which fails where a file is invalid."""
    if not PYTHON.exists():
        say = pytest.fail if os.environ.get("CI") else pytest.skip
        say("aind-data-schema is missing: make setup-aind-schema installs it")
    command = [PYTHON, ROOT / "tests" / "aind_schema.py", *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)
