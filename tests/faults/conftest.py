"""What the tests of faults share: a small recording, and a run of it that nothing disturbs."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.data import write_spikeglx
from tests.faults.cases import CASES
from tests.faults.faulty import PROBE, Faulty, contents, digest, mounted
from tests.pipeline.nextflow_runs import Finished

CHEAP = ("test_run_too_large_for_the_disk",)
"""What `make test` tries too, besides what has no Nextflow in it."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("pipeline") and item.name in CASES and item.name not in CHEAP:
            item.add_marker("faults")


@pytest.fixture(scope="session")
def session(tmp_path_factory) -> Path:
    """A SpikeGLX session of one probe that is just worth sorting."""
    folder = tmp_path_factory.mktemp("session") / "session"
    write_spikeglx(folder, [PROBE])
    return folder


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory, session) -> Finished:
    run = Faulty(tmp_path_factory.mktemp("undisturbed"), session).real()
    assert run.code == 0, run.output
    return run


@pytest.fixture(scope="session")
def same(undisturbed):
    """Assert that a run ended well, with the content of the undisturbed one."""
    return partial(assert_same, undisturbed, digest)


@pytest.fixture(scope="session")
def undisturbed_stub(tmp_path_factory, session) -> Finished:
    run = Faulty(tmp_path_factory.mktemp("stub"), session).run()
    assert run.code == 0, run.output
    return run


@pytest.fixture(scope="session")
def same_stub(undisturbed_stub):
    """Assert that a run of stubs ended well, with the files of the undisturbed one."""
    return partial(assert_same, undisturbed_stub, contents)


def assert_same(undisturbed: Finished, content: Callable[[Path], object], run: Finished) -> None:
    assert run.code == 0, run.output
    assert run.status["status"] == "ok"
    assert content(run.results) == content(undisturbed.results)
    assert not list((run.results / "nextflow" / "failed").glob("*"))


@pytest.fixture
def faulty(tmp_path, session) -> Faulty:
    return Faulty(tmp_path, session)


@pytest.fixture
def disk(tmp_path):
    """Mounts small disks; needs the right to mount."""
    if os.geteuid():
        pytest.skip("only root may mount a small disk")
    opened = []

    def mount(name: str, options: str) -> Path:
        opened.append(mounted(tmp_path / name, options))
        return opened[-1].__enter__()

    yield mount
    for one in reversed(opened):
        one.__exit__(None, None, None)


def pytest_terminal_summary(terminalreporter):
    """The table of the faults that were tried, with what came of each."""
    ended = {}
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            ended[getattr(report, "nodeid", "").rpartition("::")[2]] = outcome
    shown = {name: outcome for name, outcome in ended.items() if name in CASES}
    if shown:
        terminalreporter.section("faults")
    for name, case in CASES.items():
        if name in shown:
            lost = {"passed": "nothing", "skipped": "not tried"}.get(shown[name], "SOMETHING: see above")
            terminalreporter.write_line(f"{case.event} | {case.message} | lost: {lost} | what to do: {case.remedy}")
