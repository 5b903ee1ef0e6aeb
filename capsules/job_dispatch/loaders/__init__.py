"""One module per input format: `list_streams` opens each stream of a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from capsules.job_dispatch.loaders import aind, nwb, openephys, spikeglx, spikeinterface
from capsules.job_dispatch.loaders.streams import AnyStream
from capsules.job_dispatch.params import InputFormat, JobDispatchParams

LOADERS: dict[InputFormat, Callable[[Path, JobDispatchParams], Iterator[AnyStream]]] = {
    "aind": aind.list_streams,
    "spikeglx": spikeglx.list_streams,
    "openephys": openephys.list_streams,
    "nwb": nwb.list_streams,
    "spikeinterface": spikeinterface.list_streams,
}
