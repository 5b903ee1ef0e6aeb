"""Data folders as tired people leave them: copies, renamed files, lost files, files of other systems, two sessions."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from capsules.commands.inspect import inspect_folder
from capsules.common.recordings.job import Job
from capsules.job_dispatch import stage
from capsules.job_dispatch.formats import describe_unknown
from capsules.job_dispatch.loaders.sessions import name_datasets
from capsules.job_dispatch.params import PARAMS
from tests import formats
from tests.reach.spy import task_for
from tests.spikeglx_headers import PARTS, write_stream

NP1 = PARTS["NP1000"]


def dispatch(data, **settings):
    settings = {"split_groups": False, "data_check": {"chunks": 0}} | settings
    task = task_for("job_dispatch", PARAMS.model_validate(settings), data.parent / "out", data)
    stage.run(task)
    return {job["id"]: Job.model_validate(job) for job in json.loads((task.out / "jobs.json").read_text())}


def write_spikeglx(data, **fields):
    for band in ("ap", "lf"):
        write_stream(data / "run_g0" / "run_g0_imec0", NP1, band=band, duration_s=0.1, **fields)
    return data / "run_g0" / "run_g0_imec0"


def copy_ap(folder, pattern):
    for file in list(folder.glob("*.ap.*")):
        shutil.copy(file, folder / pattern.format(stem=file.stem, suffix=file.suffix))


def rename_all(folder, old, new):
    for file in list(folder.iterdir()):
        file.rename(file.with_name(file.name.replace(old, new)))


def write_hidden(folder):
    for file in list(folder.iterdir()):
        file.with_name(f"._{file.name}").write_bytes(bytes(4096))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda folder: copy_ap(folder, "Copy of {stem}{suffix}"), "have the same stream, gate and trigger: move"),
        (lambda folder: copy_ap(folder, "{stem} - Copy{suffix}"), "ap - Copy.bin is a copy of run_g0_t0.imec0.ap.bin"),
        (lambda folder: copy_ap(folder, "{stem} (1){suffix}"), "ap (1).bin is a copy of run_g0_t0.imec0.ap.bin"),
        (lambda folder: rename_all(folder, "run_g0_t0", "mouse5"), "Restore the name run_g0_t0.imec0.ap.bin"),
        (lambda folder: next(folder.glob("*.ap.meta")).write_text(""), "lacks nSavedChans: it is empty or damaged"),
        (lambda folder: next(folder.glob("*.ap.bin")).write_bytes(b""), "run_g0_t0.imec0.ap.bin is empty"),
        (write_hidden, "macOS writes such files on disks of other systems. Delete them: `find . -name '._*' -delete`"),
    ],
)
def test_spikeglx_files_are_named_with_what_mends_them(harm, message, tmp_path):
    folder = write_spikeglx(tmp_path / "data")
    harm(folder)
    failures = [job.failure for job in dispatch(tmp_path / "data", input="spikeglx").values()]
    assert failures and all(message in (failure or "") for failure in failures)
    if harm is write_hidden:
        subprocess.run(failures[0].split("`")[1], shell=True, check=True, cwd=folder)
        assert [job.failure for job in dispatch(tmp_path / "data", input="spikeglx").values()] == [None]


def test_spikeglx_files_without_their_gate_are_read(tmp_path):
    rename_all(write_spikeglx(tmp_path / "data"), "run_g0_t0", "mouse5_t0")
    (job,) = dispatch(tmp_path / "data", input="spikeglx").values()
    assert (job.failure, job.num_channels > 0) == (None, True)


def test_spikeglx_folders_may_have_any_name(tmp_path):
    data = tmp_path / "data"
    folder = write_spikeglx(data / "Müller Labor" / "Maus 3 (links)")
    rename_all(folder, "run_g0", "Maus 5_g0")
    folder.rename(folder.with_name("gute Sonde"))
    (data / ".DS_Store").write_bytes(b"x")
    (job,) = dispatch(data, input="spikeglx").values()
    assert (job.id, job.failure) == ("Maus-5_g0_imec0.ap_recording1", None)
    assert job.lfp_reader is not None


def test_a_header_without_its_traces_is_reported(tmp_path):
    data = tmp_path / "data"
    folder = write_spikeglx(data)
    next(folder.glob("*.lf.bin")).unlink()
    write_stream(data / "run_g0" / "run_g0_imec1", NP1, probe=1, duration_s=0.1).unlink()
    jobs = dispatch(data, input="spikeglx")
    assert "has no .bin file in the same folder" in jobs["run_g0_imec1.ap_recording1"].failure
    assert any("lacks a .bin file" in warning for warning in jobs["run_g0_imec0.ap_recording1"].warnings)
    # CatGT's file replaces a raw one whose header is there still.
    write_stream(data / "catgt_run_g0" / "run_g0_imec1", NP1, probe=1, trigger="cat", duration_s=0.1)
    assert dispatch(data, input="spikeglx")["run_g0_imec1.ap_recording1"].failure is None


def test_two_spikeglx_sessions_of_one_name_have_two_blocks(tmp_path):
    data = tmp_path / "data"
    for day, name in enumerate(("monday", "tuesday")):
        write_spikeglx(data / name, fileCreateTime=f"2026-01-1{5 + day}T10:30:00")
    blocks = {job.block: job for job in dispatch(data, input="spikeglx").values()}
    assert list(blocks) == ["monday_run_g0_recording1", "tuesday_run_g0_recording1"]
    for block, job in blocks.items():
        assert [source.paths[0][0].split("/")[0] for source in job.event_sources] == [block.split("_")[0]]


def test_probes_of_one_session_on_two_disks_have_one_block(tmp_path):
    data = tmp_path / "data"
    for probe in (0, 1):
        folder = data / f"disk{probe}" / "run_g0" / f"run_g0_imec{probe}"
        write_stream(folder, NP1, probe=probe, duration_s=0.1, fileCreateTime=f"2026-01-15T10:30:0{probe}")
    assert {job.block for job in dispatch(data, input="spikeglx").values()} == {"run_g0_recording1"}


def test_links_to_folders_are_named(tmp_path):
    data, elsewhere = tmp_path / "all" / "data", tmp_path / "elsewhere"
    write_spikeglx(elsewhere)
    data.mkdir(parents=True)
    (data / "link").symlink_to(elsewhere)
    assert "Links to folders are not read: link" in describe_unknown(data)
    write_spikeglx(data)
    page = inspect_folder(data, None)
    warning = "link is a link to a folder, and recordings in it are not read: move or copy the folder"
    assert len(page.problems) == 0 and warning in page.notes
    # A session may be a link.
    (data.parent / "again").symlink_to(data)
    assert len(dispatch(data.parent, input="spikeglx", multi_session=True)) == 2


def write_openephys(data, date=None):
    formats.write_openephys(data, [formats.PROBE_A], [0.1])
    if date is not None:
        for file in data.rglob("settings.xml"):
            file.write_text(file.read_text().replace("</INFO>", f"<DATE>{date}</DATE></INFO>"))
    return data / "Record Node 101"


def first_file(node, pattern):
    return next(node.rglob(pattern))


def copy_folder(folder, name):
    shutil.copytree(folder, folder.with_name(name))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (
            lambda node: copy_folder(node / "experiment1/recording1", "recording1 - Copy"),
            "writes no folder experiment1",
        ),
        (lambda node: copy_folder(node / "experiment1", "experiment1 - Copy"), "writes no folder experiment1 - Copy"),
        (lambda node: first_file(node, "settings.xml").unlink(), "because Record Node 101 has no settings.xml: copy"),
        (lambda node: first_file(node, "*AP/continuous.dat").write_bytes(b""), "ProbeA-AP/continuous.dat is empty"),
        (lambda node: first_file(node, "*LFP/continuous.dat").unlink(), "ProbeA-LFP/continuous.dat is missing: copy"),
        (lambda node: first_file(node, "*AP/continuous.dat").write_bytes(bytes(83)), "has 83 bytes, which is not a"),
        (lambda node: (node / "experiment1/recording2").mkdir(), "experiment1/recording2 has no structure.oebin"),
        (lambda node: (node / "experiment1").rename(node / "first"), "is not in a folder recording1 of a folder exper"),
    ],
)
def test_open_ephys_files_are_named_with_what_mends_them(harm, message, tmp_path):
    harm(write_openephys(tmp_path / "data"))
    failures = [job.failure for job in dispatch(tmp_path / "data", input="openephys").values()]
    assert failures and all(message in (failure or "") for failure in failures)


def test_an_experiment_without_its_structure_does_not_move_the_others(tmp_path):
    data = tmp_path / "data"
    for experiment, start_s in ((1, 5.0), (2, 905.0)):
        formats.write_openephys(data, [formats.PROBE_A], [0.1], start_s, experiment=experiment)
    first_file(data / "Record Node 101/experiment1", "structure.oebin").unlink()
    first, second = dispatch(data, input="openephys").values()
    assert "experiment1/recording1 has no structure.oebin" in first.failure
    assert (second.failure, second.clock.starts_s) == (None, [pytest.approx(905.0)])


def test_a_part_of_a_record_node_is_not_read_beyond_the_data_folder(tmp_path):
    node = write_openephys(tmp_path / "data")
    (job,) = dispatch(node / "experiment1", input="openephys").values()
    assert "give the record node's folder, or one above it" in job.failure
    assert [job.failure for job in dispatch(node, input="openephys").values()] == [None]


def test_two_open_ephys_sessions_and_a_copy_of_one(tmp_path):
    data = tmp_path / "data"
    for day, name in ((15, "monday"), (16, "tuesday")):
        write_openephys(data / name, f"{day} Jan 2026 10:30:00")
    jobs = dispatch(data, input="openephys")
    assert [job.block for job in jobs.values()] == ["monday_experiment1_recording1", "tuesday_experiment1_recording1"]
    shutil.copytree(data / "monday", data / "monday (copy)")
    failures = [job.failure for job in dispatch(data, input="openephys").values()]
    assert [failure for failure in failures if failure] == [
        "monday (copy)/Record Node 101 is the same recording of experiment1 as monday/Record Node 101: move one of the "
        "two folders out of the data folder"
    ]


def test_two_probes_with_one_serial_number_in_open_ephys(tmp_path):
    formats.write_openephys(tmp_path / "data", [formats.PROBE_A, formats.FOUR_SHANKS], [0.1])
    settings = tmp_path / "data/Record Node 101/settings.xml"
    text = settings.read_text()
    warning = "settings.xml has 2 probes with the serial number 1000: check that the streams are of different probes"
    assert not any(warning in " ".join(job.warnings) for job in dispatch(tmp_path / "data", input="openephys").values())
    settings.write_text(text.replace('probe_serial_number="1001"', 'probe_serial_number="1000"'))
    jobs = dispatch(tmp_path / "data", input="openephys")
    assert len(jobs) == 2 and all(warning in " ".join(job.warnings) for job in jobs.values())


def test_files_of_macos_do_no_harm_to_open_ephys(tmp_path):
    node = write_openephys(tmp_path / "data")
    for folder in [path for path in node.rglob("*") if path.is_dir()]:
        write_hidden_files(folder)
    assert [job.failure for job in dispatch(tmp_path / "data", input="openephys").values()] == [None]


def write_hidden_files(folder):
    (folder / ".DS_Store").write_bytes(b"x")
    for file in [path for path in folder.iterdir() if path.is_file()]:
        file.with_name(f"._{file.name}").write_bytes(bytes(4096))


def test_a_folder_of_no_format_or_of_several_is_described(tmp_path):
    assert "no recording of a known format (aind, spikeglx, openephys, nwb)" in describe_unknown(tmp_path)
    folder = write_spikeglx(tmp_path / "a")
    for file in list(folder.glob("*.bin")):
        file.rename(file.with_suffix(".cbin"))
    info = '{"reader_type": "compressedbinaryibl", "reader_kwargs": {"folder_path": "a/run_g0/run_g0_imec0"}}'
    assert describe_unknown(tmp_path).endswith(f"--input spikeinterface --spikeinterface-info '{info}'")
    write_spikeglx(tmp_path / "b")
    write_openephys(tmp_path / "c")
    assert "has several formats, openephys and spikeglx: give one, as --input openephys" in describe_unknown(tmp_path)


def test_the_names_of_data_sets(tmp_path):
    one, two, three = tmp_path / "a" / "b", tmp_path / "c", tmp_path
    found = [("run", one, "2026-01-15T10:30:00"), ("run", two, "2026-01-15T10:30:40"), ("other", two, None)]
    assert set(name_datasets(found, tmp_path).values()) == {"run", "other"}
    names = name_datasets([*found, ("run", three, "2026-01-15T12:00:00")], tmp_path)
    assert names == {("run", one): "a_b_run", ("run", two): "a_b_run", ("run", three): "run", ("other", two): "other"}
    assert set(name_datasets([("run", one, "?"), ("run", two, None)], tmp_path).values()) == {"a_b_run", "c_run"}
