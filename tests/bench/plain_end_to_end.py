"""What a scientist would write by hand in place of the pipeline: one script, from SpikeGLX to figures and NWB."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import spikeinterface as si
import spikeinterface.extractors as se
import spikeinterface.preprocessing as spre
import spikeinterface.widgets as sw
from neuroconv.tools.nwb_helpers import configure_and_write_nwbfile
from neuroconv.tools.spikeinterface import add_recording_to_nwbfile, add_sorting_analyzer_to_nwbfile
from pynwb import NWBFile

from tests.bench.plain_postprocessing import postprocess
from tests.bench.plain_preprocessing import preprocess
from tests.bench.plain_sorting import sort

SHORTEST_S = 120
"""The pipeline's default `min_recording_duration`."""
QUERY = "isi_violations_ratio < 0.5 and presence_ratio > 0.8 and amplitude_cutoff < 0.1"


def run(session: Path, output: Path) -> None:
    """Sort every AP stream of a session that is long enough; write all of its results into `output`."""
    streams, _ = se.get_neo_streams("spikeglx", session)
    for stream in (name for name in streams if name.endswith(".ap")):
        probe = stream.removesuffix(".ap")
        raw = se.read_spikeglx(session, stream_id=stream)
        # NeuroConv cannot put units of probes with different numbers of channels into one file.
        nwbfile = NWBFile("by hand", str(session / probe), datetime(2026, 1, 1, tzinfo=UTC))
        if raw.get_total_duration() >= SHORTEST_S:
            folder = output / probe
            folder.mkdir(parents=True)
            preprocess(session, folder, stream)
            sort(folder)
            postprocess(folder / "traces", folder / "spikesorted", folder)
            analyzer = si.load(folder / "postprocessed.zarr", load_extensions=True)
            metrics = analyzer.get_metrics_extension_data()
            metrics.to_csv(folder / "metrics.csv")
            metrics.query(QUERY).to_csv(folder / "good.csv")
            draw(raw, folder, analyzer)
            add_sorting_analyzer_to_nwbfile(analyzer, nwbfile=nwbfile, recording=raw)
        lfp = se.read_spikeglx(session, stream_id=f"{probe}.lf")
        lfp = spre.bandpass_filter(lfp, freq_min=0.1, freq_max=500.0, ignore_low_freq_error=True)
        lfp = spre.decimate(lfp.select_channels(lfp.channel_ids[::4]), 2, antialias=True)
        add_recording_to_nwbfile(lfp, nwbfile=nwbfile, parent_container="processing/LFP")
        configure_and_write_nwbfile(nwbfile, nwbfile_path=output / f"{probe}.nwb", backend="zarr")


def draw(raw, folder: Path, analyzer) -> None:
    """Traces before and after, where the spikes were over time, and each unit in brief."""
    traces = {"raw": raw, "preprocessed": si.load(folder / "traces")}
    for name, recording in traces.items():
        sw.plot_traces(recording, time_range=(60, 60.5), return_in_uV=True, mode="map", backend="matplotlib")
        plt.savefig(folder / f"{name}.png")
    sw.plot_drift_raster_map(sorting_analyzer=analyzer, backend="matplotlib")
    plt.savefig(folder / "drift.png")
    for unit in analyzer.unit_ids:
        sw.plot_unit_summary(analyzer, unit_id=unit, backend="matplotlib")
        plt.savefig(folder / f"unit_{unit}.png")
        plt.close("all")


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]))
