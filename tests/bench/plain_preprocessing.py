"""What a scientist would write by hand in place of the capsule: the same steps, run as SpikeInterface runs them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import spikeinterface as si
import spikeinterface.extractors as se
import spikeinterface.preprocessing as spre

PRESET = "dredge_fast"
WINDOW = 0.1
"""Step and width of the motion's windows, as a fraction of the probe's span; the capsule's default."""


def preprocess(session: Path, output: Path, stream: str = "imec0.ap", n_jobs: int = 2) -> None:
    """Preprocess an AP stream of a SpikeGLX session; write `traces/` and `motion/` into `output`."""
    si.set_global_job_kwargs(n_jobs=n_jobs, chunk_duration="1s", progress_bar=False)
    raw = se.read_spikeglx(session, stream_id=stream)
    filtered = spre.highpass_filter(raw, freq_min=300.0, margin_ms=5.0)
    shifted = spre.phase_shift(filtered, margin_ms=100.0)
    bad, _ = spre.detect_bad_channels(
        raw, method="coherence+psd", outside_channel_threshold=-0.3, n_neighbors=11, seed=0
    )
    kept = shifted.remove_channels(bad)
    referenced = spre.common_reference(kept, reference="global", operator="median")
    saved = spre.astype(referenced, "int16", round=True).save(folder=output / "traces", format="binary")
    window_um = WINDOW * float(np.ptp(saved.get_channel_locations()[:, 1]))
    windows = {"win_step_um": window_um, "win_scale_um": window_um}
    _, info = spre.compute_motion(saved, preset=PRESET, estimate_motion_kwargs=windows, output_motion_info=True)
    spre.save_motion_info(info, output / "motion")


if __name__ == "__main__":
    preprocess(Path(sys.argv[1]), Path(sys.argv[2]), n_jobs=int(sys.argv[3]) if sys.argv[3:] else 2)
