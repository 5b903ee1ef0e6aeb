"""NWB, second half: a new file with the block's curated units beside what the first half wrote."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from capsules.common.errors import Skip, SpikeRelayError
from capsules.common.files import link_or_copy
from capsules.common.recordings.job import Job
from capsules.common.recordings.probe_names import electrode_group, electrode_names
from capsules.common.tasks.task import Task
from capsules.nwb_units.columns import SortedUnits, label_columns, sorted_units
from capsules.nwb_units.table import joined, write_units


def run(task: Task) -> None:
    source = task.input_record("nwb_ecephys")
    if source is None:
        raise SpikeRelayError(f"no {task.input('nwb_ecephys', 'stage.json')}: run capsules.nwb_ecephys first")
    # A failed one has left a file when only parts of it are missing.
    if not task.input("nwb_ecephys", "file.nwb").exists():
        raise Skip(f"nwb_ecephys {source['status']}: {source['reason']}")
    found, remarks = curated_sortings(task)
    target = task.out / "file.nwb"
    copy_file(task.input("nwb_ecephys", "file.nwb"), target)
    with open_io(target) as io:
        nwbfile = io.read()
        remarks += [f"{id} has no units: its probe is not in this file." for job, id in found if not _has(nwbfile, job)]
        found = [(job, id) for job, id in found if _has(nwbfile, job)]
        sortings = [_units_of(task, nwbfile, job, id) for job, id in found]
        label_electrodes(nwbfile, [(job, _facts(task, id).get("bad_electrodes")) for job, id in found])
        remarks += [text for (_, id), units in zip(found, sortings, strict=True) if (text := none_good(id, units))]
        if sortings:
            table = joined(sortings)
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
    task.fact(units=sum(map(len, sortings)), recordings=[id for _, id in found])


def curated_sortings(task: Task) -> tuple[list[tuple[Job, str]], list[str]]:
    """The block's curated sortings (job, id), and a sentence on each recording or sorting without one."""
    records = [json.loads(file.read_text()) for file in sorted(task.inputs.glob("curation_*/stage.json"))]
    found, remarks = [], []
    for job in task.jobs:
        own = [record for record in records if record["recording"] == job.id]
        if not own:
            remarks.append(f"{job.id} has no units: {job.failure or job.skip or 'an earlier stage failed'}.")
        for record in own:
            if record["status"] == "ok":
                found.append((job, record["id"]))
            else:
                remarks.append(f"{record['id']} has no units: {record['reason']}.")
    return found, remarks


def label_electrodes(nwbfile: Any, found: list[tuple[Job, dict[str, str] | None]]) -> None:
    """Add a column `channel_label` to the electrodes.

    Parameters
    ----------
    nwbfile : NWBFile
    found : list of (Job, dict or None)
        For each recording the names of its bad electrodes with their labels; None where it is not known.
    """
    bad = {electrode_group(job): labels for job, labels in found if labels is not None}
    if not bad:
        return
    labels = [bad[group].get(name, "good") if group in bad else "unknown" for group, name in _electrodes(nwbfile)]
    nwbfile.electrodes.add_column(
        name="channel_label",
        description="by the search for bad channels: good, dead, noise, out (of the brain), saturated, or removed (a "
        "pipeline of one's own); unknown where nothing was sorted",
        data=labels,
    )


def none_good(id: str, units: SortedUnits) -> str | None:
    """A sentence when the curation query calls no unit of a sorting good."""
    labels = units.columns.get("default_qc")
    if labels is None or (labels.values == "good").any():
        return None
    counted = Counter(labels.values.tolist())
    others = " and ".join(f"{count} {label}" for label, count in sorted(counted.items()))
    return f"{id} has no good units: the curation query labels {others}."


def note_in_file(task: Task, nwbfile: Any, remarks: list[str]) -> None:
    """What the units lack, for the file's readers, in the field that NWB has for notes on the analysis."""
    if not remarks:
        return
    if nwbfile.data_collection is None:
        nwbfile.data_collection = "\n".join(remarks)
        # pynwb sees new tables by itself, and not new texts.
        nwbfile.set_modified()
    else:
        # pynwb cannot change a text that the file has.
        task.change("what the units lack is not noted in the file: the source's own data_collection is kept")


def copy_file(source: Path, target: Path) -> None:
    """Copy an NWB file that is to be added to: the source stays as it is.

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


def open_io(file: Path) -> Any:
    if file.is_file():
        from pynwb import NWBHDF5IO

        return NWBHDF5IO(str(file), mode="r+")
    from hdmf_zarr import NWBZarrIO

    return NWBZarrIO(str(file), mode="r+")


def _has(nwbfile: Any, job: Job) -> bool:
    return electrode_group(job) in nwbfile.electrode_groups


def _units_of(task: Task, nwbfile: Any, job: Job, id: str) -> SortedUnits:
    """One sorting's units, their spikes in the clock of the recording that the file's traces come from."""
    import numpy as np
    import spikeinterface as si

    # Each extension is read when it is asked for: waveforms and principal components, the largest, are not.
    analyzer = si.load(task.input("postprocessing", "postprocessed.zarr", id), load_extensions=False)
    sorting = si.load(task.input("curation", "curated", id))
    facts = _facts(task, id)
    clock = job.clock_of_traces(facts["start_s"], analyzer.get_total_samples())
    trains = [sorting.get_unit_spike_train(unit, return_times=False) for unit in analyzer.unit_ids]
    about = {"id": id, "recording": job.id, "electrode_group": electrode_group(job)}
    return sorted_units(
        analyzer,
        label_columns(sorting),
        about | {name: facts[name] for name in ("sorter", "sorter_version")},
        spike_times=[clock.seconds(train) for train in trains],
        observed=np.array(clock.intervals()),
        electrode_of=electrode_rows(nwbfile, analyzer, job),
    )


def _facts(task: Task, id: str) -> dict[str, Any]:
    return task.input_record("postprocessing", id)["facts"]


def _electrodes(nwbfile: Any) -> list[tuple[str, str]]:
    """Group and name of each electrode of the file, in its order."""
    table = nwbfile.electrodes
    return [
        (str(group), str(name)) for group, name in zip(table["group_name"][:], table["channel_name"][:], strict=True)
    ]


def electrode_rows(nwbfile: Any, analyzer: Any, job: Job) -> dict[int, int]:
    """Channel index of the analyzer -> row of its electrode in the file's electrodes table."""
    row_of = {electrode: row for row, electrode in enumerate(_electrodes(nwbfile))}
    own = electrode_names(job, analyzer.channel_ids, analyzer.get_probegroup())
    return {channel: row_of[electrode_group(job), name] for channel, name in enumerate(own)}
