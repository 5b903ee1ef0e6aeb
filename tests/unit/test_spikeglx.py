"""SpikeGLX: every kind of probe, gates and triggers, CatGT's output, and refusals with what mends them."""

from __future__ import annotations

import json
import shutil
import subprocess

import numpy as np
import pytest

from capsules.common.recordings.job import Job
from capsules.common.recordings.reading import load_recording, open_reader
from capsules.job_dispatch import stage
from capsules.job_dispatch.loaders.catgt import read_catgt
from capsules.job_dispatch.params import PARAMS
from tests.formats import RATE, counts
from tests.reach.spy import task_for
from tests.spikeglx_headers import PARTS, SAVED, write_stream

NP1, NP2 = PARTS["NP1000"], PARTS["NP2013"]


def dispatch(data, **settings):
    settings = {"input": "spikeglx", "split_groups": False} | settings
    task = task_for("job_dispatch", PARAMS.model_validate(settings), data.parent / "out", data)
    stage.run(task)
    return {job["id"]: Job.model_validate(job) for job in json.loads((task.out / "jobs.json").read_text())}


def probe_folder(data, probe=0, gate=0, run="run"):
    return data / f"{run}_g{gate}" / f"{run}_g{gate}_imec{probe}"


@pytest.mark.parametrize("number", PARTS)
def test_every_kind_of_probe_is_read(number, tmp_path):
    part, data = PARTS[number], tmp_path / "data"
    for band in ("ap", "lf") if part.lf else ("ap",):
        write_stream(probe_folder(data), part, band=band)
    (job,) = dispatch(data).values()
    assert (job.failure, job.probe, job.num_channels) == (None, number, SAVED)
    recording = open_reader(job.reader, data)
    np.testing.assert_allclose(recording.get_channel_gains(), part.uv_per_count)
    np.testing.assert_array_equal(recording.get_traces(), counts("imec0.ap", 0, round(RATE), SAVED))
    assert len(set(recording.get_channel_groups().tolist())) == part.shanks
    assert len({tuple(place) for place in recording.get_channel_locations().tolist()}) == SAVED
    shifts = recording.get_property("inter_sample_shift")
    assert shifts.min() == 0 < shifts.max() < 1
    assert job.converter_limits == (-part.max_int, part.max_int - 1)
    if part.lf:
        np.testing.assert_allclose(open_reader(job.lfp_reader, data).get_channel_gains(), 2 * part.uv_per_count)
    if part.shanks > 1:
        assert len(dispatch(data, split_groups=True)) == part.shanks


def test_a_onebox_is_left_out_and_its_probe_sorted(tmp_path):
    data = tmp_path / "data"
    write_stream(probe_folder(data), NP2)
    header = {
        "typeThis": "obx",
        "obSampRate": 30303,
        "snsXaDwSy": "2,1,1",
        "acqXaDwSy": "2,1,1",
        "obAiRangeMax": 5,
        "obMaxInt": 32768,
        "snsSaveChanSubset": "all",
        "snsChanMap": "(2,1,1)",
    }
    file = write_stream(data / "run_g0", NP2, imroTbl=None, **header)
    for name in (file, file.with_suffix(".meta")):
        name.rename(name.with_name(name.name.replace("imec0.ap", "obx0.obx")))
    jobs = dispatch(data)
    assert list(jobs) == ["run_g0_imec0.ap_recording1"]


def test_triggers_are_segments_and_their_gap_is_known(tmp_path):
    data = tmp_path / "data"
    for trigger, first in enumerate((30_000, 150_000)):
        write_stream(probe_folder(data), NP1, trigger=trigger, first_sample=first)
    apart = dispatch(data)
    assert [job.clock.starts_s for job in apart.values()] == [[1.0], [5.0]]
    (joined,) = dispatch(data, split_segments=False).values()
    assert (joined.id, joined.duration_s) == ("run_g0_imec0.ap_recording1-2", 2.0)
    assert joined.clock.gaps() == [(30_000, pytest.approx(2.0), pytest.approx(3.0))]
    assert len(load_recording(joined, data).get_traces()) == 60_000


