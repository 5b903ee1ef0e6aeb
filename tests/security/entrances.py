"""Every way by which text comes into the pipeline from outside: one function for each, in `ENTRANCES`.

An entrance takes a `Sandbox` and some hostile strings, and brings each string in as a user or a file would. To add one,
write the function and put `@entrance(...)` over it; `test_fuzz.py` does the rest.
"""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

from capsules.__main__ import main as spikerelay
from capsules.common.contract import SECTION_OF_STAGE
from capsules.common.errors import SpikeRelayError
from capsules.parameters import strict_json
from capsules.parameters.model import get_dotted, set_dotted
from capsules.resolve_params.options import OPTIONS
from capsules.resolve_params.resolve import resolve
from tests.leaf_values import LEAVES

TEXT_LEAVES = [dotted for dotted, leaf in LEAVES.items() if "text" in leaf.type_name and not leaf.choices]
"""The parameters that take any text."""


@dataclass(frozen=True)
class Entrance:
    """A way in. `every` thins the strings out where one takes long: 1 takes all of them; `batch` go in together."""

    name: str
    bring_in: Callable[[Sandbox, list[str]], None]
    every: int
    batch: int


ENTRANCES: list[Entrance] = []


def entrance(every: int = 1, batch: int = 1) -> Callable:
    def add(bring_in: Callable) -> Callable:
        ENTRANCES.append(Entrance(bring_in.__name__.replace("_", " "), bring_in, every, batch))
        return bring_in

    return add


class Sandbox:
    """Where an entrance may write, and what runs a command as a user would."""

    def __init__(self, folder: Path, session: Path):
        self.folder, self.session = folder, session
        self.counter = 0
        self.numbers = itertools.count()

    def numbered(self, strings: list[str]) -> Iterator[tuple[int, str]]:
        """The strings, numbered from batch to batch: by the number an entrance takes turns in what it does."""
        for text in strings:
            yield next(self.numbers), text

    def file(self, name: str, content: str | bytes) -> Path:
        """A file with this content; text that cannot be UTF-8 is written as Python reads such names."""
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
        return file

    def fresh(self) -> Path:
        """An empty folder."""
        self.counter += 1
        folder = self.folder / f"fresh{self.counter}"
        folder.mkdir()
        return folder

    def command(self, *words: object, run: Callable[[], int] = spikerelay) -> tuple[int, str]:
        """Run a command; returns its exit code and all that it says. A traceback is an error."""
        said = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="strict", write_through=True)
        said_wrong = io.StringIO()
        argv = [word for word in map(str, words) if "\0" not in word]
        with (
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(said_wrong),
            patch.object(sys, "argv", ["x", *argv]),
        ):
            try:
                code = run()
            except SystemExit as end:
                code = end.code or 0
        text = said.buffer.getvalue().decode() + said_wrong.getvalue()
        assert code in (0, 1, 2), (code, text)
        assert "Traceback" not in text, text
        assert "\x1b" not in text, "it steers the terminal"
        return code, text


# --- parameters


@entrance(batch=len(TEXT_LEAVES))
def values_in_a_params_file(sandbox, strings):
    document = {}
    for dotted, text in zip(TEXT_LEAVES, strings, strict=False):
        set_dotted(document, dotted, text)
    sandbox.command("validate", sandbox.file("params.json", json.dumps(document)))
    _resolved(sandbox, {"params_file": "params.json", "sorter": "spykingcircus2"})


@entrance(batch=40)
def keys_in_a_params_file(sandbox, strings):
    document = {"curation": {}, "spikesorting": {"kilosort4": {"sorter": {}}}, "nwb": {}}
    for index, text in sandbox.numbered(strings):
        place = ("", "curation", "spikesorting.kilosort4.sorter", "nwb")[index % 4]
        (get_dotted(document, place) if place else document)[text] = 1
    _, said = sandbox.command("validate", sandbox.file("params.json", json.dumps(document)))
    assert "unknown" in said or "surrogate" in said or "NUL" in said


