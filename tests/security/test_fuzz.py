"""2,000 hostile strings through every entrance: refused or taken as text; nothing is run, nothing written outside."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from capsules.common.tasks.resources import numba_cache_folder
from tests.data import ProbeSpec, write_spikeglx
from tests.security.entrances import ENTRANCES, Sandbox
from tests.security.hostile import COUNT, hostile_strings

RUNS = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "subprocess.Popen", "socket.connect")
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = {"os.mkdir": 0, "os.remove": 0, "os.rmdir": 0, "os.link": 1, "os.symlink": 1, "os.chmod": 0, "os.rename": 1}
"""What changes a folder -> which of its arguments is the place that changes."""
HARMLESS = ("git", "uname", "ldconfig", "lscpu")
"""What libraries ask when they are imported."""


class Watch:
    """Sees, by Python's audit hooks, what is run and which files are written while it is on."""

    def __init__(self):
        self.on, self.allowed, self.seen = False, (), []
        sys.addaudithook(self.hook)

    def hook(self, event, arguments):
        if not self.on or threading.current_thread() is not threading.main_thread():
            return
        if event in RUNS:
            if Path(str(arguments[0])).name not in HARMLESS:
                self.seen.append((event, str(arguments)))
        elif event in CHANGES:
            self.look_at(event, arguments[CHANGES[event]])
        elif event == "open" and isinstance(arguments[0], (str, bytes)) and arguments[2] & WRITES:
            self.look_at(event, arguments[0])

    def look_at(self, event, path):
        place = os.path.abspath(os.fsdecode(path))
        if not place.startswith(self.allowed):
            self.seen.append((event, place))


WATCH = Watch()
COMPILED = (str(numba_cache_folder()), os.path.realpath(numba_cache_folder()))
"""numba's cache: the first process after a change of the code makes its folder."""
FEWER = 10
"""One string in so many is enough for `make test`."""


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """A SpikeGLX session of one small probe; nothing may change it."""
    folder = tmp_path_factory.mktemp("session")
    write_spikeglx(folder / "session", [ProbeSpec("imec0", channels=4, units=1, duration_s=0.2)])
    return folder / "session"


@pytest.fixture
def sandbox(tmp_path, session, monkeypatch):
    folder = tmp_path / "deep" / "er" / "sandbox"
    for place in (folder, folder / "tmp", folder / "data", folder / "launch"):
        place.mkdir(parents=True)
    (folder / "data" / "file").touch()
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "tmp"))
    monkeypatch.setenv("DATA_PATH", str(folder / "data"))
    monkeypatch.setenv("RESULTS_PATH", str(folder / "run_results"))
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("NXF_TASK_WORKDIR", raising=False)
    monkeypatch.chdir(folder / "launch")
    return Sandbox(folder, session)


@pytest.mark.parametrize("entrance", ENTRANCES, ids=lambda entrance: entrance.name)
def test_hostile_strings(entrance, sandbox, tmp_path, session):
    """Here some of the strings, the fewer the slower an entrance is; all of them in `make test-full`."""
    bring_all_in(entrance, FEWER * entrance.every, sandbox, tmp_path, session)


@pytest.mark.slow
@pytest.mark.parametrize("entrance", ENTRANCES, ids=lambda entrance: entrance.name)
def test_all_hostile_strings(entrance, sandbox, tmp_path, session):
    bring_all_in(entrance, 1, sandbox, tmp_path, session)


def bring_all_in(entrance, every, sandbox, tmp_path, session):
    canary = tmp_path / "canary"
    before = listing(session)
    strings = hostile_strings(str(canary))[::every]
    # What an entrance imports and caches at first is none of the strings' doing.
    entrance.bring_in(sandbox, ["plain"])
    WATCH.seen, WATCH.allowed, WATCH.on = [], (str(sandbox.folder), "/dev/null", *COMPILED), True
    try:
        for start in range(0, len(strings), entrance.batch):
            batch = strings[start : start + entrance.batch]
            try:
                entrance.bring_in(sandbox, batch)
            except BaseException as error:
                error.add_note(f"brought in: {[text[:200] for text in batch]!a}")
                raise
            assert not WATCH.seen, (WATCH.seen, batch)
            assert not canary.exists(), batch
    finally:
        WATCH.on = False
    assert {path.name for path in tmp_path.iterdir()} == {"deep"}
    assert listing(session) == before


def listing(folder):
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*")}


def test_there_are_2000_strings_and_they_differ():
    strings = hostile_strings("/tmp/canary")
    assert len(strings) == len(set(strings)) == COUNT == 2000
    assert hostile_strings("/tmp/canary") == strings


def test_the_watch_sees_what_is_run_and_written(tmp_path):
    """Without this, a fuzz test that finds nothing would tell nothing."""
    import subprocess

    WATCH.seen, WATCH.allowed, WATCH.on = [], (str(tmp_path / "in"),), True
    try:
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "file").write_text("")
        assert WATCH.seen == []
        (tmp_path / "out").write_text("")
        subprocess.run(["true"], check=True)
        os.system("true")
    finally:
        WATCH.on = False
    assert [event for event, _ in WATCH.seen] == ["open", "subprocess.Popen", "os.system"]
