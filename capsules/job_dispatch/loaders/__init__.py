"""One module per input format: `list_streams` opens each stream of a folder, `list_line_sources` lists its lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from capsules.common.sync.lines import LineSource
from capsules.job_dispatch.loaders import aind, nwb, openephys, openephys_lines, spikeglx, spikeinterface
from capsules.job_dispatch.loaders.streams import AnyStream
from capsules.job_dispatch.params import InputFormat, JobDispatchParams

LOADERS: dict[InputFormat, Callable[[Path, JobDispatchParams], Iterator[AnyStream]]] = {
    "aind": aind.list_streams,
    "spikeglx": spikeglx.list_streams,
    "openephys": openephys.list_streams,
    "nwb": nwb.list_streams,
    "spikeinterface": spikeinterface.list_streams,
}

LINE_SOURCES: dict[InputFormat, Callable[[Path, Path, JobDispatchParams], list[LineSource]]] = {
    "aind": aind.list_line_sources,
    "spikeglx": spikeglx.list_line_sources,
    "openephys": openephys_lines.list_line_sources,
    "nwb": nwb.list_line_sources,
}
"""Format -> the sources of digital lines of a session (its folder, the data folder); absent for a format without any.

The paths of a source are relative to the data folder; `line_sources.select_sources` has those of a job.
"""