@entrance()
def the_text_of_a_params_file(sandbox, strings):
    for text in strings:
        sandbox.command("params", "diff", sandbox.file("params.json", text))


@entrance(every=40)
def a_params_file_as_the_pipeline_reads_it(sandbox, strings):
    """Its name, and a text in it that goes on to the tasks."""
    for index, text in sandbox.numbered(strings):
        sandbox.file("params.json", json.dumps({"curation": {"sua_mua_classifier": text}}))
        _first_process(sandbox, {"params_file": "params.json" if index % 2 else text, "sorter": "lupin", "n_jobs": 1})


# --- flags and options


@entrance()
def step_args(sandbox, strings):
    for index, text in sandbox.numbered(strings):
        stage = list(SECTION_OF_STAGE)[index % len(SECTION_OF_STAGE)]
        _resolved(sandbox, {"sorter": "spykingcircus2", f"{stage}_args": text})


@entrance(every=3)
def values_in_step_args(sandbox, strings):
    flags = (
        ("curation_args", "--query"),
        ("job_dispatch_args", "--spikeinterface-info"),
        ("job_dispatch_args", "--nwb-files"),
    )
    for index, text in sandbox.numbered(strings):
        option, flag = flags[index % len(flags)]
        _resolved(sandbox, {"sorter": "lupin", option: f"{flag} {shlex.quote(text)}"})


@entrance(every=2)
def options(sandbox, strings):
    for index, text in sandbox.numbered(strings):
        name = OPTIONS[index % len(OPTIONS)]
        if not name.endswith("_args"):
            _resolved(sandbox, {"sorter": "lupin", name: text})
        _resolved(sandbox, {"sorter": "lupin", text: "1"})


@entrance(every=4)
def a_sheet_of_sessions(sandbox, strings):
    """Its cells, its text and its name."""
    from capsules.resolve_params.sheet import NAME, read_sheet

    for index, text in sandbox.numbered(strings):
        cells = io.StringIO(newline="")
        rows = ([text, "one", ""], ["data", text, ""], ["data", "three", text], [text, "", ""])
        csv.writer(cells).writerows([["data", "session", "params_file"], rows[index % 4]])
        sheet = sandbox.file("sheet.csv", text if index % 9 == 8 else cells.getvalue())
        with contextlib.suppress(SpikeRelayError):
            for session in read_sheet(sheet, "sheet.csv", None):
                assert NAME.fullmatch(session.name) and session.results(sandbox.folder).parent == sandbox.folder
                assert len(session.data.splitlines()) <= 1 or not {"\n", "\r"} & set(session.data)
        sandbox.command("plan", "--sorter", "lupin", "--sessions", "../sheet.csv" if index % 2 else text)


def _resolved(sandbox: Sandbox, options: dict) -> None:
    with contextlib.suppress(SpikeRelayError):
        resolve(options, sandbox.folder)


def _first_process(sandbox: Sandbox, options: dict) -> None:
    """What Nextflow's first task does."""
    from capsules.resolve_params.stage import main

    run = {"options": options, "launch_folder": str(sandbox.folder), "container_engine": None}
    file, output = sandbox.file("run.json", json.dumps(run)), sandbox.folder / "resolved.json"
    assert sandbox.command("--run", file, "--output", output, run=main)[0] == 0
    # On one line, so that no line of it ends the heredoc by which it travels.
    for session in json.loads(output.read_text()).get("sessions", []):
        assert all(len(text.splitlines()) == 1 for text in [*session["sections"].values(), session["params"]])


# --- files of a data folder


@entrance(every=25, batch=10)
def names_in_the_data_folder(sandbox, strings):
    """Folders and files of SpikeGLX probes, several in one session."""
    session = sandbox.fresh()
    (probe,) = (file.parent for file in sandbox.session.rglob("*.imec0.ap.bin"))
    for index, text in sandbox.numbered(strings):
        name = _file_name(text, 150)
        folder = session / name / f"{name[:40]}{index}"
        if not name or folder.exists():
            continue
        folder.mkdir(parents=True)
        for file in probe.iterdir():
            os.link(file, folder / file.name.replace("run_g0", f"{name[:40]}_g0"))
    _dispatched(sandbox, session, "--input", "spikeglx")
    shutil.rmtree(session)


