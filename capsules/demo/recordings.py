"""Recordings made for the demo and the tests, in the format of SpikeGLX, with their true spikes.

White noise and stationary units make these easier to sort than real recordings.
"""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

UV_PER_COUNT_AP = 2.34375
"""Neuropixels 1.0 at an AP gain of 500: 1.2 V over 1024 steps."""
UV_PER_COUNT_LF = 4.6875
LF_DECIMATION = 12
NEUROPIXELS_CHANNELS = 384
MAX_THREADS = 8


@dataclass(frozen=True)
class ProbeSpec:
    """One simulated probe of a session."""

    name: str = "imec0"
    channels: int = 32
    units: int = 10
    duration_s: float = 125.0
    seed: int = 7


RATES_AND_PLACES = {
    "generate_sorting_kwargs": {"firing_rates": (3, 15), "refractory_period_ms": 3.0},
    "generate_unit_locations_kwargs": {
        "margin_um": 5.0,
        "minimum_z": 5.0,
        "maximum_z": 25.0,
        "minimum_distance": 25,
    },
}
"""Rates and places of units that sorters can tell apart."""
TEMPLATES = {"unit_params": {"alpha": (200.0, 500.0), "spatial_decay": (20.0, 40.0)}}
"""Amplitudes well above the noise; SpikeInterface's own leave many units within it."""
NOISE_UV = 8.0


def ground_truth(spec: ProbeSpec, probe: Any = None) -> tuple[Any, Any]:
    """A recording of known units on the first channels of a Neuropixels 1.0 probe, or on another probe.

    Amplitudes, rates and noise are those of a recording on which sorters find most units: peaks well above
    8 uV of white noise, 3 to 15 spikes/s.

    Returns
    -------
    recording, sorting
        In microvolts at 30 kHz.
    """
    from spikeinterface.core import generate_ground_truth_recording

    recording, sorting = generate_ground_truth_recording(
        durations=[spec.duration_s],
        sampling_frequency=30000.0,
        num_channels=spec.channels,
        num_units=spec.units,
        probe=probe or neuropixels_probe(spec.channels),
        noise_kwargs={"noise_levels": NOISE_UV, "strategy": "on_the_fly"},
        generate_templates_kwargs=TEMPLATES,
        seed=spec.seed,
        **RATES_AND_PLACES,
    )
    return recording, sorting


def place_contacts(positions: list[tuple[float, float]], x_um: float) -> Any:
    """A probe of contacts at `positions`, moved to `x_um`."""
    import probeinterface

    probe = probeinterface.Probe(ndim=2, si_units="um")
    places = [(x_um + x, y) for x, y in positions]
    probe.set_contacts(np.array(places, dtype=float), shapes="square", shape_params={"width": 12})
    probe.set_device_channel_indices(np.arange(len(positions)))
    return probe


