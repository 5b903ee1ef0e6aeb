"""The workflow itself, with stubs for the capsules' work: order, isolation, resume, refusals."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.data import ProbeSpec, write_spikeglx
from tests.docs_pages import unnamed
from tests.formats import write_aind
from tests.pipeline.nextflow_runs import ROOT, VARIANTS, Finished, Pipeline, checkout

IMEC0, IMEC1 = "run_g0_imec0.ap_recording1", "run_g0_imec1.ap_recording1"
BLOCK = "run_g0_recording1"
NEVER_CACHED = {"RESOLVE_PARAMS", "JOB_DISPATCH"}
pytestmark = pytest.mark.pipeline


@pytest.fixture
def pipeline(tmp_path, tiny_session) -> Pipeline:
    return Pipeline(tmp_path, tiny_session)


def ran_anew(run) -> set[tuple[str, str]]:
    done = [row for row in run.trace if row["status"] != "CACHED" and row["process"] not in NEVER_CACHED]
    return {(row["process"], row["tag"]) for row in done}


@pytest.fixture(scope="module")
def two_runs(kept_session) -> Path:
    """A data folder with two SpikeGLX runs of two probes: two blocks, `a_g0_recording1` and `b_g0_recording1`."""
    probe = ProbeSpec(channels=4, units=1, duration_s=1.0)
    return kept_session(
        {run: [replace(probe, name=f"imec{index}", seed=seed) for index in range(2)] for seed, run in enumerate("ab")}
    )


PROBES = [f"{run}_g0_imec{index}.ap_recording1" for run in "ab" for index in range(2)]
BLOCKS = [f"{run}_g0_recording1" for run in "ab"]
SLOW, KILLED = PROBES[2:]
QUERY_WITH_LINES = "snr > 5\nand (firing_rate < 1e3 or not num_spikes == 0)"


def kept(run: Finished, folder: Path) -> Finished:
    """A run with a copy of its results, which the next run of the same folder leaves alone."""
    shutil.copytree(run.results, folder, symlinks=True)
    return replace(run, results=folder)


@pytest.fixture(scope="module")
def hostile_folders(tmp_path_factory, two_runs) -> Pipeline:
    """Two blocks of two probes in folders with blanks, quotes and other alphabets."""
    folder = tmp_path_factory.mktemp("shared") / """Zoë's "data"; $(touch harmed) `touch harmed` 数据"""
    folder.mkdir()
    data = folder / 'session "1" é'
    shutil.copytree(two_runs, data)
    return Pipeline(folder, data, results_name="the results ü", work_name="work & play")


@pytest.fixture(scope="module")
def harmed_run(hostile_folders, tmp_path_factory) -> Finished:
    """One probe's sorting is killed whenever it is tried; another's goes on until the other block's file has begun."""
    begun = tmp_path_factory.mktemp("signs") / "begun"
    wait = f"for i in {{1..60}}; do [ -e {begun} ] && break; sleep 1; done"
    config = hostile_folders.config_with(
        f"""process {{
            withName: 'SPIKESORTING' {{
                beforeScript = {{ task.tag == '{SLOW}' ? '{wait}' : task.tag == '{KILLED}' ? 'exit 137' : '' }}
            }}
            withName: 'NWB_UNITS' {{ beforeScript = {{ task.tag == '{BLOCKS[0]}' ? 'touch {begun}' : '' }} }}
        }}"""
    )
    return kept(hostile_folders.run("--n_jobs", "4", config=config), hostile_folders.folder / "first")


@pytest.fixture(scope="module")
def resumed_run(hostile_folders, harmed_run) -> Finished:
    """The same, resumed and unharmed."""
    return kept(hostile_folders.run("-resume", "--n_jobs", "4"), hostile_folders.folder / "second")


@pytest.fixture(scope="module")
def changed_run(hostile_folders, resumed_run) -> Finished:
    """The same with another query."""
    return hostile_folders.run("-resume", "--n_jobs", "4", "--curation_args", f"--query '{QUERY_WITH_LINES}'")


