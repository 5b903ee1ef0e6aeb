"""Files in the data folder that try to have something run, to fill the memory, or to lead elsewhere."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from capsules.commands.inspect import inspect_folder
from capsules.common.contract import STAGES
from capsules.common.errors import SpikeRelayError, printable
from capsules.common.recordings.fused import FusedRecording
from capsules.common.recordings.job import ID, Reader
from capsules.common.recordings.reading import open_reader
from capsules.common.recordings.session_metadata import read_metadata
from capsules.common.units.metrics import write_table
from capsules.common.untrusted import distrust
from capsules.common.untrusted.distrust import ForeignCode, distrust_files, load_saved
from capsules.job_dispatch.jobs import clean_id
from capsules.job_dispatch.loaders import LOADERS, openephys
from capsules.job_dispatch.loaders.streams import BrokenStream
from capsules.job_dispatch.params import JobDispatchParams
from capsules.parameters import strict_json
from capsules.results.published import status_of
from capsules.results.stage import find_stale_places
from capsules.spikesorting import gpu
from tests.data import ProbeSpec, write_spikeglx
from tests.formats import numpy_recording, write_nwb


class Harm:
    """Its pickle makes a file when it is read."""

    def __init__(self, canary: Path):
        self.canary = canary

    def __reduce__(self):
        return subprocess.check_call, (["touch", str(self.canary)],)


@pytest.fixture
def canary(tmp_path):
    """A path that is not there, and must not be there after the test."""
    file = tmp_path / "canary"
    yield file
    assert not file.exists()


@pytest.fixture
def saved(tmp_path):
    """A recording as SpikeInterface saves it: `saved("binary")` or `saved("zarr")`."""

    def save(form):
        folder = tmp_path / ("saved.zarr" if form == "zarr" else "saved")
        numpy_recording("x", [0.1]).save(folder=folder, format=form, progress_bar=False)
        return folder

    return save


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """A SpikeGLX session of one small probe."""
    folder = tmp_path_factory.mktemp("session") / "session"
    write_spikeglx(folder, [ProbeSpec("imec0", channels=4, units=1, duration_s=0.2)])
    return folder


def described(name, **kwargs):
    """A recording's description by SpikeInterface."""
    facts = {"class": name, "module": name.split(".")[0], "version": "0.105.3"}
    return facts | {"annotations": {}, "properties": {}, "relative_paths": False, "kwargs": kwargs}


@pytest.mark.parametrize("form", ["binary", "zarr"])
def test_what_spikeinterface_saved_is_read(saved, form):
    assert load_saved(saved(form)).get_num_channels() == 8


def test_the_canary_sings_without_the_guard(tmp_path):
    """The pickle of these tests does what it says, where nothing guards."""
    pickle.loads(pickle.dumps(Harm(tmp_path / "sung")))
    assert (tmp_path / "sung").exists()


def test_a_description_names_no_foreign_class(tmp_path, canary):
    inner = described("subprocess.Popen", args=["touch", str(canary)])
    outer = described("spikeinterface.core.frameslicerecording.FrameSliceRecording", parent_recording=inner)
    for name, document in (("inner.json", inner), ("outer.json", outer)):
        (tmp_path / name).write_text(json.dumps(document))
        with pytest.raises(ForeignCode, match=r"subprocess\.Popen"):
            load_saved(tmp_path / name)


@pytest.mark.parametrize(
    "name",
    [
        "spikeinterface.extractors.phykilosortextractors.PhySortingExtractor",
        "spikeinterface.extractors.sinapsrecordingextractors.SinapsResearchPlatformRecordingExtractor",
        "spikeinterface.extractors.shybridextractors.SHYBRIDRecordingExtractor",
        "spikeinterface.core.core_tools.read_python",
        "os.system",
    ],
)
def test_a_description_names_no_class_that_runs_its_files(tmp_path, name):
    (tmp_path / "x.json").write_text(json.dumps(described(name)))
    with pytest.raises(ForeignCode):
        load_saved(tmp_path / "x.json")