def test_gates_have_one_clock(tmp_path):
    data = tmp_path / "data"
    for gate, first in enumerate((0, 600_000)):
        write_stream(probe_folder(data, gate=gate), NP1, gate=gate, first_sample=first)
    jobs = dispatch(data)
    assert {id: job.clock.starts_s for id, job in jobs.items()} == {
        "run_g0_imec0.ap_recording1": [0.0],
        "run_g1_imec0.ap_recording1": [20.0],
    }
    # In one folder they are segments of one stream.
    flat = tmp_path / "flat" / "data"
    for gate, first in enumerate((0, 600_000)):
        write_stream(flat, NP1, gate=gate, first_sample=first)
    (joined,) = dispatch(flat, split_segments=False).values()
    assert joined.clock.gaps() == [(30_000, pytest.approx(1.0), pytest.approx(19.0))]


COMMANDS = {
    "CatGT -dir=/d -run=run -g=0 -t=0,3 -ap -prb=0 -apfilter=butter,12,300,9000 -gblcar": True,
    "CatGT -dir=/d -run=run -g=0 -t=0 -ap -no_tshift -gfix=0.4,0.1,0.02": False,
    "CatGT -dir=/d -run=run -g=0 -t=0 -ap -aphipass=300 -gbldmx": False,
    "CatGT -dir=/d -run=run -g=0 -t=0 -ap -aphipass=300 -tshift": True,
    "CatGT -supercat={/d,run_g0}{/d,run_g1} -ap -prb=0": None,
}


@pytest.mark.parametrize(("command", "aligned"), COMMANDS.items())
def test_the_phase_shift_of_catgt_is_not_applied_twice(command, aligned, tmp_path):
    data = tmp_path / "data"
    more = {"catGTCmdline0": f"<{command}>", "catNFiles": 4, "fileCreateTime_original": "2026-01-15T09:00:00"}
    write_stream(probe_folder(data), NP1, trigger="cat", **more)
    (job,) = dispatch(data).values()
    assert (job.id, job.failure) == ("run_g0_imec0.ap_recording1", None)
    has_shift = "inter_sample_shift" in open_reader(job.reader, data).get_property_keys()
    assert has_shift == (aligned is False)
    said = " / ".join(job.warnings)
    assert ("not applied a second time" in said) == (aligned is True)
    assert ("CatGT's command is not in the header" in said) == (aligned is None)
    assert "CatGT joined 4 files" in said
    assert ("-apfilter=butter,12,300,9000 -gblcar" in said) == ("apfilter" in command)
    assert job.session_start_time == "2026-01-15T09:00:00"


def test_raw_files_are_not_taken_for_catgts(tmp_path):
    file = write_stream(tmp_path, NP1).with_suffix(".meta")
    assert read_catgt(file, {"fileName": "x"}) is None
    assert read_catgt(file.with_name("run_g0_tcat.imec0.ap.meta"), {}).aligned is None


def failures(data):
    return {id: job.failure for id, job in dispatch(data).items()}


def test_catgts_file_next_to_the_raw_ones_is_rejected(tmp_path):
    data = tmp_path / "data"
    write_stream(probe_folder(data), NP1)
    write_stream(probe_folder(data), NP1, trigger="cat", catGTCmdline0="<CatGT -ap>")
    (failure,) = failures(data).values()
    assert "imec0.ap has CatGT's file (g0_tcat) next to the raw ones, the same data twice: move" in failure


CATGT = {
    "catGTCmdline0": "<CatGT -ap>",
    "fileCreateTime": "2026-02-01T08:00:00",
    "fileCreateTime_original": "2026-01-15T10:30:00",
}


def test_catgts_folder_next_to_the_raw_one_is_rejected(tmp_path):
    data = tmp_path / "data"
    write_stream(probe_folder(data), NP1)
    write_stream(data / "catgt_run_g0" / "run_g0_imec0", NP1, trigger="cat", **CATGT)
    first, second = failures(data).values()
    assert first is None
    assert (
        "the probe with serial number 2000 is in run_g0 twice, first as imec0.ap in catgt_run_g0/run_g0_imec0" in second
    )


