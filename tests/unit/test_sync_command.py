"""`spikerelay sync`: what it prints of a session, and its figure."""

import json
import subprocess
import sys

import pytest

from capsules.__main__ import make_parser
from capsules.commands.sync import run
from capsules.commands.table import COMMANDS
from capsules.common.errors import Rejected
from tests.sync_sessions import SessionSpec, write_openephys_session, write_spikeglx_session

SMALL = {"duration_s": 16.0, "channels": 4, "spikes": False}


def sync(*words):
    """The exit code of the command."""
    return run(COMMANDS["sync"].parse(make_parser("sync"), [str(word) for word in words]))


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    data = tmp_path_factory.mktemp("session")
    write_spikeglx_session(data, SessionSpec(**SMALL))
    return data


def test_streams_lines_pulses_and_fit(session, tmp_path, capsys):
    assert sync(session, "--figure", tmp_path / "residuals.png") == 0
    printed = capsys.readouterr().out
    assert "1 of 1 recordings" in printed
    assert "nidq: the reference, line XD0" in printed
    assert "imec0.ap: aligned, line SY6" in printed
    assert "nidq XD1: " in printed and "every 0.0333" in printed
    assert "nidq XD3: no pulses" in printed
    assert "analog channels XA0, XA1" in printed
    assert (tmp_path / "residuals.png").read_bytes().startswith(b"\x89PNG")


def test_params_file_flags_and_set(session, tmp_path, capsys):
    file = tmp_path / "my.json"
    file.write_text(json.dumps({"job_dispatch": {"sync": {"reference": "imec0.ap"}}}))
    assert sync(session, "--params", file) == 0
    assert "imec0.ap: the reference" in capsys.readouterr().out
    assert sync(session, "--params", file, "--set", "job_dispatch.sync.reference=imec1.ap") == 0
    assert "imec1.ap: the reference" in capsys.readouterr().out
    assert sync(session, "--params", file, "--sync.reference", "nidq", "--input", "spikeglx") == 0
    assert "nidq: the reference" in capsys.readouterr().out
    assert sync(session, "--no-sync") == 0
    assert "nothing to align" in capsys.readouterr().out


def test_what_is_not_aligned_is_a_problem(tmp_path, capsys):
    write_openephys_session(tmp_path / "data", SessionSpec(**SMALL, pulses=False))
    assert sync(tmp_path / "data", "--figure", tmp_path / "residuals.png") == 1
    printed = capsys.readouterr().out
    assert "0 of 1 recordings" in printed
    assert "keeps its own clock" in printed
    assert "residuals.png is not written: no stream is aligned" in printed
    assert not (tmp_path / "residuals.png").exists()


def test_mistakes(session, tmp_path):
    with pytest.raises(Rejected, match="must end in"):
        sync(session, "--figure", "residuals.txt")
    with pytest.raises(Rejected, match="--set"):
        sync(session, "--set", "job_dispatch.sync.reference_=nidq")
    with pytest.raises(Rejected, match="no such folder"):
        sync(tmp_path / "nowhere")


@pytest.mark.parametrize("command", ["inspect", "sync"])
def test_a_warning_is_printed_once(command, tmp_path):
    write_spikeglx_session(tmp_path / "data", SessionSpec(**SMALL, pulses=False))
    # In a separate process: here, pytest catches the log.
    words = [sys.executable, "-m", "capsules", command, str(tmp_path / "data"), "--sync.lines", '{"imec9": "SY6"}']
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.stdout.count("has no stream imec9"), done.stderr) == (1, "")
