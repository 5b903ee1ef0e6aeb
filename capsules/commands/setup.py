"""`spikerelay setup`: what a run needs once: the pinned Nextflow, and compiled code."""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
from pathlib import Path

from capsules.commands.findings import pins
from capsules.common.errors import SpikeRelayError
from capsules.common.installation import ROOT, choose_shared_folder
from capsules.common.tasks.resources import numba_cache_folder
from capsules.setup.fetch_nextflow import fetch

VERSIONS = ROOT / "capsule_versions.env"


def run(arguments: argparse.Namespace) -> int:
    prepare(arguments.releases)
    return 0


def prepare(more_releases: list[str] | None = None) -> None:
    """Fetch Nextflow and compile, unless both are done; other releases of Nextflow can be fetched too.

    Raises
    ------
    SpikeRelayError
        When one of them fails.
    """
    release = os.environ.get("SPIKERELAY_NEXTFLOW") or dict(pins(VERSIONS))["nextflow"]
    for version in dict.fromkeys([release, *(more_releases or [])]):
        _fetch_nextflow(version)
    folder = Path(os.environ.get("NUMBA_CACHE_DIR") or numba_cache_folder())
    compiled, stamp = folder / "compiled_for", _compute_stamp()
    if not compiled.exists() or compiled.read_text() != stamp:
        _compile()
        folder.mkdir(parents=True, exist_ok=True)
        compiled.write_text(stamp)


def _fetch_nextflow(version: str) -> None:
    folder = choose_shared_folder("nextflow")
    if (folder / version).exists():
        return
    print(f"setup: fetching Nextflow {version} from Maven Central (once)", flush=True)
    try:
        fetch(version, folder)
    # jgo raises errors of several libraries.
    except Exception as error:  # noqa: BLE001
        raise SpikeRelayError(
            f"Nextflow {version} cannot be fetched ({error}): run `spikerelay setup` where Maven Central can be reached"
        ) from None


def _compute_stamp() -> str:
    """What the compiled code depends on: the packages and Python."""
    texts = [VERSIONS.read_text(), (ROOT / "pyproject.toml").read_text(), sys.version]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def _compile() -> None:
    print("setup: compiling code (once, some minutes)", flush=True)
    # In a separate process, whose numba and threads are set before SpikeInterface is imported.
    command = [sys.executable, "-P", "-W", "ignore", "-m", "capsules.setup.warm_up"]
    if subprocess.run(command, check=False).returncode:
        raise SpikeRelayError("the code cannot be compiled, for the reason above: run `spikerelay doctor`")
