"""The paragraph on methods, and the words at the top of the report."""

from __future__ import annotations

from capsules.results.findings import collect_findings, collect_not_computed, describe_run
from capsules.results.methods import CITATIONS, write_methods
from capsules.results.status import add_noise, status_document
from tests.web.test_report import SORTERS, jobs, record

VERSIONS = {"spikerelay": "0.2.0", "spikeinterface": "0.105.3", "kilosort": "4.1.7", "neuroconv": "0.10.2"}
PARAMS = {
    "params": {
        "preprocessing": {
            "filter_type": "bandpass",
            "bandpass_filter": {"freq_min": 300.0, "freq_max": 6000.0},
            "denoising_strategy": "cmr",
            "motion_correction": {"preset": "dredge_fast", "apply": False},
        },
        "curation": {"query": "snr > 5\n and isi_violations_ratio < 0.5", "min_spikes": 50},
    },
    "differences": {"curation.query": ["snr > 1", "snr > 5"], "job_dispatch.input": ["openephys", "spikeglx"]},
}


def run(*states, sorter="kilosort4", **facts):
    stage = {"warnings": [], "changes": [], "seconds": 1}
    entries = {
        f"r{index}": {
            "status": state,
            "stage": "preprocessing",
            "reason": "too short",
            "next_step": "",
            "sorter": sorter,
        }
        | {"stages": {"preprocessing": dict(stage)}}
        | (facts if state == "ok" else {})
        for index, state in enumerate(states)
    }
    return {"recordings": entries, "blocks": {"b": {"status": "ok", "reason": None, "stages": {}}}}


def test_the_paragraph_names_what_ran_and_cites_it():
    paragraphs, papers = write_methods(run("ok", drift_um=3.0), PARAMS, VERSIONS)
    text = " ".join(paragraphs)
    assert "SpikeRelay 0.2.0" in text and "SpikeInterface 0.105.3 (Buccino et al., 2020)" in text
    assert "bandpass filtered between 300 and 6000 Hz" in text
    assert "Kilosort4 4.1.7 (Pachitariu et al., 2024)" in text
    assert "dredge_fast (Windolf et al., 2025) and not corrected in the traces" in text
    assert "`snr > 5 and isi_violations_ratio < 0.5` and have at least 50 spikes" in text
    assert 'curation.query = "snr > 5"' in text and "job_dispatch" not in text
    assert set(papers) == {CITATIONS[name] for name in ("spikeinterface", "nextflow", "dredge", "kilosort4", "nwb")}


def test_the_clocks_are_described_where_streams_were_synchronised():
    paragraphs, _ = write_methods(run("ok"), PARAMS, VERSIONS, "Times of imec0 were mapped.")
    assert "under Nextflow (Di Tommaso et al., 2017). Times of imec0 were mapped. Traces were" in paragraphs[0]


def test_what_did_not_run_is_not_in_the_paragraph():
    status = run("ok", sorter="tridesclous2")
    status["blocks"]["b"]["status"] = "failed"
    paragraphs, papers = write_methods(status, {"differences": {}}, {})
    text = " ".join(paragraphs)
    assert "Motion" not in text and "NWB" not in text and "Kilosort" not in text and "Traces" not in text
    assert text.endswith("All parameters had their defaults.")
    assert len(papers) == 2


def test_the_sentence_counts():
    assert (
        describe_run(run("ok", "ok", units=3, good_units=1))
        == "2 of 2 recordings were sorted: 6 units, 2 of them good."
    )
    mixed = describe_run(run("ok", "failed", "skipped", units=1))
    assert mixed == "1 of 3 recordings was sorted: 1 unit. 1 failed, 1 skipped."
    broken = run("ok")
    broken["blocks"]["b"]["status"] = "failed"
    assert describe_run(broken) == "1 of 1 recording was sorted. 1 NWB file could not be written."


def test_failures_come_before_skips_and_checks_and_equal_ones_are_one():
    check = {
        "name": "drift, upper end",
        "unit": "um",
        "low": None,
        "high": 40,
        "value": 50.0,
        "within": False,
        "meaning": "",
    }
    content = {f"r{index}": {"checks": [check]} for index in range(4)}
    findings = collect_findings(run("ok", "skipped", "failed", "ok"), content)
    assert [finding.text for finding in findings] == [
        "failed in preprocessing: too short",
        "skipped in preprocessing: too short",
        "drift, upper end: 50 µm (usual: at most 40 µm)",
    ]
    assert findings[-1].recordings == ["r0", "r1", "r2", "r3"]


def test_what_was_not_computed_is_named_once():
    status = run("ok", "ok")
    line = "sua_mua_classifier 'x' is neither a folder with a model nor in the cache: its labels are left out"
    for entry in status["recordings"].values():
        entry["stages"]["preprocessing"]["changes"] = [line, "snr.peak_mode handed on as method"]
    assert collect_not_computed(status, []) == {"classifier labels not computed": [line]}


def test_the_status_has_what_the_cards_show():
    motion = {"preset": "dredge_fast", "range_um": 12.5, "range_interval_um": None}
    records = {
        ("preprocessing", "a"): record("preprocessing", motion=motion),
        ("spikesorting", "a"): record("spikesorting", units=7),
        ("preprocessing", "b"): record("preprocessing", status="skipped", reason="too short", motion=motion),
    }
    status = status_document(jobs("a", "b"), SORTERS, records, {})
    noise = {"preprocessed_uv": [7.0, None, 9.0], "physical_unit": "uV"}
    add_noise(status, {"a": {"recording": {"channels_noise": noise}}, "b": {"recording": None}})
    first, second = status["recordings"].values()
    assert (first["sorted_units"], first["drift_um"], first["noise_uv"]) == (7, 12.5, 8.0)
    assert not {"sorted_units", "drift_um", "noise_uv"} & set(second)
    counts = {"a": {"recording": {"channels_noise": noise | {"physical_unit": "counts"}}}}
    status = status_document(jobs("a"), SORTERS, records, {})
    add_noise(status, counts)
    assert "noise_uv" not in status["recordings"]["a"]
