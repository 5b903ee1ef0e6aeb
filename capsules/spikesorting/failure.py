"""How the task ends when the sorter fails: skipped or failed, with the cause in one line."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capsules.common.errors import RecordedFailure, Skip, SpikeRelayError
from capsules.spikesorting.sorters.base import Sorter, SorterParams


@dataclass(frozen=True)
class FailureLog:
    """SpikeInterface's log of a sorter that failed."""

    printed: str = ""
    """What the sorter printed: of an executable its only message, of a sorter in Python its progress."""
    trace: str = ""
    """Python's traceback."""


def read_failure_log(folder: Path) -> FailureLog:
    """Read SpikeInterface's log of a sorter's working folder; empty when the sorter itself did not fail."""
    file = folder / "spikeinterface_log.json"
    log = json.loads(file.read_text()) if file.exists() else {}
    if not log.get("error"):
        return FailureLog()
    return FailureLog("\n".join(log["runtime_trace"]).strip(), "\n".join(log["error_trace"]).strip())


def find_cause(error: Exception, log: FailureLog, mark: str) -> str:
    """Why a sorter failed, in one line: its executable's own message, else the last line of the traceback.

    SpikeInterface says of an executable only that it failed, and ends its own message with the path of its log.
    """
    if mark and mark in log.printed:
        return " ".join(log.printed.rpartition(mark)[2].split())
    printed = log.printed if mark else ""
    text = printed or log.trace or str(error).strip() or type(error).__name__
    return text.splitlines()[-1].strip()


def convert_error(sorter: Sorter[Any], params: SorterParams, error: Exception, log: FailureLog) -> Exception:
    """Convert a sorter's error: the task is skipped when there was nothing to sort, and fails otherwise."""
    for text, reason in sorter.nothing_to_sort.items():
        if text in f"{error} {log.trace}":
            return Skip(f"{sorter.name}: {reason}")
    failure = SpikeRelayError if params.raise_if_fails else RecordedFailure
    return failure(f"{sorter.name} failed: {find_cause(error, log, sorter.error_mark)}")