@pytest.mark.parametrize("reader", ["sinapsresearchplatform", "shybrid"])
def test_readers_that_run_their_files_are_not_used(tmp_path, reader):
    with pytest.raises(ForeignCode, match=reader):
        open_reader(Reader(name=reader, kwargs={"file_path": "x"}), tmp_path)


@pytest.mark.parametrize("name", ["a.pkl", "a.pickle", "saved/cached.pkl"])
def test_saved_pickles_are_not_read(tmp_path, canary, name):
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(pickle.dumps(Harm(canary)))
    with pytest.raises(ForeignCode):
        load_saved(file if name.startswith("a") else file.parent)


@pytest.mark.parametrize("form", ["object array", "bare pickle"])
def test_properties_with_pickles_are_not_read(saved, canary, form):
    folder = saved("binary")
    file = folder / "properties" / "brain_area.npy"
    if form == "bare pickle":
        file.write_bytes(pickle.dumps(Harm(canary)))
    else:
        np.save(file, np.array([Harm(canary)] * 8, dtype=object), allow_pickle=True)
    with pytest.raises((ForeignCode, pickle.UnpicklingError)):
        load_saved(folder)


def test_properties_of_plain_objects_are_read(saved):
    folder = saved("binary")
    areas = np.array(["CA1", "CA3"] * 4, dtype=object)
    np.save(folder / "properties" / "brain_area.npy", areas, allow_pickle=True)
    assert load_saved(folder).get_property("brain_area").tolist() == areas.tolist()


def harm_zarr(folder, array, canary):
    """Replace an array of a zarr store by one that holds a pickle."""
    import numcodecs
    import zarr

    shutil.rmtree(folder / array)
    values = np.array([Harm(canary)] * 8, dtype=object)
    group = zarr.open_group(str(folder), "a", zarr_version=2)
    made = group.create_dataset(
        array, shape=(8,), dtype=object, object_codec=numcodecs.pickles.Pickle(), compressor=None
    )
    assert made.filters
    (folder / array / "0").write_bytes(pickle.dumps(values))
    for file in folder.glob(".zmetadata"):
        file.unlink()
    zarr.consolidate_metadata(str(folder))


def test_a_zarr_store_with_pickles_is_not_read(saved, canary):
    folder = saved("zarr")
    harm_zarr(folder, "channel_ids", canary)
    with pytest.raises(ForeignCode, match=r"subprocess\.check_call"):
        load_saved(folder)


def test_a_zarr_store_names_no_foreign_class(saved, canary):
    import zarr

    folder = saved("zarr")
    group = zarr.open_group(str(folder), "a")
    group.attrs["zarr_class_info"] = {"class": "subprocess.Popen", "module": "subprocess", "version": "1"}
    zarr.consolidate_metadata(str(folder))
    with pytest.raises(ForeignCode, match=r"subprocess\.Popen"):
        load_saved(folder)


def test_an_nwb_store_with_pickles_is_its_own_failure(tmp_path, canary):
    """hdmf-zarr itself writes pickles, of data alone: those are read, others are not."""
    write_nwb(tmp_path / "session.nwb.zarr", {"series": 1}, "zarr", 0.5)
    params = JobDispatchParams(input="nwb")
    (stream,) = LOADERS["nwb"](tmp_path, params)
    assert stream.recording.get_num_channels() == 8
    (column,) = (tmp_path / "session.nwb.zarr").rglob("electrodes/group_name")
    harm_zarr(tmp_path / "session.nwb.zarr", str(column.relative_to(tmp_path / "session.nwb.zarr")), canary)
    (stream,) = LOADERS["nwb"](tmp_path, params)
    assert isinstance(stream, BrokenStream)
    assert "subprocess.check_call" in stream.failure


