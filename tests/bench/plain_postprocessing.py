"""What a scientist would write by hand in place of the postprocessing capsule: every extension, one after another."""

from __future__ import annotations

import sys
from pathlib import Path

import spikeinterface as si

METRICS = [
    "num_spikes", "firing_rate", "presence_ratio", "snr", "isi_violation", "rp_violation", "sliding_rp_violation",
    "amplitude_cutoff", "amplitude_median", "amplitude_cv", "synchrony", "firing_range", "drift", "mahalanobis",
    "d_prime", "nearest_neighbor", "silhouette",
]  # fmt: skip
METRIC_PARAMS = {
    "amplitude_cutoff": {"num_histogram_bins": 100, "histogram_smoothing_value": 3, "amplitudes_bins_min_ratio": 5},
    "nearest_neighbor": {"max_spikes": 10000, "n_neighbors": 4},
}
EXTENSIONS = {
    "random_spikes": {"max_spikes_per_unit": 500, "seed": 0},
    "noise_levels": {"random_slices_kwargs": {"num_chunks_per_segment": 20, "chunk_size": 10000, "seed": 0}},
    "waveforms": {"ms_before": 2.0, "ms_after": 3.0},
    "templates": {},
    "spike_amplitudes": {},
    "amplitude_scalings": {},
    "template_similarity": {"method": "l1"},
    "correlograms": {"window_ms": 50.0, "bin_ms": 1.0},
    "isi_histograms": {"window_ms": 100.0, "bin_ms": 5.0},
    "unit_locations": {"method": "monopolar_triangulation"},
    "spike_locations": {"method": "grid_convolution", "seed": 0},
    "template_metrics": {"upsampling_factor": 10, "include_multi_channel_metrics": True},
    "principal_components": {"n_components": 5, "mode": "by_channel_local", "whiten": True},
    "quality_metrics": {"metric_names": METRICS, "metric_params": METRIC_PARAMS, "seed": 0},
}


def postprocess(traces: Path, sorting: Path, output: Path) -> None:
    """Compute the manual's extensions of a sorting; write `postprocessed.zarr` into `output`."""
    si.set_global_job_kwargs(n_jobs=2, chunk_duration="1s", progress_bar=False)
    recording = si.load(traces)
    analyzer = si.create_sorting_analyzer(
        si.load(sorting),
        recording,
        sparse=True,
        sparsity_kwargs={"method": "radius", "radius_um": 100},
        peak_sign="neg",
        seed=0,
    )
    for name, settings in EXTENSIONS.items():
        analyzer.compute(name, **settings)
    analyzer.save_as(folder=output / "postprocessed.zarr", format="zarr")


if __name__ == "__main__":
    postprocess(*map(Path, sys.argv[1:]))
