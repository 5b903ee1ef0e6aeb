"""Files in the data folder that try to have something run, to fill the memory, or to lead elsewhere."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from capsules.common.distrust import ForeignCode, PlainUnpickler, distrust_files, load_saved
from capsules.common.job import Reader, open_reader
from capsules.job_dispatch.loaders import LOADERS
from capsules.job_dispatch.loaders.streams import BrokenStream
from capsules.job_dispatch.params import JobDispatchParams
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
    (stream,) = LOADERS["nwb"].streams(tmp_path, params)
    assert stream.recording.get_num_channels() == 8
    (column,) = (tmp_path / "session.nwb.zarr").rglob("electrodes/group_name")
    harm_zarr(tmp_path / "session.nwb.zarr", str(column.relative_to(tmp_path / "session.nwb.zarr")), canary)
    (stream,) = LOADERS["nwb"].streams(tmp_path, params)
    assert isinstance(stream, BrokenStream)
    assert "subprocess.check_call" in stream.failure


def test_what_the_pipeline_pickles_itself_is_read(tmp_path):
    """Principal components keep scikit-learn's model beside them."""
    import io

    from sklearn.decomposition import IncrementalPCA

    distrust_files()
    model = IncrementalPCA(n_components=2).fit(np.random.default_rng(0).normal(size=(20, 4)))
    read = PlainUnpickler(io.BytesIO(pickle.dumps(model))).load()
    assert np.array_equal(read.components_, model.components_)
    with pytest.raises(ForeignCode):
        PlainUnpickler(io.BytesIO(pickle.dumps(SimpleNamespace()))).load()
