"""A finished run that several tests read, made once."""

import shutil

import pytest

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
