"""Recordings at the edge: one or two channels, no gains, few units or spikes; every stage ends well."""

import importlib
import json

import numpy as np
import pytest

from capsules.common.recordings.job import Job
from capsules.common.tasks import perform as performing
from tests.reach.conftest import write_record
from tests.reach.spy import task_for

INFO = {"reader_type": "spikeinterface", "reader_kwargs": {"file_or_folder_path": "rec"}}
SPIKES = np.arange(500, 179500, 1500)
TWO_UNITS = {"a": SPIKES, "b": SPIKES[::2] + 700}
AFTER_SORTING = ("postprocessing", "curation", "visualization", "nwb_ecephys", "nwb_units")


def write(folder, channels, gains=True, seconds=6, pitch_um=20):
    """A recording of noise whose first channel has a spike at every one of SPIKES."""
    from probeinterface import generate_linear_probe
    from spikeinterface.core import NumpyRecording

    traces = np.random.default_rng(0).normal(0, 40, (seconds * 30000, channels))
    for spike in filter(lambda sample: sample + 20 < len(traces), SPIKES):
        traces[spike - 20 : spike + 20, 0] -= 900 * np.hanning(40)
    recording = NumpyRecording([traces.astype("int16")], 30000.0)
    probe = generate_linear_probe(channels, ypitch=pitch_um)
    probe.set_device_channel_indices(np.arange(channels))
    recording.set_probe(probe)
    if gains:
        recording.set_channel_gains(0.195)
        recording.set_channel_offsets(0.0)
    recording.save(folder=folder / "rec")


@pytest.fixture
def records(tmp_path, monkeypatch):
    """Take the recording below `data` and sorted `units` through every stage: stage -> its record."""
    import spikeinterface as si

    monkeypatch.setattr(performing, "_start_log", lambda task: (task.out / "log.txt").touch())

    def run(units, **settings):
        given = {
            "job_dispatch": {"input": "spikeinterface", "spikeinterface_info": INFO},
            "preprocessing": {"min_preprocessing_duration": 0, "motion_correction": {"compute": False}},
            "postprocessing": settings,
        }
        ended, job = {}, None
        for stage in ("job_dispatch", "preprocessing", *AFTER_SORTING):
            section = "nwb_ecephys" if stage == "nwb_units" else stage
            params = importlib.import_module(f"capsules.{section}.params").PARAMS.model_validate(given.get(stage, {}))
            task = task_for(stage, params, tmp_path, tmp_path / "data")
            task.id = "b" if stage.startswith("nwb") else "r"
            task.jobs = [] if job is None else [job]
            code = performing.perform(task, importlib.import_module(f"capsules.{stage}.stage").run, tmp_path)
            assert code == 0, task.record["reason"]
            ended[stage] = task.record
            if stage == "job_dispatch":
                found = Job.model_validate(json.loads((tmp_path / "job_dispatch_r" / "jobs.json").read_text())[0])
                job = found.model_copy(update={"id": "r", "block": "b"})
            if stage == "preprocessing":
                folder = tmp_path / "spikesorting_r"
                trains = {unit: np.asarray(train, dtype="int64") for unit, train in units.items()}
                si.NumpySorting.from_unit_dict([trains], 30000.0).save(folder=folder / "spikesorted")
                write_record(folder, "spikesorting", sorter="spykingcircus2", sorter_version="1")
        return ended

    return run


def changes(records):
    return [change for record in records.values() for change in record["changes"]]


def units_of(folder):
    from pynwb import read_nwb

    return read_nwb(folder / "nwb_units_b" / "file.nwb").units


@pytest.mark.slow
@pytest.mark.parametrize(
    ("channels", "gains", "settings", "expected"),
    [
        (1, True, {}, ["detection of bad channels is skipped", "fewer than 3 channels"]),
        (2, True, {}, ["fewer than 3 channels"]),
        (4, False, {}, ["the recording has no gains", "return_in_uV = false", "microvolts alone"]),
        (4, True, {"return_in_uV": False}, ["microvolts alone"]),
    ],
)
def test_every_stage_ends_well_and_says_what_it_left_out(channels, gains, settings, expected, records, tmp_path):
    write(tmp_path / "data", channels, gains)
    told = changes(records(TWO_UNITS, **settings))
    for text in expected:
        assert any(text in change for change in told), told
    assert len(units_of(tmp_path)) == 2


def test_no_units_are_a_skip_with_its_reason(records, tmp_path):
    write(tmp_path / "data", 4)
    ended = records({})
    assert [ended[stage]["status"] for stage in AFTER_SORTING[:3]] == ["skipped", "skipped", "ok"]
    assert ended["postprocessing"]["reason"] == "the sorting has no units"
    assert "no units: postprocessing skipped" in ended["visualization"]["changes"]
    assert units_of(tmp_path) is None


LONE_UNIT = "two units that share channels"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("units", "seconds", "reasons"),
    [
        ({"a": SPIKES}, 6, {"d_prime": LONE_UNIT, "isolation_distance": LONE_UNIT, "silhouette": LONE_UNIT}),
        ({"a": [SPIKES[1]]}, 6, {"rp_contamination": "two spikes of a unit", "l_ratio": LONE_UNIT}),
        ({"a": SPIKES, "b": [SPIKES[1] + 700]}, 6, {}),
        ({"a": SPIKES, "b": []}, 6, {}),
        (
            {"a": SPIKES[:60], "b": SPIKES[:40] + 700},
            3,
            {
                "presence_ratio": "five bins of 60 s",
                "firing_range": "one bin of 5 s",
                "drift_ptp": "2 bins of 60 s, with 100 spikes",
                "amplitude_cutoff": "5 spikes of a unit for each of 100 bins",
                "amplitude_cv_median": "10 bins of 50 spikes",
            },
        ),
    ],
    ids=["one unit", "one spike", "a unit of one spike", "a unit without spikes", "shorter than every bin"],
)
def test_metrics_that_need_more_are_named_with_what_they_need(units, seconds, reasons, records, tmp_path):
    write(tmp_path / "data", 4, seconds=seconds)
    ended = records(units)
    assert {ended[stage]["status"] for stage in AFTER_SORTING} == {"ok"}
    empty = ended["postprocessing"]["facts"]["nan_quality_metrics"]
    for column, need in reasons.items():
        assert need in empty[column]
        assert any(column in text and need in text for text in ended["postprocessing"]["warnings"])
    assert "snr" not in empty
    assert len(units_of(tmp_path)) == len(units)


@pytest.mark.slow
def test_units_on_one_channel_each_end_well(records, tmp_path):
    """Contacts further apart than the sparsity's radius, as on many probes of a few channels and on arrays."""
    write(tmp_path / "data", 4, pitch_um=200)
    ended = records(TWO_UNITS)
    assert {ended[stage]["status"] for stage in AFTER_SORTING} == {"ok"}
    facts = ended["postprocessing"]["facts"]
    assert "several channels" in facts["nan_template_metrics"]["spread"]
    assert "trough_half_width" not in facts["nan_template_metrics"]
    assert len(units_of(tmp_path)) == 2


@pytest.mark.slow
def test_a_metric_without_its_extension_is_named(records, tmp_path):
    write(tmp_path / "data", 4)
    ended = records(TWO_UNITS, extensions={"principal_components": None, "spike_locations": None})
    told = changes(ended)
    for name, extension in {
        "mahalanobis": "principal_components",
        "silhouette": "principal_components",
        "drift": "spike_locations",
    }.items():
        assert f"metric {name} is skipped: it needs the extension {extension}, which is off" in told
