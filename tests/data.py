"""Recordings made for the tests and the demo, in the formats that instruments write, with their true spikes.

White noise and stationary units make these easier to sort than real recordings.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

UV_PER_COUNT_AP = 2.34375
"""Neuropixels 1.0 at an AP gain of 500: 1.2 V over 1024 steps."""
UV_PER_COUNT_LF = 4.6875
LF_DECIMATION = 12
NEUROPIXELS_CHANNELS = 384
DRIFT_RATE_HZ = 5.0
"""Samples of a drift per second."""
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


def ground_truth(spec: ProbeSpec, probe=None):
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


def grouped_ground_truth(specs: list[ProbeSpec], probes: list, shanks: bool):
    """Recordings of several shanks or tetrodes, side by side in one: channel group i is `specs[i]` on `probes[i]`.

    A unit is seen by its own group alone. With `shanks` they are the shanks of one probe, otherwise probes.

    Returns
    -------
    recording, truths
        The recording of all channels in microvolts at 30 kHz, and the true units of each group.
    """
    from probeinterface import ProbeGroup
    from spikeinterface import aggregate_channels

    pairs = [ground_truth(spec, probe) for spec, probe in zip(specs, probes, strict=True)]
    recording = aggregate_channels([recording for recording, _ in pairs])
    if shanks:
        places = [tuple(place) for probe in probes for place in probe.contact_positions]
        together = _placed(places, 0.0)
        together.set_shank_ids(np.repeat(np.arange(len(probes)), [probe.get_contact_count() for probe in probes]))
        recording.set_probe(together, group_mode="by_shank")
        return recording, [truth for _, truth in pairs]
    together = ProbeGroup()
    first = 0
    # The recordings hold their probes; a probe belongs to one group alone.
    for probe in (probe.copy() for probe in probes):
        probe.set_device_channel_indices(first + np.arange(probe.get_contact_count()))
        together.add_probe(probe)
        first += probe.get_contact_count()
    recording.set_probegroup(together, group_mode="by_probe")
    return recording, [truth for _, truth in pairs]


def shank_probe(channels: int, x_um: float):
    """One shank at `x_um`: two staggered columns, 20 um between rows."""
    rows = range(channels // 2)
    return _placed([(16 * (row % 2) + 32 * column, 20 * row) for row in rows for column in (0, 1)], x_um)


def tetrode_probe(x_um: float, pitch_um: float = 25.0):
    """One tetrode at `x_um`: four wires at the corners of a square."""
    return _placed([(0, 0), (pitch_um, 0), (pitch_um, pitch_um), (0, pitch_um)], x_um)


def _placed(positions: list[tuple[float, float]], x_um: float):
    """A probe of contacts at `positions`, moved to `x_um`."""
    import probeinterface

    probe = probeinterface.Probe(ndim=2, si_units="um")
    places = [(x_um + x, y) for x, y in positions]
    probe.set_contacts(np.array(places, dtype=float), shapes="square", shape_params={"width": 12})
    probe.set_device_channel_indices(np.arange(len(positions)))
    return probe


def drifting_ground_truth(spec: ProbeSpec, drift_um: float, period_s: float):
    """A recording of known units whose probe drifts up and down as one, in a zigzag of `drift_um` from end to end.

    Returns
    -------
    recording, sorting
        In microvolts at 30 kHz.
    displacement_um : np.ndarray
        How far the units are from their places along y, (times,), at `DRIFT_RATE_HZ`.
    """
    from spikeinterface.generation import generate_drifting_recording

    half = drift_um / 2
    _, recording, sorting, more = generate_drifting_recording(
        num_units=spec.units,
        duration=spec.duration_s,
        sampling_frequency=30000.0,
        # A named probe would be looked up on the network.
        probe_name=None,
        generate_probe_kwargs={
            "num_columns": 4,
            "xpitch": 16,
            "ypitch": 40,
            "num_contact_per_column": spec.channels // 4,
            "y_shift_per_column": [20, 0, 20, 0],
            "contact_shapes": "square",
            "contact_shape_params": {"width": 12},
        },
        generate_displacement_vector_kwargs={
            "displacement_sampling_frequency": DRIFT_RATE_HZ,
            "drift_start_um": [0, half],
            "drift_stop_um": [0, -half],
            "drift_step_um": 1,
            "motion_list": [
                {
                    "drift_mode": "zigzag",
                    "non_rigid_gradient": None,
                    "t_start_drift": 0.0,
                    "t_end_drift": None,
                    "period_s": period_s,
                }
            ],
        },
        generate_templates_kwargs=TEMPLATES | {"ms_before": 1.5, "ms_after": 3.0},
        generate_noise_kwargs={"noise_levels": (NOISE_UV, NOISE_UV), "spatial_decay": None},
        extra_outputs=True,
        seed=spec.seed,
        **RATES_AND_PLACES,
    )
    return recording, sorting, more["displacement_vectors"][:, 1, 0]


def as_counts(recording, gain_uv: float = 0.195):
    """A recording in microvolts as an instrument writes it: int16 samples of `gain_uv` each."""
    from spikeinterface.preprocessing import scale

    counts = scale(recording, gain=1 / gain_uv, dtype="int16")
    counts.set_channel_gains(gain_uv)
    counts.set_channel_offsets(0.0)
    return counts


def neuropixels_probe(channels: int):
    """The first `channels` contacts of a Neuropixels 1.0 probe: four staggered columns, 20 um between rows."""
    rows = range(channels // 2)
    return _placed([((0 if row % 2 else 16) + 32 * column, 20 * row) for row in rows for column in (0, 1)], 0.0)


def truth_folders(folder: Path, probes: list[ProbeSpec]) -> dict[str, Path]:
    """Probe name -> folder of its true sorting, beside the session (`si.load` reads it)."""
    return {spec.name: folder.parent / f"{folder.name}_truth" / spec.name for spec in probes}


def write_spikeglx(folder: Path, probes: list[ProbeSpec], run: str = "run") -> None:
    """Write a SpikeGLX session: `.ap.bin`, `.lf.bin` and `.meta` for each probe, the true spikes beside it."""
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


def _write_bands(recording, stem: Path, spec: ProbeSpec, chunk_s: float = 3.0) -> int:
    """Write both bands chunk by chunk; the LF band is a 10 Hz sine, different on every probe. Returns LF samples.

    Threads generate the chunks, of which each needs 0.6 GB at 384 channels: one core takes half as long as they last.
    """
    rate, samples = recording.sampling_frequency, recording.get_num_samples()
    chunk = int(chunk_s * rate) // LF_DECIMATION * LF_DECIMATION
    sync = np.zeros((chunk, 1), dtype="int16")

    def make_counts(start: int) -> np.ndarray:
        traces = recording.get_traces(start_frame=start, end_frame=min(start + chunk, samples))
        return np.round(traces / UV_PER_COUNT_AP).clip(-512, 511).astype("int16")

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


def kept_spikeglx(cache: Path, runs: dict[str, list[ProbeSpec]]) -> Path:
    """A session of SpikeGLX runs that is made once for its specification and this file; not to be changed.

    Parameters
    ----------
    cache : Path
        Where sessions are kept; several processes may use it at once.
    runs : dict
        Name of the run -> its probes.
    """
    specified = json.dumps({run: [vars(spec) for spec in probes] for run, probes in runs.items()})
    digest = hashlib.sha256(specified.encode() + Path(__file__).read_bytes()).hexdigest()[:16]
    kept = cache / digest
    if not kept.exists():
        making = Path(tempfile.mkdtemp(prefix="making-", dir=cache))
        for run, probes in runs.items():
            write_spikeglx(making / "session", probes, run)
        try:
            making.rename(kept)
        except OSError:  # Another process was quicker.
            shutil.rmtree(making)
    return kept / "session"


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


def differ_at_most_where_chunks_end(lazy: np.ndarray, written: np.ndarray) -> bool:
    """Whether traces are those that preprocessing wrote, in steps of which up to 32 are a raw count.

    With its margin of 5 ms SpikeInterface's filter errs by some counts at both ends of a chunk of its lazy traces, and
    noise up to half of the sampling rate by tenths of a count anywhere.
    """
    steps = np.abs(lazy.astype(int) - written)
    return bool(np.quantile(steps, 0.9) <= 8 and np.quantile(steps, 0.99) <= 16 and steps.max() <= 320)
