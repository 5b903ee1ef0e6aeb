"""NWB and HDF5 files that keep data elsewhere: read in the data folder alone."""

from __future__ import annotations

import os
import shutil

import h5py
import numpy as np
import pytest

from capsules.common.untrusted.distrust import ForeignCode
from capsules.common.untrusted.outer_files import check_outer_files
from capsules.job_dispatch.loaders import LOADERS
from capsules.job_dispatch.loaders.streams import BrokenStream
from capsules.job_dispatch.params import JobDispatchParams
from tests.formats import write_nwb

TRACES = "acquisition/series/data"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    file = tmp_path_factory.mktemp("nwb") / "session.nwb"
    write_nwb(file, {"series": 1}, "hdf5", 0.5)
    return file


@pytest.fixture
def data(tmp_path, written):
    folder = tmp_path / "data"
    folder.mkdir()
    shutil.copy(written, folder / "session.nwb")
    return folder


def move_out(data, target, how):
    """Keep the traces of a file in another one."""
    with h5py.File(data / "session.nwb", "a") as file:
        traces = file[TRACES]
        values, attributes = traces[:], dict(traces.attrs)
        del file[TRACES]
        if how == "external storage":
            if not target.exists():
                target.write_bytes(values.tobytes())
            made = file.create_dataset(TRACES, values.shape, values.dtype, external=[(str(target), 0, values.nbytes)])
        else:
            with h5py.File(target, "w") as other:
                made = other.create_dataset("x", data=values)
                made.attrs.update(attributes)
            if how == "external link":
                file[TRACES] = h5py.ExternalLink(str(target), "x")
                return
            layout = h5py.VirtualLayout(values.shape, values.dtype)
            layout[:] = h5py.VirtualSource(str(target), "x", values.shape)
            made = file.create_virtual_dataset(TRACES, layout)
        made.attrs.update(attributes)


@pytest.mark.parametrize("how", ["external storage", "external link", "virtual"])
def test_data_outside_of_the_data_folder_are_not_read(data, tmp_path, how):
    move_out(data, tmp_path / "secret", how)
    (stream,) = LOADERS["nwb"](data, JobDispatchParams(input="nwb"))
    assert isinstance(stream, BrokenStream)
    assert f"refers to {tmp_path / 'secret'}, which is not a regular file of the data folder" in stream.failure


def test_a_pipe_and_a_device_are_not_waited_for(data, tmp_path):
    os.mkfifo(data / "pipe")
    move_out(data, data / "pipe", "external storage")
    (stream,) = LOADERS["nwb"](data, JobDispatchParams(input="nwb"))
    assert "refers to" in stream.failure


@pytest.mark.parametrize("how", ["external storage", "external link", "virtual"])
def test_data_in_the_data_folder_are_read(data, how):
    move_out(data, data / "traces", how)
    check_outer_files(data / "session.nwb", data)


def test_a_link_that_leads_out_of_the_folder_is_followed_first(data, tmp_path):
    (tmp_path / "secret").write_bytes(bytes(100))
    (data / "traces").symlink_to(tmp_path / "secret")
    move_out(data, data / "traces", "external storage")
    with pytest.raises(ForeignCode):
        check_outer_files(data / "session.nwb", data)


def test_files_that_refer_further_are_not_read(data):
    with h5py.File(data / "second.h5", "w") as file:
        file["x"] = h5py.ExternalLink("/etc/passwd", "x")
    with h5py.File(data / "first.h5", "w") as file:
        file["a/b"] = np.zeros(3)
        file["a/round"] = file["/"]
        file["soft"] = h5py.SoftLink("/nowhere")
        file["x"] = h5py.ExternalLink("second.h5", "x")
    with pytest.raises(ForeignCode, match="refers further to /etc/passwd"):
        check_outer_files(data / "first.h5", data)


def test_links_of_zarr_stores(tmp_path):
    store = tmp_path / "data" / "a.nwb.zarr"
    store.mkdir(parents=True)
    (store / ".zattrs").write_text('{"zarr_link": [{"name": "x", "source": "../../../etc", "path": "/"}]}')
    with pytest.raises(ForeignCode, match="not a regular file of the data folder"):
        check_outer_files(store, tmp_path / "data")
    (store / ".zattrs").write_text('{"zarr_link": [{"name": "x", "source": ".", "path": "/"}]}')
    check_outer_files(store, tmp_path / "data")