def test_what_the_pipeline_pickles_itself_is_read(tmp_path):
    """Principal components keep scikit-learn's model beside them."""
    import numcodecs
    from sklearn.decomposition import IncrementalPCA

    distrust_files()
    model = IncrementalPCA(n_components=2).fit(np.random.default_rng(0).normal(size=(20, 4)))
    codec = numcodecs.Pickle()
    (read,) = codec.decode(codec.encode(np.array([model], dtype=object)))
    assert np.array_equal(read.components_, model.components_)
    with pytest.raises(ForeignCode):
        codec.decode(codec.encode(np.array([SimpleNamespace()], dtype=object)))


# --- metadata that fills the memory, has no end, or cannot be written


def bomb(levels=12):
    """A few lines of YAML that are 10 to the 12th parts."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join([*lines, f"NWBFile: {{keywords: *a{levels - 1}}}"])


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("nwb_metadata.yaml", bomb(), "aliases"),
        ("nwb_metadata.yaml", "NWBFile: &a {keywords: [*a]}", "aliases"),
        ("nwb_metadata.yaml", "[" * 3000, "nested too deeply"),
        ("nwb_metadata.yaml", "x: " + "y" * 2_000_000, "2 MB (limit: 1 MB)"),
        (
            "nwb_metadata.yaml",
            "x: !!python/object/apply:os.system ['true']",
            "could not determine a constructor",
        ),
        ("subject.json", '{"subject_id": "\\ud800"}', "surrogate"),
        ("subject.json", '{"subject_id": "a\\u0000b"}', "NUL"),
        ("subject.json", '{"subject_details": [1]}', "not as its schema has it"),
        ("subject.json", '{"subject_id": {"a": 1}}', "Subject.subject_id"),
        ("subject.json", "[" * 100_000, "nested too deeply"),
        ("data_description.json", '{"investigators": 5}', "not as its schema has it"),
    ],
)
def test_metadata_that_is_too_much_is_refused(tmp_path, name, text, says):
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(SpikeRelayError, match=re.escape(says)) as refusal:
        read_metadata(file)
    assert len(str(refusal.value)) < 2000


def test_settings_with_entities_without_end_tell_no_start(tmp_path):
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    text = f'<!DOCTYPE a [<!ENTITY e0 "aaaaaaaaaa">{entities}]><SETTINGS><INFO><DATE>&e11;</DATE></INFO></SETTINGS>'
    (tmp_path / "settings.xml").write_text(text)
    assert openephys.start_time(tmp_path, tmp_path / "experiment1") is None


def test_outer_entities_are_not_fetched(tmp_path):
    (tmp_path / "secret").write_text("1 Jan 2026 00:00:00")
    text = f'<!DOCTYPE a [<!ENTITY e SYSTEM "file://{tmp_path}/secret">]><SETTINGS><INFO><DATE>&e;</DATE></INFO></SETTINGS>'
    (tmp_path / "settings.xml").write_text(text)
    assert openephys.start_time(tmp_path, tmp_path / "experiment1") is None


def test_headers_that_are_pipes_or_huge_are_their_probes_failure(tmp_path, session):
    data = tmp_path / "data"
    shutil.copytree(session, data)
    (meta,) = data.rglob("*.imec0.ap.meta")
    meta.unlink()
    os.mkfifo(meta)
    (stream,) = LOADERS["spikeglx"](data, JobDispatchParams(input="spikeglx"))
    assert "not a regular file" in stream.failure
    meta.unlink()
    with meta.open("wb") as header:
        header.truncate(10**12)
    (stream,) = LOADERS["spikeglx"](data, JobDispatchParams(input="spikeglx"))
    assert "(limit: 10 MB)" in stream.failure


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("imSampRate", "inf", "sampling rate of inf Hz"),
        ("imSampRate", "nan", "cannot be read"),
        ("imSampRate", "1e300", "sampling rate of 1e+300 Hz"),
        ("imSampRate", "-30000", "sampling rate of -30000 Hz"),
        ("snsSaveChanSubset", "0:999999999", "lists 1000000000 channels"),
    ],
)
def test_a_broken_header_fails_its_own_probe(tmp_path, key, value, says):
    """In `inspect` and in job dispatch: the session's other probe is sorted."""
    from capsules.common.tasks.task import Task
    from capsules.job_dispatch.stage import run

    data = tmp_path / "session"
    write_spikeglx(data, [ProbeSpec(f"imec{n}", channels=4, units=1, duration_s=0.2) for n in (0, 1)])
    (meta,) = data.rglob("*.imec0.ap.meta")
    lines = [line for line in meta.read_text().splitlines() if not line.startswith(f"{key}=")]
    meta.write_text("\n".join([*lines, f"{key}={value}"]) + "\n")
    params = JobDispatchParams(input="spikeglx")
    (tmp_path / "out").mkdir()
    run(Task(STAGES["job_dispatch"], "run", [], params, tmp_path, data, tmp_path / "out", 1))
    jobs = {job["stream"]: job["failure"] for job in json.loads((tmp_path / "out" / "jobs.json").read_text())}
    assert jobs["imec1.ap"] is None
    assert says in jobs["imec0.ap"]
    assert any(says in problem for problem in inspect_folder(data, params).problems)


