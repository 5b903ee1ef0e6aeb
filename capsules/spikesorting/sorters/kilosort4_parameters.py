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
        None,
        "Subtract the common average. Turn it off when the traces are referenced elsewhere. The default (null) "
        "subtracts it unless preprocessing subtracted a common reference.",
    )
    invert_sign: bool = param(
        False,
        "Invert the signal. Turn it on when your spikes are positive. Off by default, because extracellular spikes "
        "near the soma are negative.",
    )
    do_correction: bool = param(
        True, "Correct the drift. Turn it off for tetrodes, arrays and short sparse probes. On by default."
    )
    torch_device: str = param(
        "auto",
        "Device: `auto`, `cpu`, `cuda` or one of several, e.g. `cuda:1`. Choose `cpu` to keep Kilosort4 off the "
        "GPU. The default, `auto`, uses a GPU when torch sees one.",
        pattern=r"^(auto|cpu|cuda(:[0-9]+)?)$(?!\n)",
    )
    bad_channels: list[int] | None = param(
        None,
        "Channels, counted from 0, that are not sorted. Set it for channels that preprocessing did not detect. The "
        "default (null) sorts all.",
    )
    skip_kilosort_preprocessing: bool = param(
        False,
        "Skip Kilosort's own filter and whitening. Turn it on only for traces that are whitened already. Off by "
        "default.",
    )
    keep_good_only: bool = param(
        False,
        "Keep only the units that Kilosort labels good. Turn it on to get fewer units. Off by default, because "
        "curation labels all units and removes none.",
    )
    use_binary_file: bool | None = param(
        True,
        "Pass the traces as a binary file; null does so only when they already are in one. Turn it off to save disk "
        "space. On by default, because Kilosort reads it fastest.",
    )
    delete_recording_dat: bool = param(
        True,
        "Delete a binary file that was written for the sorter. Turn it off to open it in Phy. On by default, "
        "because it is as large as the traces.",
    )
    save_extra_vars: bool = param(
        False, "Save more of Kilosort's intermediate results. Turn it on to study a sorting. Off by default."
    )
    save_preprocessed_copy: bool = param(
        False,
        "Save the traces as Kilosort preprocessed them. Turn it on to look at them in Phy. Off by default, because "
        "they are as large as the recording.",
    )


def _param(step: str, gui_name: str, default: Any, help: str, **bounds: Any) -> Any:
    """Declare a parameter of Kilosort's table: the step that uses it, and its name in Kilosort's own window."""
    return param(default, help, facts={"gui_name": gui_name, "step": step}, **bounds)


