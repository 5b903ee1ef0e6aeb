"""What a scientist would write by hand in place of the capsule: resample, filter, and let NeuroConv write it."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import spikeinterface.extractors as se
import spikeinterface.preprocessing as spre
from neuroconv.tools.nwb_helpers import configure_and_write_nwbfile
from neuroconv.tools.spikeinterface import add_recording_to_nwbfile
from pynwb import NWBFile


def write_lfp(session: Path, file: Path, spatial_factor: int) -> None:
    """Write the LFP of a SpikeGLX session's AP stream, 0.1 to 500 Hz at 1250 Hz, every n-th channel."""
    raw = se.read_spikeglx(session, stream_id="imec0.ap")
    lfp = spre.resample(raw.select_channels(raw.channel_ids[::spatial_factor]), 2500)
    lfp = spre.bandpass_filter(lfp, freq_min=0.1, freq_max=500.0, ignore_low_freq_error=True)
    lfp = spre.highpass_filter(lfp, freq_min=0.1, ignore_low_freq_error=True)
    lfp = spre.decimate(lfp, 2, antialias=True)
    nwbfile = NWBFile("by hand", str(session), datetime(2026, 1, 1, tzinfo=UTC))
    add_recording_to_nwbfile(lfp, nwbfile=nwbfile, parent_container="processing/LFP")
    configure_and_write_nwbfile(nwbfile, nwbfile_path=file, backend="zarr")


if __name__ == "__main__":
    write_lfp(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
