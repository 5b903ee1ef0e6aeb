"""The registry of sorters: one module each."""

from capsules.spikesorting.sorters import kilosort4, kilosort25, spykingcircus2
from capsules.spikesorting.sorters.base import Sorter

SORTERS: dict[str, Sorter] = {module.SORTER.name: module.SORTER for module in (kilosort4, kilosort25, spykingcircus2)}