@entrance(every=20, batch=20)
def names_of_sessions(sandbox, strings):
    data = sandbox.fresh()
    for text in strings:
        name = _file_name(text, 255)
        if name and not (data / name).exists():
            (data / name).mkdir()
            (data / name / "subject.json").write_text("{}")
    sandbox.command("inspect", data, "--multi-session", "--input", "openephys")
    sandbox.command("inspect", data, "--multi-session", "--input", "nwb")
    shutil.rmtree(data)


def _file_name(text: str, most: int) -> str:
    """As much of a text as Linux takes for the name of a file."""
    name = os.fsdecode(text.encode("utf-8", "surrogatepass").replace(b"\0", b"").replace(b"/", b"\xe2\x88\x95")[:most])
    return "" if name in (".", "..") else name


def _dispatched(sandbox: Sandbox, data: Path, *words: str) -> list[dict]:
    """Job dispatch on a data folder, as the command and as the stage; every id is one that can name files."""
    from capsules.common.recordings.job import ID
    from capsules.common.tasks.command_line import main
    from capsules.job_dispatch.params import PARAMS

    sandbox.command("inspect", data, *words)
    out = sandbox.fresh()
    code, _ = sandbox.command("--data", data, "--output", out, *words, run=lambda: main("job_dispatch", PARAMS))
    jobs = json.loads((out / "job_dispatch_job_dispatch" / "jobs.json").read_text()) if code == 0 else []
    assert all(ID.fullmatch(job[key]) and len(job[key]) < 200 for job in jobs for key in ("id", "block"))
    return jobs


@entrance(every=20)
def spikeglx_metadata(sandbox, strings):
    """A value, a key and a line of a probe's `.meta`."""
    session = sandbox.folder / "spikeglx"
    if not session.exists():
        shutil.copytree(sandbox.session, session)
    (meta,) = session.rglob("*.imec0.ap.meta")
    (clean,) = (file.read_text() for file in sandbox.session.rglob("*.imec0.ap.meta"))
    keys = (
        "imDatPrb_pn",
        "fileCreateTime",
        "nSavedChans",
        "~snsChanMap",
        "imSampRate",
        "fileSizeBytes",
        "firstSample",
        "~imroTbl",
    )
    for index, text in sandbox.numbered(strings):
        key = keys[index % len(keys)]
        lines = [f"{key}={text}" if line.startswith(key) else line for line in clean.splitlines()]
        meta.write_bytes("\n".join([*lines, f"{text}={text}", text]).encode("utf-8", "surrogatepass"))
        sandbox.command("inspect", session, "--input", "spikeglx", "--data_check.chunks", "0")


@entrance(every=10)
def openephys_structure_and_settings(sandbox, strings):
    recording = Path("Record Node 101") / "experiment1" / "recording1"
    for index, text in sandbox.numbered(strings):
        entry = {"folder_name": text, "stream_name": text, "sample_rate": text, "channels": text}
        structures = (text, json.dumps({"continuous": [entry]}), json.dumps({"continuous": text}), json.dumps([text]))
        data = sandbox.folder / "openephys"
        sandbox.file(f"openephys/{recording}/structure.oebin", structures[index % 4])
        sandbox.file(
            "openephys/Record Node 101/settings.xml",
            text if index % 2 else f"<SETTINGS><INFO><DATE>{text}</DATE></INFO></SETTINGS>",
        )
        sandbox.command("inspect", data)


