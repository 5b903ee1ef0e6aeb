"""Kilosort4's parameters (Pachitariu et al., 2024), in the table form of `kilosort.parameters`; our own descriptions.

Names, types and bounds are those of the parameter reference (Kilosort 4.1.0); defaults are those of the pinned
Kilosort. All of them are passed to Kilosort explicitly. `tests/unit/test_sorter_parameters.py` compares the table with
the reference, with the installed Kilosort and with SpikeInterface's wrapper, so that an upgrade of either is noticed.
"""

from __future__ import annotations

from math import inf
from typing import Any


def _entry(
    gui_name: str, type: type, bounds: tuple[Any, Any], default: Any, step: str, description: str, exclude: Any = ()
) -> dict[str, Any]:
    low, high = bounds
    return {
        "gui_name": gui_name,
        "type": type,
        "min": low,
        "max": high,
        "exclude": list(exclude),
        "default": default,
        "step": step,
        "description": description,
    }


MAIN_PARAMETERS: dict[str, dict[str, Any]] = {
    "n_chan_bin": _entry(
        "number of channels",
        int,
        (0, inf),
        None,
        "data",
        "Channels in the binary file, those that carry no neural signal included.",
        exclude=[0],
    ),
    "fs": _entry(
        "sampling frequency", float, (0, inf), 30000, "data", "Sampling rate of the probe, in Hz.", exclude=[0]
    ),
    "batch_size": _entry(
        "batch size",
        int,
        (1, inf),
        60000,
        "data",
        "Samples in a batch: the stretch of data that is worked on at a time.",
    ),
    "nblocks": _entry(
        "nblocks",
        int,
        (0, inf),
        1,
        "preprocessing",
        "Sections of the probe whose drift is corrected apart (with nblocks - 1 more that overlap them); "
        "0 turns drift correction off, 1 makes it rigid.",
    ),
    "Th_universal": _entry(
        "Th (universal)",
        float,
        (0, inf),
        9,
        "spike detection",
        "Detection threshold of the first pass, with the universal templates; lower finds more spikes and more noise.",
        exclude=[0],
    ),
    "Th_learned": _entry(
        "Th (learned)",
        float,
        (0, inf),
        8,
        "spike detection",
        "Detection threshold of the second pass, with the templates that were learned from this recording.",
        exclude=[0],
    ),
    "tmin": _entry("tmin", float, (0, inf), 0, "data", "Second at which sorting begins."),
    "tmax": _entry(
        "tmax",
        float,
        (0, inf),
        inf,
        "data",
        "Second at which sorting ends; infinity is the end of the recording.",
        exclude=[0],
    ),
}
"""Those that people change."""

