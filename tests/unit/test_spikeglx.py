"""SpikeGLX: every kind of probe, gates and triggers, CatGT's output, and refusals with what mends them."""

from __future__ import annotations

import json
import re
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


def write_gates(data, gates=(0, 1), probe=0, **more):
    for gate in gates:
        for band in ("ap", "lf"):
            first = 600_000 * gate
            write_stream(
                probe_folder(data, probe, gate), NP1, gate=gate, probe=probe, band=band, first_sample=first, **more
            )


def test_gates_in_separate_folders_are_joined_with_their_gaps(tmp_path):
    data = tmp_path / "data"
    write_gates(data, gates=(0, 2, 10))
    write_stream(probe_folder(data, gate=2), NP1, gate=2, trigger=1, first_sample=1_500_000, duration_s=0.5)
    write_stream(probe_folder(data, gate=2), NP1, gate=2, trigger=1, first_sample=1_500_000, duration_s=0.5, band="lf")
    assert len(dispatch(data)) == 4
    (job,) = dispatch(data, split_segments=False).values()
    assert (job.id, job.failure, job.duration_s) == ("run_g0-10_imec0.ap_recording1-4", None, 3.5)
    assert job.first_samples == [0, 1_200_000, 1_500_000, 6_000_000]
    for clock, samples in ((job.clock, (30_000, 60_000, 75_000)), (job.lfp_clock, (2_500, 5_000, 6_250))):
        starts = [(at, pytest.approx(start)) for at, start in zip(samples, (40.0, 50.0, 200.0), strict=True)]
        assert list(zip(clock.samples, clock.starts_s, strict=True))[1:] == starts
    whole = [counts("imec0.ap", 0, round(RATE * seconds), SAVED) for seconds in (1, 1, 0.5, 1)]
    np.testing.assert_array_equal(load_recording(job, data).get_traces(), np.vstack(whole))
    assert [source.segments for source in job.event_sources] == [["g0_t0", "g2_t0", "g2_t1", "g10_t0"]]
    assert {path.split("/")[0] for path, *_ in job.files} == {"run_g0", "run_g2", "run_g10"}


def test_joined_gates_on_two_disks_are_one_data_set(tmp_path):
    data = tmp_path / "data"
    write_gates(data / "disk0", probe=0)
    write_gates(data / "disk1", probe=1)
    jobs = dispatch(data, split_segments=False)
    assert {job.block for job in jobs.values()} == {"run_g0-1_recording1-2"}
    assert [len(job.event_sources) for job in jobs.values()] == [2, 2]


def test_a_run_may_have_the_letters_of_gate_and_trigger_in_its_name(tmp_path):
    data, run = tmp_path / "data", "mouse_g2_t1.5_test"
    for gate in (0, 2, 10):
        write_stream(probe_folder(data, gate=gate, run=run), NP1, run=run, gate=gate, first_sample=600_000 * gate)
    assert {job.id: job.failure for job in dispatch(data).values()} == {
        f"{run}_g{gate}_imec0.ap_recording1": None for gate in (0, 2, 10)
    }
    (job,) = dispatch(data, split_segments=False).values()
    assert (job.id, job.first_samples) == (f"{run}_g0-10_imec0.ap_recording1-3", [0, 1_200_000, 6_000_000])


def remove_band(data, band):
    for file in probe_folder(data, gate=1).glob(f"*.{band}.*"):
        file.unlink()


def spoil_trace(data):
    file = next(probe_folder(data, gate=1).glob("*.ap.bin"))
    file.write_bytes(file.read_bytes()[:-1])


def lose_gate(data):
    write_gates(data, gates=(0,), probe=1)


def replace_probe(data):
    write_gates(data, gates=(1,), serial=4444)


def change_gain(data):
    for meta in probe_folder(data, gate=1).glob("*.meta"):
        meta.write_text(meta.read_text().replace(" 500 250 1)", " 1000 250 1)"))


def replace_by_catgt(data, gate, options):
    for file in list(probe_folder(data, gate=gate).iterdir()):
        file.unlink()
    command = f"<CatGT -ap {options}>"
    write_stream(probe_folder(data, gate=gate), NP1, gate=gate, trigger="cat", catGTCmdline0=command)


def align_by_catgt(data):
    replace_by_catgt(data, 0, "-no_tshift")
    replace_by_catgt(data, 1, "-tshift")


def join_by_catgt(data):
    folder = data / "catgt_run_g0" / "run_g0_imec0"
    write_stream(folder, NP1, trigger="cat", duration_s=21, catGTCmdline0="<CatGT -g=0,1 -ap -no_tshift>")


def interleave(data):
    for file in [*probe_folder(data, gate=1).iterdir()]:
        file.unlink()
    write_stream(data / "more", NP1, gate=1, serial=0)
    for band in ("ap", "lf"):
        write_stream(probe_folder(data), NP1, gate=2, band=band, serial=0)


def add_run(data):
    for band in ("ap", "lf"):
        write_stream(probe_folder(data, gate=1), NP1, run="other", gate=2, band=band)


def break_bands(data):
    write_stream(probe_folder(data, gate=1), NP1, gate=1, trigger=1)


def copy_gate(data):
    for folder in (probe_folder(data, gate=1), data / "again"):
        write_stream(folder, NP1, gate=1, serial=0, first_sample=600_000)


