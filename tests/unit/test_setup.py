"""`spikerelay setup`: each thing once, and what to do where it fails."""

import sys

import pytest

from capsules.commands import setup
from capsules.common import installation


@pytest.fixture
def done(monkeypatch, tmp_path):
    """The releases that are fetched, and the compilations, in an installation that has neither."""
    calls = []
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "numba"))
    monkeypatch.delenv("SPIKERELAY_NEXTFLOW", raising=False)

    def fetch(version, folder):
        calls.append(version)
        (folder / version).mkdir(parents=True)

    monkeypatch.setattr(setup, "fetch", fetch)
    monkeypatch.setattr(setup, "_compile", lambda: calls.append("compiled"))
    return calls


def test_a_second_setup_does_nothing(done, spikerelay, tmp_path, monkeypatch):
    assert spikerelay("setup", "25.04.4")[0] == 0
    assert done == ["24.10.0", "25.04.4", "compiled"]
    assert (tmp_path / "share" / "nextflow" / "24.10.0").is_dir()
    assert spikerelay("setup") == (0, "", "")
    assert len(done) == 3
    monkeypatch.setattr(sys, "version", "another Python")
    setup.prepare()
    assert done[3:] == ["compiled"]


def test_without_network(done, spikerelay, monkeypatch):
    def fail(version, folder):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(setup, "fetch", fail)
    code, _, complaint = spikerelay("setup")
    assert (code, done) == (1, [])
    assert "24.10.0 cannot be fetched (no route to host): run `spikerelay setup` where" in complaint


def test_a_prefix_that_cannot_be_written(monkeypatch, tmp_path):
    monkeypatch.setattr(installation.os, "access", lambda *_: False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert installation.choose_shared_folder("nextflow") == tmp_path / "nextflow"


def test_the_launcher_of_this_environment_needs_no_variable(monkeypatch):
    monkeypatch.setattr(sys, "prefix", str(installation.ROOT / ".venv"))
    assert installation.launcher_environment() == {}
    monkeypatch.setattr(sys, "prefix", "/elsewhere")
    assert installation.launcher_environment() == {"SPIKERELAY_PYTHON": sys.executable}
