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

    freq_max: float = param(6000.0, "Upper cut-off of the sorter's own filter.", unit="Hz", gt=0)
    detection_radius_um: float = param(
        150.0, "Of spikes closer than this only the largest is detected.", unit="um", gt=0
    )
    clustering_ms_before: float = param(0.5, "Waveform before the peak, for clustering.", unit="ms", gt=0)
    clustering_ms_after: float = param(1.5, "Waveform after the peak, for clustering.", unit="ms", gt=0)
    n_pca_features: int = param(6, "Principal components used to split a cluster.", ge=1)
    template_sparsify_threshold: float = param(
        1.5, "Channels of a template below this signal-to-noise ratio are removed.", ge=0
    )
    template_min_snr_ptp: float = param(3.5, "Templates with a lower signal-to-noise ratio are removed.", ge=0)


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
