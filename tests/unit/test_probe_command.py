"""`spikerelay probe`: a probe of probeinterface's library, wired, as a file."""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.error import HTTPError, URLError

import numpy as np
import pytest
from probeinterface import ProbeGroup, generate_linear_probe, library, read_probeinterface, write_probeinterface
from probeinterface.wiring import pathways

from capsules.__main__ import main

WIRING = "H32>RHD2132"


@pytest.fixture
def copies(tmp_path, monkeypatch) -> Path:
    """This machine's copy of the library, with one probe; nothing can be downloaded."""
    folder = tmp_path / "library"
    monkeypatch.setattr(library, "get_cache_folder", lambda: folder)
    monkeypatch.setattr("capsules.commands.probe.get_cache_folder", lambda: folder)
    monkeypatch.setattr(library, "urlopen", unreachable)
    (folder / "main" / "lab").mkdir(parents=True)
    group = ProbeGroup()
    group.add_probe(generate_linear_probe(num_elec=32, ypitch=25))
    write_probeinterface(folder / "main" / "lab" / "linear-32.json", group)
    return folder / "main" / "lab"


def unreachable(_):
    raise URLError("no network")


def run(*arguments) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["spikerelay", "probe", *map(str, arguments)])
        return main()


def test_a_probe_is_written_with_its_wiring(copies, tmp_path, capsys):
    output = tmp_path / "probe.json"
    assert run("lab/linear-32", "--wiring", WIRING, "--output", output) == 0
    written = read_probeinterface(output).probes[0]
    assert written.device_channel_indices.tolist() == pathways[WIRING]
    assert np.allclose(np.ptp(written.contact_positions[:, 1]), 31 * 25)
    assert "32 contacts" in capsys.readouterr().out
    assert run("lab/linear-32", "--wiring", WIRING, "--output", output) == 2


def test_the_first_channel_is_the_first_contact_only_on_request(copies, tmp_path):
    with pytest.raises(SystemExit):
        run("lab/linear-32", "--output", tmp_path / "none.json")
    output = tmp_path / "probe.json"
    assert run("lab/linear-32", "--wiring", "in-order", "--output", output) == 0
    assert read_probeinterface(output).probes[0].device_channel_indices.tolist() == list(range(32))


@pytest.mark.parametrize(
    ("name", "wiring", "message"),
    [
        ("linear-32", WIRING, "name the manufacturer and the probe"),
        ("../lab/linear-32", WIRING, "name the manufacturer and the probe"),
        ("lab/..", WIRING, "name the manufacturer and the probe"),
        ("lab/linear-64", WIRING, "cannot be downloaded: no network; copy its JSON file there"),
        ("lab/broken", WIRING, "not a probe file, remove it"),
        ("lab/linear-32", "H32>RHD", f"unknown; for 32 contacts: in-order, {WIRING}"),
        ("lab/linear-32", "ASSY-156>RHD2164", "is for another number of contacts"),
    ],
)
def test_what_is_rejected(copies, tmp_path, capsys, name, wiring, message):
    (copies / "broken.json").write_text("{}")
    assert run(name, "--wiring", wiring, "--output", tmp_path / "probe.json") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "probe.json").exists()


def test_a_name_that_the_library_lacks(copies, tmp_path, capsys, monkeypatch):
    def missing(url):
        raise HTTPError(url, 404, "Not Found", {}, None)

    monkeypatch.setattr(library, "urlopen", missing)
    assert run("lab/linear_32", "--wiring", WIRING, "--output", tmp_path / "probe.json") == 2
    assert "no such probe (404); did you mean 'linear-32'?" in capsys.readouterr().err
