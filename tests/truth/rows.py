"""The grid of the scoreboard: recordings of known units, and what the pipeline does with each.

A recording is a folder: `rec` (SpikeInterface's binary format), `truth` (the true units) and, where the probe drifts,
`displacement_um.npy`, at `DRIFT_RATE_HZ`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tests.data import DRIFT_RATE_HZ, UV_PER_COUNT_AP, as_counts, neuropixels_probe
from tests.truth.chain import ROOT, write

SHARED = ROOT.parent / "shared"
"""Real units lie in there; it is no part of the repository."""
SESSIONS = {"t181": "T181_2018_08_03_bank1_600s", "t196": "T196_2019_04_24_600s"}
RATE_HZ = 30000.0


@dataclass(frozen=True)
class Recording:
    """How a recording is made: `make` writes it to a folder. `session` is the one that a hybrid's units come from."""

    name: str
    make: Callable[[Path], None]
    session: str | None = None


@dataclass(frozen=True)
class Row:
    """A recording, its sorter, and the words for each stage's command line.

    `held_out` rows are scored apart: nothing was chosen by them. `quick` ones are in `make truth`.
    """

    name: str
    recording: Recording
    sorter: str = "spykingcircus2"
    words: dict[str, tuple[str, ...]] = field(default_factory=dict)
    held_out: bool = False
    quick: bool = True

    def unavailable(self) -> str | None:
        """Why the row cannot run on this machine."""
        if self.recording.session is not None and not hybrid_tool().exists():
            return f"no {hybrid_tool()}: hybrids need real units"
        if self.sorter == "kilosort4" and self.name != KILOSORT_ON_CPU:
            import torch

            if not torch.cuda.is_available():
                return "Kilosort4 needs a GPU here"
        return None


KILOSORT_ON_CPU = "kilosort4-32"


def hybrid_tool() -> Path:
    return SHARED / "tools" / "hybrid_recording.py"


def session_file(session: str) -> Path:
    return SHARED / "data" / "neuropixels_units" / f"{SESSIONS[session]}_Cells.mat"


# ---------- hybrids of real units


