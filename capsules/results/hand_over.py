"""Hand a recording's sorted units over to other packages."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

    from capsules.common.recordings.clock import Clock


def make_ts_group(
    trains: dict[Any, npt.NDArray[np.float64]], units: pd.DataFrame, clock: Clock | None
) -> Any:  # pynapple is optional, so its types are unknown here.
    """A pynapple TsGroup of spike trains.

    Parameters
    ----------
    trains : dict
        Unit id -> spike times in seconds.
    units : DataFrame
        Metadata, a row for each unit in the order of `trains`.
    clock : Clock or None
        Its intervals between gaps become the time support.

    Returns
    -------
    pynapple.TsGroup
        The keys are the unit ids where all of them are integers, otherwise row numbers. The metadata have the ids as
        `unit`.

    Raises
    ------
    ImportError
        When pynapple is not installed.
    """
    pynapple = _import_extra("pynapple")
    keys = make_integer_keys(list(trains))
    metadata = units.assign(unit=[str(unit) for unit in trains]).set_axis(keys, axis=0).sort_index()
    times_s = dict(zip(keys, trains.values(), strict=True))
    # Intervals that overlap, because time steps back, would lose spikes.
    support = None if clock is None or clock.steps_back() else pynapple.IntervalSet(np.array(clock.intervals()))
    # pynapple computes `rate` itself, and rejects metadata of that name.
    columns = {name: metadata[name].to_numpy() for name in metadata if name != "rate"}
    group = {key: pynapple.Ts(times_s[key], time_support=support) for key in metadata.index}
    return pynapple.TsGroup(group, time_support=support, metadata=columns)


def make_integer_keys(units: list[Any]) -> list[int]:
    """The unit ids as integers; row numbers where an id is not an integer or two are the same integer."""
    texts = [str(unit) for unit in units]
    keys = [int(text) for text in texts if text.isascii() and text.isdecimal()]
    return keys if len(set(keys)) == len(units) else list(range(len(units)))


def _import_extra(name: str) -> Any:
    """A package of the extra of the same name (`pyproject.toml`)."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise ImportError(f"{name} is not installed. Install it: pip install 'spikerelay[{name}]'", name=name) from None