@entrance(every=2)
def electrode_locations(sandbox, strings):
    """A region, a coordinate and a column of a probe's file; its regions come out as they went in."""
    from capsules.common.recordings.electrode_locations import read_locations

    channels = {"AP0": (0, 0.0)}
    for index, text in sandbox.numbered(strings):
        as_read = text.encode("utf-8", "surrogatepass").decode(errors="replace")
        as_read = as_read.replace("\r\n", "\n").replace("\r", "\n")
        quoted = text.replace('"', '""')
        lines = (f'channel,acronym\n0,"{quoted}"\n', f'channel,acronym,ap\n0,CA1,"{quoted}"\n', f'"{quoted}"\n', text)
        file = sandbox.file("imec0_channel_locations.csv", lines[index % 4])
        told = sandbox.file(
            "imec0_channel_locations.json", json.dumps({"channel_0": {"brain_region": text, "x": text}})
        )
        for one in (file, told):
            with contextlib.suppress(SpikeRelayError):
                (location,) = read_locations(one, channels).values()
                assert "\0" not in (location.region or "")
                assert location.region in (None, "CA1") or location.region in text or location.region in as_read


@entrance(every=2)
def session_metadata(sandbox, strings):
    """Values, keys and the whole text of the three files."""
    from capsules.common.recordings.session_metadata import read_metadata

    for index, text in sandbox.numbered(strings):
        for name, document in (
            (
                "subject.json",
                {"subject_id": text, "sex": text, "species": {"name": text}, "date_of_birth": text, text: text},
            ),
            (
                "data_description.json",
                {"name": text, "investigators": text, "institution": text, "creation_time": text},
            ),
            ("nwb_metadata.yaml", f"NWBFile:\n  session_id: {json.dumps(text)}\n  {json.dumps(text)}: 1\n"),
        )[index % 3 :][:1]:
            content = document if isinstance(document, str) else json.dumps(document)
            for written in (content, text):
                with contextlib.suppress(SpikeRelayError):
                    read_metadata(sandbox.file(name, written))


@entrance(every=20)
def probe_files(sandbox, strings):
    """A ProbeInterface file: annotations, ids of contacts and shanks, or the text itself."""
    from tests.formats import write_neuroscope

    data = sandbox.folder / "neuroscope"
    if not data.exists():
        write_neuroscope(data, 0.1)
        shutil.copy(data / "probe.json", sandbox.folder / "clean_probe.json")
    info = {"reader_type": "neuroscope", "reader_kwargs": {"file_path": "rat.xml"}, "probe_paths": "probe.json"}
    for index, text in sandbox.numbered(strings):
        document = json.loads((sandbox.folder / "clean_probe.json").read_text())
        (probe,) = document["probes"]
        probe["annotations"] = {"model_name": text, "name": text, "manufacturer": text, text: text}
        probe["contact_ids"] = [f"{text}{number}" for number in range(8)]
        probe["shank_ids"] = [text] * 4 + ["b"] * 4
        (data / "probe.json").write_bytes(
            (json.dumps(document) if index % 3 else text).encode("utf-8", "surrogatepass")
        )
        sandbox.command("inspect", data, "--input", "spikeinterface", "--spikeinterface-info", json.dumps(info))


@entrance(every=20)
def how_spikeinterface_reads_the_data(sandbox, strings):
    for index, text in sandbox.numbered(strings):
        documents = (
            {"reader_type": text},
            {"reader_type": "spikeinterface", "reader_kwargs": {"file_or_folder_path": text}},
            {"reader_type": "neuroscope", "reader_kwargs": {"file_path": text, text: text}},
            {"reader_type": "neuroscope", "reader_kwargs": {"file_path": "rat.xml"}, "probe_paths": {text: text}},
        )
        info = text if index % 5 == 4 else json.dumps(documents[index % 4])
        sandbox.command("inspect", sandbox.session, "--input", "spikeinterface", "--spikeinterface-info", info)


# --- files that a user edits after a run


