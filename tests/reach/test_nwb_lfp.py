"""The LFP in the NWB file: its band, its rate, its pieces, and what each parameter does to it."""

import numpy as np
import pytest

from capsules.common.recordings.clock import count_clock
from capsules.common.recordings.job import Reader
from capsules.nwb_ecephys import lfp as lfp_module
from capsules.nwb_ecephys import stage
from capsules.nwb_ecephys.params import PARAMS
from capsules.parameters.model import set_dotted
from tests.leaf_values import LEAVES, other_value
from tests.reach.spy import stage_leaves, task_for

PREFIX = "nwb.ecephys"
SLOW_HZ, FAST_HZ = 10.0, 2000.0
COUNTS = 2000
KEEP_CHANNELS = {"lfp_spatial_factor": 1}
# What the filters leave at a recording's ends is gone sooner than at 0.1 Hz.
FROM_1_HZ = {"lfp": {"filter": {"freq_min": 1.0}}, "lfp_highpass_freq_min": 1.0} | KEEP_CHANNELS
LF_READER = Reader(name="spikeinterface", kwargs={"file_or_folder_path": "lf"}, path_arguments=["file_or_folder_path"])


def recording(rate, frequencies_hz, duration_s=40.0):
    """Two channels of sines of COUNTS each; the second one has an offset."""
    from spikeinterface.core import NumpyRecording

    times = np.arange(round(duration_s * rate)) / rate
    traces = sum(COUNTS * np.sin(2 * np.pi * frequency * times) for frequency in frequencies_hz)
    made = NumpyRecording([np.column_stack([traces, traces + 500]).astype("int16")], rate)
    made.set_channel_gains(0.195)
    made.set_channel_offsets(0.0)
    made.set_dummy_probe_from_locations(np.array([[0.0, 0.0], [0.0, 20.0]]))
    return made


@pytest.fixture(scope="module")
def sines(tmp_path_factory):
    """The wide band with both sines, and an LF stream of 5 kHz with twice as much."""
    folder = tmp_path_factory.mktemp("sines")
    recording(30000.0, [SLOW_HZ, FAST_HZ]).save(folder=folder / "rec")
    recording(5000.0, [SLOW_HZ, SLOW_HZ, FAST_HZ]).save(folder=folder / "lf")
    return folder


def written(data, folder, lf_stream=False, **settings):
    """The LFP series (samples, channels) in counts and its rate."""
    from pynwb import read_nwb

    facts = {"lfp_reader": LF_READER, "lfp_clock": count_clock(40 * 5000, 5000.0)} if lf_stream else {}
    task = task_for("nwb_ecephys", PARAMS.model_validate(settings), folder, data, **facts)
    stage.run(task)
    assert [path.name for path in task.out.iterdir()] == ["file.nwb"]
    (series,) = read_nwb(task.out / "file.nwb").processing["ecephys"]["LFP"].electrical_series.values()
    return series.data[:], series.rate


def amplitudes(traces, rate, frequencies_hz):
    """Amplitude of each frequency in the middle half, and the largest deviation from these sines, in counts."""
    quarter = len(traces) // 4
    times = np.arange(len(traces))[quarter:-quarter] / rate
    waves = [wave(2 * np.pi * frequency * times) for frequency in frequencies_hz for wave in (np.sin, np.cos)]
    columns = np.column_stack(waves)
    found, *_ = np.linalg.lstsq(columns, traces[quarter:-quarter], rcond=None)
    residual = traces[quarter:-quarter] - columns @ found
    return np.hypot(found[::2], found[1::2]), np.abs(residual).max()


@pytest.mark.parametrize(("lf_stream", "rate", "counts"), [(False, 1250, COUNTS), (True, 2500, 2 * COUNTS)])
def test_a_slow_sine_stays_and_a_fast_one_is_gone(lf_stream, rate, counts, sines, tmp_path):
    traces, found_rate = written(sines, tmp_path, lf_stream, **FROM_1_HZ)
    assert (found_rate, traces.shape, traces.dtype) == (rate, (40 * rate, 2), np.dtype("int16"))
    (slow,), rest = amplitudes(traces, rate, [SLOW_HZ])
    np.testing.assert_allclose(slow, counts, rtol=0.01)
    # No offset, no 2 kHz, and nothing where 2 kHz would be mirrored to.
    assert rest <= 3


@pytest.mark.parametrize(("volts_per_count", "gain_uv"), [(1.0, 0.195), (0.195e-6, 1e6)], ids=["counts", "volts"])
def test_traces_of_floats_are_not_rounded(volts_per_count, gain_uv, tmp_path):
    from spikeinterface.preprocessing import scale

    floats = scale(recording(30000.0, [SLOW_HZ]), gain=volts_per_count, dtype="float32")
    floats.set_channel_gains(gain_uv)
    floats.save(folder=tmp_path / "rec")
    traces, _ = written(tmp_path, tmp_path, **FROM_1_HZ)
    (slow,), rest = amplitudes(traces, 1250, [SLOW_HZ])
    np.testing.assert_allclose(slow, COUNTS * volts_per_count, rtol=0.01)
    assert rest <= 0.01 * COUNTS * volts_per_count


