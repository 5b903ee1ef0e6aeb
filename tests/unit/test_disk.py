"""What a run is told to write, and where it is refused for want of room."""

from pathlib import Path

import pytest

from capsules.common.contract import STAGES
from capsules.common.sync.lines import LineSource
from capsules.resolve_params.machine import disk
from capsules.resolve_params.params import PipelineParams
from tests.two_probes import IDS, job

MB = job(1).megabytes


def total(sorters=("spykingcircus2",), jobs=None, **sections) -> dict[str, tuple[float, float]]:
    """Stage -> MB of work files and of results."""
    jobs = jobs or [job(1)]
    written = disk.forecast(jobs, PipelineParams.model_validate(sections), list(sorters))
    found: dict[str, tuple[float, float]] = {}
    for one in written:
        before = found.get(one.stage, (0, 0))
        found[one.stage] = (before[0] + one.work_mb, before[1] + one.published_mb)
    return found


def test_traces_are_written_once_and_not_published():
    work, published = total(preprocessing={"motion_correction": {"compute": False}})["preprocessing"]
    assert work >= MB
    assert published == 0
    assert total()["preprocessing"][1] > 0


def test_what_lies_outside_t_start_and_t_stop_is_not_written():
    off = {"motion_correction": {"compute": False}}
    output = STAGES["preprocessing"].output
    half = total(preprocessing=off | {"t_start": 1.0, "t_stop": 3.0})["preprocessing"][0]
    assert half == pytest.approx(output.mb + output.mb_per_megabyte * MB / 2)
    assert total(preprocessing=off | {"t_start": 9.0})["preprocessing"][0] == output.mb


def test_each_sorter_writes_its_own():
    one, two = total(), total(sorters=("spykingcircus2", "kilosort4"))
    assert two["preprocessing"] == one["preprocessing"]
    for stage in ("spikesorting", "postprocessing", "curation", "visualization"):
        assert two[stage] == (2 * one[stage][0], 2 * one[stage][1])
    assert total(sorters=("kilosort25",))["spikesorting"][0] >= one["spikesorting"][0] + MB


def test_the_nwb_file_has_what_the_parameters_ask_for():
    lfp, none = total(), total(nwb={"ecephys": {"write_lfp": False}})
    raw = total(nwb={"ecephys": {"write_raw": True}})
    assert none["nwb_ecephys"][0] < lfp["nwb_ecephys"][0]
    assert raw["nwb_ecephys"][0] == pytest.approx(lfp["nwb_ecephys"][0] + MB)
    assert raw["nwb_units"] == pytest.approx((lfp["nwb_units"][0], lfp["nwb_units"][1] + MB))
    copied = total(nwb={"ecephys": {"write_raw": True, "backend": "hdf5"}})
    assert copied["nwb_units"][0] > raw["nwb_units"][0] + MB
    stub = total(nwb={"ecephys": {"write_raw": True, "stub": True, "stub_seconds": 2}})
    assert stub["nwb_ecephys"][0] < raw["nwb_ecephys"][0] - MB / 2 + 0.1


def test_the_nwb_file_has_the_analog_channels_on_request():
    fields = {"dataset": "d", "format": "spikeglx", "segments": ["g0_t0"], "paths": [["a"]]}
    sources = [
        LineSource(stream="nidq", files=[("nidq.bin", 5_000_000, 0)], **fields),
        LineSource(stream="imec0.ap", files=[("ap.bin", 900_000_000, 0)], **fields),
    ]
    jobs = [job(index).model_copy(update={"event_sources": sources}) for index in (0, 1)]
    without, analog = total(jobs=jobs), total(jobs=jobs, events={"analog_to_nwb": True})
    assert analog["nwb_ecephys"][0] == pytest.approx(without["nwb_ecephys"][0] + 5)
    assert analog["events"] == without["events"]


def test_what_is_not_worked_on_writes_nothing():
    assert total(jobs=[job(1).model_copy(update={"skip": "too short"}), job(0)]) == total(jobs=[job(0)])
    assert {one.recording for one in disk.forecast([job(0), job(1)], PipelineParams(), ["lupin"])} == {
        *IDS,
        "day",
        "run",
    }


def test_a_shortage_names_the_disk_the_need_and_the_way_out(tmp_path, monkeypatch):
    written = [disk.Written("preprocessing", "r", 3000.0, 200.0)]
    monkeypatch.setattr(disk, "free_mb", lambda folder: 1000.0)
    (line,) = disk.shortages(written, tmp_path / "work", tmp_path / "results")
    assert line == (
        f"about 3.0 GB of work files do not fit in {tmp_path}/work, where 1.0 GB are free: make room, or choose a "
        "larger disk with -w"
    )
    monkeypatch.setattr(disk, "free_mb", lambda folder: 3000.0)
    assert disk.shortages(written, tmp_path / "work", tmp_path / "results") == []


def test_a_second_file_system_gets_a_copy_of_its_own(tmp_path, monkeypatch):
    other = Path("/dev/shm")
    if not other.exists() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system at /dev/shm")
    written = [disk.Written("preprocessing", "r", 3000.0, 200.0)]
    monkeypatch.setattr(disk, "free_mb", lambda folder: 100.0 if folder == other / "results" else 5000.0)
    (line,) = disk.shortages(written, tmp_path / "work", other / "results")
    assert line.startswith("about 200 MB of results do not fit in /dev/shm/results")
    assert line.endswith("RESULTS_PATH")
    assert disk.shortages(written, tmp_path / "work", tmp_path / "results") == []