def test_a_killed_sorting_is_retried_twice_with_more_and_fails_its_probe_alone(harmed_run):
    assert harmed_run.code == 1, harmed_run.output
    attempts = harmed_run.tasks(process="SPIKESORTING", tag=KILLED)
    assert [row["attempt"] for row in attempts] == ["1", "2", "3"]
    memory = [float(row["memory"].split()[0]) for row in attempts]
    assert memory == sorted(set(memory))
    recordings = harmed_run.status["recordings"]
    assert {id: entry["status"] for id, entry in recordings.items()} == dict.fromkeys(PROBES, "ok") | {KILLED: "failed"}
    failed = recordings[KILLED]
    assert failed["stage"] == "spikesorting"
    assert failed["stages"]["postprocessing"]["status"] == "not reached"
    assert failed["stages"]["visualization"]["status"] == "ok"
    assert failed["next_step"]
    assert f"{KILLED}: failed in spikesorting" in harmed_run.output
    assert {path.name for path in (harmed_run.results / "curated").iterdir()} == {*PROBES} - {KILLED}


def test_a_blocks_file_waits_for_no_other_block_and_gets_what_there_is(harmed_run):
    assert {name: block["status"] for name, block in harmed_run.status["blocks"].items()} == dict.fromkeys(BLOCKS, "ok")
    (sort,) = harmed_run.tasks(process="SPIKESORTING", tag=SLOW)
    files = {row["tag"]: row for row in harmed_run.tasks(process="NWB_UNITS")}
    assert files[BLOCKS[0]]["start"] < sort["complete"]
    for block, probes in zip(BLOCKS, (PROBES[:2], [SLOW]), strict=True):
        staged = {path.name for path in (Path(files[block]["workdir"]) / "inputs").iterdir()}
        stages = {f"{stage}_{id}" for stage in ("postprocessing", "curation") for id in probes}
        assert staged == {f"nwb_ecephys_{block}"} | stages


def test_a_resumed_run_does_what_had_failed_and_has_every_part(hostile_folders, resumed_run):
    assert resumed_run.code == 0, resumed_run.output
    assert resumed_run.status["status"] == "ok"
    assert set(resumed_run.status["recordings"]) == {*PROBES}
    assert len(resumed_run.trace) == 2 + 4 * 5 + 2 * 3 + 1
    stages = ("SPIKESORTING", "POSTPROCESSING", "CURATION", "VISUALIZATION")
    assert ran_anew(resumed_run) == {(stage, KILLED) for stage in stages} | {
        ("NWB_UNITS", BLOCKS[1]),
        ("RESULTS", "run"),
    }
    has_every_part(resumed_run.results, PROBES, BLOCKS)
    for row in resumed_run.tasks(process="VISUALIZATION"):
        staged = {path.name for path in (Path(row["workdir"]) / "inputs").iterdir()}
        earlier = {f"{stage}_{row['tag']}" for stage in ("preprocessing", "postprocessing", "curation")}
        assert staged == earlier | {f"events_{row['tag'][0]}_g0_recording1"}
    assert not list(hostile_folders.folder.parent.rglob("harmed"))


def has_every_part(results, ids, blocks):
    for id in ids:
        for place in ("preprocessed/{}.json", "preprocessed/motion/{}", "spikesorted/{}", "postprocessed/{}.zarr"):
            assert (results / place.format(id)).exists()
        for place in ("curated", "visualization", "quality_control", "logs"):
            assert (results / place / id).exists()
    for block in blocks:
        assert (results / "nwb" / f"{block}.nwb").exists()
    for name in ("params.json", "processing.json", "visualization_output.json", "report.html"):
        assert (results / name).exists()
    assert not list((results / "nextflow" / "failed").glob("*"))
    assert unnamed(results) == []


def test_a_resumed_run_does_what_changed(changed_run):
    assert changed_run.code == 0, changed_run.output
    after_curation = {("NWB_UNITS", block) for block in BLOCKS} | {("RESULTS", "run")}
    after_curation |= {(stage, id) for stage in ("CURATION", "VISUALIZATION") for id in PROBES}
    assert ran_anew(changed_run) == after_curation
    assert changed_run.record("curation", PROBES[1])["params"]["query"] == QUERY_WITH_LINES


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS, ids="-".join)
def test_every_stage_runs_for_every_probe(pipeline, variant):
    run = pipeline.run(variant=variant)
    assert run.code == 0, run.output
    assert run.status["status"] == "ok"
    assert set(run.status["recordings"]) == {IMEC0, IMEC1}
    assert len(run.trace) == 2 + 2 * 5 + 3 + 1
    has_every_part(run.results, [IMEC0, IMEC1], [BLOCK])


