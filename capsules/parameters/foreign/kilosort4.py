"""Kilosort4's settings as our parameters: a `settings` dictionary (JSON), or the `ops.npy` of a finished sorting."""

from __future__ import annotations

import math
from typing import Any

from capsules.parameters.foreign.changes import ABSENT, Translation
from capsules.parameters.problems import quote

SORTER = "spikesorting.kilosort4"
SAMPLES_AT_DEFAULT_NT = 20
DEFAULT_NT = 61
MAX_CHANNEL_DISTANCE_UM = 32.0
"""What Kilosort 4.1 uses where `max_channel_distance` is null, which earlier ones had as default."""
FROM_RECORDING = "the recording has it"
LEFT_OUT = {
    "n_chan_bin": FROM_RECORDING,
    "fs": FROM_RECORDING,
    "data_dtype": FROM_RECORDING,
    "probe": FROM_RECORDING,
    "probe_name": FROM_RECORDING,
    "probe_path": FROM_RECORDING,
    "filename": "the data folder is given to the run",
    "data_dir": "the data folder is given to the run",
    "data_file_path": "the data folder is given to the run",
    "results_dir": "the results folder is given to the run",
    "verbose_log": "logs are always written",
    "torch_device": "auto uses a GPU where there is one",
}
"""Kilosort's settings that our params file does not have -> why."""
RUN_OPTIONS = ("do_CAR", "invert_sign", "save_preprocessed_copy")
"""Arguments of `run_kilosort` that `ops.npy` has next to the settings."""
DIFFERENCES = (
    "preprocessing filters the traces, removes bad channels and subtracts a common reference before Kilosort4 does;"
    " spikesorting.kilosort4.sorter.do_CAR = null avoids the second reference",
    "without drift correction below min_drift_channels = 6 channels",
    "further checks, metrics and labels follow the sorting; `spikerelay plan` lists the stages",
)


def is_kilosort4(document: dict[str, Any], known: list[str]) -> bool:
    """Whether a document is a dictionary of Kilosort4's settings: most of its keys are."""
    names = [*known, *LEFT_OUT, *RUN_OPTIONS, "tmin", "tmax", "settings", "duplicate_spike_bins", "clear_cache"]
    return bool(document) and sum(name in names for name in document) * 2 > len(document)


def translate_ops(ops: dict[str, Any], known: list[str]) -> Translation:
    """Translate the content of an `ops.npy`: its settings and options; the rest are results of that sorting."""
    settings = ops.get("settings")
    if not isinstance(settings, dict):
        # Of Kilosort 4.0, which saved the settings among the results.
        settings = {name: ops[name] for name in known if name in ops}
    options = {name: ops[name] for name in RUN_OPTIONS if name in ops}
    rest = [str(name) for name in ops if name not in (*settings, *options, "settings")]
    work = translate_settings(_plain(settings | options), known)
    if rest:
        names = ", ".join(rest)
        work.note("left out", f"{len(rest)} entries next to the settings, which are results or the probe: {names}")
    return work


def translate_settings(settings: dict[str, Any], known: list[str]) -> Translation:
    """Translate a dictionary of settings; `known` are the names of our parameters of Kilosort4."""
    work = Translation(dict(settings))
    work.set("spikesorting.sorter", "kilosort4")
    work.note("set", 'spikesorting.sorter = "kilosort4"')
    _translate_period(work)
    _translate_duplicates(work)
    _translate_alignment(work)
    if work.source.get("max_channel_distance", ABSENT) is None:
        place = f"{SORTER}.sorter.max_channel_distance"
        work.rename("max_channel_distance", place, lambda value: MAX_CHANNEL_DISTANCE_UM)
    work.rename("clear_cache", f"{SORTER}.clear_cache")
    for name, reason in LEFT_OUT.items():
        work.drop(name, reason)
    for name, value in list(work.source.items()):
        if name not in known:
            work.drop(name, "Kilosort 4.1 has no such setting")
        elif isinstance(value, float) and math.isinf(value):
            work.set(f"{SORTER}.sorter.{name}", None)
            work.note("renamed", f"{name} = infinity -> {SORTER}.sorter.{name} = null, which means it")
        else:
            work.set(f"{SORTER}.sorter.{name}", value)
    for text in DIFFERENCES:
        work.note("differs", text)
    return work


def _translate_period(work: Translation) -> None:
    """The part of the recording that is sorted; Kilosort's defaults are all of it."""
    for old, new, default in (("tmin", "t_start", 0), ("tmax", "t_stop", math.inf)):
        value = work.take(old)
        if value in (None, default):
            work.note("left out", f"{old} = {value}: the whole recording is sorted")
        elif value is not ABSENT:
            work.set(f"preprocessing.{new}", value)
            work.note("renamed", f"{old} -> preprocessing.{new}")


def _translate_duplicates(work: Translation) -> None:
    bins, rate_hz = work.take("duplicate_spike_bins"), work.source.get("fs")
    if bins is ABSENT or "duplicate_spike_ms" in work.source:
        if bins is not ABSENT:
            work.note("left out", f"duplicate_spike_bins = {quote(bins)}: duplicate_spike_ms sets it")
    elif isinstance(bins, int) and isinstance(rate_hz, (int, float)) and rate_hz > 0:
        work.set(f"{SORTER}.sorter.duplicate_spike_ms", round(1000 * bins / rate_hz, 6))
        work.note("renamed", f"duplicate_spike_bins -> {SORTER}.sorter.duplicate_spike_ms, at {rate_hz:g} Hz")
    else:
        work.note("left out", f"duplicate_spike_bins = {quote(bins)}: set duplicate_spike_ms, the time in ms")


def _translate_alignment(work: Translation) -> None:
    """Kilosort computes `nt0min` from `nt` where it is null, and saves the result."""
    length, value = work.source.get("nt", DEFAULT_NT), work.source.get("nt0min")
    if value is not None and isinstance(length, int) and value == int(SAMPLES_AT_DEFAULT_NT * length / DEFAULT_NT):
        work.source["nt0min"] = None
        work.note("renamed", f"nt0min = {value} -> null, which computes this value from nt")


def _plain(value: Any) -> Any:
    """Numpy's numbers and arrays as Python's."""
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value.tolist() if hasattr(value, "tolist") else value
