"""Curation: label the units by a query over their metrics, by tests and by classifiers; every unit stays."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
from spikeinterface import BaseSorting, NumpySorting, SortingAnalyzer, load_sorting_analyzer
from spikeinterface.curation import bombcell_label_units

from capsules.common.facts import CurationFacts, PostprocessingFacts
from capsules.common.files import write_json
from capsules.common.recordings.electrode_locations import get_regions_and_coordinates
from capsules.common.tasks.spikeinterface_jobs import set_job_kwargs
from capsules.common.tasks.task import Task
from capsules.common.units.metrics import get_metrics_table
from capsules.curation.classifiers import label_by_classifiers
from capsules.curation.labels import BAD, GOOD, UNDETERMINED, curation_document, label_units
from capsules.curation.params import CurationParams
from capsules.curation.suspicion import find_suspicious


def run(task: Task[CurationParams]) -> None:
    set_job_kwargs(task, task.params.job_kwargs)
    # An extension is read when it is used: waveforms and principal components, the largest, are not.
    analyzer = load_sorting_analyzer(task.input("postprocessing", "postprocessed.zarr"), load_extensions=False)
    metrics = get_metrics_table(analyzer)
    sorting = NumpySorting.from_sorting(analyzer.sorting, copy_spike_vector=True)
    _label_by_query(task, metrics, sorting)
    _mark_suspicious(task, analyzer, metrics, sorting)
    decoded = label_by_classifiers(task, analyzer, metrics)
    if decoded is not None:
        for column in decoded.columns:
            sorting.set_property(column, decoded[column].to_numpy())
    if task.params.noise_strategy != "unitrefine":
        _label_by_bombcell(task, analyzer, metrics, sorting)
    _locate_in_brain(task, analyzer, sorting)
    sorting.save(folder=task.out / "curated")
    write_json(task.out / "curated" / "curation.json", curation_document(sorting))
    # SpikeInterface keeps times with recordings only: who loads the sorting with it can read them from this file.
    start_s = task.input_facts(PostprocessingFacts).start_s
    clock = task.job.clock_of_traces(start_s, analyzer.get_total_samples())
    write_json(task.out / "curated" / "clock.json", clock.model_dump())
    task.leave(CurationFacts(units=sorting.get_num_units()))


def _label_by_query(task: Task[CurationParams], metrics: pd.DataFrame, sorting: BaseSorting) -> None:
    """Set `default_qc` and its reason; without a query neither."""
    query = task.params.query
    if query is None or not query.strip():
        task.change("no query: default_qc left out")
        return
    counts = sorting.count_num_spikes_per_unit(outputs="array")
    labels = label_units(query, metrics, counts, task.params.undefined_metric, task.params.min_spikes)
    sorting.set_property("default_qc", np.array([label.label for label in labels], dtype=str))
    sorting.set_property("default_qc_reason", np.array([label.reason for label in labels], dtype=str))
    units = Counter(label.label for label in labels)
    task.leave(CurationFacts(good_units=units[GOOD], bad_units=units[BAD], undetermined_units=units[UNDETERMINED]))


def _mark_suspicious(
    task: Task[CurationParams], analyzer: SortingAnalyzer, metrics: pd.DataFrame, sorting: BaseSorting
) -> None:
    """Set `suspicious` and its reason."""
    reasons = find_suspicious(analyzer, metrics, task.params.suspicious, task.change)
    marked = np.array(list(map(bool, reasons)), dtype=bool)
    sorting.set_property("suspicious", marked)
    sorting.set_property("suspicious_reason", np.array(list(map("; ".join, reasons)), dtype=str))
    labels = sorting.get_property("default_qc")
    good = None if labels is None else int((marked & (labels == GOOD)).sum())
    task.leave(CurationFacts(suspicious_units=int(marked.sum()), suspicious_good_units=good))


def _locate_in_brain(task: Task[CurationParams], analyzer: SortingAnalyzer, sorting: BaseSorting) -> None:
    """Set region and coordinates of each unit: those of its main channel."""
    if not task.job.electrode_locations:
        return
    channels = analyzer.get_main_channels(outputs="id")
    known, coordinates = get_regions_and_coordinates(task.job.electrode_locations, channels)
    regions = [region or "unknown" for region in known]
    sorting.set_property("brain_region", np.array(regions, dtype=str))
    for name, values in coordinates.items():
        if np.isfinite(values).any():
            sorting.set_property(name, values)
    task.fact(locations_file=task.job.locations_file, brain_regions=dict(Counter(regions)))


def _label_by_bombcell(
    task: Task[CurationParams], analyzer: SortingAnalyzer, metrics: pd.DataFrame, sorting: BaseSorting
) -> None:
    """Set `bombcell_label`; warn of thresholds on metrics that were not computed.

    Fabre, van Beest, Peters, Carandini and Harris, Bombcell (2023); SpikeInterface's `bombcell_label_units`.
    """
    if metrics.empty:
        task.warn("bombcell_label is left out: postprocessing computed no metrics")
        return
    thresholds = task.params.bombcell.thresholds()
    missing = sorted({name for part in thresholds.values() for name in part} - set(map(str, metrics.columns)))
    if missing:
        task.warn(
            f"Bombcell's thresholds on these metrics, which were not computed, are left out: {', '.join(missing)}"
        )
    labels = bombcell_label_units(analyzer, thresholds=thresholds)["bombcell_label"]
    sorting.set_property("bombcell_label", labels.to_numpy().astype(str))
    task.fact(bombcell=labels.value_counts().to_dict())
