"""Recordings that several tests read; each is made once a session."""

from __future__ import annotations

import functools
import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from capsules.common.tasks.resources import use_numba_cache
from tests.data import ProbeSpec, kept_spikeglx

# As a stage's command line does: before SpikeInterface is imported.
use_numba_cache()
os.environ["HF_HUB_OFFLINE"] = "1"
"""No test asks the real hub, nor does any process that a test starts."""


@pytest.fixture(scope="session", autouse=True)
def one_count_of_threads():
    """Numba refuses another number of threads once it has started some, and one process runs many tests' tasks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("capsules.common.tasks.resources.limit_threads", lambda n_jobs: None)
        yield


@pytest.fixture(scope="session")
def frozen() -> dict[str, int]:
    """How many modules were imported when garbage was last looked for in all that they hold."""
    return {"modules": 0}


@pytest.fixture(autouse=True)
def keep_garbage_collection_short(frozen):
    """SpikeInterface collects garbage whenever it has written; with everything imported, that takes 0.25 s."""
    yield
    if len(sys.modules) > frozen["modules"] + 100:
        gc.collect()
        gc.freeze()
        frozen["modules"] = len(sys.modules)


TINY = [
    ProbeSpec("imec0", channels=4, units=2, duration_s=2.0, seed=1),
    ProbeSpec("imec1", channels=4, units=2, duration_s=2.0, seed=2),
]


@pytest.fixture(scope="session")
def kept_session(pytestconfig) -> Callable[[dict[str, list[ProbeSpec]]], Path]:
    """Name of each run and its probes -> a SpikeGLX session, made once for all runs of the tests; not to be changed."""
    return functools.partial(kept_spikeglx, pytestconfig.cache.mkdir("recordings"))


@pytest.fixture(scope="session")
def tiny_session(kept_session) -> Path:
    """A SpikeGLX session with two probes of 4 channels and 2 s: for wiring, not for sorting."""
    return kept_session({"run": TINY})


@pytest.fixture
def spikerelay(monkeypatch, capsys):
    """Run the command; returns exit code, what it printed and what it complained of."""

    from capsules.__main__ import main

    def run(*words):
        monkeypatch.setattr("sys.argv", ["spikerelay", *map(str, words)])
        code = main()
        return code, *capsys.readouterr()

    return run
