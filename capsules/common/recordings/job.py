"""A job: one recording to be sorted, as job dispatch describes it and every later stage reads it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy.typing as npt
from probeinterface import ProbeGroup
from pydantic import BaseModel, ConfigDict, Field

from capsules.common.recordings.clock import Clock, count_clock
from capsules.common.recordings.electrode_locations import ElectrodeLocation
from capsules.common.sync.alignment import Alignment
from capsules.common.sync.lines import LineSource

ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")
"""The form of an id. Files and folders are named after it: nothing else may become a path."""


class Reader(BaseModel):
    """A SpikeInterface extractor and its arguments; `path_arguments` name those relative to the data folder.

    `channel_groups` are those that a recording without channel positions gets, as in `4x4`. `channels_aligned`: the
    file's channels were aligned in time already, so that preprocessing must not shift their phases. `appended` read the
    segments that follow, where a stream is in several folders.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    kwargs: dict[str, Any]
    path_arguments: list[str] = []
    probe_path: str | None = None
    channel_groups: str | None = None
    channels_aligned: bool = False
    appended: list[Reader] = []


def _count_samples(fields: dict[str, Any]) -> Clock:
    """Without a clock, time is counted by samples from 0."""
    rate_hz = fields["sampling_frequency_hz"]
    return count_clock(round(fields["duration_s"] * rate_hz), rate_hz)


class Job(BaseModel):
    """One recording to be sorted.

    `block` is the id of the NWB file that the recording belongs to; `segments` are the reader's segment indices,
    concatenated when there are several. `source_group` is the electrode group that all channels have in an NWB input.
    `files` are its raw files (path relative to the data folder, bytes, mtime in
    ns), so that a replaced file makes another job; `metadata_files`, likewise, describe the session;
    only the NWB export uses them. `electrode_locations` (channel id -> location in the brain) come from
    `locations_file`; the sorting does not depend on them. Where a segment is split at its gaps, `part` has the first
    sample and the number of samples of the job's part, `lfp_part` those of the LF stream.

    The time: `clock` maps the samples of the concatenated segments to seconds, `lfp_clock` those of the LF stream;
    `regular_clock` means that time is counted from each segment's start, `segments_in_turn` that the segments are
    counted one after the other from 0, because they overlap by the source's clock. `session_start_s` is
    `session_start_time` by the instrument's clock, where the instrument wrote it. In the file of a job these are on the
    stream's own clock; `read_jobs` puts them on the reference clock by `alignment` (None: nothing to align), and keeps
    `clock` as it was as `own_clock`.
    `segment_starts_s` and `segment_durations_s` are the source's. `first_samples` are the instrument's numbers of the
    segments' first samples. `event_sources` are the streams of the block whose lines are read.

    Sizes are those of the traces on disk. `converter_limits` are the lowest and the highest sample of the converter, in
    the recording's counts. `skip` is the reason why the pipeline skips the recording, `failure` the reason why it
    cannot read it; `warnings` are for the user.
    """

    model_config = ConfigDict(extra="forbid")

    id: str
    session: str
    block: str
    stream: str
    segments: list[int]
    part: tuple[int, int] | None = None
    lfp_part: tuple[int, int] | None = None
    group: str | None = None
    source_group: str | None = None
    reader: Reader
    lfp_reader: Reader | None = None
    sampling_frequency_hz: float
    num_channels: int
    duration_s: float
    clip_s: float | None = None
    dtype: str
    converter_limits: tuple[float, float] | None = None
    megabytes: float
    probe: str | None = None
    session_start_time: str | None = None
    session_start_s: float | None = None
    clock: Clock = Field(default_factory=_count_samples)
    lfp_clock: Clock | None = None
    own_clock: Clock | None = Field(None, exclude=True)
    segments_in_turn: bool = False
    segment_starts_s: list[float] = []
    segment_durations_s: list[float] = []
    first_samples: list[int] | None = None
    regular_clock: bool = True
    files: list[tuple[str, int, int]] = []
    metadata_files: list[tuple[str, int, int]] = []
    locations_file: str | None = None
    electrode_locations: dict[str, ElectrodeLocation] = {}
    warnings: list[str] = []
    alignment: Alignment | None = None
    event_sources: list[LineSource] = []
    skip: str | None = None
    failure: str | None = None

    def clock_of_traces(self, start_s: float, num_samples: int) -> Clock:
        """The clock of the preprocessed traces: so many samples, from `start_s` after the job's first sample."""
        return self.clock.part(round(start_s * self.sampling_frequency_hz), num_samples)

    def own_clock_of_traces(self, start_s: float, num_samples: int) -> Clock:
        """Likewise, the stream's own clock."""
        return (self.own_clock or self.clock).part(round(start_s * self.sampling_frequency_hz), num_samples)

    def on_reference_clock(self) -> Job:
        """This job, read from its file, with its times on the reference clock."""
        alignment = self.alignment
        if alignment is None or alignment.status != "aligned":
            return self
        return self.model_copy(
            update={
                "own_clock": self.clock,
                "clock": self.clock.align(alignment),
                "lfp_clock": self.lfp_clock and self.lfp_clock.align(alignment),
                "session_start_s": None if self.session_start_s is None else float(alignment.map(self.session_start_s)),
                "regular_clock": False,
            }
        )


def stream_stem(name: str) -> str:
    """A stream's name without its band: `imec0.ap` and `imec0.lf` are `imec0`."""
    return re.sub(r"[.-]?(ap|lfp?)$", "", name, flags=re.IGNORECASE)


def read_jobs(file: Path) -> list[Job]:
    """Read the jobs in a JSON file that has one job or a list of them; their times are on the reference clock."""
    content = json.loads(file.read_text())
    jobs = [Job.model_validate(job) for job in (content if isinstance(content, list) else [content])]
    return [job.on_reference_clock() for job in jobs]


def probe_name(job: Job) -> str:
    """The name of a job's probe, also of its device in the NWB file."""
    return _clean(job.stream.rsplit("#", 1)[-1].removesuffix(".ap").removesuffix("-AP"))


def electrode_group(job: Job) -> str:
    """The name of a job's electrode group: that of an NWB input, else its probe, with its channel group if any."""
    return job.source_group or series_name(job)


def series_name(job: Job) -> str:
    """The end of the names of a job's series in the NWB file."""
    return probe_name(job) if job.group is None else _clean(f"{probe_name(job)}-group{job.group}")


def _clean(name: str) -> str:
    return "".join(char if char.isalnum() or char in "._-" else "-" for char in name)


def electrode_names(job: Job, channel_ids: npt.NDArray[Any], probegroup: ProbeGroup | None) -> list[str]:
    """A name for each channel that the AP and the LF band of one electrode share.

    The contacts' ids where the probe has them, else the channels' ids; for an NWB input always the channels' ids,
    because SpikeInterface counts the contacts of each of its series from 0.
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