@pytest.mark.slow
def test_several_sorters_share_the_preprocessing(pipeline):
    run = pipeline.run(sorter="spykingcircus2,lupin")
    assert run.code == 0, run.output
    sorted_ids = {f"{probe}_{sorter}" for probe in (IMEC0, IMEC1) for sorter in ("spykingcircus2", "lupin")}
    assert set(run.status["recordings"]) == sorted_ids
    assert {row["tag"] for row in run.tasks(process="PREPROCESSING")} == {IMEC0, IMEC1}
    for stage in ("SPIKESORTING", "POSTPROCESSING", "CURATION", "VISUALIZATION"):
        assert {row["tag"] for row in run.tasks(process=stage)} == sorted_ids
    assert {path.name for path in (run.results / "curated").iterdir()} == sorted_ids
    assert {path.name for path in (run.results / "preprocessed").glob("*.json")} == {f"{IMEC0}.json", f"{IMEC1}.json"}
    alone = pipeline.run("-resume", sorter="spykingcircus2")
    assert set(alone.status["recordings"]) == {IMEC0, IMEC1}
    assert not alone.tasks(process="PREPROCESSING", status="COMPLETED")
    assert {path.name for path in (alone.results / "curated").iterdir()} == {IMEC0, IMEC1}


@pytest.mark.slow
def test_a_preprocessing_that_fails_fails_every_sorting_of_it(pipeline):
    broken = pipeline.config_with("process { withName: 'PREPROCESSING' { beforeScript = 'exit 3' } }")
    run = pipeline.run(sorter="spykingcircus2,lupin", config=broken)
    assert run.code == 1
    states = {id: (entry["status"], entry["stage"]) for id, entry in run.status["recordings"].items()}
    assert len(states) == 4
    assert set(states.values()) == {("failed", "preprocessing")}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sorter", "gpus", "settings", "process"),
    [
        ("kilosort4", 1, "", "SPIKESORTING_GPU"),
        ("kilosort4", 1, "--kilosort4.sorter.torch_device cpu", "SPIKESORTING"),
        ("spykingcircus2", 1, "", "SPIKESORTING"),
    ],
)
def test_sorting_tasks_share_the_gpus(pipeline, sorter, gpus, settings, process):
    """A sorter that uses a GPU has its own process, which runs as many tasks at once as there are GPUs."""
    slow = pipeline.config_with("process { withName: 'SPIKESORTING.*' { beforeScript = 'sleep 1' } }")
    given = ("--spikesorting_args", settings) if settings else ()
    run = pipeline.run("--n_gpus", str(gpus), *given, config=slow, sorter=sorter)
    assert run.code == 0, run.output
    rows = [row for row in run.trace if row["process"].startswith("SPIKESORTING")]
    assert {row["process"] for row in rows} == {process}
    (first, second) = sorted(rows, key=lambda row: row["start"])
    assert (second["start"] >= first["complete"]) == (process == "SPIKESORTING_GPU")
    shared = (Path(first["workdir"]) / ".command.run").read_text()
    assert f'SPIKERELAY_GPUS="{gpus}"' in shared


@pytest.mark.slow
@pytest.mark.parametrize(("sorter", "gpus"), [("kilosort4", "1"), ("spykingcircus2", "0")])
def test_sixteen_cores_are_shared_so_that_no_sorting_waits(pipeline, sorter, gpus, monkeypatch):
    """A GPU sorts one recording while the next is preprocessed, and the NWB file's LFP delays neither."""
    monkeypatch.setenv("NXF_OPTS", "-XX:ActiveProcessorCount=16")
    slow = {"PREPROCESSING": 4, "SPIKESORTING.*": 5, "NWB_ECEPHYS": 10}
    lines = [f"withName: '{name}' {{ beforeScript = 'sleep {seconds}' }}" for name, seconds in slow.items()]
    config = pipeline.config_with("process {\n" + "\n".join(lines) + "\n}")
    run = pipeline.run("--n_jobs", "16", "--n_gpus", gpus, config=config, sorter=sorter)
    assert run.code == 0, run.output
    (lfp,) = run.tasks(process="NWB_ECEPHYS")
    first, second = sorted(run.tasks(process="PREPROCESSING"), key=lambda row: row["start"])
    sortings = [row for row in run.trace if row["process"].startswith("SPIKESORTING")]
    sortings.sort(key=lambda row: row["start"])
    assert lfp["start"] < first["complete"] and sortings[0]["start"] < lfp["complete"]
    if gpus == "0":
        assert {row["cpus"] for row in (first, second, *sortings)} == {"7"}
        assert second["start"] < first["complete"]
    else:
        assert {row["cpus"] for row in (first, second)} == {"9"}
        assert {row["cpus"] for row in sortings} == {"6"}
        assert first["complete"] <= second["start"]
        assert sortings[0]["start"] < second["complete"]


