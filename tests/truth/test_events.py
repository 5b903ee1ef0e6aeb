"""Events of sessions whose streams have different clocks, through the capsules: all on one clock, in files and NWB."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from capsules.common.sync.event_files import pulses_of, read_events
from tests.reach.test_nwb_file import findings
from tests.sync_sessions import SessionSpec, Truth, write_openephys_session, write_spikeglx_session
from tests.truth.chain import stage

pytestmark = pytest.mark.slow

ACCURACY_S = 1e-4
SHORTEST_MS = 2
"""Longer than a bounce, shorter than a camera's pulse."""


def spec(**changes: Any) -> SessionSpec:
    return SessionSpec(duration_s=130.0, channels=8, spikes=False, **changes)


SESSIONS = {
    "regular": ("spikeglx", write_spikeglx_session, spec(), ()),
    "rates of the headers": ("spikeglx", write_spikeglx_session, spec(nominal=False, lf=False), ()),
    "coded": ("spikeglx", write_spikeglx_session, spec(coded=True, lf=False), ()),
    "two files": ("spikeglx", write_spikeglx_session, spec(gap="files"), ("--no-split-segments",)),
    "open ephys": ("openephys", write_openephys_session, spec(), ()),
    "open ephys, lost": ("openephys", write_openephys_session, spec(gap="lost"), ()),
    "open ephys, coded": ("openephys", write_openephys_session, spec(coded=True), ()),
}
LINES = {
    "spikeglx": {"camera": "nidq:XD1", "reward": "nidq:XD2", "photodiode": "XA0"},
    "openephys": {"camera": "PXI-6133:TTL2", "reward": "PXI-6133:TTL3", "photodiode": "PXI-6133:TTL4"},
}
SYNC = {"spikeglx": ("imec0.ap", "imec1.ap", "nidq"), "openephys": ("ProbeA-AP", "ProbeB-AP", "PXI-6133")}


@pytest.fixture(scope="module", params=SESSIONS)
def chain(request, tmp_path_factory) -> tuple[str, Truth, Path, str]:
    """The format of a session, what happened, the folder of the stages, and the id of the block."""
    format, write, session, words = SESSIONS[request.param]
    data, folder = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("chain")
    truth = write(data, session)
    (data / "nwb_metadata.yaml").write_text("Subject: {subject_id: m1, species: Mus musculus, sex: F, age: P90D}\n")
    ended = stage("job_dispatch", folder, "job_dispatch", "--data", data, "--input", format, *words)
    assert ended.code == 0, ended.output
    jobs = json.loads((ended.folder / "jobs.json").read_text())
    (block,) = {job["block"] for job in jobs}
    (folder / "jobs.json").write_text(json.dumps(jobs))
    own = {"names": {line: name for name, line in LINES[format].items()}, "min_duration_ms": SHORTEST_MS}
    if format == "spikeglx":
        own["analog_thresholds_v"] = {"XA0": 1.5}
    (folder / "events.params.json").write_text(json.dumps(own))
    shared = ("--job", folder / "jobs.json", "--data", data, "--inputs", folder, "--id", block)
    for name, more in (
        ("events", ("--params", folder / "events.params.json")),
        ("nwb_ecephys", ("--skip-lfp", "--backend", "hdf5")),
    ):
        ended = stage(name, folder, block, *shared, *more)
        assert ended.status == "ok", ended.output
    return format, truth, folder, block


def nearest_errors_s(times_s: np.ndarray, true_s: np.ndarray) -> np.ndarray:
    """How far each time is from the true time nearest to it."""
    return np.abs(times_s[:, None] - true_s).min(axis=1)


def read_lines(folder: Path, block: str) -> dict[str, tuple[dict[str, Any], Any]]:
    """Label -> the entry of each line in the list, and its pulses."""
    home = folder / f"events_{block}" / "events"
    entries = json.loads((home / "events.json").read_text())
    return {entry["label"]: (entry, pulses_of(read_events(home / entry["file"]))) for entry in entries}


def test_events_of_the_board_are_all_there(chain):
    format, truth, folder, block = chain
    lines = read_lines(folder, block)
    for name in LINES[format]:
        _, pulses = lines[name]
        own = truth.events[name]
        np.testing.assert_allclose(pulses["time_s"], own[:, 0], rtol=0, atol=ACCURACY_S)
        np.testing.assert_allclose(pulses["duration_s"], np.diff(own)[:, 0], rtol=0, atol=ACCURACY_S)


def test_the_pulses_of_every_stream_are_at_the_same_time(chain):
    format, truth, folder, block = chain
    lines = read_lines(folder, block).values()
    for stream in SYNC[format]:
        own = [(entry, pulses) for entry, pulses in lines if entry["stream"].endswith(stream) and entry["name"] is None]
        # Line 3 of the NI board never changes.
        ((entry, pulses),) = [each for each in own if each[0]["rising"]]
        # The stream was recorded for at least 120 s, and misses 3 % of the pulses.
        assert len(pulses) > 100, entry
        assert nearest_errors_s(pulses["time_s"].to_numpy(), truth.pulses).max() < ACCURACY_S, entry


def test_pynwb_reads_the_events_by_their_names(chain):
    from pynwb import read_nwb

    format, truth, folder, block = chain
    nwbfile = read_nwb(folder / f"nwb_ecephys_{block}" / "file.nwb")
    for name in LINES[format]:
        table = nwbfile.events[name]
        np.testing.assert_allclose(table["timestamp"][:], truth.events[name][:, 0], rtol=0, atol=ACCURACY_S)
    # The session's metadata has no location of its electrodes.
    assert [finding for finding in findings(nwbfile) if "location_allen_ccf" not in finding] == []
