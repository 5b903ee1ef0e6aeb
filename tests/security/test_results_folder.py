"""A results folder that leads elsewhere, or that is the user's own, as the target of a run and of the commands."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from capsules.common.contract import RUN_RECORD
from capsules.common.errors import Rejected
from capsules.common.files import write_json
from capsules.common.untrusted.places import TOPS, check_inside
from capsules.resolve_params.machine.folders import results_problems
from capsules.resolve_params.stage import resolve_run
from capsules.results.published import whole_folder
from capsules.results.stage import find_stale_places

OPTIONS = {"sorter": "spykingcircus2", "job_dispatch_args": "--input spikeglx"}


@pytest.fixture
def resolved(tmp_path, monkeypatch):
    """Check the folders of a run, as its first process does."""

    def resolve(results, data=None, **options):
        if data is None:
            data = tmp_path / "data"
            data.mkdir(exist_ok=True)
            (data / "raw.bin").touch()
        monkeypatch.setenv("DATA_PATH", str(data))
        monkeypatch.setenv("RESULTS_PATH", str(results))
        return resolve_run({"options": OPTIONS | options, "launch_folder": str(tmp_path)})

    return resolve


def contents(folder: Path) -> dict[str, str]:
    return {str(file.relative_to(folder)): file.read_text() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize(
    "place",
    ["curated", "nextflow", "nextflow/run.json", "nextflow/failed", "logs/a", "status.json", "preprocessed/motion/a/x"],
)
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_link_that_leads_out_is_rejected_before_anything_is_written(tmp_path, resolved, place, overwrite):
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "Documents").mkdir(parents=True)
    (elsewhere / "Documents" / "letter").write_text("kept")
    link = tmp_path / "results" / place
    link.parent.mkdir(parents=True)
    link.symlink_to(elsewhere / "Documents" / "letter" if "json" in place else elsewhere)
    with pytest.raises(Rejected, match="leads out of the results folder"):
        resolved(tmp_path / "results", overwrite=overwrite)
    assert contents(elsewhere) == {"Documents/letter": "kept"}
    assert [path for path in (tmp_path / "results").rglob("*") if path.is_file() and not path.is_symlink()] == []


def test_links_that_stay_inside_and_the_users_own_are_left_alone(tmp_path, resolved):
    results = tmp_path / "results"
    (results / "kept" / "a").mkdir(parents=True)
    (results / "nextflow").mkdir()
    write_json(results / RUN_RECORD, {"data": str(tmp_path / "data")})
    (results / "curated").mkdir()
    (results / "curated" / "a").symlink_to(results / "kept" / "a")
    (results / "papers").symlink_to(tmp_path)
    (tmp_path / "there").symlink_to(results)
    assert resolved(tmp_path / "there")["sessions"]


def test_links_to_nowhere_and_in_a_circle_are_rejected(tmp_path, resolved):
    results = tmp_path / "results"
    results.mkdir()
    (results / "nwb").symlink_to(tmp_path / "nowhere")
    with pytest.raises(Rejected, match="leads out"):
        resolved(results)
    (results / "nwb").unlink()
    (results / "nwb").symlink_to(results / "nwb")
    with pytest.raises(Rejected, match="holds files that the run would replace"):
        resolved(results)


def test_what_lies_behind_a_link_is_never_removed(tmp_path):
    """The results' own task checks again: the folder may have changed since the run began."""
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "Documents").mkdir(parents=True)
    results = tmp_path / "results"
    (results / "spikesorted" / "Documents").mkdir(parents=True)
    (results / "curated").symlink_to(elsewhere)
    status = {"recordings": {"Documents": {"recording": "Documents"}}, "blocks": {}}
    (results / "status.json").write_text(json.dumps(status))
    stale = find_stale_places(tmp_path / "inputs", {"recordings": {}, "blocks": {}}, results)
    assert stale == [results / "spikesorted" / "Documents"]


