"""Reading a published results folder: its recordings and their folders; and writing folders whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from capsules.common.contract import RUN_RECORD, STAGES
from capsules.common.errors import Rejected, SpikeRelayError, nearest
from capsules.common.facts import PreprocessingFacts, facts_of
from capsules.common.recordings.clock import Clock
from capsules.common.recordings.job import ID
from capsules.common.sync.alignment import Alignment
from capsules.common.sync.document import find_alignment
from capsules.common.untrusted.places import make_unused_name
from capsules.parameters import strict_json
from capsules.parameters.problems import quote

if TYPE_CHECKING:
    from spikeinterface import SortingAnalyzer


def status_of(results: Path) -> dict[str, Any]:
    """The `status.json` of a results folder.

    Raises
    ------
    Rejected
        When there is none, or its content is not that of a run.
    """
    file = results / "status.json"
    if not os.path.isdir(results):
        raise Rejected([f"{results}: no such folder: name the results folder of a run"])
    if not os.path.isfile(file):
        raise Rejected([f"{results} is not the results folder of a finished run: it has no status.json"])
    status = read_record(file)
    for kind in ("recordings", "blocks"):
        entries = status.get(kind)
        if not (isinstance(entries, dict) and all(map(_is_entry, entries.values()))):
            raise Rejected([f"{file} is not what a run leaves: it lists no {kind}"])
    recordings, blocks = status["recordings"], status["blocks"]
    if any(not isinstance(entry.get(key), str) for entry in recordings.values() for key in ("status", "recording")):
        raise Rejected([f"{file} is not what a run leaves: a recording has no id or no status"])
    ids = [*recordings, *blocks, *(entry.get("recording") for entry in recordings.values())]
    if wrong := [id for id in ids if not (isinstance(id, str) and ID.fullmatch(id))]:
        raise Rejected([f"{file} is not what a run leaves: invalid id {quote(wrong[0])}"])
    return status


def _is_entry(entry: Any) -> bool:
    stages = entry.get("stages", {}) if isinstance(entry, dict) else None
    return isinstance(stages, dict) and all(isinstance(stage, dict) for stage in stages.values())


def data_of_run(results: Path) -> Path | None:
    """The data folder that the record of the run names, whether or not it still exists; None where it names none."""
    record = results / RUN_RECORD
    data = read_record(record).get("data") if record.exists() else None
    return Path(data) if isinstance(data, str) else None


def read_record(file: Path) -> dict[str, Any]:
    """A JSON object that a run has left.

    Raises
    ------
    Rejected
        When it cannot be read, or is not a JSON object.
    """
    if file.exists() and not file.is_file():
        # Reading a pipe would wait.
        raise Rejected([f"{file} is not what a run leaves: it is not a regular file"])
    try:
        record = strict_json.read_file(file).value
    except OSError as error:
        raise Rejected([f"{file}: {error.strerror}"]) from None
    if not isinstance(record, dict):
        raise Rejected([f"{file} is not what a run leaves: it is not a JSON object"])
    return record


def place(results: Path, stage: str, part: str, id: str) -> Path:
    """Where a stage's part is published."""
    (published,) = (known.place(stage, id) for known in STAGES[stage].parts if known.name == part)
    if published is None:
        raise ValueError(f"{stage} does not publish {part}")
    return results / published


def choose_recording(results: Path, asked: str | None) -> str:
    """The id that `--recording` names, or the only one that has curated units.

    Raises
    ------
    Rejected
        When no recording has curated units, the named one has none, or several have some and none is named.
    """
    every = list(status_of(results)["recordings"])
    curated = [id for id in every if place(results, "curation", "curated", id).exists()]
    if asked is not None and asked not in curated:
        why = "has no curated units" if asked in every else f"is not in {results}{nearest(asked, curated)}"
        raise Rejected([f"--recording {asked}: {why}; recordings with units: {', '.join(curated) or 'none'}"])
    if not curated:
        raise Rejected([f"{results}: no recording has curated units"])
    if asked is None and len(curated) > 1:
        raise Rejected([f"add --recording, one of {', '.join(curated)}"])
    return asked or curated[0]


def load_labelled_analyzer(results: Path, id: str, in_memory: bool = True) -> SortingAnalyzer:
    """A recording's analyzer with the labels of its curated sorting; nothing is written to the results.

    Parameters
    ----------
    results : Path
    id : str
        Of the sorting.
    in_memory : bool
        Whether all extensions are read now, so that they may be changed; otherwise each is read at first use.

    Raises
    ------
    SpikeRelayError
        When the analyzer is missing.
    """
    # `spikerelay.load` reads the status without SpikeInterface, which takes a second to import.
    from capsules.common.untrusted.distrust import load_analyzer, load_sorting, report_unreadable

    file = place(results, "postprocessing", "postprocessed.zarr", id)
    if not file.exists():
        raise SpikeRelayError(f"{file} is missing: restore it, or run the same command with -resume")
    analyzer = load_analyzer(file, load_extensions=in_memory)
    if in_memory:
        analyzer = analyzer.save_as(format="memory")
    curated = load_sorting(place(results, "curation", "curated", id))
    with report_unreadable(file):
        for name in curated.get_property_keys():
            analyzer.sorting.set_property(name, curated.get_property(name))
    return analyzer


def clock_of(results: Path, recording: str) -> Clock | None:
    """The clock of a recording's preprocessed traces, on the reference clock where its stream was aligned.

    None where preprocessing left none.

    Raises
    ------
    Rejected
        When a record is not what a run leaves.
    """
    clock, alignment = own_clock_of(results, recording), alignment_of(results, recording)
    return clock if clock is None or alignment is None else clock.align(alignment)


def alignment_of(results: Path, recording: str) -> Alignment | None:
    """How a recording's stream was put on the reference clock; None where it was not; raises as `clock_of` does."""
    file = results / "sync.json"
    if not file.exists():
        return None
    try:
        return find_alignment(read_record(file), recording)
    except (ValidationError, KeyError, TypeError, AttributeError):
        raise Rejected([f"{file} is not what a run leaves: it is damaged"]) from None


def own_clock_of(results: Path, recording: str) -> Clock | None:
    """The clock of a recording's preprocessed traces as its instrument counts; raises as `clock_of` does."""
    file = place(results, "preprocessing", "stage.json", recording)
    if not file.exists():
        return None
    try:
        return facts_of(read_record(file), PreprocessingFacts).clock
    except ValidationError:
        raise Rejected([f"{file} is not what a run leaves: its facts are damaged"]) from None


def reject_existing(output: Path) -> None:
    """Raise Rejected when the output exists."""
    if os.path.lexists(output):
        raise Rejected([f"{output} exists: remove it or give another --output"])


@contextmanager
def whole_folder(output: Path) -> Iterator[Path]:
    """A folder to write into, which is renamed to `output` at the end, or removed after an error."""
    partial = make_unused_name(output)
    partial.mkdir(parents=True)
    try:
        yield partial
        partial.rename(output)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