@entrance(every=2)
def curation_json(sandbox, strings):
    """Labels, label names and ids in a hand-edited curation; the labels go on to the table of units."""
    import pandas as pd

    from capsules.commands.curation_file import name_new_units, parse_curation, read_curation
    from capsules.common.units.metrics import write_table

    sorting = _sorting()
    for index, text in sandbox.numbered(strings):
        document = {
            "format_version": "2",
            "unit_ids": ["0", "1"],
            "label_definitions": {text or "x": {"label_options": [text, "b"], "exclusive": True}},
            "manual_labels": [{"unit_id": "0", "labels": {text or "x": [text]}}],
            "merges": [{"unit_ids": ["0", "1"], "new_unit_id": text}] if index % 3 == 0 else [],
            "splits": [],
            "removed": [text] if index % 3 == 1 else [],
        }
        file = sandbox.file("curation.json", text if index % 10 == 9 else json.dumps(document))
        with contextlib.suppress(SpikeRelayError):
            name_new_units(parse_curation(read_curation(file), file, "r", ["0", "1"]), file, sorting)
            labels, metrics = {text: [text, "b"]}, pd.DataFrame({"snr": [1.0, 2.0]}, index=[text, "1"])
            write_table(labels, metrics, sandbox.folder / "metrics.csv")
            cells = pd.read_csv(sandbox.folder / "metrics.csv", keep_default_na=False).astype(str).to_numpy().ravel()
            assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)


def _sorting():
    import numpy as np
    from spikeinterface.core import NumpySorting

    return NumpySorting.from_unit_dict([{"0": np.array([10, 20]), "1": np.array([15])}], 30000.0)


@entrance(every=3)
def what_a_results_folder_says(sandbox, strings):
    """The ids, reasons and records of a results folder that somebody else has made."""
    results = sandbox.folder / "results"
    for index, text in sandbox.numbered(strings):
        entry = {"recording": "r", "sorter": text, "status": "failed", "reason": text, "stages": {}}
        ids = ("r", text) if index % 2 else ("r", "r")
        status = {
            "recordings": {ids[0]: entry | {"recording": ids[1]}},
            "blocks": {text if index % 3 == 0 else "b": {}},
        }
        sandbox.file("results/status.json", text if index % 10 == 9 else json.dumps(status))
        sandbox.file(
            "results/nextflow/run.json",
            text if index % 7 == 6 else json.dumps({"data": text, "options": {"n_jobs": text, text: text}}),
        )
        sandbox.file(
            "results/params.json",
            text if index % 11 == 10 else json.dumps({"params": {text: text}, "sorters": [{"name": text}] * 2}),
        )
        export = ("export", "--to", "phy" if index % 2 else "aind")
        command = (("load",), ("hash",), ("rerun",), export, ("curate", "--apply", "none"))[index % 5]
        sandbox.command(*command, results)


@entrance()
def an_earlier_runs_status(sandbox, strings):
    """What `results` removes of an earlier run, by the names that its status.json has."""
    from capsules.results.stage import find_stale_places

    results = sandbox.folder / "old"
    for index, text in sandbox.numbered(strings):
        entry = {"recording": text}
        status = {"recordings": {text: entry}, "blocks": {text: {}}}
        sandbox.file("old/status.json", text if index % 10 == 9 else json.dumps(status))
        for place in find_stale_places(sandbox.folder, {"recordings": {}, "blocks": {}}, results):
            assert place.resolve().is_relative_to(results.resolve())


@entrance(every=2)
def description_of_the_sorted_data(sandbox, strings):
    """The fields of a data_description.json that the metadata in AIND's form have."""
    from capsules.results.aind.data_description import describe_data
    from capsules.results.aind.session_files import read_session_files

    needed = {"institution": "AIND", "project_name": "p", "investigators": ["A"], "funding_source": [{"funder": "AI"}]}
    (sandbox.folder / "data").mkdir(exist_ok=True)
    for index, text in sandbox.numbered(strings):
        fields = dict.fromkeys(("name", "subject_id", "license", "group", "data_level", "data_summary", text), text)
        more = {"tags": [text], "investigators": [text]} if index % 2 else {"modalities": [text], "project_name": text}
        for content in (json.dumps(needed | fields | more), text):
            sandbox.file("data/data_description.json", content)
            document, warnings = describe_data(read_session_files(sandbox.folder / "data"), datetime.now(UTC))
            assert document is None or "/" not in document.get("name", "")
            assert all(len(warning) < 5000 for warning in warnings)