def test_saturated_traces_do_not_turn_round(tmp_path):
    from spikeinterface.core import NumpyRecording

    full = np.where(np.arange(300000) // 7500 % 2, 32767, -32767).astype("int16")
    made = NumpyRecording([np.column_stack([full, full])], 30000.0)
    made.set_dummy_probe_from_locations(np.array([[0.0, 0.0], [0.0, 20.0]]))
    made.save(folder=tmp_path / "rec")
    traces, rate = written(tmp_path, tmp_path, **FROM_1_HZ)
    plateau = full[:: round(30000 / rate)]
    # Away from the steps the sign is that of the source.
    middle = np.arange(len(traces)) % round(rate / 4) // 20 == 1
    np.testing.assert_array_equal(np.sign(traces[middle, 0]), np.sign(plateau[middle]))


def test_the_lf_stream_keeps_its_rate(sines, tmp_path):
    _, rate = written(sines, tmp_path, lf_stream=True, lfp_temporal_factor=1)
    assert rate == 5000


def test_the_order_of_the_linear_filters_does_not_matter(sines, tmp_path):
    import spikeinterface as si
    import spikeinterface.preprocessing as spre

    traces, _ = written(sines, tmp_path, **FROM_1_HZ)
    slow = {"dtype": "float32", "ignore_low_freq_error": True}
    manual = spre.bandpass_filter(si.load(sines / "rec"), freq_min=1.0, freq_max=500.0, **slow)
    manual = spre.highpass_filter(spre.resample(manual, 2500), freq_min=1.0, **slow)
    manual = spre.decimate(manual, 2, antialias=True).get_traces()
    edge = 10 * 1250
    assert np.abs(traces - manual)[edge:-edge].max() <= 2


def test_pieces_fit_together(sines, tmp_path, monkeypatch):
    whole, _ = written(sines, tmp_path / "whole", **FROM_1_HZ)
    for name, value in {"CHUNK_S": 1.0, "STRETCH_S": 4.0, "CHUNK_CHANNELS": 1, "SCRATCH_BYTES": 3e6}.items():
        monkeypatch.setattr(lfp_module, name, value)
    pieces, _ = written(sines, tmp_path / "pieces", **FROM_1_HZ)
    assert np.abs(whole.astype(int) - pieces).max() <= 1


@pytest.mark.parametrize("channels", [1, 32, 384])
@pytest.mark.parametrize("highpass", [0.0, 0.01, 0.1])
@pytest.mark.parametrize("hours", [0.001, 0.05, 5])
def test_pieces_keep_to_their_memory(channels, highpass, hours):
    from spikeinterface.core import NoiseGeneratorRecording

    params = PARAMS.model_validate({"lfp_highpass_freq_min": highpass})
    lfp = NoiseGeneratorRecording(channels, 1250.0, [hours * 3600])
    shapes = lfp_module.chunk_shapes(lfp, params)
    (frames, several), (chunk_frames, chunk_channels) = shapes["buffer_shape"], shapes["chunk_shape"]
    margins_s = 100 + (10 / highpass if highpass else 0)
    seconds = min(frames / 1250 + margins_s, hours * 3600)
    assert seconds * 2500 * several * lfp_module.FILTERING_BYTES <= lfp_module.FILTER_BYTES
    assert frames == lfp.get_num_samples() or frames % chunk_frames == 0
    assert several == channels or several % chunk_channels == 0


@pytest.fixture(scope="module")
def plain(data, tmp_path_factory):
    return written(data, tmp_path_factory.mktemp("plain"), lfp_highpass_freq_min=0)


@pytest.mark.parametrize("name", [name for name in stage_leaves(PREFIX) if name.startswith(("lfp", "surface"))])
def test_each_parameter_changes_the_traces(name, plain, data, tmp_path):
    values = {"lfp.filter.freq_min": 3.0, "lfp_highpass_freq_min": 3.0}
    value = values.get(name, other_value(LEAVES[f"{PREFIX}.{name}"]))
    settings = {"lfp_highpass_freq_min": 0}
    set_dotted(settings, name, value)
    traces, rate = written(data, tmp_path, **settings)
    assert rate != plain[1] or traces.shape != plain[0].shape or (traces != plain[0]).any()


def test_a_temporal_factor_that_cuts_the_band_is_told(data, tmp_path):
    task = task_for("nwb_ecephys", PARAMS.model_validate({"lfp_temporal_factor": 5}), tmp_path, data)
    stage.run(task)
    (change,) = task.record["changes"]
    assert change == "lfp.filter.freq_max = 250 Hz: the highest frequency with this lfp_temporal_factor"


def test_a_rate_that_cannot_be_met_is_told(sines, tmp_path):
    task = task_for("nwb_ecephys", PARAMS.model_validate({"lfp": {"sampling_rate": 40000}}), tmp_path, sines)
    stage.run(task)
    assert "lfp.sampling_rate = 30000 Hz" in task.record["changes"][0]
