"""The manual holds: links lead somewhere, what it names exists, its lines of Python run, versions agree."""

from __future__ import annotations

import ast
import re
import shutil
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePath

import numpy as np
import pytest
import yaml

from capsules.common.contract import STAGES
from capsules.common.tasks import orphan
from tests.docs_pages import FENCE, OUTSIDE, PAGES, ROOT, code_of, is_named, table_messages, unnamed, without_code
from tests.two_probes import IDS, job, linked_run, perform

SOURCES = [*(ROOT / "capsules").rglob("*.py")]
SCRIPTS = [ROOT / "nextflow", *(ROOT / "pipeline").rglob("*.nf"), *(ROOT / "pipeline" / "setup").glob("*.sh")]
VARIES = "…"
ENDINGS = ("Skip", "SpikeRelayError", "task.warn")


def slug(heading: str) -> str:
    """The anchor of a heading, on the site as on code hosts."""
    plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
    return re.sub(r"[^\w\s-]", "", plain).strip().replace(" ", "-")


def anchors(page: Path) -> list[str]:
    text = FENCE.sub("", page.read_text())
    return [slug(heading) for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)] + re.findall(
        r'<a id="([^"]+)"', text
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text())):
        if re.match(r"https://", target):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.is_file(), target
        assert not anchor or anchor in anchors(file), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_texts_of_links_are_titles(page):
    """Files of the root name files of the repository."""
    file_names = re.findall(r"\[[\w./]+\.md\]\(", without_code(page.read_text()))
    assert file_names == [] or page.name in OUTSIDE


def test_every_page_is_in_the_navigation_once():
    def pages(entry) -> Iterator[str]:
        if isinstance(entry, str):
            yield entry
        for inner in entry if isinstance(entry, list) else entry.values() if isinstance(entry, dict) else ():
            yield from pages(inner)

    found = list(pages(yaml.safe_load((ROOT / "docs" / "site" / "mkdocs.yml").read_text())["nav"]))
    pages_of_docs = [page.name for page in PAGES if page.parent.name == "docs"]
    assert sorted(found) == sorted([*pages_of_docs, *OUTSIDE.values()])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_is_named_exists(page, monkeypatch, capsys):
    """Commands, targets of make, modules, and files of the repository."""
    from capsules.__main__ import main

    code = code_of(page.read_text())
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    starts = r"(?:^|[|;&(] *|=\S+ )"
    for piece in code:
        for target in re.findall(starts + r"make ([a-z-]+)", piece, re.MULTILINE):
            assert target in targets, piece
        for words in re.findall(starts + r"spikerelay ((?:params )?[a-z-]+)", piece, re.MULTILINE):
            monkeypatch.setattr("sys.argv", ["spikerelay", *words.split(), "--help"])
            with pytest.raises(SystemExit) as ended:
                main()
            assert ended.value.code == 0, capsys.readouterr().err
        if page.name == "extending.md":
            # Its example makes new files.
            continue
        for module in re.findall(r"python -m ((?:capsules|tests)[\w.]*)", piece):
            path = ROOT.joinpath(*module.split("."))
            assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), piece
        for path in re.findall(r"^((?:capsules|pipeline|tests|docs|params_app)/[\w./-]+)$", piece):
            assert (ROOT / path).exists(), path


@cache
def templates() -> list[str]:
    """Every text of the code, with VARIES in place of what is filled in."""
    found = [text for file in SOURCES for node in ast.walk(ast.parse(file.read_text())) if (text := template(node))]
    for file in SCRIPTS:
        found += [re.sub(r"\$\{?\w+\}?|\$\(.*?\)|\\", VARIES, line) for line in file.read_text().splitlines()]
    return found


def template(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.sub(r"%s|{}", VARIES, " ".join(node.value.split()))
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else VARIES for part in node.values)
    return None


def says(message: str, text: str) -> bool:
    """Whether a text has the fixed parts of a message, in their order."""
    return re.search(".*".join(map(re.escape, message.split(VARIES))), text, re.DOTALL) is not None


def test_every_message_of_the_troubleshooting_is_in_the_code():
    messages = table_messages()
    assert len(messages) > 80
    assert [message for message in messages if not any(says(message, text) for text in templates())] == []


def test_every_message_has_a_separate_anchor():
    page = ROOT / "docs" / "troubleshooting.md"
    messages = page.read_text().partition("## Exit codes")[0]
    rows = re.findall(r"^\| .*?`.*? \|", messages, re.MULTILINE)
    assert [row for row in rows if not re.match(r'\| <a id="message-[\w-]+"></a>`', row)] == []
    assert len(anchors(page)) == len(set(anchors(page))) > 160


