"""NWB, second half: a copy of the first half's file, with the block's curated units."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import cast

import numpy as np
from hdmf_zarr import NWBZarrIO
from pynwb import NWBHDF5IO, NWBFile
from spikeinterface import BaseSorting, SortingAnalyzer, load, load_sorting_analyzer

from capsules.common.errors import Skip, SpikeRelayError
from capsules.common.facts import PostprocessingFacts
from capsules.common.files import link_or_copy
from capsules.common.recordings.job import Job, electrode_group, electrode_names
from capsules.common.tasks.task import Task
from capsules.nwb_units.columns import SortedUnits, collect_units, label_columns
from capsules.nwb_units.table import join_units, write_units


def run(task: Task[None]) -> None:
    source = task.input_record("nwb_ecephys")
    if source is None:
        raise SpikeRelayError(f"no {task.input('nwb_ecephys', 'stage.json')}: run capsules.nwb_ecephys first")
    # A failed nwb_ecephys leaves a file when only parts of it are missing.
    if not task.input("nwb_ecephys", "file.nwb").exists():
        raise Skip(f"nwb_ecephys {source['status']}: {source['reason']}")
    curated, remarks = find_curated_sortings(task)
    target = task.out / "file.nwb"
    copy_file(task.input("nwb_ecephys", "file.nwb"), target)
    with open_io(target) as io:
        nwbfile = io.read()
        absent = [id for job, id in curated if electrode_group(job) not in nwbfile.electrode_groups]
        remarks += [f"{id} has no units: its probe is not in this file." for id in absent]
        curated = [(job, id) for job, id in curated if id not in absent]
        label_electrodes(nwbfile, [(job, _facts(task, id).bad_electrodes) for job, id in curated])
        sortings = [_units_of(task, nwbfile, job, id) for job, id in curated]
        remarks += [text for (_, id), units in zip(curated, sortings, strict=True) if (text := none_good(id, units))]
        if sortings:
            table = join_units(sortings)
            if "waveform_mean" in table.left_out:
                remarks.append(
                    "Waveforms are left out: recordings of different rates cannot share the table's columns."
                )
            write_units(nwbfile, table, remarks)
            task.fact(columns_left_out=table.left_out)
        else:
            remarks.append("No recording of this block has units: the file has no units table.")
        for remark in remarks:
            task.warn(remark)
        note_in_file(task, nwbfile, remarks)
        io.write(nwbfile)
    task.fact(units=sum(map(len, sortings)), recordings=[id for _, id in curated])


def find_curated_sortings(task: Task[None]) -> tuple[list[tuple[Job, str]], list[str]]:
    """The block's curated sortings (job, id), and a sentence on each recording or sorting without one."""
    records = [json.loads(file.read_text()) for file in sorted(task.inputs.glob("curation_*/stage.json"))]
    curated, remarks = [], []
    for job in task.jobs:
        own = [record for record in records if record["recording"] == job.id]
        if not own:
            remarks.append(f"{job.id} has no units: {job.failure or job.skip or 'an earlier stage failed'}.")
        for record in own:
            if record["status"] == "ok":
                curated.append((job, record["id"]))
            else:
                remarks.append(f"{record['id']} has no units: {record['reason']}.")
    return curated, remarks


def label_electrodes(nwbfile: NWBFile, recordings: list[tuple[Job, dict[str, str] | None]]) -> None:
    """Add a column `channel_label` to the electrodes.

    Parameters
    ----------
    nwbfile : NWBFile
    recordings : list of (Job, dict or None)
        For each recording the names of its bad electrodes with their labels; None where they are unknown.
    """
    bad = {electrode_group(job): labels for job, labels in recordings if labels is not None}
    if not bad:
        return
    labels = [bad[group].get(name, "good") if group in bad else "unknown" for group, name in _electrodes(nwbfile)]
    nwbfile.electrodes.add_column(
        name="channel_label",
        description="label by bad channel detection: good, dead, noise, out (of the brain), saturated, or removed (by "
        "a custom pipeline); unknown where nothing was sorted",
        data=labels,
    )


