"""Tridesclous2, SpikeInterface's successor of Tridesclous; runs on the CPU.

https://spikeinterface.readthedocs.io/en/stable/modules/sorters.html
"""

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


class Tridesclous2Settings(ComponentSettings):
    """Tridesclous2's own parameters."""

    freq_max: float = param(
        6000.0,
        "Upper cut-off of the sorter's own filter. Lower it against high-frequency noise. The default of 6000 keeps "
        "narrow spikes.",
        unit="Hz",
        gt=0,
    )
    detection_radius_um: float = param(
        150.0,
        "Of spikes closer than this, only the largest is detected. Lower it when neighbouring neurons are missed. "
        "The default of 150 is SpikeInterface's.",
        unit="um",
        gt=0,
    )
    clustering_ms_before: float = param(
        0.5,
        "Length of the waveform before the peak, for clustering. Increase it when spikes begin earlier. The default "
        "of 0.5 is SpikeInterface's.",
        unit="ms",
        gt=0,
    )
    clustering_ms_after: float = param(
        1.5,
        "Length of the waveform after the peak, for clustering. Increase it for slower spikes. The default of 1.5 "
        "is SpikeInterface's.",
        unit="ms",
        gt=0,
    )
    n_pca_features: int = param(
        6,
        "Number of principal components that are used to split a cluster. Increase it to separate similar "
        "waveforms. The default of 6 is SpikeInterface's.",
        ge=1,
    )
    template_sparsify_threshold: float = param(
        1.5,
        "Channels of a template below this signal-to-noise ratio are removed. Increase it to keep fewer channels. "
        "The default of 1.5 is SpikeInterface's.",
        ge=0,
    )
    template_min_snr_ptp: float = param(
        3.5,
        "Templates with a lower signal-to-noise ratio are removed. Lower it to keep smaller units. The default of "
        "3.5 is SpikeInterface's.",
        ge=0,
    )


class Tridesclous2Params(SorterParams):
    """Tridesclous2 and the settings around it."""

    sorter: Tridesclous2Settings = param(Tridesclous2Settings(), "Tridesclous2's parameters.")


SORTER = Sorter(
    "tridesclous2",
    "tridesclous2",
    Tridesclous2Params,
    make_component_arguments,
    patch=speed_up("tridesclous2"),
    pin_seeds=make_repeatable("tridesclous2"),
    keeps_files=keeps_files,
    threads=1,
    estimate_scratch=estimate_cache,
)
