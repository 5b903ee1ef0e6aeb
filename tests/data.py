"""Recordings made for the tests, in the formats that instruments write, with their true spikes; and those of the demo.

White noise and stationary units make these easier to sort than real recordings.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np

from capsules.demo import recordings, spikeglx
from capsules.demo.recordings import (
    NOISE_UV,
    RATES_AND_PLACES,
    TEMPLATES,
    UV_PER_COUNT_AP,
    ProbeSpec,
    cached_spikeglx,
    ground_truth,
    neuropixels_probe,
    place_contacts,
    truth_folders,
    write_spikeglx,
)

__all__ = [
    "UV_PER_COUNT_AP",
    "ProbeSpec",
    "cached_spikeglx",
    "ground_truth",
    "neuropixels_probe",
    "truth_folders",
    "write_spikeglx",
]
DRIFT_RATE_HZ = 5.0
"""Samples of a drift per second."""


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
        together = place_contacts(places, 0.0)
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
    return place_contacts([(16 * (row % 2) + 32 * column, 20 * row) for row in rows for column in (0, 1)], x_um)


def tetrode_probe(x_um: float, pitch_um: float = 25.0):
    """One tetrode at `x_um`: four wires at the corners of a square."""
    return place_contacts([(0, 0), (pitch_um, 0), (pitch_um, pitch_um), (0, pitch_um)], x_um)


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


def kept_spikeglx(cache: Path, runs: dict[str, list[ProbeSpec]]) -> Path:
    """A session of SpikeGLX runs that is made once for its specification and the code that makes it; not to be changed.

    Parameters
    ----------
    cache : Path
        Where sessions are kept; several processes may use it at once.
    runs : dict
        Name of the run -> its probes.
    """
    specified = json.dumps({run: [vars(spec) for spec in probes] for run, probes in runs.items()})
    code = b"".join(Path(module.__file__).read_bytes() for module in (recordings, spikeglx))
    digest = hashlib.sha256(specified.encode() + code).hexdigest()[:16]
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


def differ_at_most_where_chunks_end(lazy: np.ndarray, written: np.ndarray) -> bool:
    """Whether traces are those that preprocessing wrote, in steps of which up to 32 are a raw count.

    With its margin of 5 ms SpikeInterface's filter errs by some counts at both ends of a chunk of its lazy traces, and
    noise up to half of the sampling rate by tenths of a count anywhere.
    """
    steps = np.abs(lazy.astype(int) - written)
    return bool(np.quantile(steps, 0.9) <= 8 and np.quantile(steps, 0.99) <= 16 and steps.max() <= 320)