def none_good(id: str, units: SortedUnits) -> str | None:
    """A sentence when the curation query labels no unit of a sorting good."""
    labels = units.columns.get("default_qc")
    if labels is None:
        return None
    counts = Counter(map(str, labels.values))
    if "good" in counts:
        return None
    others = " and ".join(f"{count} {label}" for label, count in sorted(counts.items()))
    return f"{id} has no good units: the curation query labels {others}."


def note_in_file(task: Task[None], nwbfile: NWBFile, remarks: list[str]) -> None:
    """Write the remarks to the file's `data_collection`, for its readers."""
    if not remarks:
        return
    if nwbfile.data_collection is None:
        nwbfile.data_collection = "\n".join(remarks)
        # pynwb detects new tables, but not new texts.
        nwbfile.set_modified()
    else:
        # pynwb cannot change a text of an existing file.
        task.change("the warnings are not in the NWB file: its data_collection keeps the text of the source")


def copy_file(source: Path, target: Path) -> None:
    """Copy an NWB file to add to the copy: the source stays as it is.

    A zarr store's chunks are hard-linked, since chunks are replaced and never changed in place; its small metadata
    files and an hdf5 file are copied.
    """
    if source.is_file():
        shutil.copyfile(source, target)
    else:
        shutil.copytree(source.resolve(), target, copy_function=_link_chunk)


def _link_chunk(source: str, target: str) -> None:
    if Path(source).name.startswith("."):
        shutil.copyfile(source, target)
        return
    link_or_copy(source, target)


def open_io(file: Path) -> NWBHDF5IO | NWBZarrIO:
    """Open an NWB file to add to it."""
    return (NWBHDF5IO if file.is_file() else NWBZarrIO)(str(file), mode="r+")


def _units_of(task: Task[None], nwbfile: NWBFile, job: Job, id: str) -> SortedUnits:
    """One sorting's units, their spikes by the clock of the file's traces."""
    # An extension is read when it is used: waveforms and principal components, the largest, are not.
    analyzer = load_sorting_analyzer(task.input("postprocessing", "postprocessed.zarr", id), load_extensions=False)
    sorting = cast(BaseSorting, load(task.input("curation", "curated", id)))
    facts = _facts(task, id)
    clock = job.clock_of_traces(facts.start_s, analyzer.get_total_samples())
    trains = [sorting.get_unit_spike_train(unit, return_times=False) for unit in analyzer.unit_ids]
    about = {"id": id, "recording": job.id, "electrode_group": electrode_group(job)}
    return collect_units(
        analyzer,
        label_columns(sorting),
        about | {"sorter": facts.sorter, "sorter_version": facts.sorter_version},
        spike_times=[clock.seconds(train) for train in trains],
        observed=np.array(clock.intervals()),
        electrode_of=electrode_rows(nwbfile, analyzer, job),
    )


def _facts(task: Task[None], id: str) -> PostprocessingFacts:
    return task.input_facts(PostprocessingFacts, id)


def _electrodes(nwbfile: NWBFile) -> list[tuple[str, str]]:
    """Group and name of each electrode of the file, in their order."""
    table = nwbfile.electrodes
    return [
        (str(group), str(name)) for group, name in zip(table["group_name"][:], table["channel_name"][:], strict=True)
    ]


def electrode_rows(nwbfile: NWBFile, analyzer: SortingAnalyzer, job: Job) -> dict[int, int]:
    """Channel index of the analyzer -> row of its electrode in the file's electrodes table."""
    row_of = {electrode: row for row, electrode in enumerate(_electrodes(nwbfile))}
    own = electrode_names(job, analyzer.channel_ids, analyzer.get_probegroup())
    return {channel: row_of[electrode_group(job), name] for channel, name in enumerate(own)}