@pytest.mark.parametrize("name", [".writable", "nextflow/.run.json.partial"])
def test_prepared_temporary_names_are_not_written_through(tmp_path, resolved, name):
    precious = tmp_path / "precious"
    precious.write_text("kept")
    link = tmp_path / "results" / name
    link.parent.mkdir(parents=True)
    (tmp_path / "results" / "nextflow").mkdir(exist_ok=True)
    (tmp_path / "data").mkdir()
    (tmp_path / "results" / RUN_RECORD).write_text(json.dumps({"data": str(tmp_path / "data")}))
    link.symlink_to(precious)
    if name == ".writable":
        assert resolved(tmp_path / "results")["sessions"]
    else:
        write_json(tmp_path / "results" / RUN_RECORD, {})
    assert precious.read_text() == "kept"
    assert link.is_symlink()


def test_outputs_of_the_commands_are_made_anew_and_inside(tmp_path):
    results = tmp_path / "results"
    (tmp_path / "elsewhere").mkdir()
    (results / "ok").mkdir(parents=True)
    (results / "phy").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Rejected, match="leads out of the results folder"):
        check_inside(results, results / "phy" / "a")
    (results / "ok" / ".a.partial").symlink_to(tmp_path / "elsewhere")
    with whole_folder(check_inside(results, results / "ok" / "a")) as folder:
        (folder / "x").touch()
    assert (results / "ok" / "a" / "x").is_file()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_the_users_own_files_are_not_replaced(tmp_path, resolved):
    results = tmp_path / "results"
    own = ["params.json", "report.html", "status.json", "nwb/run_g0_recording1.nwb", "nextflow/trace.txt", ".writable"]
    for name in [*own, "thesis.tex"]:
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).write_text(f"the user's {name}")
    before = contents(results)
    with pytest.raises(Rejected) as refused:
        resolved(results)
    names = "nextflow, nwb, params.json, report.html, status.json"
    assert f"holds files that the run would replace ({names})" in str(refused.value)
    assert contents(results) == before
    done = resolved(results, overwrite=True)
    (aside,) = results.glob("before_*")
    (note,) = [note for note in json.loads(done["sessions"][0]["params"])["notes"] if "moved to" in note]
    assert str(aside) in note and names in note
    found = contents(aside) | {name: text for name, text in contents(results).items() if name in before}
    assert found == before
    # Now it is a run's: another run continues in it.
    assert resolved(results)["sessions"]
    assert len(list(results.glob("before_*"))) == 1


def test_a_folder_without_collisions_is_used(tmp_path, resolved):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "thesis.tex").write_text("kept")
    assert resolved(tmp_path / "results")["sessions"]
    assert (tmp_path / "results" / "thesis.tex").read_text() == "kept"


@pytest.mark.parametrize(
    ("results", "data", "says"),
    [
        ("session", "session", "is the data folder"),
        ("link", "session", "is the data folder"),
        ("session/results", "session", "is inside the data folder"),
        ("out", "out/nwb/session", "would be written among the raw data"),
        ("out", "out/nwb", "would be written among the raw data"),
    ],
)
def test_nothing_is_written_among_raw_data(tmp_path, resolved, results, data, says):
    (tmp_path / data).mkdir(parents=True)
    (tmp_path / data / "raw.bin").touch()
    if results == "link":
        (tmp_path / results).symlink_to(tmp_path / data)
    with pytest.raises(Rejected, match=says):
        resolved(tmp_path / results, tmp_path / data, overwrite=True)
    assert list((tmp_path / data).iterdir()) == [tmp_path / data / "raw.bin"]


def test_data_in_a_place_that_no_run_writes_is_taken(tmp_path, resolved):
    (tmp_path / "out" / "raw").mkdir(parents=True)
    (tmp_path / "out" / "raw" / "x").touch()
    assert resolved(tmp_path / "out", tmp_path / "out" / "raw")["sessions"]


def test_sessions_of_a_sheet_have_the_same_guards(tmp_path):
    from capsules.resolve_params.sheet import Session

    (tmp_path / "results").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "results" / "one").symlink_to(tmp_path / "elsewhere")
    session = Session("one", str(tmp_path / "data"), None, "sheet")
    (problem,) = results_problems(str(tmp_path / "results"), [session], True)
    assert "leads out of the results folder" in problem
    assert os.listdir(tmp_path / "elsewhere") == []


def test_every_place_of_a_run_is_guarded():
    assert {"curated", "nextflow", "logs", "nwb", "status.json", "report.html", "sessions.html"} < set(TOPS)
