"""Artefacts are reported always, and blanked where the parameters ask for it."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from capsules.common.errors import Rejected
from capsules.common.recordings.clock import Clock
from capsules.preprocessing import stage
from capsules.preprocessing.artifact_times import digest_times_files, find_times_file, read_artifact_times
from capsules.preprocessing.artifacts import convert_to_frames, detect_artifacts, select_periods
from capsules.preprocessing.params import PARAMS, Artifacts
from tests.data import neuropixels_probe
from tests.reach.spy import task_for

RATE, CHANNELS, SECONDS = 30000, 32, 8
PULSES_S = [1.0, 2.5, 4.0, 5.5]


@functools.cache
def counts(pulses):
    """White noise of 15 uV with a common part and spikes; on request, pulses of 2 ms on every channel."""
    draw = np.random.default_rng(0)
    traces = draw.normal(0, 15, (RATE * SECONDS, CHANNELS)) + draw.normal(0, 6, (RATE * SECONDS, 1))
    for start in draw.integers(100, RATE * SECONDS - 100, 400):
        traces[start : start + 30, int(start) % 30 : int(start) % 30 + 3] -= 400 * np.hanning(30)[:, None]
    for second in PULSES_S if pulses else ():
        first = round(second * RATE)
        traces[first : first + 60] += 900 * np.hanning(60)[:, None]
    return np.round(traces / 0.195).astype("int16")


def recording_of(traces):
    from spikeinterface.core import NumpyRecording

    recording = NumpyRecording([traces], float(RATE))
    recording.set_probe(neuropixels_probe(CHANNELS))
    recording.set_channel_gains(0.195)
    recording.set_channel_offsets(0.0)
    return recording


def preprocessed(tmp_path, pulses=True, start_s=0.0, **settings):
    """The traces, and what stage.json says; the clock begins at `start_s`."""
    import spikeinterface as si

    recording_of(counts(pulses)).save(folder=tmp_path / "data" / "rec")
    given = {
        "min_preprocessing_duration": 0,
        "motion_correction": {"compute": False},
        "detect_bad_channels": {"method": "mad"},
    }
    clock = Clock(
        num_samples=RATE * SECONDS,
        sampling_frequency_hz=RATE,
        samples=[0],
        starts_s=[start_s],
        rates_hz=[RATE],
    )
    params = PARAMS.model_validate(given | settings)
    task = task_for("preprocessing", params, tmp_path, tmp_path / "data", clock=clock)
    stage.run(task)
    lazy = si.load(task.out / "preprocessed.json", base_folder=task.data.parent)
    written = si.load(task.out / "traces").get_traces()
    np.testing.assert_array_equal((lazy.get_traces() == 0).all(axis=1), (written == 0).all(axis=1))
    return written, task.record


def is_zero(traces, start_s, stop_s):
    return not traces[round(start_s * RATE) : round(stop_s * RATE)].any()


def test_pulses_are_reported_and_left_by_default(tmp_path):
    traces, record = preprocessed(tmp_path)
    found = record["facts"]["artifacts"]["detected_s"]
    assert len(found) == len(PULSES_S)
    assert all(start < pulse < stop for (start, stop), pulse in zip(found, PULSES_S, strict=True))
    assert any(
        text.startswith("artifacts: most channels are larger than usual in 4 periods") for text in record["warnings"]
    )
    assert "blanked_s" not in record["facts"]["artifacts"]
    assert traces[RATE : RATE + 60].any()


def test_noise_and_spikes_are_no_artifacts(tmp_path):
    _, record = preprocessed(tmp_path, pulses=False)
    assert record["facts"]["artifacts"] == {"detected_s": []}
    assert not record["warnings"]


def test_found_artifacts_are_blanked_on_request(tmp_path):
    traces, record = preprocessed(tmp_path, artifacts={"blank": True})
    facts = record["facts"]["artifacts"]
    assert all(is_zero(traces, start + 1e-4, stop - 1e-4) for start, stop in facts["detected_s"])
    assert facts["blanked_s"] == pytest.approx(sum(stop - start for start, stop in facts["detected_s"]), abs=1e-3)
    assert (traces == 0).all(axis=1).sum() == pytest.approx(facts["blanked_s"] * RATE, abs=4)
    assert any("of the traces are set to zero in 4 periods" in text for text in record["changes"])


def test_given_times_are_blanked_by_the_recordings_clock(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "pulses.csv").write_text(
        "start_s\n" + "\n".join(f"{100 + pulse}" for pulse in [*PULSES_S, 50])
    )
    traces, record = preprocessed(tmp_path, start_s=100.0, artifacts={"times": "pulses.csv", "detect": False})
    assert all(is_zero(traces, pulse - 0.0005, pulse + 0.003) for pulse in PULSES_S)
    assert (traces == 0).all(axis=1).sum() == pytest.approx(4 * 0.0035 * RATE, abs=8)
    assert record["facts"]["artifacts"]["given"] == {"periods": 5, "outside": 1}
    listed_s = np.array(record["facts"]["artifacts"]["listed_s"])
    assert listed_s.mean(axis=1) == pytest.approx(np.array(PULSES_S) + 0.00125, abs=0.001)
    assert any("1 of 5 periods are outside this recording" in text for text in record["warnings"])


@pytest.mark.slow
def test_a_period_from_start_to_stop_and_a_cut_recording(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "laser.csv").write_text("start_s,stop_s\n3.0,3.5\n")
    settings = {"times": "laser.csv", "ms_before": 0, "ms_after": 0, "detect": False}
    traces, _ = preprocessed(tmp_path, pulses=False, t_start=2.0, artifacts=settings)
    assert is_zero(traces, 1.0, 1.5)
    assert traces[round(0.99 * RATE)].any() and traces[round(1.51 * RATE)].any()


@pytest.mark.slow
def test_saturated_time_is_blanked_with_the_artifacts(tmp_path):
    import spikeinterface as si

    traces = counts(False).copy()
    traces[3 * RATE : 4 * RATE, :20] = 32767
    recording_of(traces).save(folder=tmp_path / "data" / "rec")
    params = PARAMS.model_validate(
        {
            "min_preprocessing_duration": 0,
            "motion_correction": {"compute": False},
            "detect_bad_channels": {"method": "mad"},
            "artifacts": {"blank": True, "detect": False},
        }
    )
    task = task_for("preprocessing", params, tmp_path, tmp_path / "data", converter_limits=(-32768.0, 32767.0))
    stage.run(task)
    assert is_zero(si.load(task.out / "traces").get_traces(), 3.0, 4.0)


def test_a_silent_recording_is_not_looked_at():
    traces = counts(True).copy()
    traces[RATE:] = 0
    assert detect_artifacts(recording_of(traces), Artifacts()) is None


def test_artifacts_of_a_pipeline_of_ones_own_are_not_looked_for(tmp_path):
    _, record = preprocessed(tmp_path, custom_preprocessing_pipeline={"highpass_filter": {"dtype": "float32"}})
    assert "artifact detection is skipped: custom_preprocessing_pipeline is set" in record["changes"]


def test_times_in_a_gap_and_at_the_ends():
    clock = Clock(
        num_samples=200, sampling_frequency_hz=100.0, samples=[0, 100], starts_s=[10, 12], rates_hz=[100, 100]
    )
    settings = Artifacts(ms_before=10, ms_after=20)
    assert select_periods([(9, 9), (9.99, 9.99), (11.5, 11.5), (13.5, 13.5)], clock, settings) == [
        (9.99, 9.99),
        (11.5, 11.5),
    ]
    assert convert_to_frames([(10.5, 10.5), (10.52, 10.6)], clock, settings) == [(49, 63)]
    assert convert_to_frames([], clock, settings) == []


BAD_FILES = {
    "no column": ("time\n1\n", "must have the column start_s, optionally stop_s, and no other; it has time"),
    "no header": ("1.0\n2.0\n", "it has 1.0"),
    "text": ("start_s\n1\nnow\n", "line 3: start_s must be in seconds, and stop_s not before it"),
    "infinite": ("start_s\ninf\n", "line 2"),
    "backwards": ("start_s,stop_s\n2,1\n", "line 2"),
    "too many columns": ("start_s\n1,2\n", "line 2"),
    "empty": ("", "it has none"),
    "no times": ("start_s\n", "has no times"),
    "binary": ("start_s\n\x00\n", "line 2"),
    "many": ("start_s\n" + "x\n" * 1000, "and 980 more problems"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_files_that_hold_no_times_are_refused(name, tmp_path):
    text, said = BAD_FILES[name]
    (tmp_path / "times.csv").write_text(text)
    with pytest.raises(Rejected) as refusal:
        read_artifact_times(tmp_path / "times.csv")
    assert said in str(refusal.value)
    assert len(refusal.value.problems) <= 21


def test_a_file_from_a_spreadsheet_is_read(tmp_path):
    (tmp_path / "times.csv").write_text("\ufeffstart_s, stop_s\r\n1.5,\r\n2,2.25\r\n", encoding="utf-8")
    assert read_artifact_times(tmp_path / "times.csv") == [(1.5, 1.5), (2.0, 2.25)]


def test_each_session_may_have_its_own_file(tmp_path):
    for name in ("monday", "tuesday"):
        (tmp_path / name).mkdir()
    (tmp_path / "times.csv").write_text("start_s\n1\n")
    (tmp_path / "monday" / "times.csv").write_text("start_s\n2\n")
    assert find_times_file(tmp_path, "monday", "times.csv") == tmp_path / "monday" / "times.csv"
    assert find_times_file(tmp_path, "tuesday", "times.csv") == tmp_path / "times.csv"
    before = digest_times_files(tmp_path, "times.csv")
    (tmp_path / "monday" / "times.csv").write_text("start_s\n3\n")
    assert digest_times_files(tmp_path, "times.csv") != before
    with pytest.raises(Rejected, match=r"preprocessing\.artifacts\.times: no file other\.csv in"):
        digest_times_files(tmp_path, "other.csv")
    with pytest.raises(Rejected, match=r"\.\./times\.csv is not in the data folder"):
        digest_times_files(tmp_path / "monday", "../times.csv")
