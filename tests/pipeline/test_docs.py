"""The docs' commands, run as they stand."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from tests.data import ProbeSpec, write_spikeglx
from tests.pipeline.nextflow_runs import ROOT


@pytest.mark.slow
def test_the_chain_by_hand(tmp_path):
    """docs/stages.md: every stage alone, without Nextflow."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "spikerelay").symlink_to(tmp_path / "checkout")
    write_spikeglx(tmp_path / "checkout" / ".demo" / "session", [ProbeSpec("imec0", duration_s=125.0)])
    commands = re.search(r"```\n(.*?)```", (ROOT / "docs" / "stages.md").read_text(), re.DOTALL)[1]
    commands = commands.replace(". .venv/bin/activate", f". {ROOT}/.venv/bin/activate")
    commands = commands.replace("/tmp/chain", str(tmp_path / "chain"))
    done = subprocess.run(
        ["bash", "-euc", commands], env=os.environ | {"HOME": str(home)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    from pynwb import read_nwb

    assert len(read_nwb(tmp_path / "chain" / "nwb_units_run_g0_recording1" / "file.nwb").units) >= 8
