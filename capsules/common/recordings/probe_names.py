"""Names that both halves of the NWB export share."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
from probeinterface import ProbeGroup

from capsules.common.recordings.job import Job


def probe_name(job: Job) -> str:
    """The name of a job's probe, which is that of its device."""
    return _clean(job.stream.rsplit("#", 1)[-1].removesuffix(".ap").removesuffix("-AP"))


def electrode_group(job: Job) -> str:
    """The name of a job's electrode group: an NWB input's own; else its probe, and its channel group if it has one."""
    return job.source_group or series_name(job)


def series_name(job: Job) -> str:
    """What the names of a job's series end with."""
    return probe_name(job) if job.group is None else _clean(f"{probe_name(job)}-group{job.group}")


def _clean(name: str) -> str:
    return "".join(char if char.isalnum() or char in "._-" else "-" for char in name)


def electrode_names(job: Job, channel_ids: npt.NDArray[Any], probegroup: ProbeGroup | None) -> list[str]:
    """A name for each channel that the AP and the LF band of one electrode share.

    The contacts' ids where the probe tells them, else the channels' ids. Of an NWB input it is the channels' ids:
    SpikeInterface counts the contacts of each of its series from 0.
    """
    ids = [str(channel) for channel in channel_ids]
    if probegroup is None or job.reader.name == "nwb":
        return ids
    # A group lists contacts probe by probe; the channels follow the device's order.
    contacts = probegroup.to_numpy(complete=True)
    contacts = contacts[contacts["device_channel_indices"].argsort()]
    several = len(probegroup.probes) > 1
    names = [
        f"probe{row['probe_index']}:{row['contact_ids']}" if several else str(row["contact_ids"]) for row in contacts
    ]
    return names if len(set(names)) == len(ids) else ids
