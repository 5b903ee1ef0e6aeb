"""Parameters of spike sorting (section `spikesorting`): the choice of the sorter and one section for each."""

from typing import Literal

from pydantic import create_model

from capsules.parameters.model import Section, param
from capsules.spikesorting.sorters import SORTERS

SorterName = Literal[tuple(SORTERS)]


class _Choice(Section):
    """Which sorter runs, and with what."""

    sorter: SorterName | None = param(None, "The sorter; null leaves the choice to `--sorter`.")


SpikesortingParams = create_model(
    "SpikesortingParams",
    __base__=_Choice,
    **{
        name: (sorter.params, param(sorter.params(), f"Used when the sorter is {name}."))
        for name, sorter in SORTERS.items()
    },
)

PARAMS = SpikesortingParams
