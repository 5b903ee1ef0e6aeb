"""NWB, second half: a new file with the block's curated units beside what the first half wrote."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from capsules.common.errors import Skip, SpikeRelayError
from capsules.common.job import Job, load_recording
from capsules.common.metrics import METRIC_EXTENSIONS
from capsules.common.nwb import electrode_group, electrode_names
from capsules.common.resources import use_numba_cache
from capsules.common.task import Task, link_or_copy


def run(task: Task) -> None:
    source = task.input_record("nwb_ecephys")
    if source is None:
        raise SpikeRelayError(f"no {task.input('nwb_ecephys', 'stage.json')}: run capsules.nwb_ecephys first")
    # A failed one has left a file when only parts of it are missing.
    if not task.input("nwb_ecephys", "file.nwb").exists():
        raise Skip(f"nwb_ecephys {source['status']}: {source['reason']}")
    use_numba_cache()
    target = task.out / "file.nwb"
    copy_file(task.input("nwb_ecephys", "file.nwb"), target)
    found = [(job, id) for job in task.jobs for id in _sortings(task, job)]
    if found:
        with open_io(target) as io:
            nwbfile = io.read()
            sortings = [_unit_rows(task, nwbfile, job, id) for job, id in found]
            descriptions = {name: text for _, described, _ in sortings for name, text in described.items()}
            rows = [row for _, _, of_sorting in sortings for row in of_sorting]
            write_units(nwbfile, sortings[0][0], descriptions, rows)
            units = len(rows)
            io.write(nwbfile)
    else:
        units = 0
        task.warn("no recording of this block has units: the file has no units table")
    task.fact(units=units, recordings=[id for _, id in found])


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


def _sortings(task: Task, job: Job) -> list[str]:
    """The ids of a recording's curated sortings: one, or one of each sorter."""
    records = [json.loads(file.read_text()) for file in sorted(task.inputs.glob("curation_*/stage.json"))]
    records = [record for record in records if record["recording"] == job.id]
    if not records:
        task.warn(f"{job.id} has no units: an earlier stage failed")
    for record in records:
        if record["status"] != "ok":
            task.warn(f"{record['id']} has no units: {record['reason']}")
    return [record["id"] for record in records if record["status"] == "ok"]


def _unit_rows(task: Task, nwbfile: Any, job: Job, id: str) -> tuple[dict, dict[str, str], list[dict]]:
    """What one sorting's waveforms are, the descriptions of its columns, and its units' rows of the units table."""
    import numpy as np
    import spikeinterface as si

    analyzer = si.load(task.input("postprocessing", "postprocessed.zarr", id), load_extensions=True)
    sorting = si.load(task.input("curation", "curated", id))
    raw = load_recording(job, task.data, timed=True)
    facts = task.input_record("postprocessing", id)["facts"]
    first = round(facts["start_s"] * raw.sampling_frequency)
    columns = unit_columns(analyzer, sorting, job.id, facts["sorter"])
    electrodes = electrode_rows(nwbfile, analyzer, job)
    templates = analyzer.get_extension("templates")
    means, deviations = templates.get_templates(operator="average"), templates.get_templates(operator="std")
    rows = []
    for index, unit in enumerate(analyzer.unit_ids):
        channels = analyzer.sparsity.unit_id_to_channel_indices[unit]
        peak = int(np.ptp(means[index], axis=0).argmax())
        train = sorting.get_unit_spike_train(unit, return_times=False)
        rows.append(
            {name: values[index] for name, (_, values) in columns.items()}
            | {
                "spike_times": raw.sample_index_to_time(first + train),
                "electrodes": [electrodes[channel] for channel in channels],
                "waveform_mean": means[index][:, peak],
                "waveform_sd": deviations[index][:, peak],
            }
        )
    return waveform_facts(analyzer), {name: description for name, (description, _) in columns.items()}, rows


