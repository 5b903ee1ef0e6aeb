"""The sheet of sessions: what it may say, how it is refused, and the overview of its sessions."""

import json

import pytest

from capsules.commands.plan import plan_sessions
from capsules.common.errors import Rejected
from capsules.resolve_params.machine import disk
from capsules.resolve_params.sheet import read_sheet
from capsules.resolve_params.stage import resolve_run
from capsules.results.overview import overview, page, summary

SORTER = {"sorter": "spykingcircus2"}


def resolved_run(options, folder):
    return resolve_run({"options": options, "launch_folder": str(folder)})


@pytest.fixture
def sheet(tmp_path):
    """Writes a sheet beside the data folders `a` and `b`, and reads it."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").touch()

    def read(content, params_file=None):
        file = tmp_path / "sheet.csv"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_sheet(file, "sheet.csv", params_file)

    return read


def test_names_and_params_files_have_defaults(sheet, tmp_path):
    one, two = sheet("session,data,params_file\n,a,\nsecond, b ,fast.json\n\n", "own.json")
    assert (one.name, one.data, one.params_file) == ("a", str(tmp_path / "a"), "own.json")
    assert (two.name, two.data, two.params_file) == ("second", str(tmp_path / "b"), str(tmp_path / "fast.json"))
    assert one.source == "sheet.csv, line 2: data "


def test_what_spreadsheets_write(sheet):
    for content in (b"\xef\xbb\xbfdata\r\na\r\n", b'"data"\n"a"', b"data,session\na,\n,\n"):
        (session,) = sheet(content)
        assert session.name == "a"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "sheet.csv, line 1: the column `data` is missing"),
        ("data\n", "sheet.csv: lists no session"),
        ("data;session\na;b\n", "unknown column 'data;session'"),
        ("data,ssession\na,b\n", "unknown column 'ssession'; did you mean 'session'?"),
        ("data,data\na,b\n", "a column is listed twice"),
        ("data,session\na\n", "line 2: has 1 cells for 2 columns"),
        ("data,session\n,one\n", "line 2: the data folder is missing"),
        ("data\na\na\n", "lines 2, 3: session 'a' is listed more than once"),
        ("data,session\na,One\nb,one\n", "lines 2, 3: session 'one' is listed more than once"),
        ("data,session\na,../out\n", "invalid name '../out'"),
        ("data,session\na,$(touch x)\n", "invalid name '$(touch x)'"),
        ("data,session\na,nextflow\n", "nextflow is reserved in the results folder"),
        ('data,session\n"a\nb",one\n', "the path has a line break"),
        ('data\n"a\n', "not a CSV file"),
        (b"data\n\xff\xfe\n", "not a text file in UTF-8"),
        ("data\na\0b\n", "NUL"),
    ],
)
def test_refusals(sheet, content, problem):
    with pytest.raises(Rejected) as refused:
        sheet(content)
    assert problem in str(refused.value)


def test_every_problem_of_every_session_is_told_at_once(sheet, tmp_path, monkeypatch):
    monkeypatch.setenv("RESULTS_PATH", str(tmp_path / "results"))
    monkeypatch.delenv("DATA_PATH", raising=False)
    (tmp_path / "bad.json").write_text('{"curation": {"quer": null}}')
    sheet("data,session,params_file\na,one,bad.json\nc,two,\nb,three,none.json\n")
    with pytest.raises(Rejected) as refused:
        resolved_run(SORTER | {"sessions": "sheet.csv"}, tmp_path)
    text = str(refused.value)
    for problem in ("did you mean 'query'?", f"sheet.csv, line 3: data {tmp_path / 'c'}: no such folder", "none.json"):
        assert problem in text


def test_each_session_has_its_params_and_folder(sheet, tmp_path, monkeypatch):
    results = tmp_path / "results"
    monkeypatch.setenv("RESULTS_PATH", str(results))
    monkeypatch.setenv("DATA_PATH", str(tmp_path))
    (tmp_path / "strict.json").write_text('{"curation": {"query": "snr > 9"}}')
    sheet("data,session,params_file\na,one,\nb,two,strict.json\n")
    options = SORTER | {"sessions": "sheet.csv", "runmode": "fast"}
    resolved = resolved_run(options, tmp_path)
    one, two = resolved["sessions"]
    assert (one["session"], one["data"], two["data"]) == ("one", str(tmp_path / "a"), str(tmp_path / "b"))
    queries = [json.loads(session["sections"]["curation"])["query"] for session in (one, two)]
    assert queries[1] == "snr > 9" != queries[0]
    assert json.loads(two["sections"]["nwb_ecephys"])["write_lfp"] is False
    assert resolved["notes"] == ["DATA_PATH has no effect: the sheet names the data folders"]
    record = json.loads((results / "two" / "nextflow" / "run.json").read_text())
    assert record["data"] == str(tmp_path / "b")
    assert "sessions" not in record["options"]
    # Another session may not take its folder.
    sheet("data,session\na,two\n")
    with pytest.raises(Rejected, match="holds the results of"):
        resolved_run(options, tmp_path)
    assert resolved_run(options | {"overwrite": True}, tmp_path)["sessions"]


def test_the_plan_tells_whether_all_sessions_fit_together(tiny_session, sheet, tmp_path, monkeypatch):
    sheet(f"data,session\n{tiny_session},one\n{tiny_session},two\n")
    monkeypatch.chdir(tmp_path)
    options = SORTER | {"sessions": "sheet.csv"}
    pages = plan_sessions(options, None, tmp_path / "work", tmp_path / "results")
    assert not any(page.problems for page in pages), pages
    lines = [line for page in pages for line in page.parts["disk"]]
    one, two, both = [float(line.split()[1]) for line in lines if "of work files in" in line]
    assert one == two == pytest.approx(both / 2, abs=1)
    monkeypatch.setattr(disk, "free_mb", lambda folder: 1.5 * one)
    (*_, together) = plan_sessions(options, None, tmp_path / "work", tmp_path / "results")
    (short,) = [problem for problem in together.problems if "do not fit" in problem]
    assert f"about {both:.0f} MB of work files" in short


def test_the_plan_ends_with_the_names_of_the_sessions_that_would_fail(tiny_session, sheet, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("no recording")
    sheet(f"data,session\n{tiny_session},good\nempty,bad\n")
    monkeypatch.chdir(tmp_path)
    options = SORTER | {"sessions": "sheet.csv"}
    (good, bad, together) = plan_sessions(options, None, tmp_path / "work", tmp_path / "results")
    assert bad.problems and not good.problems
    assert together.problems == ["sessions with problems, listed above: bad"]


def recording(status, seconds=60, **facts):
    return {"status": status, "stage": "spikesorting", "reason": "why", "stages": {"a": {"seconds": seconds}}} | facts


def test_the_overview_counts_and_says_why(tmp_path):
    documents = {
        "good": {"r1": recording("ok", units=3, good_units=0), "r2": recording("ok", units=4)},
        "bad": {"r1": recording("ok", units=5), "r2": recording("skipped"), "<b>": recording("failed")},
    }
    for name, recordings in documents.items():
        status = "failed" if name == "bad" else "ok"
        (tmp_path / f"results_{name}").mkdir()
        (tmp_path / f"results_{name}" / "status.json").write_text(
            json.dumps({"status": status, "recordings": recordings, "blocks": {}})
        )
    sessions = {"good": "/data/1", "bad": "/data/2", "empty": "/data/3", "lost": "/data/4"}
    document = overview(sessions, {"empty": "nothing to sort"}, tmp_path)
    states = {name: entry["status"] for name, entry in document["sessions"].items()}
    assert states == {"good": "ok", "bad": "failed", "empty": "failed", "lost": "failed"}
    assert document["status"] == "failed"
    assert document["sessions"]["good"]["units"] == 7
    assert document["sessions"]["bad"]["recordings"] == {"ok": 1, "skipped": 1, "failed": 1}
    assert document["sessions"]["bad"]["reason"] == "<b>: spikesorting: why"
    assert "run the same command with -resume" in document["sessions"]["lost"]["reason"]
    lines = summary(document, ["a note"]).splitlines()
    assert lines[1].split() == ["good", "ok", "2", "0", "0", "7", "2.0"]
    assert lines[-3:] == ["a note", "", "4 sessions (3 failed), 12 units"]
    shown = page(document, [])
    assert '<a href="good/report.html">' in shown
    assert 'href="empty/' not in shown
    assert "&lt;b&gt;" in shown