def test_lint_finds_nothing():
    files = ("main_multi_backend.nf", "pipeline", "nextflow_local.config", "nextflow_slurm.config")
    lint = subprocess.run(
        [ROOT / "nextflow", "lint", *(ROOT / name for name in files)],
        env=os.environ | {"SPIKERELAY_NEXTFLOW": "25.04.4"},
        capture_output=True,
        text=True,
        check=False,
    )
    text = lint.stdout + lint.stderr
    assert lint.returncode == 0, text
    assert "had no errors" in text
    assert "warn" not in text.lower()


@pytest.mark.slow
def test_resume_does_nothing_when_nothing_changed(pipeline):
    """Also with another run in between."""
    assert pipeline.run().code == 0
    # Another run in between, with results of its own.
    assert replace(pipeline, results_name="other results").run().code == 0
    start = time.monotonic()
    again = pipeline.run("-resume")
    assert time.monotonic() - start < 30
    assert ran_anew(again) == set()


@pytest.mark.slow
def test_resume_after_a_rejected_run_continues_the_run_before_it(tmp_path, tiny_session):
    data = tmp_path / "session"
    shutil.copytree(tiny_session, data)
    pipeline = Pipeline(tmp_path, data)
    assert pipeline.run().code == 0
    record = (pipeline.results / "nextflow" / "run.json").read_text()
    (data / "nwb_metadata.yaml").write_text("nonsense: 1\n")
    # Twice: a second one must not replace what the first left.
    for _ in range(2):
        rejected = pipeline.run()
        assert rejected.code == 1, rejected.output
        assert (pipeline.results / "nextflow" / "run.json").read_text() != record
    (data / "nwb_metadata.yaml").unlink()
    again = pipeline.run("-resume")
    assert again.code == 0, again.output
    assert {row["status"] for row in again.tasks(process="PREPROCESSING")} == {"CACHED"}


@pytest.mark.slow
def test_resume_sees_a_replaced_file_and_changed_code(tmp_path, tiny_session):
    data = tmp_path / "session"
    shutil.copytree(tiny_session, data)
    root = checkout(tmp_path / "checkout")
    pipeline = Pipeline(tmp_path, data, root)
    assert pipeline.run().code == 0

    raw = next(data.rglob("*.imec1.ap.bin"))
    # The traces and not SYNC, by which the other probe is aligned.
    with raw.open("r+b") as file:
        file.write(b"\x05\x00")
    replaced = pipeline.run("-resume")
    # The lines of the block are read again, and each recording is shown with its events.
    assert {(stage, id) for stage, id in ran_anew(replaced) if id == IMEC0} == {("VISUALIZATION", IMEC0)}
    assert {id for _, id in ran_anew(replaced)} == {IMEC0, IMEC1, BLOCK, "run"}

    (data / "subject.json").write_text('{"subject_id": "rat7"}')
    told = pipeline.run("-resume")
    assert {stage for stage, _ in ran_anew(told)} == {"NWB_ECEPHYS", "NWB_UNITS", "RESULTS"}

    (data / "imec1_channel_locations.csv").write_text("depth_um,acronym\n0,CA1\n4000,VISp\n")
    located = pipeline.run("-resume")
    of_units = {"CURATION", "VISUALIZATION", "NWB_ECEPHYS", "NWB_UNITS", "RESULTS"}
    assert {stage for stage, _ in ran_anew(located)} == of_units
    assert {id for _, id in ran_anew(located)} == {IMEC1, BLOCK, "run"}

    apart = pipeline.run("-resume", "--set", "job_dispatch.sync.enabled=false")
    stages = {stage for stage, _ in ran_anew(apart)}
    assert {"CURATION", "VISUALIZATION", "NWB_ECEPHYS", "RESULTS"} <= stages
    assert not stages & {"PREPROCESSING", "SPIKESORTING", "POSTPROCESSING"}
    assert pipeline.run("-resume").code == 0

    stage = root / "capsules" / "postprocessing" / "stage.py"
    stage.write_text(stage.read_text() + "\n# changed\n")
    upgraded = pipeline.run("-resume")
    assert {stage for stage, _ in ran_anew(upgraded)} == {
        "POSTPROCESSING",
        "CURATION",
        "VISUALIZATION",
        "NWB_UNITS",
        "RESULTS",
    }