def test_params_files_without_end_are_refused(tmp_path):
    with pytest.raises(SpikeRelayError, match="limit: 50 MB"):
        strict_json.read_file(Path("/dev/zero"))


# --- links and names that lead elsewhere


def test_links_in_the_data_are_read_and_never_written(tmp_path, session):
    """A session of links to another folder, with one that goes round and one that leads to everything."""
    data = tmp_path / "data"
    for file in session.rglob("*.imec0.*"):
        (data / "probe").mkdir(parents=True, exist_ok=True)
        (data / "probe" / file.name).symlink_to(file)
    (data / "round").symlink_to(data)
    (data / "all").symlink_to("/")
    (data / "subject.json").symlink_to("/etc/passwd")
    before = {file: file.stat().st_mtime_ns for file in session.rglob("*")}
    (stream,) = [
        stream for stream in LOADERS["spikeglx"](data, JobDispatchParams(input="spikeglx")) if stream.name == "imec0.ap"
    ]
    assert stream.recording.get_num_channels() == 4
    with pytest.raises(SpikeRelayError, match="cannot be read"):
        read_metadata(data / "subject.json")
    assert {file: file.stat().st_mtime_ns for file in session.rglob("*")} == before


@pytest.mark.parametrize(
    "parts", [("..", "..", "x"), ("a/b", "x%y"), ("-rf", "x"), (".hidden",), ("x" * 300, "y"), ("\udcff", "\n$(x)")]
)
def test_ids_are_names_of_files_and_nothing_else(parts):
    id = clean_id(*parts)
    assert ID.fullmatch(id) and len(id) <= 150
    assert clean_id(*parts, "z") != id


def test_long_ids_that_differ_late_stay_different():
    assert clean_id("x" * 300 + "a") != clean_id("x" * 300 + "b")


@pytest.mark.parametrize("id", ["../../elsewhere", "..", "/etc", "a/b", "", "-x", "x" * 500, "a\n"])
def test_a_results_folder_names_nothing_outside_of_it(tmp_path, id):
    (tmp_path / "elsewhere" / "keep").mkdir(parents=True)
    results = tmp_path / "deep" / "results"
    (results / "curated").mkdir(parents=True)
    status = {"recordings": {id: {"recording": id, "status": "ok"}}, "blocks": {id: {}}}
    (results / "status.json").write_text(json.dumps(status))
    with pytest.raises(SpikeRelayError, match="invalid id"):
        status_of(results)
    assert find_stale_places(tmp_path, {"recordings": {}, "blocks": {}}, results) == []


NO_STATUS = ["", "[", "[]", '{"recordings": []}', '{"recordings": {"a": 1}, "blocks": {}}', "\udcff"]


