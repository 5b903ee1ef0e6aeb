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

    freq_max: float = param(7000.0, "Upper cut-off of the sorter's own filter.", unit="Hz", gt=0)
    whitening_radius_um: float = param(
        100.0, "Distance of the channels that a channel is whitened against.", unit="um", gt=0
    )
    detection_radius_um: float = param(
        50.0, "Of spikes closer than this only the largest is detected.", unit="um", gt=0
    )
    clustering_ms_before: float = param(0.3, "Waveform before the peak, for clustering.", unit="ms", gt=0)
    clustering_ms_after: float = param(1.3, "Waveform after the peak, for clustering.", unit="ms", gt=0)
    n_pca_features: int = param(4, "Principal components used to split a cluster.", ge=1)
    template_sparsify_threshold: float = param(
        1.0, "Channels of a template below this signal-to-noise ratio are removed.", ge=0
    )
    template_min_snr_ptp: float = param(4.0, "Templates with a lower signal-to-noise ratio are removed.", ge=0)
    template_matching_engine: Literal["wobble", "circus-omp"] = param(
        "wobble", "How spikes are matched with the templates."
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