QUERY = "snr > 5 and firing_rate > 0.1"
EXAMPLE = (
    "--n_jobs=16",
    "--job_dispatch_args=--input spikeglx --debug --debug-duration 120",
    "--preprocessing_args=--motion compute --motion-preset nonrigid_fast_and_accurate",
    "--nwb_ecephys_args=--skip-lfp",
    f"--curation_args=--query '{QUERY}'",
)
"""The manual's full example, and a value with blanks and quotes."""


def test_the_manuals_example_planned(pipeline):
    command = [sys.executable, "-m", "capsules", "plan", "--data", str(pipeline.data), "--sorter=kilosort4", *EXAMPLE]
    planned = subprocess.run(command, capture_output=True, text=True, check=False)
    assert planned.returncode == 0, planned.stderr
    assert 'curation.query: "isi_violations_ratio < 0.5' in planned.stdout
    assert f'-> "{QUERY}" (--curation_args)' in planned.stdout
    for text in (
        "2 recordings",
        "sorted by kilosort4",
        IMEC0,
        IMEC1,
        "spikesorting ",
        "GB, time limit",
        "expected time:",
        "kilosort4 sorts on",
        f"nwb/{BLOCK}.nwb",
    ):
        assert text in planned.stdout


@pytest.mark.slow
def test_the_manuals_example(pipeline):
    run = pipeline.run(*EXAMPLE, sorter="kilosort4")
    assert run.code == 0, run.output
    assert run.record("curation", IMEC0)["params"]["query"] == QUERY
    assert run.record("preprocessing", IMEC0)["params"]["motion_correction"]["preset"] == "nonrigid_fast_and_accurate"
    assert run.record("nwb_ecephys", BLOCK)["params"]["write_lfp"] is False
    assert run.record("spikesorting", IMEC0)["params"]["sorter"] == "kilosort4"
    cores = os.cpu_count()
    assert all(int(row["cpus"]) <= cores for row in run.trace)
    assert cores >= 16 or f"--n_jobs 16: this machine has {cores} cores" in run.output


@pytest.mark.slow
def test_hostile_text_reaches_the_capsule_unchanged(pipeline):
    text = """it's "quoted" $(touch harmed) `touch harmed`; touch harmed\nSPIKERELAY_JSON\n\\ ${HOME} %s"""
    file = pipeline.folder / "params.json"
    file.write_text(json.dumps({"curation": {"sua_mua_classifier": text}}))
    run = pipeline.run("--params_file", str(file))
    assert run.code == 0, run.output
    assert run.record("curation", IMEC0)["params"]["sua_mua_classifier"] == text
    assert not list(pipeline.folder.rglob("harmed"))


@pytest.mark.slow
def test_relative_folders_start_where_the_run_is_launched(tmp_path, tiny_session):
    shutil.copytree(tiny_session, tmp_path / "session")
    pipeline = Pipeline(tmp_path, Path("session"))
    environment = pipeline.environment(*VARIANTS[0]) | {"RESULTS_PATH": "results"}
    done = subprocess.run(
        pipeline.command("-stub-run"), cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "results" / "status.json").exists()


@pytest.mark.slow
def test_ids_are_matched_exactly(tmp_path):
    """recording1 is not recording10: one probe with ten segments."""
    data = tmp_path / "session"
    write_spikeglx(data, [ProbeSpec("imec0", channels=4, units=1, duration_s=1.0)])
    probe = next(data.rglob("*.ap.bin")).parent
    for trigger in range(1, 10):
        for file in sorted(probe.glob("*_t0.*")):
            copy = probe / file.name.replace("_t0.", f"_t{trigger}.")
            copy.write_bytes(file.read_bytes().replace(b"_t0.", f"_t{trigger}.".encode()))
    run = Pipeline(tmp_path, data).run()
    assert run.code == 0, run.output
    ids = {f"run_g0_imec0.ap_recording{number}" for number in range(1, 11)}
    assert set(run.status["recordings"]) == ids
    for row in run.tasks(process="POSTPROCESSING"):
        staged = {path.name for path in (Path(row["workdir"]) / "inputs").iterdir()}
        assert staged == {f"preprocessing_{row['tag']}", f"spikesorting_{row['tag']}"}