@pytest.mark.parametrize("text", NO_STATUS)
def test_a_status_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "status.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(SpikeRelayError):
        status_of(tmp_path)
    assert find_stale_places(tmp_path, {"recordings": {}, "blocks": {}}, tmp_path) == []


def test_names_that_are_no_text_fail_their_own_stream(tmp_path, session):
    """Linux allows names of files that are no UTF-8; nothing could write them down."""
    from capsules.common.tasks.task import Task
    from capsules.job_dispatch.stage import run

    data = tmp_path / "data"
    (probe,) = {file.parent for file in session.rglob("*.imec0.ap.bin")}
    shutil.copytree(probe, data / os.fsdecode(b"odd\xff"))
    shutil.copytree(probe, data / "good")
    # Another probe: one with the same serial number would be a copy, which is rejected.
    for meta in (data / "good").glob("*.meta"):
        lines = meta.read_text().splitlines(keepends=True)
        meta.write_text("".join("imDatPrb_sn=7\n" if line.startswith("imDatPrb_sn=") else line for line in lines))
    (tmp_path / "out").mkdir()
    params = JobDispatchParams(input="spikeglx")
    task = Task(STAGES["job_dispatch"], "run", [], params, tmp_path, data, tmp_path / "out", 1)
    run(task)
    jobs = json.loads((tmp_path / "out" / "jobs.json").read_text())
    assert sorted(job["failure"] or "" for job in jobs)[0] == ""
    assert "rename the file" in sorted(job["failure"] or "" for job in jobs)[1]


# --- the shared temporary folder


@pytest.mark.parametrize("harm", ["link", "open to others", "somebody else's"])
def test_locks_of_gpus_are_in_a_folder_of_the_users_own(tmp_path, monkeypatch, harm):
    monkeypatch.setattr(gpu.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setenv(gpu.GPUS_VARIABLE, "1")
    (tmp_path / "precious.lock").write_text("kept")
    folder = tmp_path / f"spikerelay-gpus-{os.getuid()}"
    if harm == "link":
        (tmp_path / "elsewhere").mkdir()
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        folder.mkdir()
        (folder / "0.lock").symlink_to(tmp_path / "precious.lock")
        if harm == "open to others":
            folder.chmod(0o777)
        else:
            own = os.getuid()
            monkeypatch.setattr(gpu.os, "getuid", lambda: own + 1)
            folder.rename(tmp_path / f"spikerelay-gpus-{own + 1}")
    with pytest.raises(SpikeRelayError, match="belongs to another user"), gpu.reserve_gpu():
        pass
    assert (tmp_path / "precious.lock").read_text() == "kept"


def test_spreadsheets_compute_nothing_of_a_table(tmp_path):
    import pandas as pd

    labels = {"=1+1": np.array(["=cmd|'/c calc'!A1", "@SUM(1)"])}
    metrics = pd.DataFrame({"snr": [-1.0, 2.0]}, index=["-5", "\r=1"])
    write_table(labels, metrics, tmp_path / "metrics.csv")
    assert (tmp_path / "metrics.csv").read_text().splitlines() == [
        "unit,'=1+1,snr",
        "'-5,'=cmd|'/c calc'!A1,-1.0",
        "\\r=1,'@SUM(1),2.0",
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [("\x1b[2Jx", "\\x1b[2Jx"), ("\u202egnp", "\\u202egnp"), ("\ud800", "\\ud800"), ("é\n数\t", "é\n数\t")],
)
def test_a_terminal_is_not_steered(text, shown):
    assert printable(text) == shown


def test_of_our_own_classes_only_the_fused_recording_is_looked_up():
    """A sorter's workers get it as a description."""
    assert distrust._extractor_class(distrust.FUSED) is FusedRecording
    for name in ("capsules.common.recordings.fused._FusedSegment", "capsules.common.tasks.task.Task", "fuse"):
        with pytest.raises(ForeignCode, match=name.split(".")[-1]):
            distrust._extractor_class(name)
