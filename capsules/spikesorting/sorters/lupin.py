"""Lupin, SpikeInterface's sorter made of its best components; runs on the CPU.

https://spikeinterface.readthedocs.io/en/stable/modules/sorters.html
"""

from typing import Literal

from capsules.parameters.model import param
from capsules.spikesorting.sorters.base import Sorter, SorterParams
from capsules.spikesorting.sorters.components import (
    ComponentSettings,
    estimate_cache,
    keeps_files,
    make_component_arguments,
    make_repeatable,
    speed_up,
)


class LupinSettings(ComponentSettings):
    """Lupin's own parameters."""

    freq_max: float = param(
        7000.0,
        "Upper cut-off of the sorter's own filter. Lower it against high-frequency noise. The default of 7000 keeps "
        "narrow spikes.",
        unit="Hz",
        gt=0,
    )
    whitening_radius_um: float = param(
        100.0,
        "Distance of the channels that a channel is whitened against. Increase it on sparse probes. The default of "
        "100 is SpikeInterface's.",
        unit="um",
        gt=0,
    )
    detection_radius_um: float = param(
        50.0,
        "Of spikes closer than this, only the largest is detected. Increase it when one spike is detected twice. "
        "The default of 50 is SpikeInterface's.",
        unit="um",
        gt=0,
    )
    clustering_ms_before: float = param(
        0.3,
        "Length of the waveform before the peak, for clustering. Increase it when spikes begin earlier. The default "
        "of 0.3 is SpikeInterface's.",
        unit="ms",
        gt=0,
    )
    clustering_ms_after: float = param(
        1.3,
        "Length of the waveform after the peak, for clustering. Increase it for slower spikes. The default of 1.3 "
        "is SpikeInterface's.",
        unit="ms",
        gt=0,
    )
    n_pca_features: int = param(
        4,
        "Number of principal components that are used to split a cluster. Increase it to separate similar "
        "waveforms. The default of 4 is SpikeInterface's.",
        ge=1,
    )
    template_sparsify_threshold: float = param(
        1.0,
        "Channels of a template below this signal-to-noise ratio are removed. Increase it to keep fewer channels. "
        "The default of 1 is SpikeInterface's.",
        ge=0,
    )
    template_min_snr_ptp: float = param(
        4.0,
        "Templates with a lower signal-to-noise ratio are removed. Lower it to keep smaller units. The default of 4 "
        "is SpikeInterface's.",
        ge=0,
    )
    template_matching_engine: Literal["wobble", "circus-omp"] = param(
        "wobble",
        "How spikes are matched with the templates. Choose `circus-omp` to compare. The default is `wobble`, "
        "SpikeInterface's.",
    )


class LupinParams(SorterParams):
    """Lupin and the settings around it."""

    sorter: LupinSettings = param(LupinSettings(), "Lupin's parameters.")


SORTER = Sorter(
    "lupin",
    "lupin",
    LupinParams,
    make_component_arguments,
    patch=speed_up("lupin"),
    pin_seeds=make_repeatable("lupin"),
    keeps_files=keeps_files,
    threads=1,
    estimate_scratch=estimate_cache,
)
