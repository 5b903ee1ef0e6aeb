"""Artefacts: periods that most channels see at once, and times that the user names, such as those of stimuli."""

from __future__ import annotations

import csv
import hashlib
import math
from pathlib import Path
from typing import Any

from capsules.common.errors import MOST_SHOWN, Rejected, and_more
from capsules.common.recordings.clock import Clock
from capsules.common.recordings.saturation import Frames, joined_frames
from capsules.common.untrusted.small_files import read_small_csv
from capsules.preprocessing.params import Artifacts

COLUMNS = ("start_s", "stop_s")
MAX_CHANNELS = 32
"""So many, evenly spaced, show what most channels see; more take longer and show the same."""

Periods = list[tuple[float, float]]
"""Start and end in seconds."""


def artifact_frames(recording: Any, settings: Artifacts) -> Frames | None:
    """Find the periods in which most channels are larger than usual; None when most of the recording is silent.

    Source: `detect_artifact_periods` of SpikeInterface with its method `envelope`, on `MAX_CHANNELS` channels.

    Parameters
    ----------
    recording : BaseRecording
        Filtered, not yet referenced; one segment.
    settings : Artifacts
    """
    import numpy as np
    from spikeinterface.core import get_random_data_chunks
    from spikeinterface.preprocessing import detect_artifact_periods

    count = recording.get_num_channels()
    chosen = np.unique(np.linspace(0, count - 1, min(count, MAX_CHANNELS)).astype(int))
    recording = recording.select_channels(recording.channel_ids[chosen])
    sample = get_random_data_chunks(recording, seed=0)
    if np.median(np.abs(sample - np.median(sample, axis=0))) == 0:
        return None
    found = detect_artifact_periods(
        recording,
        method="envelope",
        method_kwargs={"detect_threshold": settings.detect_threshold, "freq_max": settings.freq_max, "seed": 0},
    )
    return joined_frames(zip(found["start_sample_index"].tolist(), found["end_sample_index"].tolist(), strict=True))


def read_artifact_times(file: Path) -> Periods:
    """The periods in a CSV file: start and end in seconds, which are the same where it has no column `stop_s`.

    Raises
    ------
    Rejected
        When it cannot be read, lacks the column `start_s`, or has values that are not times: each of them.
    """
    try:
        reader = read_small_csv(file)
        names = [name.strip() for name in reader.fieldnames or []]
        if "start_s" not in names or set(names) - set(COLUMNS):
            shown = ", ".join(names[:5]) or "none"
            raise Rejected(
                [f"{file}: the columns start_s and, if wanted, stop_s are needed; its first line has {shown}"]
            )
        reader.fieldnames = names
        rows = [(reader.line_num, row) for row in reader]
    except (OSError, ValueError, csv.Error) as error:
        raise Rejected([f"{file} cannot be read: {error}"]) from None
    periods, problems = [], []
    for line, row in rows:
        period = _period(row)
        if period is None:
            problems.append(f"{file}, line {line}: start_s, and stop_s not before it, are needed in seconds")
        else:
            periods.append(period)
    if problems:
        raise Rejected(problems[:MOST_SHOWN] + and_more(len(problems)))
    if not periods:
        raise Rejected([f"{file} holds no times"])
    return periods


def _period(row: dict[str, Any]) -> tuple[float, float] | None:
    try:
        start_s = float(row["start_s"])
        stop_s = float(row["stop_s"]) if row.get("stop_s") else start_s
    except (TypeError, ValueError):
        return None
    good = math.isfinite(start_s) and math.isfinite(stop_s) and stop_s >= start_s and None not in row
    return (start_s, stop_s) if good else None


def times_file(data: Path, session: str, name: str) -> Path:
    """The file of that name in a session's folder, or in the data folder when the session's has none.

    Raises
    ------
    Rejected
        When it is not inside the data folder: containers see no other.
    """
    file = next((file for file in (data / session / name, data / name) if file.exists()), data / name)
    if not file.resolve().is_relative_to(data.resolve()):
        raise Rejected([f"preprocessing.artifacts.times: {name} is not in the data folder: put the file there"])
    return file


def times_digest(data: Path, name: str | None) -> str:
    """A digest of the files of times in a data folder and its sessions; empty when the parameters name none.

    Raises
    ------
    Rejected
        When there is no such file, or one is invalid.
    """
    if name is None:
        return ""
    files = {times_file(data, folder.name, name) for folder in data.iterdir() if folder.is_dir()}
    files = {file for file in files | {times_file(data, "", name)} if file.exists()}
    if not files:
        raise Rejected([f"preprocessing.artifacts.times: no file {name} in {data}"])
    for file in files:
        read_artifact_times(file)
    return hashlib.sha256(b"".join(file.read_bytes() for file in sorted(files))).hexdigest()[:16]


def periods_inside(periods: Periods, clock: Clock, settings: Artifacts) -> Periods:
    """Those of the periods that, with `ms_before` and `ms_after`, reach into the recording of a clock."""
    before_s, after_s = settings.ms_before / 1000, settings.ms_after / 1000
    return [
        (start_s, stop_s)
        for start_s, stop_s in periods
        if stop_s + after_s >= clock.starts_s[0] and start_s - before_s < clock.end_s
    ]


def frames_around(periods: Periods, clock: Clock, settings: Artifacts) -> Frames:
    """The samples of periods in seconds of a clock, with `ms_before` and `ms_after` around them."""
    import numpy as np

    starts_s, stops_s = np.array(periods, dtype=float).reshape(-1, 2).T
    starts = clock.samples_at(starts_s - settings.ms_before / 1000)
    ends = clock.samples_at(stops_s + settings.ms_after / 1000) + 1
    return joined_frames(zip(starts.tolist(), ends.tolist(), strict=True))


def blanked(recording: Any, frames: Frames) -> Any:
    """The recording with zeros in some periods, on every channel.

    Source: `silence_periods` of SpikeInterface, which its `detect_and_remove_artifacts` is made of.
    """
    import spikeinterface.preprocessing as spre

    if not frames:
        return recording
    periods = [[list(period) for period in frames]]
    result = spre.silence_periods(recording, list_periods=periods)
    # It keeps the periods as records, which no JSON can hold; as lists, which it takes as well, preprocessed.json can.
    result._kwargs = {"recording": recording, "list_periods": periods}
    result._serializability["json"] = True
    return result
