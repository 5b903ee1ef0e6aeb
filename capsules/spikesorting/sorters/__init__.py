"""The registry of sorters: every module of this folder that declares a `SORTER`."""

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from capsules.spikesorting.sorters.base import Sorter

_MODULES = (import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__))

SORTERS: dict[str, Sorter[Any]] = {
    module.SORTER.name: module.SORTER for module in _MODULES if hasattr(module, "SORTER")
}
