"""The `spikerelay` command: its exit codes, and what it prints."""

import json
import subprocess
import sys

import pytest

from capsules.common.contract import STAGES


def spikerelay(*arguments, **kwargs):
    words = [sys.executable, "-m", "capsules", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, check=False, **kwargs)


@pytest.fixture
def params_file(tmp_path):
    def write(document):
        file = tmp_path / "params.json"
        file.write_text(json.dumps(document))
        return file

    return write


def test_validate(params_file):
    good = spikerelay("validate", params_file({"curation": {"query": None}}))
    assert (good.returncode, good.stdout) == (0, f"{params_file({'curation': {'query': None}})}: good\n")
    bad = spikerelay("validate", params_file({"curation": {"qery": None}}))
    assert bad.returncode == 2
    assert "line 1, column 15: curation.qery: unknown parameter; did you mean 'query'?" in bad.stderr
    missing = spikerelay("validate", "nowhere.json")
    assert missing.returncode == 2
    assert missing.stderr.endswith("\n\nproblems:\n  nowhere.json: No such file or directory\n")


def test_params_diff(params_file):
    shown = spikerelay("params", "diff", params_file({"visualization": {"drift": {"n_skip": 1, "alpha": 0.6}}}))
    assert (shown.returncode, shown.stdout) == (0, "visualization.drift.n_skip: 30 -> 1\n")
    off = spikerelay("params", "diff", params_file({"postprocessing": {"extensions": {"isi_histograms": None}}}))
    assert off.stdout == 'postprocessing.extensions.isi_histograms: {"window_ms": 100.0, "bin_ms": 5.0} -> null\n'


def test_plan_refuses_what_a_run_refuses(tiny_session):
    refused = spikerelay("plan", "--data", tiny_session, "--sorter", "kilosort", "--curation_args=--querry 1")
    assert refused.returncode == 2
    assert "did you mean 'kilosort4'" in refused.stderr
    assert "did you mean '--query'" in refused.stderr
    nowhere = spikerelay("plan", "--data", tiny_session / "nowhere", "--sorter", "spykingcircus2")
    assert nowhere.returncode == 2
    inside = spikerelay(
        "plan", "--data", tiny_session, "--results", tiny_session / "results", "--sorter", "spykingcircus2"
    )
    assert (inside.returncode, "is inside the data folder" in inside.stderr) == (2, True)


@pytest.mark.slow
def test_plan_tells_what_would_fail(tiny_session, params_file):
    document = {"job_dispatch": {"input": "spikeglx"}, "preprocessing": {"highpass_filter": {"freq_min": 15000}}}
    planned = spikerelay("plan", "--data", tiny_session, "--sorter", "spykingcircus2", "--params_file",
                         params_file(document))  # fmt: skip
    assert planned.returncode == 1
    assert "fails: preprocessing.highpass_filter.freq_min: must be below half the sampling rate" in planned.stdout
    assert 'job_dispatch.input: "openephys" -> "spikeglx" (params file)' in planned.stdout
    guessed = spikerelay("plan", "--data", tiny_session, "--sorter", "spykingcircus2")
    assert guessed.returncode == 0
    assert "--input spikeglx: the only format in the data folder" in guessed.stdout
    options = ("--sorter", "spykingcircus2", "--job_dispatch_args=--input openephys")
    none = spikerelay("plan", "--data", tiny_session, *options)
    assert none.returncode == 1
    assert "no Open Ephys recording" in none.stderr


def test_inspect(tiny_session, tmp_path):
    seen = spikerelay("inspect", tiny_session)
    assert seen.returncode == 0
    for text in (
        "read as spikeglx",
        "run_g0_imec0.ap_recording1",
        "4 channels, 30000 Hz",
        "the LFP band, by its name: run_g0_imec0 imec0.lf",
    ):
        assert text in seen.stdout
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "notes.txt").write_text("")
    unknown = spikerelay("inspect", tmp_path / "data")
    assert (unknown.returncode, "no recording of a known format" in unknown.stderr) == (1, True)
    assert spikerelay("inspect", tmp_path / "nowhere").returncode == 2
    # Another parameter does not name the format.
    assert "read as spikeglx" in spikerelay("inspect", tiny_session, "--no-split-segments").stdout
    assert "invalid" not in spikerelay("inspect", tiny_session, "--input", "spikeglx", "--no-split-groups").stderr


def test_sizes_grow_with_channels_and_megabytes():
    for stage in STAGES.values():
        # Lines are read in chunks, whatever the channels.
        assert stage.name == "events" or stage.size.memory_gb(16) < stage.size.memory_gb(384)
        assert stage.size.time_min(10) < stage.size.time_min(100_000)
        # Only a sorting is on a GPU.
        faster = stage.size.time_min(100_000, on_gpu=True) < stage.size.time_min(100_000)
        assert faster == (stage.name == "spikesorting")


def test_a_reader_that_is_gone_is_no_error():
    words = [sys.executable, "-m", "capsules", "params", "show", "preprocessing"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141
