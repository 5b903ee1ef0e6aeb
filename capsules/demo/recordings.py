"""Recordings made for the demo and the tests, in the format of SpikeGLX, with their true spikes.

White noise and stationary units make these easier to sort than real recordings. With stimuli, an NI board and the SYNC
of the probes are recorded too.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from capsules.demo.spikeglx import (
    SYNC_BIT,
    make_common_meta,
    make_imec_meta,
    make_nidq_meta,
    make_sync_meta,
    write_bin,
    write_meta,
)
from capsules.demo.stimuli import NI_RATE_HZ, STIMULUS_LINE, SYNC_LINE, Stimuli, StreamClock

RATE_HZ = 30000.0
UV_PER_COUNT_AP = 2.34375
"""Neuropixels 1.0 at an AP gain of 500: 1.2 V over 1024 steps."""
UV_PER_COUNT_LF = 4.6875
LF_DECIMATION = 12
MAX_THREADS = 8


@dataclass(frozen=True)
class ProbeSpec:
    """One simulated probe of a session.

    Its clock matters to sessions with stimuli: its first sample is `start_s` later than that of the NI board, and a
    second of it lasts longer by `drift_ppm` parts per million.
    """

    name: str = "imec0"
    channels: int = 32
    units: int = 10
    duration_s: float = 125.0
    seed: int = 7
    start_s: float = 0.0
    drift_ppm: float = 0.0

    @property
    def clock(self) -> StreamClock:
        return StreamClock(RATE_HZ / (1 + self.drift_ppm / 1e6), self.start_s)


RATES_AND_PLACES: dict[str, dict[str, Any]] = {
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


def ground_truth(spec: ProbeSpec, probe: Any = None, stimuli: Stimuli | None = None) -> tuple[Any, Any]:
    """A recording of known units on the first channels of a Neuropixels 1.0 probe, or on another probe.

    Amplitudes, rates and noise are those of a recording on which sorters find most units: peaks well above
    8 uV of white noise, 3 to 15 spikes/s. Some units respond to the stimuli, if there are any.

    Returns
    -------
    recording, sorting
        In microvolts at 30 kHz.
    """
    from spikeinterface.core import generate_ground_truth_recording

    recording, sorting = generate_ground_truth_recording(
        durations=[spec.duration_s],
        sampling_frequency=RATE_HZ,
        sorting=stimuli and generate_responding(spec, stimuli),
        num_channels=spec.channels,
        num_units=spec.units,
        probe=probe or neuropixels_probe(spec.channels),
        noise_kwargs={"noise_levels": NOISE_UV, "strategy": "on_the_fly"},
        generate_templates_kwargs=TEMPLATES,
        seed=spec.seed,
        **RATES_AND_PLACES,
    )
    return recording, sorting


def generate_responding(spec: ProbeSpec, stimuli: Stimuli) -> Any:
    """The units that the probe has without stimuli, of which some respond."""
    from spikeinterface.core import NumpySorting, generate_sorting

    parameters = RATES_AND_PLACES["generate_sorting_kwargs"]
    sorting = generate_sorting(
        num_units=spec.units,
        sampling_frequency=RATE_HZ,
        durations=[spec.duration_s],
        seed=spec.seed,
        **parameters,
    )
    gap = round(parameters["refractory_period_ms"] / 1000 * RATE_HZ)
    trains = [sorting.get_unit_spike_train(unit) for unit in sorting.unit_ids]
    trains = stimuli.respond(trains, spec.clock, spec.duration_s, gap, spec.seed)
    return NumpySorting.from_unit_dict([dict(zip(sorting.unit_ids, trains, strict=True))], RATE_HZ)


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


def write_spikeglx(folder: Path, probes: list[ProbeSpec], run: str = "run", stimuli: Stimuli | None = None) -> None:
    """Write a SpikeGLX session: `.ap.bin`, `.lf.bin` and `.meta` for each probe, the true spikes next to it.

    With stimuli, an NI board records them, and the synchronisation signal together with the probes. Otherwise there is
    no NI board, and the SYNC of the probes is 0.
    """
    home = folder / f"{run}_g0"
    for slot, spec in enumerate(probes):
        recording, sorting = ground_truth(spec, stimuli=stimuli)
        probe_folder = home / f"{run}_g0_{spec.name}"
        probe_folder.mkdir(parents=True)
        stem = probe_folder / f"{run}_g0_t0.{spec.name}"
        samples = recording.get_num_samples()
        lf_samples = _write_bands(recording, stem, spec, has_sync=stimuli is not None)
        sync = {} if stimuli is None else make_sync_meta(SYNC_LINE)
        for band, count, rate_hz in (("ap", samples, RATE_HZ), ("lf", lf_samples, RATE_HZ / LF_DECIMATION)):
            meta = make_imec_meta(band, slot, spec.channels, rate_hz) | make_common_meta(count, rate_hz) | sync
            size = {"fileName": f"{stem}.{band}.bin", "fileSizeBytes": count * (spec.channels + 1) * 2}
            write_meta(f"{stem}.{band}", meta | size)
        sorting.save(folder=truth_folders(folder, [spec])[spec.name], overwrite=True)
    if stimuli is not None:
        word = stimuli.make_word(max(spec.duration_s for spec in probes))
        lines = f"{SYNC_LINE}:{STIMULUS_LINE}"
        meta = make_nidq_meta(0, 1, lines, NI_RATE_HZ) | make_common_meta(len(word), NI_RATE_HZ)
        write_bin(home / f"{run}_g0_t0.nidq", [word[:, None]], meta | make_sync_meta(SYNC_LINE))


def _write_bands(recording: Any, stem: Path, spec: ProbeSpec, has_sync: bool, chunk_s: float = 3.0) -> int:
    """Write both bands chunk by chunk; the LF band is a 10 Hz sine, different on every probe. Returns LF samples.

    Threads generate the chunks, of which each needs 0.6 GB at 384 channels: one core takes half as long as they last.
    """
    rate, samples = recording.sampling_frequency, recording.get_num_samples()
    chunk = int(chunk_s * rate) // LF_DECIMATION * LF_DECIMATION

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
            sync = (spec.clock.sync_levels(start, len(counts)) * has_sync << SYNC_BIT)[:, None]
            np.hstack([counts, sync]).tofile(ap)
            seconds = (start + np.arange(0, len(counts), LF_DECIMATION)) / rate
            sine = 200.0 * np.sin(2 * np.pi * 10.0 * seconds + spec.seed)
            lf_counts = np.round(sine / UV_PER_COUNT_LF).astype("int16")[:, None].repeat(spec.channels, axis=1)
            np.hstack([lf_counts, sync[::LF_DECIMATION]]).tofile(lf)
            lf_total += len(lf_counts)
    return lf_total


def cached_spikeglx(
    folder: Path,
    probes: list[ProbeSpec],
    stimuli: Stimuli | None = None,
    before_making: Callable[[], None] = lambda: None,
) -> Path:
    """A session as `write_spikeglx` makes it, made once: a folder that is whole for the same probes is reused."""
    marker = folder.parent / f"{folder.name}.made.json"
    made = json.dumps({"probes": [asdict(spec) for spec in probes], "stimuli": stimuli and asdict(stimuli)})
    if not marker.exists() or marker.read_text() != made:
        before_making()
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(folder.parent / f"{folder.name}_truth", ignore_errors=True)
        marker.unlink(missing_ok=True)
        write_spikeglx(folder, probes, stimuli=stimuli)
        marker.write_text(made)
    return folder
