"""Keys and values of the params files that AIND's pipeline ships, for `spikerelay params import`.

`VERSION_1_3` are the defaults of 1.3.1, `VERSION_1_2` those of 1.2, whose differences are at the end.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

JOB = {"chunk_duration": "1s", "progress_bar": False}
MODELS = {
    "noise_neural_classifier": "SpikeInterface/UnitRefine_noise_neural_classifier",
    "sua_mua_classifier": "SpikeInterface/UnitRefine_sua_mua_classifier",
}
STEPS = {
    "phase_shift": {"margin_ms": 100.0},
    "highpass_filter": {"freq_min": 300.0},
    "bandpass_filter": {"freq_min": 300.0, "freq_max": 6000.0},
    "detect_and_remove_bad_channels": {
        "method": "coherence+psd",
        "dead_channel_threshold": -0.5,
        "noisy_channel_threshold": 1.0,
        "outside_channel_threshold": -0.3,
        "outside_channels_location": "top",
        "n_neighbors": 11,
        "channel_filters": ["noise", "dead", "out"],
        "seed": 0,
    },
    "common_reference": {"reference": "global", "operator": "median"},
    "highpass_spatial_filter": {
        "n_channel_pad": 60,
        "n_channel_taper": None,
        "direction": "y",
        "apply_agc": True,
        "agc_window_length_s": 0.01,
        "highpass_butter_order": 3,
        "highpass_butter_wn": 0.01,
    },
}
METRICS = [
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
    "noise_cutoff",
    "synchrony",
    "firing_range",
    "drift",
    "sd_ratio",
    "mahalanobis",
    "d_prime",
    "nearest_neighbor",
    "silhouette",
]
METRIC_PARAMS = {
    "presence_ratio": {"bin_duration_s": 60},
    "snr": {"peak_sign": "both", "peak_mode": "extremum"},
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
    "noise_cutoff": {"high_quantile": 0.25, "low_quantile": 0.1, "n_bins": 100},
    "sd_ratio": {
        "censored_period_ms": 4.0,
        "correct_for_drift": True,
        "correct_for_template_itself": True,
        "peak_sign": "neg",
    },
    "firing_range": {"bin_size_s": 5, "percentiles": [5, 95]},
    "synchrony": {"synchrony_sizes": [2, 4, 8]},
    "nearest_neighbor": {"max_spikes": 10000, "n_neighbors": 5},
    "silhouette": {"method": ["simplified"]},
}
EXTENSIONS: dict[str, Any] = {
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
    "template_metrics": {"upsampling_factor": 10, "include_multi_channel_metrics": True},
    "principal_components": {"n_components": 5, "mode": "by_channel_local", "whiten": True},
    "amplitude_scalings": {},
    "valid_unit_periods": {},
    "quality_metrics": {"metric_names": METRICS, "metric_params": METRIC_PARAMS},
}


def limit(greater: float | None = None, less: float | None = None, **more: Any) -> dict[str, Any]:
    return {"greater": greater, "less": less, **more}


CURATION = {
    "job_kwargs": JOB,
    "qc_thresholds": {
        "rp_contamination": {"less": 0.5},
        "presence_ratio": {"greater": 0.8},
        "amplitude_cutoff": {"less": 0.1},
    },
    "unitrefine": MODELS,
    "bombcell": {
        "noise": {
            "num_positive_peaks": limit(less=2),
            "num_negative_peaks": limit(less=1),
            "peak_to_trough_duration": limit(0.0001, 0.00115),
            "waveform_baseline_flatness": limit(less=0.5),
            "peak_after_to_trough_ratio": limit(less=0.8),
            "exp_decay": limit(0.01, 0.1),
        },
        "mua": {
            "amplitude_median": limit(30, abs=True),
            "snr": limit(5),
            "amplitude_cutoff": limit(less=0.2),
            "num_spikes": limit(300),
            "rp_contamination": limit(less=0.1),
            "presence_ratio": limit(0.7),
            "drift_ptp": limit(less=100),
        },
        "non-somatic": {
            "peak_before_to_trough_ratio": limit(less=3),
            "peak_before_width": limit(0.00015),
            "trough_width": limit(0.0002),
            "peak_before_to_peak_after_ratio": limit(less=3),
            "main_peak_to_trough_ratio": limit(less=0.8),
        },
    },
    "noise_strategy": "bombcell+unitrefine",
    "slay": {"template_similarity": {"templates_diff": 0.35}, "slay": {"k1": 0.25, "k2": 1, "slay_threshold": 0.4}},
}
VISUALIZATION = {
    "job_kwargs": JOB,
    "timeseries": {"n_snippets_per_segment": 2, "snippet_duration_s": 0.5},
    "drift": {
        "detection": {"peak_sign": "neg", "detect_threshold": 5, "exclude_sweep_ms": 0.1},
        "localization": {"ms_before": 0.1, "ms_after": 0.3, "radius_um": 100.0},
        "n_skip": 30,
        "alpha": 0.15,
        "vmin": -200,
        "vmax": 0,
        "cmap": "Greys_r",
        "figsize": [10, 10],
    },
    "motion": {"cmap": "Greys_r", "scatter_decimate": 15, "figsize": [15, 10]},
}
KILOSORT4: dict[str, Any] = {
    "batch_size": 60000,
    "nblocks": 5,
    "Th_universal": 9,
    "Th_learned": 8,
    "do_CAR": True,
    "invert_sign": False,
    "nt": 61,
    "shift": None,
    "scale": None,
    "artifact_threshold": None,
    "nskip": 25,
    "whitening_range": 32,
    "highpass_cutoff": 300,
    "binning_depth": 5,
    "sig_interp": 20,
    "drift_smoothing": [0.5, 0.5, 0.5],
    "nt0min": None,
    "dmin": None,
    "dminx": 32,
    "min_template_size": 10,
    "template_sizes": 5,
    "nearest_chans": 10,
    "nearest_templates": 100,
    "max_channel_distance": None,
    "templates_from_data": True,
    "n_templates": 6,
    "n_pcs": 6,
    "Th_single_ch": 6,
    "acg_threshold": 0.2,
    "ccg_threshold": 0.25,
    "cluster_downsampling": 20,
    "x_centers": None,
    "duplicate_spike_ms": 0.25,
    "save_preprocessed_copy": False,
    "torch_device": "auto",
    "bad_channels": None,
    "clear_cache": False,
    "save_extra_vars": False,
    "do_correction": True,
    "keep_good_only": False,
    "skip_kilosort_preprocessing": False,
    "use_binary_file": None,
    "delete_recording_dat": True,
}
KILOSORT25 = {
    "detect_threshold": 6,
    "projection_threshold": [10, 4],
    "preclust_threshold": 8,
    "car": True,
    "minFR": 0.1,
    "minfr_goodchannels": 0.1,
    "nblocks": 5,
    "sig": 20,
    "freq_min": 150,
    "sigmaMask": 30,
    "nPCs": 3,
    "ntbuff": 64,
    "nfilt_factor": 4,
    "NT": None,
    "AUCsplit": 0.9,
    "do_correction": True,
    "wave_length": 61,
    "keep_good_only": False,
    "skip_kilosort_preprocessing": False,
    "scaleproc": None,
    "save_rez_to_mat": False,
    "delete_tmp_files": ["matlab_files"],
    "delete_recording_dat": False,
}
CIRCUS: dict[str, Any] = {
    "general": {"ms_before": 0.5, "ms_after": 1.5, "radius_um": 100.0},
    "filtering": {"freq_min": 150, "freq_max": 7000, "ftype": "bessel", "filter_order": 2},
    "whitening": {"mode": "local", "regularize": False},
    "detection": {
        "method": "matched_filtering",
        "method_kwargs": {"peak_sign": "neg", "detect_threshold": 5},
        "pipeline_kwargs": {},
    },
    "selection": {
        "method": "uniform",
        "method_kwargs": {"n_peaks_per_channel": 5000, "min_n_peaks": 100000, "select_per_channel": False},
    },
    "apply_motion_correction": True,
    "motion_correction": {"preset": "dredge_fast"},
    "merging": {"max_distance_um": 50},
    "clustering": {"method": "iterative-hdbscan", "method_kwargs": {}},
    "cleaning": {"min_snr": 5, "max_jitter_ms": 0.2, "sparsify_threshold": 1, "mean_sd_ratio_threshold": 3},
    "min_firing_rate": 0.1,
    "matching": {"method": "circus-omp", "method_kwargs": {}, "pipeline_kwargs": {}},
    "apply_preprocessing": False,
    "apply_whitening": True,
    "cache_preprocessing": {"mode": "no-cache"},
    "chunk_preprocessing": {"memory_limit": None},
    "multi_units_only": False,
    "job_kwargs": {},
    "seed": 42,
    "deterministic_peaks_detection": False,
    "debug": False,
}
LUPIN = {
    "apply_preprocessing": True,
    "preprocessing_dict": {},
    "apply_motion_correction": True,
    "motion_correction_preset": "dredge_fast",
    "clustering_ms_before": 0.3,
    "clustering_ms_after": 1.3,
    "whitening_radius_um": 100.0,
    "detection_radius_um": 50.0,
    "features_radius_um": 120.0,
    "split_radius_um": 60.0,
    "template_radius_um": 100.0,
    "freq_min": 150.0,
    "freq_max": 7000.0,
    "cache_preprocessing_mode": "no-cache",
    "peak_sign": "neg",
    "detect_threshold": 5.0,
    "n_peaks_per_channel": 5000,
    "n_svd_components_per_channel": 5,
    "n_pca_features": 4,
    "clustering_recursive_depth": 3,
    "ms_before": 1.0,
    "ms_after": 2.5,
    "template_sparsify_threshold": 1.5,
    "template_min_snr_ptp": 4.0,
    "template_max_jitter_ms": 0.2,
    "template_matching_engine": "circus-omp",
    "min_firing_rate": 0.1,
    "gather_mode": "memory",
    "job_kwargs": {},
    "seed": None,
    "save_array": True,
    "debug": False,
}
DRIFT = {"skip_motion_correction": False, "min_drift_channels": 96, "raise_if_fails": True}
VERSION_1_3: dict[str, Any] = {
    "pipeline_version": "1.3.1",
    "job_dispatch": {
        "split_segments": True,
        "split_groups": True,
        "debug": False,
        "debug_duration": 30,
        "skip_timestamps_check": False,
        "multi_session": False,
        "input": "aind",
    },
    "preprocessing": {
        "job_kwargs": JOB | {"mp_context": "spawn"},
        "filter_type": "highpass",
        "remove_out_channels": True,
        "remove_bad_channels": True,
        "min_preprocessing_duration": 120,
        "max_bad_channel_fraction": 0.5,
        "denoising_strategy": "cmr",
        "default_preprocessing_pipeline": STEPS,
        "custom_preprocessing_pipeline": None,
        "motion_correction": {
            "preset": "dredge_fast",
            "detect_kwargs": {},
            "select_kwargs": {},
            "localize_peaks_kwargs": {},
            "estimate_motion_kwargs": {"win_step_norm": 0.1, "win_scale_norm": 0.1},
            "interpolate_motion_kwargs": {},
        },
    },
    "postprocessing": {
        "job_kwargs": JOB,
        "use_motion_corrected": False,
        "sparsity": {"method": "radius", "radius_um": 100},
        "duplicate_threshold": 0.9,
        "return_in_uV": True,
        "extensions": EXTENSIONS,
    },
    "curation": CURATION,
    "visualization": VISUALIZATION,
    "nwb": {
        "ecephys": {
            "backend": "zarr",
            "stub": False,
            "stub_seconds": 10,
            "write_lfp": True,
            "write_raw": False,
            "lfp_temporal_factor": 2,
            "lfp_spatial_factor": 4,
            "lfp_highpass_freq_min": 0.1,
            "surface_channel_agar_probes_indices": "",
            "lfp": {"filter": {"freq_min": 0.1, "freq_max": 500}, "sampling_rate": 2500},
        }
    },
    "spikesorting": {
        "sorter": None,
        "kilosort4": {"job_kwargs": JOB} | DRIFT | {"clear_cache": False, "sorter": KILOSORT4},
        "kilosort25": {"job_kwargs": JOB} | DRIFT | {"sorter": KILOSORT25},
        "spykingcircus2": {"job_kwargs": JOB, "sorter": CIRCUS},
        "lupin": {"job_kwargs": JOB, "sorter": LUPIN},
    },
}


def make_version_1_2() -> dict[str, Any]:
    """The defaults of 1.2: without a version, Lupin, Bombcell and SLAy, with a query and other metrics."""
    document = deepcopy(VERSION_1_3)
    del document["pipeline_version"], document["spikesorting"]["lupin"]
    del document["preprocessing"]["min_preprocessing_duration"]
    dispatch = document["job_dispatch"]
    dispatch["concatenate"] = not dispatch.pop("split_segments")
    steps = document["preprocessing"]["default_preprocessing_pipeline"]
    steps["highpass_filter"]["margin_ms"] = steps["bandpass_filter"]["margin_ms"] = 5.0
    extensions = document["postprocessing"]["extensions"]
    del extensions["amplitude_scalings"], extensions["valid_unit_periods"]
    extensions["template_metrics"]["sparsity"] = None
    metrics = [name for name in METRICS if name not in ("noise_cutoff", "sd_ratio")]
    at = metrics.index("mahalanobis")
    params = extensions["quality_metrics"]["metric_params"]
    del params["noise_cutoff"], params["sd_ratio"]
    nearest = {"max_spikes": 10000, "min_spikes": 10, "n_neighbors": 4, "n_components": 10, "radius_um": 100}
    params |= {"nn_isolation": dict(nearest), "nn_noise_overlap": dict(nearest)}
    params["snr"]["peak_sign"], params["nearest_neighbor"]["n_neighbors"] = "neg", 4
    extensions["quality_metrics"]["metric_names"] = [
        *metrics[:at],
        "isolation_distance",
        "l_ratio",
        *metrics[at + 1 :],
    ]
    query = "isi_violations_ratio < 0.5 and presence_ratio > 0.8 and amplitude_cutoff < 0.1"
    document["curation"] = {"job_kwargs": JOB, "query": query} | MODELS
    circus = document["spikesorting"]["spykingcircus2"]["sorter"]
    del circus["min_firing_rate"], circus["cleaning"]["mean_sd_ratio_threshold"]
    circus["filtering"]["margin_ms"] = 20
    circus["cleaning"] |= {"max_jitter_ms": 0.1, "sparsify_threshold": None}
    circus["cache_preprocessing"] = {"mode": "memory", "memory_limit": 0.5, "delete_cache": True}
    return document


VERSION_1_2 = make_version_1_2()
