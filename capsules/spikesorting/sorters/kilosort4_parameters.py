"""Kilosort4's parameters (Pachitariu et al., 2024), and those of its SpikeInterface wrapper.

Names, types and bounds are those of the parameter reference (Kilosort 4.1.0); defaults are those of the pinned
Kilosort. All of them are passed to Kilosort explicitly. `tests/unit/test_sorter_parameters.py` compares them with the
reference, with the installed Kilosort and with SpikeInterface's wrapper, so that an upgrade of either is noticed.
"""

from __future__ import annotations

from typing import Any, ClassVar

from capsules.parameters.model import Section, param
from capsules.spikesorting.sorters.base import JOB_KWARGS_REPLACED

REPLACED = {
    "n_chan_bin": "the recording has this number",
    "fs": "the recording has this rate",
    "tmin": "use preprocessing.t_start",
    "tmax": "use preprocessing.t_stop",
    "clear_cache": "use spikesorting.kilosort4.clear_cache",
}
"""Kilosort's parameters that are not set here: name -> where the value comes from."""


class Kilosort4Wrapper(Section):
    """Parameters of Kilosort4's SpikeInterface wrapper."""

    replaced: ClassVar[dict[str, str]] = REPLACED | JOB_KWARGS_REPLACED

    do_CAR: bool | None = param(
        None, "Subtract the common average; null does unless preprocessing subtracted a common reference."
    )
    invert_sign: bool = param(False, "Invert the signal.")
    do_correction: bool = param(True, "Correct the drift.")
    torch_device: str = param(
        "auto",
        "Device: `auto`, `cpu`, `cuda` or one of several, e.g. `cuda:1`.",
        pattern=r"^(auto|cpu|cuda(:[0-9]+)?)$(?!\n)",
    )
    bad_channels: list[int] | None = param(None, "Channels, counted from 0, that are not sorted.")
    skip_kilosort_preprocessing: bool = param(False, "Skip Kilosort's own filter and whitening.")
    keep_good_only: bool = param(False, "Keep only the units that Kilosort labels good.")
    use_binary_file: bool | None = param(
        True, "Pass the traces as a binary file; null does when they already are in one."
    )
    delete_recording_dat: bool = param(True, "Delete a binary file that was written for the sorter.")
    save_extra_vars: bool = param(False, "Save more of Kilosort's intermediate results.")
    save_preprocessed_copy: bool = param(False, "Save the traces as Kilosort preprocessed them.")


def _param(step: str, gui_name: str, default: Any, help: str, **bounds: Any) -> Any:
    """Declare a parameter of Kilosort's table: the step that uses it, and its name in Kilosort's own window."""
    return param(default, help, facts={"gui_name": gui_name, "step": step}, **bounds)


