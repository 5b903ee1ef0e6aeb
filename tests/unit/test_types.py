"""mypy reads SpikeInterface's sources: a misspelt attribute of it is an error before anything runs."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULE = """
from spikeinterface import BaseRecording


def count_channels(recording: BaseRecording) -> int:
    channels: int = recording.{method}()
    return channels
"""


@pytest.mark.slow
@pytest.mark.parametrize("method, code", [("get_num_channels", 0), ("get_num_chanels", 1)])
def test_a_misspelt_attribute_of_spikeinterface_is_reported(method, code, tmp_path):
    module = tmp_path / "misspelt.py"
    module.write_text(MODULE.format(method=method))
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--config-file",
        ROOT / "pyproject.toml",
        "--cache-dir",
        ROOT / ".mypy_cache",
    ]
    done = subprocess.run([*command, module], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout
    assert ('has no attribute "get_num_chanels"' in done.stdout) == bool(code)