# --- commands


COMMANDS = (
    ("validate",), ("params", "diff"), ("inspect",), ("hash",), ("load",), ("rerun",), ("doctor", "--nothing"), (),
    ("export", "--to", "phy"), ("export", "results", "--to", "phy", "--recording"), ("export", "results", "--to"),
    ("export", "--to", "aind"),
    ("curate", "--apply", "x"), ("plan", "--sorter", "lupin", "--data"), ("plan", "--params_file"),
    ("fetch-models", "--params"),
)  # fmt: skip


@entrance(every=3)
def arguments_of_commands(sandbox, strings):
    for index, text in sandbox.numbered(strings):
        sandbox.command(*COMMANDS[index % len(COMMANDS)], text)


@entrance(every=8)
def a_stages_own_command_line(sandbox, strings):
    """Its id and its job; `--stub-run` writes the output."""
    from capsules.common.tasks.command_line import main
    from capsules.preprocessing.params import PARAMS

    job = {"id": "r", "session": "s", "block": "b", "stream": "x", "segments": [0],
           "reader": {"name": "none", "kwargs": {}}, "duration_s": 1, "dtype": "int16", "megabytes": 1,
           "sampling_frequency_hz": 1, "num_channels": 1}  # fmt: skip
    for index, text in sandbox.numbered(strings):
        given = job | ({"id": text} if index % 2 else {"stream": text, "session": text, "skip": text or "short"})
        out, file = sandbox.fresh(), sandbox.file("job.json", json.dumps(given))
        words = ["--job", file, "--output", out, "--publish", out / "publish", "--stub-run"]
        words += [] if index % 2 else [f"--id={text}"]
        sandbox.command(*words, run=lambda: main("preprocessing", PARAMS))
        shutil.rmtree(out)


# --- what is shown


@entrance(batch=100)
def the_report(sandbox, strings):
    """Every text that comes from the data is text in the page too: no element, no attribute, no script more."""
    from html.parser import HTMLParser

    from capsules.common.contract import RECORDING_STAGES
    from capsules.results import report
    from capsules.results.status import status_document
    from capsules.results.summary import summary
    from tests.web.test_report import PARAMS, SORTERS, jobs, record

    def page(texts):
        texts = [text for text in texts if text and strict_json_takes(text)]
        records = {(stage, f"r{index}"): record(stage, reason=text) | {"warnings": [text], "changes": [text]}
                   for index, text in enumerate(texts) for stage in RECORDING_STAGES}  # fmt: skip
        status = status_document(jobs(*(f"r{index}" for index in range(len(texts)))), SORTERS, records, {})
        for entry, text in zip(status["recordings"].values(), texts, strict=True):
            entry.update(status="failed", reason=text, next_step=text, stage=text)
        params = PARAMS | {
            "notes": texts,
            "differences": {text: [text, text] for text in texts},
            "origins": dict.fromkeys(texts, "x"),
        }
        planned = {id: {} for id in status["recordings"]}
        assert "\x1b" not in summary(status, texts)
        return report.render(
            status, {}, params, {}, {}, planned=planned, versions=dict.fromkeys(texts, "1"), ended=None
        ), len(texts)

    class Counter(HTMLParser):
        def __init__(self):
            super().__init__()
            self.found = []

        def handle_starttag(self, tag, attrs):
            self.found.append((tag, tuple(name for name, _ in attrs)))

    hostile, count = page(strings)
    plain, _ = page([f"text {index}" for index in range(count)])
    shapes = []
    for text in (hostile, plain):
        parser = Counter()
        parser.feed(text)
        shapes.append(parser.found)
    assert shapes[0] == shapes[1]


def strict_json_takes(text: str) -> bool:
    """Whether a text can come as far as the report: JSON brings it there."""
    try:
        strict_json.read(json.dumps(text))
    except SpikeRelayError:
        return False
    return True