EXTRA_PARAMETERS: dict[str, dict[str, Any]] = {
    "nt": _entry(
        "nt", int, (1, inf), 61, "data", "Samples in a waveform, an odd number; filters are padded by as many."
    ),
    "shift": _entry(
        "shift",
        float,
        (-inf, inf),
        None,
        "data",
        "Added to the traces before anything else, after `scale`; null adds nothing. For floating-point "
        "data that is not near the range -100 to 100.",
    ),
    "scale": _entry(
        "scale",
        float,
        (-inf, inf),
        None,
        "data",
        "The traces are multiplied by this before anything else; null leaves them. See `shift`.",
    ),
    "batch_downsampling": _entry(
        "batch downsampling", int, (1, inf), 1, "data", "One batch in this many is sorted; 1 sorts all."
    ),
    "artifact_threshold": _entry(
        "artifact threshold",
        float,
        (0, inf),
        inf,
        "preprocessing",
        "A batch with a larger absolute value is taken for an artifact and set to zero; infinity (null "
        "in the params file) keeps all.",
    ),
    "nskip": _entry(
        "nskip",
        int,
        (1, inf),
        25,
        "preprocessing",
        "One batch in this many is used for the whitening matrix; use 1 for recordings of a minute or two.",
    ),
    "whitening_range": _entry(
        "whitening range", int, (1, inf), 32, "preprocessing", "Nearby channels that each channel is whitened against."
    ),
    "highpass_cutoff": _entry(
        "highpass cutoff", float, (0, inf), 300, "preprocessing", "Cut-off of Kilosort's own high-pass filter, in Hz."
    ),
    "binning_depth": _entry(
        "binning_depth",
        float,
        (0, inf),
        5,
        "preprocessing",
        "Depth of a bin of the spike histogram that drift is told from, in um.",
        exclude=[0],
    ),
    "sig_interp": _entry(
        "sig_interp",
        float,
        (0, inf),
        20,
        "preprocessing",
        "Distance over which traces are smoothed when they are moved along the drift, in um.",
        exclude=[0],
    ),
    "drift_smoothing": _entry(
        "drift smoothing",
        list,
        (None, None),
        [0.5, 0.5, 0.5],
        "preprocessing",
        "Gaussian smoothing of the drift over correlation, time (batches) and depth (blocks); the first "
        "is best left alone, the last does nothing when `nblocks` is 1.",
    ),
    "nt0min": _entry(
        "nt0min",
        int,
        (0, inf),
        None,
        "spike detection",
        "Sample of the waveform at which its peak is put; null takes 20 of 61 samples, in proportion to `nt`.",
    ),
    "dmin": _entry(
        "dmin",
        float,
        (0, inf),
        None,
        "spike detection",
        "Vertical distance between the centres of universal templates, in um; null takes it from the probe.",
        exclude=[0],
    ),
    "dminx": _entry(
        "dminx",
        float,
        (0, inf),
        32,
        "spike detection",
        "Horizontal distance between the centres of universal templates, in um; 32 suits Neuropixels, "
        "the median distance between columns of contacts suits others.",
        exclude=[0],
    ),
    "min_template_size": _entry(
        "min template size",
        float,
        (0, inf),
        10,
        "spike detection",
        "Standard deviation of the smallest universal template's spread over the probe, in um.",
        exclude=[0],
    ),
    "template_sizes": _entry(
        "template sizes",
        int,
        (1, inf),
        5,
        "spike detection",
        "How many spreads the universal templates have, each a multiple of `min_template_size`.",
    ),
    "nearest_chans": _entry(
        "nearest chans",
        int,
        (1, inf),
        10,
        "spike detection",
        "Nearest channels among which a spike must be the largest.",
    ),
    "nearest_templates": _entry(
        "nearest templates",
        int,
        (1, inf),
        100,
        "spike detection",
        "Nearest template positions among which a spike must be the largest.",
    ),
    "max_channel_distance": _entry(
        "max channel distance",
        float,
        (1, inf),
        32,
        "spike detection",
        "Templates further than this from any channel are not used, and channels further apart are not "
        "compared in clustering; in um.",
    ),
    "max_peels": _entry(
        "max peels",
        int,
        (1, 10000),
        100,
        "spike detection",
        "Rounds of subtracting the spikes found from a batch; more of them find more spikes that overlap.",
    ),
    "templates_from_data": _entry(
        "templates from data",
        bool,
        (None, None),
        True,
        "spike detection",
        "Learn the universal templates' shapes from this recording; otherwise the ones that come with "
        "Kilosort are used.",
    ),
    "n_templates": _entry(
        "n templates",
        int,
        (1, inf),
        6,
        "spike detection",
        "Single-channel shapes of the universal templates, when they are learned from the recording.",
    ),
    "n_pcs": _entry(
        "n pcs",
        int,
        (1, inf),
        6,
        "spike detection",
        "Principal components of a spike on one channel, when they are learned from the recording.",
    ),
    "Th_single_ch": _entry(
        "Th (single channel)",
        float,
        (0, inf),
        6,
        "spike detection",
        "Threshold of the spikes that universal templates are learned from, in standard deviations of "
        "the whitened traces.",
        exclude=[0],
    ),
    "acg_threshold": _entry(
        "acg threshold",
        float,
        (0, inf),
        0.2,
        "clustering",
        "A unit is called good when its rate within the refractory period is below this fraction of its usual one.",
        exclude=[0],
    ),
    "ccg_threshold": _entry(
        "ccg threshold",
        float,
        (0, inf),
        0.25,
        "clustering",
        "Two clusters are one unit when their joint refractory period is at least this clean; used to split and merge.",
        exclude=[0],
    ),
    "cluster_neighbors": _entry(
        "cluster neighbors",
        int,
        (2, inf),
        10,
        "clustering",
        "Nearest spikes that each spike is joined to in the graph that is clustered; it changes time and memory.",
    ),
    "cluster_downsampling": _entry(
        "cluster downsampling",
        int,
        (1, inf),
        20,
        "clustering",
        "One spike in this many is a landmark of the clustering, up to `max_cluster_subset`. Smaller values need more "
        "memory and split neurons into several units.",
    ),
    "max_cluster_subset": _entry(
        "max cluster subset",
        int,
        (1, inf),
        25000,
        "clustering",
        "Most landmarks of one clustering centre, so that long recordings do not need ever more memory; "
        "null sets no limit.",
        exclude=[inf],
    ),
    "x_centers": _entry(
        "x centers",
        int,
        (1, inf),
        None,
        "clustering",
        "Horizontal positions around which spikes are grouped; null finds them from the density of the "
        "channels. For 2D arrays, one per few hundred um.",
    ),
    "cluster_init_seed": _entry(
        "cluster init seed", int, (1, inf), 5, "clustering", "Seed of the first assignment of the clustering."
    ),
    "duplicate_spike_ms": _entry(
        "duplicate spike ms",
        float,
        (0, inf),
        0.25,
        "postprocessing",
        "Of two spikes of a unit closer than this the second is dropped, in ms; 0 drops none.",
    ),
    "position_limit": _entry(
        "position limit",
        float,
        (0, inf),
        100,
        "postprocessing",
        "Channels within this distance tell a spike's position, in um; it changes no spike.",
    ),
}
"""Those that most leave alone."""

DEFAULT_SETTINGS = {name: entry["default"] for name, entry in (MAIN_PARAMETERS | EXTRA_PARAMETERS).items()}
"""Parameter -> default, in the form that `run_kilosort` takes."""


def compare_settings(settings: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Tell which settings differ from the defaults.

    Parameters
    ----------
    settings : dict
        In the form of `DEFAULT_SETTINGS`; it need not be complete.

    Returns
    -------
    modified_settings : dict
        The settings whose value is not the default.
    extra_keys : list of str
        The keys that are no parameter of Kilosort4; they are not in `modified_settings`.
    """
    extra_keys = [name for name in settings if name not in DEFAULT_SETTINGS]
    modified_settings = {
        name: value for name, value in settings.items() if name in DEFAULT_SETTINGS and value != DEFAULT_SETTINGS[name]
    }
    return modified_settings, extra_keys
