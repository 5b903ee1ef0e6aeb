"""A finished run that several tests read, made once."""

import shutil

import pytest

from capsules.__main__ import main
from tests.two_probes import make_run


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory):
    """The stages' folders of two probes of 8 and 16 channels and 4 s, and what they publish; not to be changed."""
    folder = tmp_path_factory.mktemp("run")
    make_run(folder)
    return folder


@pytest.fixture
def results(run_folder, tmp_path):
    """A copy of the published results."""
    shutil.copytree(run_folder / "results", tmp_path / "results", symlinks=True)
    return tmp_path / "results"


@pytest.fixture
def spikerelay(monkeypatch, capsys):
    """Run the command; returns exit code, what it printed and what it complained of."""

    def run(*words):
        monkeypatch.setattr("sys.argv", ["spikerelay", *map(str, words)])
        code = main()
        return code, *capsys.readouterr()

    return run
