"""Hybrid recordings: real Neuropixels units of known spikes, with noise, bad channels or drift, in `.pictures`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from capsules.generate import ROOT
from tests.pictures.studio import CACHE, Unavailable

SHARED = ROOT.parent / "shared"
TOOL = SHARED / "tools" / "hybrid_recording.py"
SESSION = "T196_2019_04_24_600s"
RATE_HZ = 30000
DURATION_S = 120.0
NOISE_UV, COMMON_NOISE_UV = 7.0, 10.0
DEAD, NOISY, POPPING = 9, 30, 21
"""Channels of the examples: without a signal, with much noise, with short pops that a sorter detects as spikes."""
DRIFT_UM = 40.0


def make_examples() -> Path:
    """A data folder: 48 channels with slow potentials, hum, and three bad channels; truth is next to it."""
    return _make_once("examples", _write_examples)


def make_drift() -> Path:
    """A data folder: 48 channels of a probe that moves by DRIFT_UM and back."""
    return _make_once("drift", _write_drift)


def load_truth(data: Path) -> dict[str, np.ndarray]:
    """Unit -> its spike train, in samples."""
    import spikeinterface as si

    truth = si.load(data.parent / "units" / "sorting_gt")
    return {str(unit): truth.get_unit_spike_train(unit) for unit in truth.unit_ids}


def _make_once(name: str, write: Callable[[Path], None]) -> Path:
    """The data folder, which is written when it is not in the cache."""
    folder = CACHE / name
    if not (folder / "data").exists():
        folder.mkdir(parents=True, exist_ok=True)
        write(folder)
    return folder / "data"


def _run_tool(folder: Path, first_electrode: int, channels: int, noise_uv: float) -> Any:
    """The recording of the tool: spikes of real units, in `units/`."""
    import spikeinterface as si

    if not TOOL.exists():
        raise Unavailable(f"{TOOL} is missing: it makes recordings of real units")
    out = folder / "units"
    options = {"session": SESSION, "out": out, "first-electrode": first_electrode, "n-channels": channels}
    options |= {"duration": DURATION_S, "noise-uv": noise_uv, "seed": 3}
    words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    if not (out / "sorting_gt").exists():
        shutil.rmtree(out, ignore_errors=True)
        done = subprocess.run([sys.executable, TOOL, *words], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
    return si.load(out / "recording")


def _write_examples(folder: Path) -> None:
    recording = _run_tool(folder, 88, 48, NOISE_UV)
    traces = recording.get_traces().astype("float32") * recording.get_channel_gains()[0]
    draw = np.random.default_rng(0)
    seconds = np.arange(len(traces), dtype="float32") / RATE_HZ
    traces += _slow_potentials(draw, seconds)[:, None] + 40 * np.sin(2 * np.pi * 50 * seconds)[:, None]
    traces += draw.normal(0, COMMON_NOISE_UV, len(traces)).astype("float32")[:, None]
    traces[:, DEAD] = draw.normal(0, 0.5, len(traces))
    traces[:, NOISY] += draw.normal(0, 60, len(traces))
    times = np.sort(draw.integers(200, len(traces) - 200, 1500))
    times = times[np.diff(times, prepend=0) > 90]
    np.save(folder / "pops.npy", times)
    shape = 180 * np.exp(-np.arange(12) / 3.0) * np.cos(np.arange(12) * np.pi)
    sizes = draw.uniform(0.5, 1.5, len(times))
    for offset, value in enumerate(shape):
        traces[times + offset, POPPING] -= value * sizes
    _write(recording, traces, folder / "data")


def _slow_potentials(draw: np.random.Generator, seconds: np.ndarray) -> np.ndarray:
    """The LFP of all channels: some rhythms of random phase."""
    rhythms = [(3.0, 90.0), (7.5, 60.0), (21.0, 25.0)]
    waves = [size * np.sin(2 * np.pi * hz * seconds + draw.uniform(0, 6)) for hz, size in rhythms]
    return np.sum(waves, axis=0, dtype="float32")


def _write_drift(folder: Path) -> None:
    """Move the signal of the units along the probe, and add noise that does not move."""
    import spikeinterface as si
    from spikeinterface.core.motion import Motion
    from spikeinterface.generation import NoiseGeneratorRecording
    from spikeinterface.sortingcomponents.motion import InterpolateMotionRecording

    still = _run_tool(folder, 80, 64, 0.0)
    times_s = np.arange(0, DURATION_S + 1, 1.0)
    moved_um = DRIFT_UM * (0.5 - 0.5 * np.cos(2 * np.pi * times_s / DURATION_S))
    motion = Motion([-moved_um[:, None]], [times_s], np.array([400.0]))
    scaled = si.NumpyRecording([still.get_traces().astype("float32") * still.get_channel_gains()[0]], RATE_HZ)
    scaled.set_probe(still.get_probe())
    moving = InterpolateMotionRecording(scaled, motion, border_mode="force_extrapolate")
    inner = moving.select_channels(moving.channel_ids[8:56])
    noise = NoiseGeneratorRecording(48, RATE_HZ, [DURATION_S], noise_levels=NOISE_UV, seed=1, strategy="on_the_fly")
    traces = inner.get_traces() + noise.get_traces()
    _write(inner, traces, folder / "data")


def _write(recording: Any, traces_uv: np.ndarray, data: Path) -> None:
    """Write traces as 16-bit integers where `dispatch` looks for them."""
    import spikeinterface as si

    gain_uv = 1.0
    counts = np.clip(np.round(traces_uv / gain_uv), -32768, 32767).astype("int16")
    written = si.NumpyRecording([counts], RATE_HZ)
    written.set_probe(recording.get_probe())
    written.set_channel_gains(gain_uv)
    written.set_channel_offsets(0.0)
    written.annotate(is_filtered=False)
    part = data.with_name("data.partial")
    shutil.rmtree(part, ignore_errors=True)
    written.save(folder=part / "rec", format="binary", n_jobs=1, progress_bar=False)
    part.rename(data)