def hybrid(session: str, channels: int, duration_s: int = 60, noise_uv: int = 8, first: int = 0, t0_s: int = 100):
    """A recording made of the real units of a session on `channels` of its electrodes."""

    def make(folder: Path) -> None:
        made = folder / "hybrid"
        given = {
            "--session": SESSIONS[session],
            "--out": made,
            "--first-electrode": first,
            "--n-channels": channels,
            "--t0": t0_s,
            "--duration": duration_s,
            "--noise-uv": noise_uv,
        }
        words = [str(word) for pair in given.items() for word in pair]
        done = subprocess.run([sys.executable, hybrid_tool(), *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        (made / "recording").rename(folder / "rec")
        (made / "sorting_gt").rename(folder / "truth")
        shutil.rmtree(made)

    name = f"hybrid-{session}-{channels}ch-{duration_s}s-{noise_uv}uv"
    name += f"-from{first}" * bool(first) + f"-t{t0_s}" * (t0_s != 100)
    return Recording(name, make, session)


# ---------- generated recordings


@dataclass(frozen=True)
class Generated:
    """Known units on the first channels of a Neuropixels 1.0 probe, in noise that is correlated over space and time."""

    channels: int = 32
    units: int = 16
    duration_s: float = 60.0
    drift_um: float = 0.0
    alpha_uv: tuple[float, float] = (150.0, 500.0)
    """Range of the amplitudes at the source; at the probe they are a quarter to a half."""
    bursts: bool = False
    hum_uv: float = 0.0
    common_uv: float = 0.0
    stimulation_uv: float = 0.0
    bad_channels: bool = False
    seed: int = 0

    def make(self, folder: Path) -> None:
        from spikeinterface.core import NumpyRecording
        from spikeinterface.generation import generate_drifting_recording

        rng = np.random.default_rng(self.seed)
        probe = neuropixels_probe(self.channels)
        sorting = self.sorting(rng)
        half = self.drift_um / 2
        zigzag = {"drift_mode": "zigzag", "non_rigid_gradient": None, "period_s": self.duration_s}
        still, drifting, truth, more = generate_drifting_recording(
            duration=self.duration_s,
            sorting=sorting,
            probe=probe,
            unit_locations=self.places(probe.contact_positions, rng),
            generate_displacement_vector_kwargs={
                "displacement_sampling_frequency": DRIFT_RATE_HZ,
                "drift_start_um": [0, half or 1],
                "drift_stop_um": [0, -half or -1],
                "drift_step_um": 1,
                "motion_list": [zigzag | {"t_start_drift": 0.0, "t_end_drift": None}],
            },
            generate_templates_kwargs={
                "ms_before": 1.5,
                "ms_after": 3.0,
                "unit_params": {"alpha": self.alpha_uv, "spatial_decay": (20.0, 40.0)},
            },
            # It takes no noise made by others in SpikeInterface 0.105.3: `noise.probe` does not exist.
            generate_noise_kwargs={"noise_levels": 0.0},
            amplitude_factor=amplitudes(sorting, rng),
            extra_outputs=True,
            seed=self.seed,
        )
        traces = correlated_noise(probe.contact_positions, int(self.duration_s * RATE_HZ), rng)
        traces += (drifting if self.drift_um else still).get_traces()
        self.disturb(traces, rng)
        disturbed = NumpyRecording([traces], RATE_HZ)
        disturbed.set_probe(probe)
        write(as_counts(disturbed, UV_PER_COUNT_AP), folder)
        truth.save(folder=folder / "truth")
        if self.drift_um:
            np.save(folder / "displacement_um.npy", more["displacement_vectors"][:, 1, 0])

    def places(self, contacts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Where the units are, (units, 3): below the channels that are out of the brain, and spread over depth."""
        last = len(contacts) - (OUT_OF_BRAIN if self.bad_channels else 0)
        low, high = contacts[:last].min(axis=0), contacts[:last].max(axis=0)
        y = np.linspace(low[1], high[1], self.units) + rng.uniform(-5, 5, self.units)
        x = rng.uniform(low[0], high[0], self.units)
        return np.column_stack([x, y, rng.uniform(5, 25, self.units)])

    def sorting(self, rng: np.random.Generator) -> Any:
        from spikeinterface.core import NumpySorting, generate_sorting

        plain = generate_sorting(
            num_units=self.units,
            sampling_frequency=RATE_HZ,
            durations=[self.duration_s],
            firing_rates=(2.0, 12.0),
            refractory_period_ms=3.0,
            seed=self.seed,
        )
        trains = {f"u{index}": plain.get_unit_spike_train(unit) for index, unit in enumerate(plain.unit_ids)}
        if self.bursts:
            end = int(self.duration_s * RATE_HZ)
            trains = {unit: in_bursts(train, end, rng) for unit, train in trains.items()}
        sorting = NumpySorting.from_unit_dict([trains], RATE_HZ)
        sorting.set_property("is_single", np.ones(self.units, dtype=bool))
        return sorting

    def disturb(self, traces: np.ndarray, rng: np.random.Generator) -> None:
        """Add to the traces, in place, what comes from outside of the brain."""
        samples, channels = traces.shape
        seconds = np.arange(samples) / RATE_HZ
        if self.hum_uv:
            hum = sum(np.sin(2 * np.pi * 50 * k * seconds) / k for k in (1, 3, 5, 7))
            traces += (self.hum_uv * hum).astype("float32")[:, None] * rng.uniform(0.7, 1.3, channels).astype("float32")
        if self.common_uv:
            # Movement and muscles: loud for a third of a second out of every two.
            loud = (seconds % 2.0) < 0.33
            traces += (self.common_uv * loud * rng.standard_normal(samples)).astype("float32")[:, None]
        if self.stimulation_uv:
            gains = rng.uniform(0.5, 1.0, channels).astype("float32")
            after = np.arange(int(0.01 * RATE_HZ)) / RATE_HZ
            pulse = np.where(after < 2e-4, 1.0, -np.exp(-(after - 2e-4) / 1.5e-3)).astype("float32")
            for start in range(int(5 * RATE_HZ), samples - len(pulse), int(RATE_HZ)):
                traces[start : start + len(pulse)] += self.stimulation_uv * pulse[:, None] * gains
        if self.bad_channels:
            dead, noisy = channels // 4, channels // 2
            traces[:, dead] = 0.0
            traces[:, noisy] += rng.normal(0, 80.0, samples).astype("float32")
            traces[:, -OUT_OF_BRAIN:] = rng.normal(0, 4.0, (samples, OUT_OF_BRAIN)).astype("float32")


OUT_OF_BRAIN = 8
"""Channels at the top that see no neuron, where a recording has bad ones."""


def correlated_noise(
    contacts: np.ndarray, samples: int, rng: np.random.Generator, white_uv: float = 8.0, pink_uv: float = 25.0
) -> np.ndarray:
    """White and 1/f noise in uV, (samples, channels), which neighbouring contacts share.

    The 1/f part is by the filter of J. O. Smith, Spectral Audio Signal Processing (2011), within 0.3 dB above 20 Hz.
    """
    from scipy.signal import lfilter

    b = [0.049922035, -0.095993537, 0.050612699, -0.004408786]
    a = [1, -2.494956002, 2.017265875, -0.522189400]
    noise = np.empty((samples, len(contacts)), dtype="float32")
    for channel in range(len(contacts)):
        pink = lfilter(b, a, rng.standard_normal(samples))
        noise[:, channel] = pink_uv * pink / pink.std() + white_uv * rng.standard_normal(samples)
    apart = np.linalg.norm(contacts[:, None] - contacts[None], axis=-1)
    mix = np.linalg.cholesky(0.6 * np.exp(-apart / 60.0) + 0.4 * np.eye(len(contacts))).astype("float32")
    for start in range(0, samples, 300_000):
        noise[start : start + 300_000] = noise[start : start + 300_000] @ mix.T
    return noise


def in_bursts(train: np.ndarray, end: int, rng: np.random.Generator) -> np.ndarray:
    """A train of which every third spike begins a burst of up to five, 4 to 7 ms apart."""
    more = [train]
    for start in train[rng.random(len(train)) < 1 / 3]:
        intervals = rng.uniform(4e-3, 7e-3, rng.integers(1, 5)) * RATE_HZ
        more.append((start + np.cumsum(intervals)).astype(int))
    spikes = np.unique(np.concatenate(more))
    spikes = spikes[spikes < end - 100]
    # The next spike of the plain train may fall into the burst.
    return spikes[np.diff(spikes, prepend=-end) > 3e-3 * RATE_HZ]


def amplitudes(sorting: Any, rng: np.random.Generator) -> np.ndarray:
    """Factor of each spike of the spike vector: 8 % of spread, and smaller soon after a spike (to 0.6 at 3 ms)."""
    spikes = sorting.to_spike_vector()
    factor = rng.normal(1.0, 0.08, len(spikes)).clip(0.3)
    for unit in range(sorting.get_num_units()):
        mine = np.flatnonzero(spikes["unit_index"] == unit)
        since_s = np.diff(spikes["sample_index"][mine], prepend=-int(RATE_HZ)) / RATE_HZ
        factor[mine] *= 1 - 0.7 * np.exp(-since_s / 5e-3)
    return factor


def generated(name: str, **settings: Any) -> Recording:
    return Recording(name, partial(Generated.make, Generated(**settings)))


# ---------- the grid

WINDOWS = (
    "--motion_correction.estimate_motion_kwargs.win_step_norm=0.5",
    "--motion_correction.estimate_motion_kwargs.win_scale_norm=0.5",
)
"""Two windows on the whole probe: it drifts as one, and is short."""
MOTION = {
    "": {},
    "-corrected": {"postprocessing": ("--use-motion-corrected",)},
    "-applied": {"preprocessing": ("--motion", "apply", *WINDOWS)},
    "-applied-corrected": {
        "preprocessing": ("--motion", "apply", *WINDOWS),
        "postprocessing": ("--use-motion-corrected",),
    },
}
"""Motion `apply` and `use_motion_corrected`, each on and off."""


def drift_rows(drift_um: int, quick: tuple[str, ...]) -> list[Row]:
    recording = generated(f"drift-{drift_um}", channels=64, units=30, drift_um=float(drift_um), seed=5)
    return [
        Row(recording.name + name, recording, words={"preprocessing": WINDOWS} | words, quick=name in quick)
        for name, words in MOTION.items()
    ]


NOISE = {"hum_uv": 40.0, "common_uv": 15.0}
SMALL = Row(
    "small",
    generated("small", channels=16, units=6, duration_s=40.0, alpha_uv=(300.0, 600.0), seed=3),
    words={
        "preprocessing": ("--motion", "skip"),
        "postprocessing": ("--skip-extensions", "principal_components,spike_locations"),
    },
    quick=False,
)
"""For `make test`."""


ALL_CHANNELS = {"preprocessing": ("--no-remove-out-channels", "--max-bad-channel-fraction", "1")}
"""Bad-channel detection needs a field potential, which hybrids lack."""


def plain(recording: Recording, **settings: Any) -> Row:
    words = ALL_CHANNELS if recording.session else {}
    return Row(recording.name, recording, words=words, **settings)


ROWS: dict[str, Row] = {
    row.name: row
    for row in (
        plain(hybrid("t181", 96)),
        plain(hybrid("t196", 64)),
        plain(hybrid("t181", 64, noise_uv=14), quick=False),
        plain(hybrid("t196", 96, noise_uv=14), quick=False),
        plain(hybrid("t181", 64, duration_s=180), quick=False),
        plain(hybrid("t196", 64, duration_s=180), quick=False),
        plain(hybrid("t181", 64, duration_s=180, noise_uv=14), quick=False),
        plain(hybrid("t196", 64, duration_s=180, noise_uv=14), quick=False),
        plain(hybrid("t181", 64, first=96, t0_s=300), held_out=True),
        plain(hybrid("t181", 64, first=128, t0_s=400, noise_uv=14), held_out=True, quick=False),
        plain(hybrid("t196", 64, first=128, t0_s=300, duration_s=180), held_out=True, quick=False),
        plain(generated("noise", seed=1, **NOISE)),
        plain(generated("stimulation", seed=2, stimulation_uv=900.0, **NOISE)),
        plain(generated("bad-channels", channels=48, bad_channels=True, seed=4, **NOISE)),
        plain(generated("bursts", bursts=True, seed=6)),
        plain(generated("near-threshold", alpha_uv=(60.0, 250.0), seed=8), quick=False),
        *drift_rows(0, quick=()),
        *drift_rows(30, quick=("", "-applied")),
        plain(generated("held-out", channels=48, units=24, bursts=True, alpha_uv=(80.0, 400.0), seed=99, **NOISE),
              held_out=True),
        Row(KILOSORT_ON_CPU, generated("noise", seed=1, **NOISE), sorter="kilosort4", quick=False),
        Row("kilosort4-hybrid-t181", hybrid("t181", 96), sorter="kilosort4", words=ALL_CHANNELS, quick=False),
        Row("kilosort4-hybrid-t196", hybrid("t196", 64), sorter="kilosort4", words=ALL_CHANNELS, quick=False),
        Row("kilosort4-drift-30", generated("drift-30", channels=64, units=30, drift_um=30.0, seed=5),
            sorter="kilosort4", quick=False),
        SMALL,
    )
}  # fmt: skip