def endings_of_stages() -> Iterator[tuple[str, str]]:
    """The reasons for which stages skip and fail, and what they warn of: file and text."""
    for stage in STAGES:
        for file in (ROOT / "capsules" / stage).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call) and ast.unparse(node.func) in ENDINGS and node.args:
                    text = template(node.args[0])
                    if text and text.strip(f"{VARIES}:; "):
                        yield f"{stage}/{file.name}", text


def test_every_ending_of_a_stage_is_in_the_troubleshooting():
    messages, endings = table_messages(), list(endings_of_stages())
    assert len(endings) > 40
    assert [(file, text) for file, text in endings if not any(says(message, text) for message in messages)] == []


def returned_codes(file: Path) -> set[int]:
    """The whole numbers that a file's functions return as exit codes."""
    functions = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef)]
    codes = [function for function in functions if function.returns and ast.unparse(function.returns) == "int"]
    returned = [node for function in codes for node in ast.walk(function) if isinstance(node, ast.Return)]
    values = [leaf.value for node in returned for leaf in ast.walk(node) if isinstance(leaf, ast.Constant)]
    return {value for value in values if type(value) is int}


def test_every_exit_code_is_told():
    page = (ROOT / "docs" / "troubleshooting.md").read_text().partition("## Exit codes")[2]
    rows = re.findall(r'^\| <a id="exit-\d+"></a>([\d, ]+) \|', page, re.MULTILINE)
    told = {int(code) for cell in rows for code in cell.split(",")}
    retried = re.search(r"exitStatus in \[([\d, ]+)", (ROOT / "pipeline" / "base.config").read_text())[1]
    codes = {orphan.EXIT_CODE, *map(int, re.findall(r"\d+", retried))}
    for file in SOURCES:
        codes |= returned_codes(file) if file.name == "__main__.py" or file.parent.name == "commands" else set()
    assert told == codes


def test_every_published_part_is_named():
    places = {part.place(stage.name, "id") for stage in STAGES.values() for part in stage.parts} - {None}
    assert [place for place in places if not is_named(PurePath(place))] == []


@pytest.fixture
def session(results, run_folder, tmp_path):
    """Results of two probes with figures and motion; `session` is the data folder."""
    from spikeinterface.core.motion import Motion
    from spikeinterface.preprocessing.motion import save_motion_info

    folder = linked_run(run_folder, tmp_path / "run", "preprocessing", "postprocessing", "curation")
    perform("visualization", IDS[0], [job(0)], folder)
    for name in ("visualization", "quality_control"):
        (results / name).mkdir()
        shutil.copytree(folder / f"visualization_{IDS[0]}" / name, results / name / IDS[0])
    motion = Motion(np.zeros((3, 1)), np.arange(3.0), np.array([50.0]))
    info = {"parameters": {}, "run_times": {}, "peaks": np.zeros(4), "peak_locations": np.zeros(4), "motion": motion}
    (results / "preprocessed" / "motion").mkdir()
    save_motion_info(info, results / "preprocessed" / "motion" / IDS[0])
    return folder / "data"


@pytest.mark.slow
def test_the_lines_that_load_the_outputs(session, results, monkeypatch):
    """docs/outputs.md: its Python, run as it stands but for the place of the data; and every file is in its table."""
    assert unnamed(results) == []
    monkeypatch.chdir(results.parent)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "outputs.md").read_text(), re.DOTALL)
    whole, single = ({} for _ in blocks)
    exec(blocks[0], whole)
    assert len(whole["good"]) == (whole["session"].metrics["default_qc"] == "good").sum() > 0
    exec(blocks[1].replace('"/data"', repr(str(session.resolve().parent))), single)
    assert single["traces"].shape == (30000, single["templates"].shape[2])
    assert single["templates"].shape[0] == len(single["metrics"]) == single["sorting"].get_num_units()
    good = single["metrics"]["default_qc"] == "good"
    assert single["good"].get_num_units() == good.sum()
    assert set(single["units"]["recording"]) == set(IDS)
    assert single["unfinished"] == {}
    assert single["motion"].displacement[0].shape == (3, 1)
    labels: dict = {}
    exec(re.search(r"```python\n(.*?)```", (ROOT / "docs" / "labels.md").read_text(), re.DOTALL)[1], labels)
    assert 0 < len(labels["usable"]) <= len(labels["units"])
    assert set(labels["usable"]["default_qc"]) == {"good"}
    assert not labels["usable"]["suspicious"].any()


def test_versions_agree():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1]
    manifest = re.search(r"version = '([^']+)'", (ROOT / "pipeline" / "base.config").read_text())[1]
    assert {citation["version"], newest, manifest} == {version}
    assert {"cff-version", "message", "title", "authors", "license"} <= set(citation)