class Kilosort4Settings(Kilosort4Wrapper):
    """Kilosort4's own parameters, and those of its SpikeInterface wrapper."""

    # JSON has no infinity: null means it for `artifact_threshold` and `max_cluster_subset`.
    batch_size: int = _param(
        "data", "batch size", 60000, "Samples in a batch, the part of the data that is processed at once.", ge=1
    )
    nblocks: int = _param(
        "preprocessing",
        "nblocks",
        1,
        "Sections of the probe whose drift is corrected separately (with nblocks - 1 more that overlap them); 0 turns "
        "drift correction off, 1 makes it rigid.",
        ge=0,
    )
    Th_universal: float = _param(
        "spike detection",
        "Th (universal)",
        9,
        "Detection threshold of the first pass, with the universal templates; lower detects more spikes and more "
        "noise.",
        gt=0,
    )
    Th_learned: float = _param(
        "spike detection",
        "Th (learned)",
        8,
        "Detection threshold of the second pass, with the templates that were learned from this recording.",
        gt=0,
    )
    nt: int = _param("data", "nt", 61, "Samples in a waveform, an odd number; filters are padded by as many.", ge=1)
    shift: float | None = _param(
        "data",
        "shift",
        None,
        "Added to the traces before anything else, after `scale`; null adds nothing. For floating-point data that is "
        "not near the range -100 to 100.",
    )
    scale: float | None = _param(
        "data",
        "scale",
        None,
        "The traces are multiplied by this before anything else; null does not change them. See `shift`.",
    )
    batch_downsampling: int = _param(
        "data", "batch downsampling", 1, "One batch in this many is sorted; 1 sorts all.", ge=1
    )
    artifact_threshold: float | None = _param(
        "preprocessing",
        "artifact threshold",
        None,
        "A batch with a larger absolute value is treated as an artifact and set to zero; infinity (null in the params "
        "file) keeps all.",
        ge=0,
    )
    nskip: int = _param(
        "preprocessing",
        "nskip",
        25,
        "One batch in this many is used for the whitening matrix; use 1 for recordings of a minute or two.",
        ge=1,
    )
    whitening_range: int = _param(
        "preprocessing", "whitening range", 32, "Nearby channels that each channel is whitened against.", ge=1
    )
    highpass_cutoff: float = _param(
        "preprocessing", "highpass cutoff", 300, "Cut-off of Kilosort's own high-pass filter, in Hz.", ge=0
    )
    binning_depth: float = _param(
        "preprocessing",
        "binning_depth",
        5,
        "Depth of a bin of the spike histogram that drift is estimated from, in um.",
        gt=0,
    )
    sig_interp: float = _param(
        "preprocessing",
        "sig_interp",
        20,
        "Distance over which traces are smoothed when they are moved along the drift, in um.",
        gt=0,
    )
    drift_smoothing: list[float] = _param(
        "preprocessing",
        "drift smoothing",
        [0.5, 0.5, 0.5],
        "Gaussian smoothing of the drift over correlation, time (batches) and depth (blocks); the first should rarely "
        "change, the last has no effect when `nblocks` is 1.",
        min_length=3,
        max_length=3,
    )
    nt0min: int | None = _param(
        "spike detection",
        "nt0min",
        None,
        "Sample of the waveform at which the peak is; null uses 20 of 61 samples, in proportion to `nt`.",
        ge=0,
    )
    dmin: float | None = _param(
        "spike detection",
        "dmin",
        None,
        "Vertical distance between the centres of universal templates, in um; null computes it from the probe.",
        gt=0,
    )
    dminx: float = _param(
        "spike detection",
        "dminx",
        32,
        "Horizontal distance between the centres of universal templates, in um; 32 suits Neuropixels, the median "
        "distance between columns of contacts suits others.",
        gt=0,
    )
    min_template_size: float = _param(
        "spike detection",
        "min template size",
        10,
        "Standard deviation of the smallest universal template's spread over the probe, in um.",
        gt=0,
    )
    template_sizes: int = _param(
        "spike detection",
        "template sizes",
        5,
        "Number of spreads of the universal templates, each a multiple of `min_template_size`.",
        ge=1,
    )
    nearest_chans: int = _param(
        "spike detection", "nearest chans", 10, "Nearest channels among which a spike must be the largest.", ge=1
    )
    nearest_templates: int = _param(
        "spike detection",
        "nearest templates",
        100,
        "Nearest template positions among which a spike must be the largest.",
        ge=1,
    )
    max_channel_distance: float = _param(
        "spike detection",
        "max channel distance",
        32,
        "Templates further than this from any channel are not used, and channels further apart are not compared in "
        "clustering; in um.",
        ge=1,
    )
    max_peels: int = _param(
        "spike detection",
        "max peels",
        100,
        "Rounds of subtracting the detected spikes from a batch; more of them detect more spikes that overlap.",
        ge=1,
        le=10000,
    )
    templates_from_data: bool = _param(
        "spike detection",
        "templates from data",
        True,
        "Learn the universal templates' shapes from this recording; otherwise use those of Kilosort.",
    )
    n_templates: int = _param(
        "spike detection",
        "n templates",
        6,
        "Single-channel shapes of the universal templates, when they are learned from the recording.",
        ge=1,
    )
    n_pcs: int = _param(
        "spike detection",
        "n pcs",
        6,
        "Principal components of a spike on one channel, when they are learned from the recording.",
        ge=1,
    )
    Th_single_ch: float = _param(
        "spike detection",
        "Th (single channel)",
        6,
        "Threshold of the spikes that universal templates are learned from, in standard deviations of the whitened "
        "traces.",
        gt=0,
    )
    acg_threshold: float = _param(
        "clustering",
        "acg threshold",
        0.2,
        "A unit is labelled good when its rate within the refractory period is below this fraction of its usual rate.",
        gt=0,
    )
    ccg_threshold: float = _param(
        "clustering",
        "ccg threshold",
        0.25,
        "Two clusters are one unit when their joint refractory period is at least this clean; used to split and merge.",
        gt=0,
    )
    cluster_neighbors: int = _param(
        "clustering",
        "cluster neighbors",
        10,
        "Nearest spikes that each spike is joined to in the graph that is clustered; it changes time and memory.",
        ge=2,
    )
    cluster_downsampling: int = _param(
        "clustering",
        "cluster downsampling",
        20,
        "One spike in this many is a landmark of the clustering, up to `max_cluster_subset`. Smaller values need more "
        "memory and split neurons into several units.",
        ge=1,
    )
    max_cluster_subset: int | None = _param(
        "clustering",
        "max cluster subset",
        25000,
        "Maximum of landmarks of one clustering centre, so that memory does not grow with the recording; null sets no "
        "limit.",
        ge=1,
    )
    x_centers: int | None = _param(
        "clustering",
        "x centers",
        None,
        "Horizontal positions around which spikes are grouped; null computes them from the density of the channels. "
        "For 2D arrays, one per few hundred um.",
        ge=1,
    )
    cluster_init_seed: int = _param(
        "clustering", "cluster init seed", 5, "Seed of the first assignment of the clustering.", ge=1
    )
    duplicate_spike_ms: float = _param(
        "postprocessing",
        "duplicate spike ms",
        0.25,
        "Of two spikes of a unit closer than this the second is removed, in ms; 0 removes none.",
        ge=0,
    )
    position_limit: float = _param(
        "postprocessing",
        "position limit",
        100,
        "A spike's position is computed from the channels within this distance, in um; it changes no spike.",
        ge=0,
    )


KILOSORT_NAMES = tuple(name for name in Kilosort4Settings.model_fields if name not in Kilosort4Wrapper.model_fields)
"""The parameters of Kilosort's own table."""