@pytest.mark.parametrize(
    ("harm", "stream", "message"),
    [
        (spoil_trace, "imec0.ap", "run_g1_t0.imec0.ap.bin has"),
        (
            lose_gate,
            "imec1.ap",
            "imec1.ap lacks g1, which imec0.ap has, and gates are joined: sort the gates separately",
        ),
        (replace_probe, "imec0.ap", "its files are of different probes (2000, 4444): sort the gates separately"),
        (change_gain, "imec0.ap", "run_g1/run_g1_imec0 has other gains than the recording to which it is to be joined"),
        (align_by_catgt, "imec0.ap", "has other sampling times of its channels than the recording to which"),
        (copy_gate, "imec0.ap", "imec0.ap has the gate g1 in two folders"),
        (interleave, "imec0.ap", "imec0.ap has g1 in data/more, the gates before and after it in another folder"),
        (add_run, "imec0.ap", "run_g1/run_g1_imec0 has files of two runs (run_g0-1, other_g2), which are not joined"),
        (break_bands, "imec0.ap", "run_g1/run_g1_imec0 cannot be read: imec0.lf lacks g1_t1, which imec0.ap has"),
    ],
)
def test_gates_that_cannot_be_joined_are_named(harm, stream, message, tmp_path):
    data = tmp_path / "data"
    write_gates(data)
    harm(data)
    found = {job.stream: job.failure for job in dispatch(data, split_segments=False).values()}
    assert message in found.pop(stream)
    assert list(found.values()) in ([], [None])


def lose_traces(data):
    next(probe_folder(data, gate=1).glob("*.ap.bin")).unlink()


def copy_run(data):
    shutil.copytree(data / "run_g1", data / "backup" / "run_g1")
    for meta in (data / "run_g0").rglob("*.meta"):
        meta.write_text(meta.read_text().replace("T10:30:00", "T10:20:00"))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lose_traces, "run_g1_t0.imec0.ap.meta has no .bin file"),
        (copy_run, "is in run_g1 twice, first as imec0.ap in backup/run_g1/run_g1_imec0"),
        (
            join_by_catgt,
            "CatGT's file in catgt_run_g0/run_g0_imec0 and a raw one in run_g1/run_g1_imec0, which are not",
        ),
    ],
)
def test_the_other_gates_are_not_joined_without_one_that_fails(harm, message, tmp_path):
    data = tmp_path / "data"
    write_gates(data)
    harm(data)
    jobs = [job for job in dispatch(data, split_segments=False).values() if job.block.startswith("run_g0-1_")]
    assert message in jobs[0].failure
    assert None not in [job.failure for job in jobs]


def test_a_gate_of_other_files_alone_is_reported(tmp_path):
    data = tmp_path / "data"
    write_gates(data)
    remove_band(data, "ap")
    (job,) = dispatch(data, split_segments=False).values()
    assert (job.failure, job.duration_s) == (None, 1.0)
    assert "g1 of this run is not in this recording: it has other files, but none of imec0.ap" in job.warnings[0]


def test_a_gate_of_another_day_is_reported(tmp_path):
    data = tmp_path / "data"
    write_gates(data)

    def date(text):
        for file in probe_folder(data, gate=1).glob("*.meta"):
            file.write_text(re.sub("fileCreateTime=.*", f"fileCreateTime={text}", file.read_text()))
        return [" ".join(job.warnings) for job in dispatch(data, split_segments=False).values()]

    (warnings,) = date("2026-01-17T09:00:00")
    assert "g0_t0 and g1_t0, which begin 167400 s apart by fileCreateTime, 20 s by firstSample" in warnings
    assert not any("restarted" in " ".join(job.warnings) for job in dispatch(data).values())
    for ordinary in ("2026-01-15T10:30:21", "2026-01-15T10:30:00", "none"):
        assert "restarted" not in date(ordinary)[0]


def test_gates_in_folders_of_several_sessions_are_reported(tmp_path):
    data = tmp_path / "data"
    for gate, day in ((0, 15), (1, 16)):
        write_stream(
            probe_folder(data / f"part{gate}", gate=gate), NP1, gate=gate, fileCreateTime=f"2026-01-{day}T10:30:00"
        )
    first, second = dispatch(data, split_segments=False).values()
    assert "the gates in part1_run_g1 are not joined to these: put the folders" in first.warnings[0]
    assert "the gates in part0_run_g0 are not joined to these" in second.warnings[0]
    assert not any("not joined" in " ".join(job.warnings) for job in dispatch(data).values())


def test_gates_that_overlap_are_reported(tmp_path):
    data = tmp_path / "data"
    for gate, first in enumerate((60_000, 0)):
        write_stream(probe_folder(data, gate=gate), NP1, gate=gate, first_sample=first)
    (job,) = dispatch(data, split_segments=False).values()
    assert (job.failure, job.clock.starts_s) == (None, [0.0, 1.0])
    assert any("the segments overlap by their own clock: their times follow" in warning for warning in job.warnings)


def test_a_gate_without_lf_leaves_out_the_lfp(tmp_path):
    data = tmp_path / "data"
    write_gates(data)
    remove_band(data, "lf")
    (job,) = dispatch(data, split_segments=False).values()
    assert (job.failure, job.lfp_reader) == (None, None)
    assert "the LF band lacks a .bin file: copy it, or the NWB file has no LFP" in job.warnings


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
