"""Parameters of spike sorting (section `spikesorting`): the choice of the sorter and one section for each."""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import create_model

from capsules.parameters.model import Section, param
from capsules.spikesorting.sorters import SORTERS

# mypy cannot evaluate the registry: it sees a text for a sorter's name, and a section without the sorters' sections.
if TYPE_CHECKING:
    SorterName = str
else:
    SorterName = Literal[tuple(SORTERS)]


class _Choice(Section):
    """Which sorter runs, and its parameters."""

    sorter: SorterName | None = param(
        None,
        "The sorter, which has priority over `--sorter`. Choose `kilosort4` for dense probes with a GPU, and "
        "`spykingcircus2` without one. The default (null) leaves the choice to `--sorter`.",
    )


if TYPE_CHECKING:
    SpikesortingParams = _Choice
else:
    _sections: dict[str, Any] = {
        name: (sorter.params, param(sorter.params(), f"Used when the sorter is {name}."))
        for name, sorter in SORTERS.items()
    }
    SpikesortingParams = create_model("SpikesortingParams", __base__=_Choice, **_sections)

PARAMS = SpikesortingParams