@pytest.mark.slow
def test_a_failed_probe_leaves_the_others_alone(pipeline):
    config = pipeline.config_with(
        "process { withName: 'SPIKESORTING' { beforeScript = { task.tag == '%s' ? 'exit 3' : '' } } }" % IMEC0
    )
    run = pipeline.run(config=config)
    assert run.code != 0
    status = run.status
    assert status["recordings"][IMEC1]["status"] == "ok"
    failed = status["recordings"][IMEC0]
    assert (failed["status"], failed["stage"]) == ("failed", "spikesorting")
    assert failed["stages"]["postprocessing"]["status"] == "not reached"
    assert failed["stages"]["visualization"]["status"] == "ok"
    assert failed["next_step"]
    assert f"{IMEC0}: failed in spikesorting" in run.output
    assert (run.results / "curated" / IMEC1).exists()
    assert status["blocks"][BLOCK]["status"] == "ok"
    again = pipeline.run("-resume")
    assert again.code == 0, again.output
    assert again.status["status"] == "ok"
    assert {id for stage, id in ran_anew(again) if stage == "SPIKESORTING"} == {IMEC0}


@pytest.mark.slow
def test_units_are_handed_on_to_be_shown_when_their_curation_failed(pipeline):
    run = pipeline.run(config=pipeline.config_with("process { withName: 'CURATION' { beforeScript = 'exit 3' } }"))
    assert {entry["stage"] for entry in run.status["recordings"].values()} == {"curation"}
    for row in run.tasks(process="VISUALIZATION"):
        staged = {path.name for path in (Path(row["workdir"]) / "inputs").iterdir()}
        own = {f"{stage}_{row['tag']}" for stage in ("preprocessing", "postprocessing")}
        assert staged == own | {"events_run_g0_recording1"}


@pytest.mark.slow
def test_a_broken_file_fails_its_probe_alone(tmp_path, tiny_session):
    data = tmp_path / "session"
    shutil.copytree(tiny_session, data)
    raw = next(data.rglob("*.imec0.ap.bin"))
    raw.write_bytes(raw.read_bytes()[:-333])
    run = Pipeline(tmp_path, data).run(stub=False)
    assert run.code != 0
    broken = run.status["recordings"][IMEC0]
    assert (broken["status"], broken["stage"]) == ("failed", "preprocessing")
    assert "the copy or the recording is incomplete" in broken["reason"]
    assert "Traceback" not in run.output
    assert run.status["recordings"][IMEC1]["status"] == "skipped"
    assert list((run.results / "visualization" / IMEC1).glob("traces_*.png"))


@pytest.mark.slow
def test_an_nwb_file_without_one_probes_lfp_makes_the_exit_code_1(tmp_path, tiny_session):
    data = tmp_path / "session"
    shutil.copytree(tiny_session, data)
    lfp = next(data.rglob("*.imec0.lf.bin"))
    pipeline = Pipeline(tmp_path, data)
    config = pipeline.config_with("process { withName: 'NWB_ECEPHYS' { beforeScript = 'rm %s' } }" % lfp)
    run = pipeline.run(config=config, stub=False)
    assert run.code == 1, run.output
    assert run.status["blocks"][BLOCK]["status"] == "failed"
    assert (run.results / "nwb" / f"{BLOCK}.nwb").exists()
    assert run.tasks(process="INCOMPLETE", tag=BLOCK)


@pytest.mark.slow
@pytest.mark.parametrize("code", [140, 143])
def test_a_killed_task_is_retried_twice_with_more(pipeline, code):
    config = pipeline.config_with(
        "process { withName: 'SPIKESORTING' { beforeScript = { task.tag == '%s' ? 'exit %d' : '' } } }" % (IMEC0, code)
    )
    run = pipeline.run(config=config)
    assert run.code != 0
    attempts = run.tasks(process="SPIKESORTING", tag=IMEC0)
    assert [row["attempt"] for row in attempts] == ["1", "2", "3"]
    memory = [float(row["memory"].split()[0]) for row in attempts]
    assert memory == sorted(set(memory))
    assert run.status["recordings"][IMEC0]["status"] == "failed"
    assert run.status["recordings"][IMEC1]["status"] == "ok"


@pytest.mark.slow
def test_what_a_task_asks_for_is_capped(pipeline):
    config = pipeline.config_with("process { withName: 'SPIKESORTING' { beforeScript = 'exit 137' } }")
    run = pipeline.run("--max_memory", "4 GB", "--max_cpus", "1", "--n_jobs", "8", config=config)
    assert {row["cpus"] for row in run.tasks(process="SPIKESORTING")} == {"1"}
    assert max(float(row["memory"].split()[0]) for row in run.tasks(process="SPIKESORTING")) == 4


