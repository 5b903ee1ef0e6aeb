"""Nextflow and capsules killed: the same command with -resume gives what an undisturbed run gives."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from tests.faults.faulty import IN_ORDER, SHORT, Faulty, Started, tasks

pytestmark = pytest.mark.pipeline


@pytest.fixture(scope="module")
def often_killed(tmp_path_factory, session) -> Faulty:
    """One run, killed and resumed by every test that takes it."""
    return Faulty(tmp_path_factory.mktemp("killed"), session)


@pytest.mark.parametrize("stage", IN_ORDER)
def test_nextflow_killed(often_killed, stage):
    # The figures and the units' file take their turns as they come.
    often_killed.forget(stage)
    started = often_killed.start("-resume", *SHORT)
    started.task(stage)
    started.kill(signal.SIGKILL)
    assert not (often_killed.results / "status.json").exists()


def test_nextflow_killed_at_every_stage_and_resumed(often_killed, same):
    same(often_killed.real("-resume"))


class KillOnce(threading.Thread):
    """Kills the first task of each stage as soon as it has written a part of its output, the first two at once."""

    def __init__(self, started: Started):
        super().__init__(daemon=True)
        self.started = started
        self.killed: set[str] = set()

    def run(self) -> None:
        while self.started.process.poll() is None:
            # What the shortest-lived parts take to be written is longer.
            time.sleep(0.01)
            for stage in set(IN_ORDER) - self.killed:
                for process in tasks(self.started.pipeline.work, stage) if self.writes(stage) else ():
                    process.kill()
                    self.killed.add(stage)

    def writes(self, stage: str) -> bool:
        if stage in ("resolve_params", "job_dispatch"):
            return True
        partial = self.started.pipeline.work.glob(f"*/*/.{stage}_*.partial/*")
        return any(path.name != "log.txt" for path in partial)


def test_every_capsule_killed_while_it_writes(faulty, same):
    started = faulty.start(*SHORT)
    killer = KillOnce(started)
    killer.start()
    run = started.wait()
    assert killer.killed == set(IN_ORDER)
    for stage in IN_ORDER:
        attempts = run.tasks(process=stage.upper())
        assert [(row["exit"], row["attempt"]) for row in attempts] == [("137", "1"), ("0", "2")], stage
    same(run)