def neuropixels_probe(channels: int) -> Any:
    """The first `channels` contacts of a Neuropixels 1.0 probe: four staggered columns, 20 um between rows."""
    rows = range(channels // 2)
    return place_contacts([((0 if row % 2 else 16) + 32 * column, 20 * row) for row in rows for column in (0, 1)], 0.0)


def truth_folders(folder: Path, probes: list[ProbeSpec]) -> dict[str, Path]:
    """Probe name -> folder of its true sorting, next to the session (`si.load` reads it)."""
    return {spec.name: folder.parent / f"{folder.name}_truth" / spec.name for spec in probes}


def write_spikeglx(folder: Path, probes: list[ProbeSpec], run: str = "run") -> None:
    """Write a SpikeGLX session: `.ap.bin`, `.lf.bin` and `.meta` for each probe, the true spikes next to it."""
    for slot, spec in enumerate(probes):
        recording, sorting = ground_truth(spec)
        probe_folder = folder / f"{run}_g0" / f"{run}_g0_{spec.name}"
        probe_folder.mkdir(parents=True)
        stem = probe_folder / f"{run}_g0_t0.{spec.name}"
        samples = recording.get_num_samples()
        lf_samples = _write_bands(recording, stem, spec)
        _write_meta(stem, "ap", spec, slot, samples, 30000)
        _write_meta(stem, "lf", spec, slot, lf_samples, 30000 / LF_DECIMATION)
        sorting.save(folder=truth_folders(folder, [spec])[spec.name], overwrite=True)


def _write_bands(recording: Any, stem: Path, spec: ProbeSpec, chunk_s: float = 3.0) -> int:
    """Write both bands chunk by chunk; the LF band is a 10 Hz sine, different on every probe. Returns LF samples.

    Threads generate the chunks, of which each needs 0.6 GB at 384 channels: one core takes half as long as they last.
    """
    rate, samples = recording.sampling_frequency, recording.get_num_samples()
    chunk = int(chunk_s * rate) // LF_DECIMATION * LF_DECIMATION
    sync = np.zeros((chunk, 1), dtype="int16")

    def make_counts(start: int) -> np.ndarray[Any, Any]:
        traces = recording.get_traces(start_frame=start, end_frame=min(start + chunk, samples))
        counts: np.ndarray[Any, Any] = np.round(traces / UV_PER_COUNT_AP).clip(-512, 511).astype("int16")
        return counts

    lf_total = 0
    starts = range(0, samples, chunk)
    with (
        Path(f"{stem}.ap.bin").open("wb") as ap,
        Path(f"{stem}.lf.bin").open("wb") as lf,
        ThreadPoolExecutor(min(MAX_THREADS, len(os.sched_getaffinity(0)))) as pool,
    ):
        for start, counts in zip(starts, pool.map(make_counts, starts), strict=True):
            np.hstack([counts, sync[: len(counts)]]).tofile(ap)
            seconds = (start + np.arange(0, len(counts), LF_DECIMATION)) / rate
            sine = 200.0 * np.sin(2 * np.pi * 10.0 * seconds + spec.seed)
            lf_counts = np.round(sine / UV_PER_COUNT_LF).astype("int16")[:, None].repeat(spec.channels, axis=1)
            np.hstack([lf_counts, sync[: len(lf_counts)]]).tofile(lf)
            lf_total += len(lf_counts)
    return lf_total


def _write_meta(stem: Path, band: str, spec: ProbeSpec, slot: int, samples: int, rate: float) -> None:
    first = 0 if band == "ap" else NEUROPIXELS_CHANNELS
    counts = f"{spec.channels},0,1" if band == "ap" else f"0,{spec.channels},1"
    imro = "".join(f"({channel} 0 0 500 250 1)" for channel in range(NEUROPIXELS_CHANNELS))
    prefix = band.upper()
    channel_map = "".join(f"({prefix}{index};{first + index}:{index})" for index in range(spec.channels))
    meta = {
        "typeThis": "imec",
        "fileName": f"{stem}.{band}.bin",
        "imSampRate": f"{rate:g}",
        "nSavedChans": spec.channels + 1,
        "snsApLfSy": counts,
        "snsSaveChanSubset": f"{first}:{first + spec.channels - 1},{2 * NEUROPIXELS_CHANNELS}",
        "fileSizeBytes": samples * (spec.channels + 1) * 2,
        "fileTimeSecs": f"{samples / rate:.6f}",
        "fileCreateTime": "2026-01-15T10:30:00",
        "firstSample": 0,
        "imAiRangeMax": 0.6,
        "imAiRangeMin": -0.6,
        "imMaxInt": 512,
        "imDatPrb_type": 0,
        "imDatPrb_pn": "NP1000",
        "imDatPrb_sn": 18005116811 + slot,
        "imDatPrb_slot": 2,
        "imDatPrb_port": slot + 1,
        "imDatPrb_dock": 1,
        "acqApLfSy": f"{NEUROPIXELS_CHANNELS},{NEUROPIXELS_CHANNELS},1",
        "appVersion": "20230101",
        "gateMode": "Immediate",
        "trigMode": "Immediate",
        "~imroTbl": f"(0,{NEUROPIXELS_CHANNELS}){imro}",
        "~snsChanMap": f"({NEUROPIXELS_CHANNELS},{NEUROPIXELS_CHANNELS},1){channel_map}"
        f"(SY0;{2 * NEUROPIXELS_CHANNELS}:{spec.channels})",
    }
    Path(f"{stem}.{band}.meta").write_text("".join(f"{key}={value}\n" for key, value in meta.items()))


def cached_spikeglx(folder: Path, probes: list[ProbeSpec]) -> Path:
    """A session as `write_spikeglx` makes it, made once: a folder that is whole for the same probes is reused."""
    marker = folder.parent / f"{folder.name}.made.json"
    made = [vars(spec) for spec in probes]
    if not marker.exists() or json.loads(marker.read_text()) != made:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(folder.parent / f"{folder.name}_truth", ignore_errors=True)
        marker.unlink(missing_ok=True)
        write_spikeglx(folder, probes)
        marker.write_text(json.dumps(made))
    return folder