@pytest.mark.slow
def test_skipped_recordings_are_listed_and_exit_0(pipeline):
    run = pipeline.run("--job_dispatch_args", "--input spikeglx --min-recording-duration 60", stub=False)
    assert run.code == 0, run.output
    entry = run.status["recordings"][IMEC0]
    assert entry["status"] == "skipped"
    assert "2.0 s long, shorter than min_recording_duration = 60 s" in entry["reason"]
    assert f"{IMEC0}: skipped" in run.output


@pytest.mark.slow
def test_nothing_waits_for_the_slow_probe(pipeline):
    """With one core a task, the quick probe is postprocessed while the slow one is still being sorted.

    The slow sort goes on until the quick probe's postprocessing has begun, or for a minute.
    """
    begun = pipeline.folder / "begun"
    wait = f"for i in {{1..60}}; do [ -e {begun} ] && break; sleep 1; done"
    config = pipeline.config_with(
        f"""process {{
            withName: 'SPIKESORTING' {{ beforeScript = {{ task.tag == '{IMEC0}' ? '{wait}' : '' }} }}
            withName: 'POSTPROCESSING' {{ beforeScript = {{ task.tag == '{IMEC1}' ? 'touch {begun}' : '' }} }}
        }}"""
    )
    run = pipeline.run("--n_jobs", "2", config=config)
    assert run.code == 0, run.output
    (slow,) = run.tasks(process="SPIKESORTING", tag=IMEC0)
    (quick,) = run.tasks(process="POSTPROCESSING", tag=IMEC1)
    assert slow["cpus"] == quick["cpus"] == "1"
    assert quick["start"] < slow["complete"]


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS[1:], ids="-".join)
def test_a_blocks_file_waits_for_no_other_block(tmp_path, two_runs, variant):
    """Block `a` gets its units while `b` is still being sorted, with a probe of `b` failed; both get all they have.

    The slow sort goes on until the file of `a` has been begun, or for a minute.
    """
    pipeline = Pipeline(tmp_path, two_runs)
    begun, slow = tmp_path / "begun", "b_g0_imec0.ap_recording1"
    wait = f"for i in {{1..60}}; do [ -e {begun} ] && break; sleep 1; done"
    config = pipeline.config_with(
        f"""process {{
            withName: 'SPIKESORTING' {{
                beforeScript = {{ task.tag == '{slow}' ? '{wait}' : task.tag.startsWith('b_g0_imec1') ? 'exit 3' : '' }}
            }}
            withName: 'NWB_UNITS' {{ beforeScript = {{ task.tag == 'a_g0_recording1' ? 'touch {begun}' : '' }} }}
        }}"""
    )
    run = pipeline.run("--n_jobs", "4", variant=variant, config=config)
    assert run.code == 1, run.output
    assert {name: block["status"] for name, block in run.status["blocks"].items()} == {
        "a_g0_recording1": "ok",
        "b_g0_recording1": "ok",
    }
    (sort,) = run.tasks(process="SPIKESORTING", tag=slow)
    files = {row["tag"]: row for row in run.tasks(process="NWB_UNITS")}
    assert files["a_g0_recording1"]["start"] < sort["complete"]
    for name, probes in (("a", (0, 1)), ("b", (0,))):
        staged = {path.name for path in (Path(files[f"{name}_g0_recording1"]["workdir"]) / "inputs").iterdir()}
        stages = [
            f"{stage}_{name}_g0_imec{probe}.ap_recording1"
            for stage in ("postprocessing", "curation")
            for probe in probes
        ]
        assert staged == {f"nwb_ecephys_{name}_g0_recording1", *stages}


