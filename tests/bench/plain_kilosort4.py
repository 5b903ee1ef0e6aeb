"""What a scientist would write by hand in place of the sorting capsule: Kilosort4 with its own defaults.

The traces are referenced already: `do_CAR` is off, as in the capsule.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import spikeinterface as si
import spikeinterface.extractors as se
from kilosort import run_kilosort


def sort(traces: Path, output: Path) -> None:
    """Sort traces that SpikeInterface has saved in one binary file; write `spikesorted/` into `output`."""
    recording = si.load(traces)
    (file,) = recording.get_binary_description()["file_paths"]
    channels = recording.get_num_channels()
    places = recording.get_channel_locations()
    probe = {
        "chanMap": np.arange(channels),
        "xc": places[:, 0].astype("float32"),
        "yc": places[:, 1].astype("float32"),
        "kcoords": np.zeros(channels, dtype="float32"),
        "n_chan": channels,
    }
    settings = {"n_chan_bin": channels, "fs": recording.sampling_frequency}
    run_kilosort(settings, probe=probe, filename=file, results_dir=output / "kilosort4", do_CAR=False)
    se.read_kilosort(output / "kilosort4").save(folder=output / "spikesorted")


if __name__ == "__main__":
    sort(*map(Path, sys.argv[1:]))