class Kilosort4Settings(Kilosort4Wrapper):
    """Kilosort4's own parameters, and those of its SpikeInterface wrapper."""

    # JSON has no infinity: null means it for `artifact_threshold` and `max_cluster_subset`.
    batch_size: int = _param(
        "data",
        "batch size",
        60000,
        "Samples in a batch, the part of the data that is processed at once. Lower it when the memory of the GPU "
        "runs out; increase it on probes with few channels. The default of 60000 is two seconds at 30 kHz.",
        ge=1,
    )
    nblocks: int = _param(
        "preprocessing",
        "nblocks",
        1,
        "Sections of the probe whose drift is corrected separately (with nblocks - 1 more that overlap them); 0 "
        "turns drift correction off, 1 makes it rigid. Use 0 for tetrodes and sparse probes, and 5 for a single "
        "long shank. The default of 1 suits short probes.",
        ge=0,
    )
    Th_universal: float = _param(
        "spike detection",
        "Th (universal)",
        9,
        "Detection threshold of the first pass, with the universal templates. Lower it to detect more spikes, and "
        "more noise. The default of 9 is Kilosort's.",
        gt=0,
    )
    Th_learned: float = _param(
        "spike detection",
        "Th (learned)",
        8,
        "Detection threshold of the second pass, with the templates that were learned from this recording. Lower it "
        "to detect more spikes, and more noise. The default of 8 is Kilosort's.",
        gt=0,
    )
    nt: int = _param(
        "data",
        "nt",
        61,
        "Samples in a waveform, an odd number; filters are padded by as many. Increase it for a higher sampling "
        "rate. The default of 61 is 2 ms at 30 kHz.",
        ge=1,
    )
    shift: float | None = _param(
        "data",
        "shift",
        None,
        "Added to the traces before anything else, after `scale`. Set it for floating-point data that are not near "
        "the range -100 to 100. The default (null) adds nothing.",
    )
    scale: float | None = _param(
        "data",
        "scale",
        None,
        "The traces are multiplied by this before anything else. Set it for floating-point data that are not near "
        "the range -100 to 100. The default (null) does not change them.",
    )
    batch_downsampling: int = _param(
        "data",
        "batch downsampling",
        1,
        "One batch in this many is sorted. Increase it for a quick look. The default of 1 sorts all.",
        ge=1,
    )
    artifact_threshold: float | None = _param(
        "preprocessing",
        "artifact threshold",
        None,
        "A batch with a larger absolute value is treated as an artifact and set to zero. Set it when artifacts are "
        "sorted as units. The default, infinity (null in the params file), keeps all.",
        ge=0,
    )
    nskip: int = _param(
        "preprocessing",
        "nskip",
        25,
        "One batch in this many is used for the whitening matrix. Use 1 for recordings of a minute or two. The "
        "default of 25 is enough for long recordings.",
        ge=1,
    )
    whitening_range: int = _param(
        "preprocessing",
        "whitening range",
        32,
        "Number of nearby channels that each channel is whitened against. It must not exceed the number of "
        "channels; lower it for sparse probes. The default of 32 is Kilosort's.",
        ge=1,
    )
    highpass_cutoff: float = _param(
        "preprocessing",
        "highpass cutoff",
        300,
        "Cut-off of Kilosort's own high-pass filter, in Hz. Lower it when wide spikes lose amplitude. The default "
        "of 300 is Kilosort's.",
        ge=0,
    )
    binning_depth: float = _param(
        "preprocessing",
        "binning_depth",
        5,
        "Depth of a bin of the spike histogram that drift is estimated from, in um. Increase it when there are few "
        "spikes. The default of 5 is Kilosort's.",
        gt=0,
    )
    sig_interp: float = _param(
        "preprocessing",
        "sig_interp",
        20,
        "Distance over which traces are smoothed when they are moved along the drift, in um. Increase it on sparse "
        "probes. The default of 20 is the distance between rows of Neuropixels.",
        gt=0,
    )
    drift_smoothing: list[float] = _param(
        "preprocessing",
        "drift smoothing",
        [0.5, 0.5, 0.5],
        "Gaussian smoothing of the drift over correlation, time (batches) and depth (blocks). Increase the second "
        "for slower drift; the first should rarely change, and the last has no effect when `nblocks` is 1. The "
        "default of 0.5 each is Kilosort's.",
        min_length=3,
        max_length=3,
    )
    nt0min: int | None = _param(
        "spike detection",
        "nt0min",
        None,
        "Sample of the waveform at which the peak is. Change it only for waveforms with an unusual shape. The "
        "default (null) uses 20 of 61 samples, in proportion to `nt`.",
        ge=0,
    )
    dmin: float | None = _param(
        "spike detection",
        "dmin",
        None,
        "Vertical distance between the centres of universal templates, in um. Set it to the distance between rows "
        "when the contacts are far apart. The default (null) computes it from the probe.",
        gt=0,
    )
    dminx: float = _param(
        "spike detection",
        "dminx",
        32,
        "Horizontal distance between the centres of universal templates, in um. Set it to the median distance "
        "between columns of contacts. The default of 32 suits Neuropixels.",
        gt=0,
    )
    min_template_size: float = _param(
        "spike detection",
        "min template size",
        10,
        "Standard deviation of the smallest universal template's spread over the probe, in um. Increase it on "
        "sparse probes. The default of 10 is Kilosort's.",
        gt=0,
    )
    template_sizes: int = _param(
        "spike detection",
        "template sizes",
        5,
        "Number of spreads of the universal templates, each a multiple of `min_template_size`. Increase it for "
        "neurons that are recorded over a long distance. The default of 5 is Kilosort's.",
        ge=1,
    )
    nearest_chans: int = _param(
        "spike detection",
        "nearest chans",
        10,
        "Number of nearest channels among which a spike must be the largest. Lower it to the number of channels on "
        "tetrodes. The default of 10 suits dense probes.",
        ge=1,
    )
    nearest_templates: int = _param(
        "spike detection",
        "nearest templates",
        100,
        "Number of nearest template positions among which a spike must be the largest. Lower it on probes with few "
        "channels. The default of 100 suits dense probes.",
        ge=1,
    )
    max_channel_distance: float = _param(
        "spike detection",
        "max channel distance",
        32,
        "Templates further than this from any channel are not used, and channels further apart are not compared in "
        "clustering; in um. Increase it on sparse probes. The default of 32 is Kilosort's.",
        ge=1,
    )
    max_peels: int = _param(
        "spike detection",
        "max peels",
        100,
        "Rounds of subtracting the detected spikes from a batch. Increase it to detect more spikes that overlap; "
        "lower it to save time. The default of 100 is Kilosort's.",
        ge=1,
        le=10000,
    )
    templates_from_data: bool = _param(
        "spike detection",
        "templates from data",
        True,
        "Learn the universal templates' shapes from this recording; otherwise use those of Kilosort. Turn it off "
        "when there are too few spikes to learn from. On by default.",
    )
    n_templates: int = _param(
        "spike detection",
        "n templates",
        6,
        "Number of single-channel shapes of the universal templates, when they are learned from the recording. "
        "Increase it for more kinds of spikes. The default of 6 is Kilosort's.",
        ge=1,
    )
    n_pcs: int = _param(
        "spike detection",
        "n pcs",
        6,
        "Number of principal components of a spike on one channel, when they are learned from the recording. "
        "Increase it to describe shapes more exactly. The default of 6 is Kilosort's.",
        ge=1,
    )
    Th_single_ch: float = _param(
        "spike detection",
        "Th (single channel)",
        6,
        "Threshold of the spikes that universal templates are learned from, in standard deviations of the whitened "
        "traces. Lower it when there are too few such spikes. The default of 6 is Kilosort's.",
        gt=0,
    )
    acg_threshold: float = _param(
        "clustering",
        "acg threshold",
        0.2,
        "Kilosort labels a unit good when its rate within the refractory period is below this fraction of its usual "
        "rate. Lower it to label fewer units good. The default of 0.2 is Kilosort's.",
        gt=0,
    )
    ccg_threshold: float = _param(
        "clustering",
        "ccg threshold",
        0.25,
        "Two clusters are one unit when their joint refractory period is at least this clean; used to split and "
        "merge. Lower it to merge fewer clusters. The default of 0.25 is Kilosort's.",
        gt=0,
    )
    cluster_neighbors: int = _param(
        "clustering",
        "cluster neighbors",
        10,
        "Number of nearest spikes that each spike is joined to in the graph that is clustered. Increase it for "
        "larger clusters, which needs more time and memory. The default of 10 is Kilosort's.",
        ge=2,
    )
    cluster_downsampling: int = _param(
        "clustering",
        "cluster downsampling",
        20,
        "One spike in this many is a landmark of the clustering, up to `max_cluster_subset`. Lower values need more "
        "memory and split neurons into several units. The default of 20 is the pinned Kilosort's.",
        ge=1,
    )
    max_cluster_subset: int | None = _param(
        "clustering",
        "max cluster subset",
        25000,
        "Largest number of landmarks of one clustering centre. Increase it for long recordings with many spikes, "
        "which needs more memory; null sets no limit. The default of 25000 keeps memory from growing with the "
        "recording.",
        ge=1,
    )
    x_centers: int | None = _param(
        "clustering",
        "x centers",
        None,
        "Number of horizontal positions around which spikes are grouped. Set it for 2D arrays: one per few hundred "
        "um. The default (null) computes it from the density of the channels.",
        ge=1,
    )
    cluster_init_seed: int = _param(
        "clustering",
        "cluster init seed",
        5,
        "Seed of the first assignment of the clustering. Change it to see whether units depend on it. The default "
        "of 5 is Kilosort's.",
        ge=1,
    )
    duplicate_spike_ms: float = _param(
        "postprocessing",
        "duplicate spike ms",
        0.25,
        "Of two spikes of a unit closer than this, in ms, the second is removed; 0 removes none. Lower it for "
        "neurons that fire very fast. The default of 0.25 is shorter than any refractory period.",
        ge=0,
    )
    position_limit: float = _param(
        "postprocessing",
        "position limit",
        100,
        "A spike's position is computed from the channels within this distance, in um. Lower it on dense probes to "
        "ignore distant noise. The default of 100 changes no spike, only positions.",
        ge=0,
    )


KILOSORT_NAMES = tuple(name for name in Kilosort4Settings.model_fields if name not in Kilosort4Wrapper.model_fields)
"""The parameters of Kilosort's own table."""
