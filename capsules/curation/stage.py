"""Curation: label the units by a query over their metrics and by classifiers; every unit stays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from capsules.common import models
from capsules.common.errors import SpikeRelayError
from capsules.common.metrics import metric_of_column, metrics_table
from capsules.common.task import Task, write_json
from capsules.curation import classifiers, query
from capsules.curation.params import CLASSIFIERS

LABELS = {"noise_neural_classifier": {"noise", "neural"}, "sua_mua_classifier": {"sua", "mua"}}
"""What each classifier is to tell apart; the second is asked about the units that the first does not call noise."""


def run(task: Task) -> None:
    task.use_spikeinterface(task.params.job_kwargs)
    import spikeinterface as si

    # Each extension is read when it is asked for: waveforms and principal components, the largest, are not.
    analyzer = si.load(task.input("postprocessing", "postprocessed.zarr"), load_extensions=False)
    metrics = metrics_table(analyzer)
    sorting = si.NumpySorting.from_sorting(analyzer.sorting, copy_spike_vector=True)
    labels = _query_labels(task, metrics)
    if labels is not None:
        sorting.set_property("default_qc", labels)
    decoded = _classifier_labels(task, analyzer, metrics)
    if decoded is not None:
        for column in decoded.columns:
            sorting.set_property(column.replace("unitrefine", "decoder"), decoded[column].to_numpy())
    if task.params.noise_strategy != "unitrefine":
        _label_by_bombcell(task, analyzer, metrics, sorting)
    sorting.save(folder=task.out / "curated")
    write_json(task.out / "curated" / "curation.json", curation_document(sorting))
    start_s = task.input_record("postprocessing")["facts"]["start_s"]
    # SpikeInterface keeps times with recordings only: those who load the sorting with it find them in this file.
    clock = task.job.clock_of_traces(start_s, analyzer.get_total_samples())
    write_json(task.out / "curated" / "clock.json", clock.model_dump())
    task.fact(units=sorting.get_num_units())


def curation_document(sorting: Any) -> dict[str, Any]:
    """The labels as SpikeInterface's curation model (format version 2), checked by it."""
    from spikeinterface.curation.curation_model import Curation

    labels = sorting.get_property("default_qc")
    units = [unit.item() if hasattr(unit, "item") else unit for unit in sorting.unit_ids]
    document = {
        "format_version": "2",
        "unit_ids": units,
        "label_definitions": {"quality": {"label_options": ["good", "bad"], "exclusive": True}},
        "manual_labels": []
        if labels is None
        else [
            {"unit_id": unit, "labels": {"quality": [str(label)]}} for unit, label in zip(units, labels, strict=True)
        ],
        "merges": [],
        "splits": [],
        "removed": [],
    }
    return Curation.model_validate(document).model_dump(mode="json")


def _query_labels(task: Task, metrics: Any) -> Any | None:
    """`good` or `bad` for each unit, or None when there is no query."""
    import numpy as np

    text = task.params.query
    if text is None or not text.strip():
        task.change("no query: default_qc left out")
        return None
    good = query.evaluate(text, metrics)
    unknown = metrics[sorted(query.names(text))].isna().any(axis=1).to_numpy()
    through_nan = int((unknown & ~good).sum())
    if through_nan:
        task.warn(f"{through_nan} of {len(good)} units are bad because a metric of the query is NaN")
    task.fact(good_units=int(good.sum()), bad_units=int((~good).sum()), bad_through_nan=through_nan)
    return np.where(good, "good", "bad")


def _label_by_bombcell(task: Task, analyzer: Any, metrics: Any, sorting: Any) -> None:
    """Bombcell's labels as the property `bombcell_label`; what it could not ask for is said.

    Fabre, van Beest, Peters, Carandini and Harris, Bombcell (2023); SpikeInterface's `bombcell_label_units`.
    """
    from spikeinterface.curation import bombcell_get_default_thresholds, bombcell_label_units

    if metrics.empty:
        task.warn("bombcell_label is left out: no metric was computed")
        return
    thresholds = bombcell_get_default_thresholds()
    missing = sorted({name for part in thresholds.values() for name in part} - set(map(str, metrics.columns)))
    if missing:
        task.warn(
            f"Bombcell's thresholds on these metrics, which were not computed, are left out: {', '.join(missing)}"
        )
    labels = bombcell_label_units(analyzer)["bombcell_label"]
    sorting.set_property("bombcell_label", labels.to_numpy().astype(str))
    task.fact(bombcell=labels.value_counts().to_dict())


def _classifier_labels(task: Task, analyzer: Any, metrics: Any) -> Any | None:
    """The classifiers' labels, or None when none of them can be had."""
    usable, used = {}, {}
    for role, name in task.params.models().items():
        folder = models.find(name)
        if folder is None:
            _missing(task, f"{role} {name!r} is neither a folder with a model nor in the local model cache")
            continue
        classifier = classifiers.read(folder)
        lacking = sorted(set(classifier.metrics) - set(map(str, metrics.columns)))
        if lacking:
            task.warn(f"{role} {name!r} is left out: it needs metrics that were not computed; {_to_add(lacking)}")
            continue
        if classifier.labels != LABELS[role]:
            task.warn(f"{role} {name!r} tells {_listed(classifier.labels)} apart, not {_listed(LABELS[role])}")
        usable[role] = classifier
        used[role] = {"model": name, "digest": models.digest([folder]), "trained_with": classifier.versions}
    if not usable:
        return None
    labels, remarks = classifiers.label_units(analyzer, *(usable.get(role) for role in CLASSIFIERS))
    for remark in remarks:
        task.warn(f"classifiers: {remark}")
    task.fact(classifiers=used, decoder=labels["unitrefine_label"].value_counts().to_dict())
    return labels


def _missing(task: Task, reason: str) -> None:
    """A classifier that is not on this machine; a run fetches it beforehand where it can."""
    if task.params.on_missing_model == "refuse":
        raise SpikeRelayError(f"{reason}; `spikerelay fetch-models` fetches it")
    task.warn(f"{reason}: its labels are left out")


def _to_add(columns: list[str]) -> str:
    """What to add to the parameters so that the metrics table gets these columns."""
    known = metric_of_column()
    wanted: dict[str, list[str]] = {}
    for column in columns:
        extension, metric = known.get(column, ("metrics that SpikeInterface does not have", column))
        wanted.setdefault(extension, []).append(metric)
    return "; ".join(f"{extension}: {_listed(names)}" for extension, names in wanted.items())


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(set(names)))