@pytest.mark.slow
def test_killed_and_resumed(pipeline):
    """Nextflow killed with -9 in the middle; the same command with -resume finishes with the same content."""
    config = pipeline.config_with("process { withName: 'POSTPROCESSING' { beforeScript = 'sleep 1' } }")
    process = subprocess.Popen(
        pipeline.command("-stub-run", config=config),
        cwd=pipeline.folder,
        env=pipeline.environment(*VARIANTS[0]),
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not list(pipeline.results.glob("spikesorted/*")) and time.monotonic() < deadline:
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (pipeline.results / "status.json").exists()
    resumed = pipeline.run("-resume", config=config)
    assert resumed.code == 0, resumed.output
    assert resumed.status["status"] == "ok"
    assert resumed.tasks(process="PREPROCESSING", status="CACHED")


MISTAKES = {
    "words": {
        "--sorter=kilosort9": "did you mean 'kilosort4'",
        "--preprocesing_args=--motion skip": "--preprocesing_args: unknown option; did you mean",
        "--curation_args=--querry 1": "unknown argument '--querry'; did you mean '--query'",
        "--runmode=quick": "--runmode: must be one of full, fast",
    },
    "values": {
        "--spikesorting_args=--sorter.seed -1": "--sorter.seed: must be integer or null >= 0; got -1",
        "--params_file=wrong.json": "line 2, column 20: preprocessing.filter_type: must be one of highpass, bandpass",
    },
}
"""Option -> what is said of it; values are looked at once the words are right."""


@pytest.mark.parametrize("kind", MISTAKES)
def test_mistakes_end_the_run_before_any_task_but_the_first(pipeline, kind):
    (pipeline.folder / "wrong.json").write_text('{\n "preprocessing": {"filter_type": "lowpass"}}')
    run = pipeline.run(*MISTAKES[kind])
    assert run.code != 0
    for option, message in MISTAKES[kind].items():
        assert message in run.output, option
    assert {row["process"] for row in run.trace} <= {"RESOLVE_PARAMS"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"curation": {},}', "line 1, column 16: a comma before the closing bracket"),
        ('{"curation": {"query": "snr >"}}', "curation.query: cannot be read"),
        (
            '{"preprocessing": {"t_start": 9, "t_stop": 3}}',
            "preprocessing.t_start: must be below preprocessing.t_stop; got 9 and 3",
        ),
        (
            '{"postprocessing": {"extensions": {"waveforms": {"ms_befor": 1}}}}',
            "ms_befor: no such setting in the library; did you mean 'ms_before'",
        ),
    ],
)
def test_a_params_file_with_a_mistake_ends_the_run(pipeline, text, message):
    (pipeline.folder / "wrong.json").write_text(text)
    run = pipeline.run("--params_file=wrong.json")
    assert run.code != 0
    assert message in run.output
    assert {row["process"] for row in run.trace} <= {"RESOLVE_PARAMS"}


@pytest.mark.slow
def test_wrong_folders_end_the_run_with_one_clear_line(tmp_path, tiny_session):
    empty = tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "file").write_text("")
    for pipeline, message in (
        (Pipeline(tmp_path, tmp_path / "missing"), "missing: no such folder"),
        (Pipeline(tmp_path, empty), "empty: the folder is empty"),
        (Pipeline(tmp_path, tiny_session, results_name="file/below"), "cannot be written: Not a directory"),
    ):
        run = pipeline.run()
        assert run.code != 0
        assert message in run.output
        assert "JOB_DISPATCH" not in run.output


@pytest.mark.slow
def test_the_format_is_found_when_none_is_named(tmp_path):
    write_aind(tmp_path / "session")
    run = Pipeline(tmp_path, tmp_path / "session").run("--job_dispatch_args=--no-split-groups")
    assert run.code == 0, run.output
    assert "--input aind: the only format in the data folder; the parameters name none" in run.output
    assert len(run.status["recordings"]) == 4
    origins = json.loads((run.results / "params.json").read_text())["origins"]
    assert origins["job_dispatch.input"] == "detected in the data folder"


@pytest.mark.slow
def test_data_without_recordings_end_the_run_with_the_reason(tmp_path):
    data = tmp_path / "session"
    data.mkdir()
    (data / "notes.txt").write_text("no recording")
    run = Pipeline(tmp_path, data).run()
    assert run.code != 0
    assert f"no SpikeGLX recording (*.ap.bin) in {data}" in run.output
    assert "Error executing process" not in run.output
    assert {row["process"] for row in run.trace} == {"RESOLVE_PARAMS", "JOB_DISPATCH"}


@pytest.mark.slow
def test_results_of_other_data_are_not_mixed(tmp_path, tiny_session):
    assert Pipeline(tmp_path, tiny_session).run().code == 0
    other = tmp_path / "other"
    shutil.copytree(tiny_session, other)
    refused = Pipeline(tmp_path, other).run()
    assert refused.code != 0
    assert "holds the results of" in refused.output
    shutil.rmtree(next(other.rglob("*.imec1.ap.bin")).parent)
    ours = tmp_path / "results" / "curated" / "by hand"
    ours.mkdir()
    taken = Pipeline(tmp_path, other).run("--overwrite")
    assert taken.code == 0
    left = {str(path.relative_to(taken.results)) for path in taken.results.glob("*/*") if IMEC1 in path.name}
    assert left <= {f"logs/{IMEC1}"}
    assert ours.exists()