def test_two_probes_with_one_serial_number(tmp_path):
    data = tmp_path / "data"
    write_stream(probe_folder(data, 0), NP1, probe=0, serial=70)
    write_stream(probe_folder(data, 1), NP1, probe=1, serial=69)
    write_stream(probe_folder(data, 2), NP1, probe=2, serial=69)
    found = failures(data)
    assert [id for id, failure in found.items() if failure is None] == [
        "run_g0_imec0.ap_recording1",
        "run_g0_imec2.ap_recording1",
    ]
    assert "if they are two probes, correct imDatPrb_sn in one .meta" in found["run_g0_imec1.ap_recording1"]
    # Simulated probes have none, and the same probe may be in several runs.
    for folder in (data / "run_g0").iterdir():
        for file in folder.glob("*.meta"):
            file.write_text(file.read_text().replace("imDatPrb_sn=70", "imDatPrb_sn=0"))
    write_stream(probe_folder(data, 2, run="later"), NP1, run="later", probe=2, serial=69)
    assert set(failures(data).values()) == {None}


def test_a_trigger_file_that_one_band_lacks_is_named(tmp_path):
    data = tmp_path / "data"
    for trigger in (0, 1):
        write_stream(probe_folder(data), NP1, trigger=trigger)
    write_stream(probe_folder(data), NP1, band="lf")
    (failure,) = failures(data).values()
    assert "imec0.lf lacks g0_t1, which imec0.ap has: copy the missing files, or move those of imec0.ap" in failure


def test_a_header_of_another_stream_is_named(tmp_path):
    data = tmp_path / "data"
    file = write_stream(probe_folder(data), NP1)
    meta = file.with_suffix(".meta")
    meta.write_text(meta.read_text().replace(file.name, "run_g0_t0.imec3.ap.bin"))
    (failure,) = failures(data).values()
    assert "is of another stream: its fileName is run_g0_t0.imec3.ap.bin. Copy the .meta again" in failure
    assert "write fileName=run_g0_t0.imec0.ap.bin into it" in failure
    # A run that was renamed as a whole keeps its streams.
    meta.write_text(meta.read_text().replace("run_g0_t0.imec3", "before_g0_t0.imec0"))
    assert set(failures(data).values()) == {None}


@pytest.mark.parametrize("lost_bytes", [3, 18, 1000])
def test_the_commands_that_mend_a_cut_file_do(lost_bytes, tmp_path):
    data = tmp_path / "data"
    file = write_stream(probe_folder(data), NP1)
    with file.open("r+b") as stream:
        stream.truncate(file.stat().st_size - lost_bytes)
    (failure,) = failures(data).values()
    assert "the copy or the recording is incomplete" in failure
    commands = failure.split("`")[1::2]
    assert [command.split()[0] for command in commands] == ["truncate", "sed"]
    for command in commands:
        subprocess.run(command, shell=True, check=True, cwd=file.parent)
    (job,) = dispatch(data).values()
    lost_samples = -(-lost_bytes // (2 * (SAVED + 1)))
    assert (job.failure, round(job.duration_s * RATE)) == (None, round(RATE) - lost_samples)


def test_a_missing_header_says_where_it_is_and_what_else_reads_the_file(tmp_path):
    data = tmp_path / "data"
    file = write_stream(probe_folder(data), NP1)
    file.with_suffix(".meta").unlink()
    (failure,) = failures(data).values()
    assert "copy it from the acquisition computer" in failure
    shutil.rmtree(data)
    # What the message names: a file without a header, by its channels, rate and gain.
    data.mkdir()
    counts("raw", 0, 30_000, 4).tofile(data / "raw.bin")
    kwargs = {"file_paths": "raw.bin", "sampling_frequency": 30000, "num_channels": 4, "dtype": "int16"}
    kwargs |= {"gain_to_uV": 2.34375, "offset_to_uV": 0}
    info = {"reader_type": "binary", "reader_kwargs": kwargs}
    (job,) = dispatch(data, input="spikeinterface", spikeinterface_info=info, channel_groups="1x4").values()
    assert (job.failure, job.num_channels, job.duration_s) == (None, 4, 1.0)