def unit_columns(analyzer: Any, sorting: Any, recording: str, sorter: str) -> dict[str, tuple[str, list]]:
    """The units table's columns besides spikes and waveforms: name -> (description, one value per unit)."""
    import numpy as np

    labels = {name: sorting.get_property(name) for name in ("default_qc", "decoder_label", "bombcell_label")}
    count = len(analyzer.unit_ids)
    columns: dict[str, tuple[str, list]] = {
        "unit_name": ("id of the unit within its recording", [str(unit) for unit in analyzer.unit_ids]),
        "recording": ("recording that the unit was sorted in", [recording] * count),
        "sorter": ("sorter that found the unit", [sorter] * count),
        "default_qc": ("good or bad by the curation query", _texts(labels["default_qc"], count)),
        "decoder_label": ("label of the classifiers", _texts(labels["decoder_label"], count)),
    }
    if labels["bombcell_label"] is not None:
        columns["bombcell_label"] = ("label by Bombcell's thresholds", _texts(labels["bombcell_label"], count))
    if analyzer.has_extension("unit_locations"):
        locations = analyzer.get_extension("unit_locations").get_data()
        for axis, name in enumerate(("estimated_x", "estimated_y", "estimated_z")[: locations.shape[1]]):
            columns[name] = (f"{name[-1]} of the unit on the probe, in um", locations[:, axis].astype(float).tolist())
    for name in METRIC_EXTENSIONS:
        if analyzer.has_extension(name):
            extension = analyzer.get_extension(name)
            described = extension.get_metric_column_descriptions()
            for column, values in extension.get_data().items():
                numbers = np.asarray(values, dtype=float)
                columns[str(column)] = (described.get(column, str(column)), numbers.tolist())
    return columns


def electrode_rows(nwbfile: Any, analyzer: Any, job: Job) -> list[int]:
    """For each channel of the analyzer, the row of its electrode in the file's electrodes table."""
    table = nwbfile.electrodes
    groups, names = table["group_name"][:], table["channel_name"][:]
    row_of = {(str(group), str(name)): row for row, (group, name) in enumerate(zip(groups, names, strict=True))}
    return [
        row_of[electrode_group(job), name] for name in electrode_names(analyzer.channel_ids, analyzer.get_probegroup())
    ]


def waveform_facts(analyzer: Any) -> dict[str, Any]:
    """What the units table says of an analyzer's waveforms: their rate and unit, and the resolution of spike times."""
    return {
        "waveform_rate": float(analyzer.sampling_frequency),
        "waveform_unit": "microvolts" if analyzer.return_in_uV else "counts",
        "resolution": 1 / float(analyzer.sampling_frequency),
    }


def write_units(
    nwbfile: Any, waveforms: dict[str, Any], descriptions: dict[str, str], rows: list[dict[str, Any]]
) -> None:
    """Give an NWB file its units table.

    Parameters
    ----------
    nwbfile : NWBFile
        Without units.
    waveforms : dict
        By `waveform_facts`.
    descriptions : dict
        The columns besides spikes, electrodes and waveforms.
    rows : list of dict
        The units; one that lacks a column has no text, no number or not the label there.
    """
    from pynwb.misc import Units

    nwbfile.units = Units(
        name="units",
        description="curated units of every probe; spike times in seconds, by the clock of this file's traces; "
        "waveforms are those of the channel with the largest template",
        electrode_table=nwbfile.electrodes,
        **waveforms,
    )
    blank = {name: _blank_value([row[name] for row in rows if name in row]) for name in descriptions}
    for name, description in descriptions.items():
        nwbfile.add_unit_column(name, description)
    for row in rows:
        nwbfile.add_unit(**blank | row)


def _blank_value(values: list[Any]) -> Any:
    """What stands in a column for a unit that has no value there."""
    if values and isinstance(values[0], str):
        return ""
    return False if values and isinstance(values[0], bool) else float("nan")


def _texts(values: Any, count: int) -> list[str]:
    return [""] * count if values is None else [str(value) for value in values]
