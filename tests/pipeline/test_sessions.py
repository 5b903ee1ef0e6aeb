"""A sheet of sessions in one run under Nextflow: each on its own, one overview, and -resume over all of it."""

import json
import shutil

import pytest

from tests import formats
from tests.pipeline.nextflow_runs import EACH_VARIANT, Pipeline


@pytest.fixture
def pipeline(tmp_path):
    """Two Open Ephys sessions and a folder without a recording, in a sheet; the second session has its own params."""
    probe = formats.Probe("ProbeA", tuple(range(8)))
    formats.write_openephys(tmp_path / "data" / "it's one", [probe], [2.0])
    shutil.copytree(tmp_path / "data" / "it's one", tmp_path / "data" / "$(touch two)")
    (tmp_path / "data" / "none").mkdir()
    (tmp_path / "data" / "none" / "notes.txt").write_text("no recording")
    (tmp_path / "own.json").write_text('{"nwb": {"ecephys": {"write_lfp": false}}}')
    write_sheet(tmp_path)
    return Pipeline(tmp_path, tmp_path / "data", data_format=None)


def write_sheet(folder, more=""):
    rows = ["session,data,params_file", "one,data/it's one,", "two,data/$(touch two),own.json"]
    (folder / "sheet.csv").write_text("\n".join([*rows, more, ""]))


def session_status(finished, name):
    return json.loads((finished.results / name / "status.json").read_text())


def params_of(finished, name):
    return json.loads((finished.results / name / "params.json").read_text())["params"]


@pytest.mark.parametrize("variant", EACH_VARIANT, ids="-".join)
def test_each_session_has_its_own_results(pipeline, variant):
    write_sheet(pipeline.folder, "broken,data/none,")
    finished = pipeline.run("--sessions", "sheet.csv", variant=variant)
    assert finished.code == 1, finished.output
    sessions = json.loads((finished.results / "sessions.json").read_text())["sessions"]
    assert {name: entry["status"] for name, entry in sessions.items()} == {"one": "ok", "two": "ok", "broken": "failed"}
    assert "no Open Ephys recording" in sessions["broken"]["reason"]
    assert [len(session_status(finished, name)["recordings"]) for name in ("one", "two")] == [1, 1]
    assert [params_of(finished, name)["nwb"]["ecephys"]["write_lfp"] for name in ("one", "two")] == [True, False]
    assert f"-> {finished.results / 'sessions.html'}" in finished.output
    # The data folder's name was not run.
    assert not [path for path in pipeline.folder.rglob("two") if path.is_file()]
    for name in ("one", "two"):
        for place in ("report.html", "nwb", "curated", "logs", "processing.json"):
            assert (finished.results / name / place).exists(), place


@pytest.mark.slow
def test_a_further_session_leaves_the_others_as_they_are(pipeline):
    first = pipeline.run("--sessions", "sheet.csv")
    assert first.code == 0, first.output
    shutil.copytree(pipeline.folder / "data" / "it's one", pipeline.folder / "data" / "three")
    write_sheet(pipeline.folder, "three,data/three,")
    again = pipeline.run("--sessions", "sheet.csv", "-resume")
    assert again.code == 0, again.output
    done = [row for row in again.trace if row["status"] == "COMPLETED" and row["process"] not in NEVER_CACHED]
    assert {row["tag"].split("/")[0] for row in done} == {"three"}
    assert {row["tag"].split("/")[0] for row in again.tasks(status="CACHED")} == {"one", "two"}


NEVER_CACHED = {"RESOLVE_PARAMS", "JOB_DISPATCH", "OVERVIEW"}


@pytest.mark.slow
def test_a_sheet_with_mistakes_is_refused_before_any_task(pipeline):
    (pipeline.folder / "sheet.csv").write_text("data,ssession\ndata/none,x\n")
    finished = pipeline.run("--sessions", "sheet.csv")
    assert finished.code == 1
    assert "sheet.csv, line 1: unknown column 'ssession'; did you mean 'session'?" in finished.output
    assert {row["process"] for row in finished.trace} == {"RESOLVE_PARAMS"}
