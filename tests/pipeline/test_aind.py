"""An AIND session with AIND's own params file, imported, through the whole chain."""

from __future__ import annotations

import json
from copy import deepcopy

import pandas as pd
import pytest
from spikeinterface.preprocessing import decimate

from capsules.demo.score import compare
from tests import formats
from tests.aind_package import PYTHON, ask_package
from tests.aind_params import VERSION_1_3
from tests.data import ProbeSpec, as_counts, ground_truth
from tests.pipeline.nextflow_runs import Pipeline
from tests.unit.test_aind_metadata import SCHEMA_2

ID = "experiment1_Record-Node-101-Neuropix-PXI-100.ProbeA-AP_recording1"


def write_session(folder, spec):
    """AP, LFP and NI-DAQ as AIND stores them, compressed by WavPack; returns the true spikes."""
    recording, truth = ground_truth(spec)
    traces = as_counts(recording)
    streams = {
        "Neuropix-PXI-100.ProbeA-AP": traces,
        "Neuropix-PXI-100.ProbeA-LFP": decimate(traces, 12),
        "NI-DAQmx-102.NI-DAQmx": formats.numpy_recording("NI-DAQmx", [spec.duration_s]),
    }
    probe = formats.Probe("ProbeA", tuple(range(spec.channels)))
    formats.write_aind_session(folder, streams, [probe], formats.make_wavpack())
    return truth


@pytest.mark.slow
def test_an_aind_session_with_its_imported_params(tmp_path, spikerelay):
    spec = ProbeSpec("ProbeA", channels=16, units=5, duration_s=30.0, seed=3)
    truth = write_session(tmp_path / "data", spec)
    (tmp_path / "data" / "data_description.json").write_text(json.dumps(SCHEMA_2))
    document = deepcopy(VERSION_1_3)
    document["preprocessing"]["min_preprocessing_duration"] = 0
    (tmp_path / "aind.json").write_text(json.dumps(document))
    assert spikerelay("params", "import", tmp_path / "aind.json", "--output", tmp_path / "params.json")[0] == 0
    pipeline = Pipeline(tmp_path, tmp_path / "data", data_format="aind")
    run = pipeline.run("--params_file", str(tmp_path / "params.json"), stub=False)
    assert run.code == 0, run.output
    assert {id: entry["status"] for id, entry in run.status["recordings"].items()} == {ID: "ok"}
    import spikeinterface as si

    # 5 s after the start of the acquisition, by the sample numbers of the Open Ephys folder.
    clock = json.loads((run.results / "curated" / ID / "clock.json").read_text())
    assert clock["starts_s"] == [pytest.approx(5.0)]
    units = si.load(run.results / "curated" / ID)
    assert min(compare(ID, truth, units).accuracies) >= 0.8
    assert {"default_qc", "bombcell_label"} <= set(units.get_property_keys())
    metrics = pd.read_csv(run.results / "quality_control" / ID / "metrics.csv")
    assert {"rp_contamination", "noise_cutoff", "sd_ratio", "isolation_distance", "d_prime"} <= set(metrics)
    assert "rp_contamination <= 0.5" in (run.results / "params.json").read_text()
    check_metadata(run.results)


def check_metadata(results):
    """The metadata of the derived asset name every task and every figure, and lack nothing that the session has."""
    assert json.loads((results / "logs" / "run" / "results.json").read_text())["warnings"] == []
    files = {file.name: json.loads(file.read_text()) for file in (results / "aind_metadata").iterdir()}
    processes = files["processing.json"]["data_processes"]
    own = json.loads((results / "processing.json").read_text())["stages"]
    assert sorted(process["name"] for process in processes) == sorted(f"{task['stage']}_{task['id']}" for task in own)
    assert set(files["processing.json"]["dependency_graph"]) == {process["name"] for process in processes}
    assert [process["name"] for process in processes if not (results / process.get("output_path", "")).exists()] == []
    figures = [metric["reference"] for metric in files["quality_control.json"]["metrics"] if "reference" in metric]
    assert len(figures) >= 5
    assert [figure for figure in figures if not (results / figure).is_file()] == []
    assert files["data_description.json"]["name"].startswith(f"{SCHEMA_2['name']}_sorted_")
    # Where the package is missing, the tests of the files say so.
    if PYTHON.exists():
        assert set(ask_package(results / "aind_metadata")) == {"processing", "quality_control", "data_description"}
