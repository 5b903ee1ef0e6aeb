"""Parameters of postprocessing (section `postprocessing`)."""

from typing import Any, Literal

from capsules.common.params import JobKwargs, Section, param

EXTENSIONS: dict[str, dict[str, Any]] = {
    "random_spikes": {"max_spikes_per_unit": 500, "method": "uniform", "margin_size": None, "seed": None},
    "noise_levels": {"num_chunks_per_segment": 20, "chunk_size": 10000, "seed": None},
    "waveforms": {"ms_before": 2.0, "ms_after": 3.0, "dtype": None},
    "templates": {},
    "spike_amplitudes": {"peak_sign": "neg"},
    "template_similarity": {"method": "l1"},
    "correlograms": {"window_ms": 50.0, "bin_ms": 1.0},
    "isi_histograms": {"window_ms": 100.0, "bin_ms": 5.0},
    "unit_locations": {"method": "monopolar_triangulation"},
    "spike_locations": {"method": "grid_convolution"},
    "template_metrics": {"upsampling_factor": 10, "sparsity": None, "include_multi_channel_metrics": True},
    "principal_components": {"n_components": 5, "mode": "by_channel_local", "whiten": True},
    "quality_metrics": {
        "metric_names": [
            "num_spikes",
            "firing_rate",
            "presence_ratio",
            "snr",
            "isi_violation",
            "rp_violation",
            "sliding_rp_violation",
            "amplitude_cutoff",
            "amplitude_median",
            "amplitude_cv",
            "synchrony",
            "firing_range",
            "drift",
            "isolation_distance",
            "l_ratio",
            "d_prime",
            "nearest_neighbor",
            "silhouette",
        ],
        "metric_params": {
            "presence_ratio": {"bin_duration_s": 60},
            "snr": {"peak_sign": "neg", "peak_mode": "extremum"},
            "isi_violation": {"isi_threshold_ms": 1.5, "min_isi_ms": 0},
            "rp_violation": {"refractory_period_ms": 1, "censored_period_ms": 0.0},
            "sliding_rp_violation": {
                "bin_size_ms": 0.25,
                "window_size_s": 1,
                "exclude_ref_period_below_ms": 0.5,
                "max_ref_period_ms": 10,
                "contamination_values": None,
            },
            "amplitude_cutoff": {
                "peak_sign": "neg",
                "num_histogram_bins": 100,
                "histogram_smoothing_value": 3,
                "amplitudes_bins_min_ratio": 5,
            },
            "amplitude_median": {"peak_sign": "neg"},
            "amplitude_cv": {
                "average_num_spikes_per_bin": 50,
                "percentiles": [5, 95],
                "min_num_bins": 10,
                "amplitude_extension": "spike_amplitudes",
            },
            "firing_range": {"bin_size_s": 5, "percentiles": [5, 95]},
            "synchrony": {"synchrony_sizes": [2, 4, 8]},
            "nearest_neighbor": {"max_spikes": 10000, "n_neighbors": 4},
            "silhouette": {"method": ["simplified"]},
        },
    },
}
"""The extensions that are computed when nobody says otherwise, under the manual's names and with its settings."""


class Sparsity(Section):
    method: Literal["radius"] = param(
        "radius", "How the channels of a unit are chosen; `radius` takes those near its main channel."
    )
    radius_um: float = param(100, "Radius of `radius`.", unit="um", gt=0)


class PostprocessingParams(Section):
    """What is computed from the sorted spikes."""

    job_kwargs: JobKwargs = param(JobKwargs(), "Chunks of the parallel work.")
    use_motion_corrected: bool = param(
        False,
        "Interpolate the traces along the estimated drift before anything is computed; without effect when "
        "preprocessing did it already or estimated no drift.",
        flags={"--use-motion-corrected": True},
    )
    sparsity: Sparsity = param(Sparsity(), "Channels kept for each unit.")
    duplicate_threshold: float = param(
        0.9,
        "Two units whose templates correlate more than this are one: the one with fewer spikes is removed.",
        ge=0,
        le=1,
    )
    return_in_uV: bool = param(True, "Waveforms and templates in microvolts; otherwise in the recording's own counts.")
    extensions: dict[str, dict[str, Any]] = param(
        EXTENSIONS, "SpikeInterface's analyzer extensions with their settings; each named here is computed."
    )


PARAMS = PostprocessingParams
