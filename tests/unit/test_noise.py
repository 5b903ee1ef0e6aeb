"""Written traces keep the noise: a finer step than the raw one, with the scale in the channel gains."""

import numpy as np
import pytest

from capsules.common.recordings.saturation import find_converter_limits
from capsules.preprocessing import stage, steps
from capsules.preprocessing.params import PARAMS
from tests.halves import rest_is_slow
from tests.reach.spy import task_for

RATE, CHANNELS, SECONDS = 30000, 16, 4
CONVERTERS = {"NP1": (512, 2.34375, 32), "NP2013": (2048, 3.0, 32), "Intan": (32768, 0.195, 4)}
"""Half the number of steps, microvolts per count, steps per count that preprocessing writes."""


def raw_recording(converter, largest_uv=300.0):
    from spikeinterface.core import NumpyRecording

    from tests.data import neuropixels_probe

    half, gain, _ = CONVERTERS[converter]
    draw = np.random.default_rng(0)
    traces = draw.normal(0, np.linspace(4, 12, CHANNELS), (RATE * SECONDS, CHANNELS))
    for start in draw.integers(100, RATE * SECONDS - 100, 200):
        traces[start : start + 30, int(start) % CHANNELS] -= largest_uv * np.hanning(30)
    counts = np.clip(np.round(traces / gain), -half, half - 1).astype("int16")
    recording = NumpyRecording([counts], float(RATE))
    recording.set_probe(neuropixels_probe(CHANNELS))
    recording.set_channel_gains(gain)
    recording.set_channel_offsets(0.0)
    return recording


@pytest.fixture(scope="module", params=rest_is_slow(CONVERTERS))
def written(request, tmp_path_factory):
    """Converter, task, and SpikeInterface's chain in float32, in microvolts."""
    import spikeinterface as si
    import spikeinterface.preprocessing as spre

    folder, converter = tmp_path_factory.mktemp(request.param), request.param
    recording = raw_recording(converter)
    recording.save(folder=folder / "data" / "rec")
    settings = {
        "min_preprocessing_duration": 0,
        "remove_out_channels": False,
        # Wide enough that no chunk's edge is seen.
        "highpass_filter": {"margin_ms": 100.0},
        "remove_bad_channels": False,
        "max_bad_channel_fraction": 1,
        "motion_correction": {"preset": "rigid_fast"},
        "artifacts": {"detect": False},
    }
    half = CONVERTERS[converter][0]
    limits = find_converter_limits(recording, None if half == 32768 else half)
    task = task_for("preprocessing", PARAMS.model_validate(settings), folder, folder / "data", converter_limits=limits)
    stage.run(task)
    raw = si.load(folder / "data" / "rec")
    plain = spre.common_reference(spre.highpass_filter(raw, freq_min=300.0, margin_ms=100.0, dtype="float32"))
    return converter, task, plain.get_traces() * raw.get_channel_gains()[0]


def test_traces_are_those_of_float32_to_a_quarter_of_a_raw_count(written):
    import spikeinterface as si

    converter, task, plain_uv = written
    _, gain, steps_per_count = CONVERTERS[converter]
    traces = si.load(task.out / "traces")
    assert traces.get_dtype() == "int16"
    assert task.record["facts"]["steps_per_raw_count"] == steps_per_count
    assert traces.get_channel_gains() == pytest.approx(gain / steps_per_count)
    found_uv = traces.get_traces(return_in_uV=True)
    assert np.abs(found_uv - plain_uv).max() <= 0.25 * gain
    noise = [np.median(np.abs(uv), axis=0) for uv in (found_uv, plain_uv)]
    np.testing.assert_allclose(noise[0], noise[1], rtol=0.03)
    headroom = 32768 / np.abs(traces.get_traces().astype(int)).max()
    assert headroom >= 4
    assert "clipped_samples" not in task.record["facts"]


def test_the_lazy_chain_is_what_was_written(written):
    import spikeinterface as si

    _, task, _ = written
    lazy = si.load(task.out / "preprocessed.json", base_folder=task.data.parent)
    traces = si.load(task.out / "traces")
    np.testing.assert_allclose(lazy.get_channel_gains(), traces.get_channel_gains())
    np.testing.assert_allclose(
        lazy.get_traces(return_in_uV=True, end_frame=30000), traces.get_traces(return_in_uV=True, end_frame=30000),
        atol=2 * traces.get_channel_gains()[0],
    )  # fmt: skip


def test_kept_peaks_are_in_microvolts_of_the_written_traces(written):
    import spikeinterface as si
    import spikeinterface.preprocessing as spre

    from capsules.visualization.peaks import scale_amplitudes

    _, task, plain_uv = written
    peaks = spre.load_motion_info(task.out / "motion")["peaks"]
    assert len(peaks) > 20
    amplitudes_uv = scale_amplitudes(si.load(task.out / "traces"), peaks)
    true_uv = plain_uv[peaks["sample_index"], peaks["channel_index"]]
    np.testing.assert_allclose(amplitudes_uv, true_uv, atol=1.0)


def test_clipped_samples_are_counted(tmp_path):
    """A burst to both limits of an Intan converter, outside of the chunks that the step is chosen by."""
    recording = raw_recording("Intan")
    traces = recording.get_traces().copy()
    traces[1000:1010], traces[1010:1020] = -30000, 30000
    from spikeinterface.core import NumpyRecording
    from spikeinterface.core.node_pipeline import run_node_pipeline

    from capsules.preprocessing.traces import TraceWriter

    loud = NumpyRecording([traces], float(RATE))
    loud.set_channel_gains(0.195)
    loud.set_channel_offsets(0.0)
    rounded = steps.round_to_int16(steps.filter_traces(loud, PARAMS()), 4)
    writer = TraceWriter(rounded, tmp_path / "traces")
    run_node_pipeline(rounded, [writer], {"n_jobs": 1})
    values = rounded.get_traces()
    assert writer.clipped == np.count_nonzero((values == 32767) | (values == -32768)) > 0


def test_without_gains_the_step_stays():
    recording = raw_recording("NP1")
    recording.delete_property("gain_to_uV")
    assert steps.choose_steps_per_count(recording, (-512, 511)) == 1
