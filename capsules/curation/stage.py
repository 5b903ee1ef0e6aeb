"""Curation: label the units by a query over their metrics and by classifiers; every unit stays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from capsules.common import classifier_models as models
from capsules.common.errors import SpikeRelayError
from capsules.common.files import write_json
from capsules.common.recordings.electrode_locations import regions_and_coordinates
from capsules.common.tasks.spikeinterface_jobs import set_job_kwargs
from capsules.common.tasks.task import Task
from capsules.common.units.metric_names import metric_of_column
from capsules.common.units.metrics import metrics_table
from capsules.curation import classifiers
from capsules.curation.labels import BAD, GOOD, UNDETERMINED, label_units
from capsules.curation.params import CLASSIFIERS

LABELS = {"noise_neural_classifier": {"noise", "neural"}, "sua_mua_classifier": {"sua", "mua"}}
"""What each classifier is to tell apart; the second is asked about the units that the first does not call noise."""


def run(task: Task) -> None:
    set_job_kwargs(task, task.params.job_kwargs)
    import spikeinterface as si

    # Each extension is read when it is asked for: waveforms and principal components, the largest, are not.
    analyzer = si.load(task.input("postprocessing", "postprocessed.zarr"), load_extensions=False)
    metrics = metrics_table(analyzer)
    sorting = si.NumpySorting.from_sorting(analyzer.sorting, copy_spike_vector=True)
    _label_by_query(task, metrics, sorting)
    _mark_suspicious(task, analyzer, metrics, sorting)
    decoded = _classifier_labels(task, analyzer, metrics)
    if decoded is not None:
        for column in decoded.columns:
            sorting.set_property(column.replace("unitrefine", "decoder"), decoded[column].to_numpy())
    if task.params.noise_strategy != "unitrefine":
        _label_by_bombcell(task, analyzer, metrics, sorting)
    _locate_in_brain(task, analyzer, sorting)
    sorting.save(folder=task.out / "curated")
    write_json(task.out / "curated" / "curation.json", curation_document(sorting))
    start_s = task.input_record("postprocessing")["facts"]["start_s"]
    # SpikeInterface keeps times with recordings only: those who load the sorting with it find them in this file.
    clock = task.job.clock_of_traces(start_s, analyzer.get_total_samples())
    write_json(task.out / "curated" / "clock.json", clock.model_dump())
    task.fact(units=sorting.get_num_units())


CURATION_LABELS = {"quality": "default_qc", "quality_reason": "default_qc_reason", "suspicion": "suspicious_reason"}
"""Label in `curation.json` -> the property that it comes from. The names differ, since `spikerelay curate` adds the
labels to the properties."""
NO_REASON, OTHER_REASON = "none", "other"
"""Further options of the two reasons: the model needs at least two."""


def curation_document(sorting: Any) -> dict[str, Any]:
    """The labels as SpikeInterface's curation model (format version 2), checked by it."""
    from spikeinterface.curation.curation_model import Curation

    units = [unit.item() if hasattr(unit, "item") else unit for unit in sorting.unit_ids]
    properties = {name: sorting.get_property(of) for name, of in CURATION_LABELS.items()}
    given = {name: list(map(str, values)) for name, values in properties.items() if values is not None}
    options = {name: [NO_REASON, OTHER_REASON, *sorted(set(values) - {""})] for name, values in given.items()}
    options["quality"] = [GOOD, BAD, UNDETERMINED]
    document = {
        "format_version": "2",
        "unit_ids": units,
        "label_definitions": {name: {"label_options": choices, "exclusive": True} for name, choices in options.items()},
        "manual_labels": [
            {"unit_id": unit, "labels": {name: [values[index] or NO_REASON] for name, values in given.items()}}
            for index, unit in enumerate(units)
        ],
        "merges": [],
        "splits": [],
        "removed": [],
    }
    return Curation.model_validate(document).model_dump(mode="json")


def _label_by_query(task: Task, metrics: Any, sorting: Any) -> None:
    """Set `default_qc` and its reason; without a query neither."""
    import numpy as np

    text = task.params.query
    if text is None or not text.strip():
        task.change("no query: default_qc left out")
        return
    counts = sorting.count_num_spikes_per_unit(outputs="array")
    labels = label_units(text, metrics, counts, task.params.undefined_metric, task.params.min_spikes)
    sorting.set_property("default_qc", np.array([label.label for label in labels], dtype=str))
    sorting.set_property("default_qc_reason", np.array([label.reason for label in labels], dtype=str))
    counted = Counter(label.label for label in labels)
    task.fact(**{f"{label}_units": counted[label] for label in (GOOD, BAD, UNDETERMINED)})


def _mark_suspicious(task: Task, analyzer: Any, metrics: Any, sorting: Any) -> None:
    """`suspicious` and its reason."""
    import numpy as np

    from capsules.curation.suspicion import suspicions

    reasons = suspicions(analyzer, metrics, task.params.suspicious, task.change)
    marked = np.array([bool(found) for found in reasons], dtype=bool)
    sorting.set_property("suspicious", marked)
    sorting.set_property("suspicious_reason", np.array(["; ".join(found) for found in reasons], dtype=str))
    labels = sorting.get_property("default_qc")
    task.fact(
        suspicious_units=int(marked.sum()),
        suspicious_good_units=None if labels is None else int((marked & (labels == GOOD)).sum()),
    )


def _locate_in_brain(task: Task, analyzer: Any, sorting: Any) -> None:
    """Region and coordinates of each unit: those of its main channel."""
    import numpy as np

    if not task.job.electrode_locations:
        return
    channels = analyzer.get_main_channels(outputs="id")
    known, coordinates = regions_and_coordinates(task.job.electrode_locations, channels)
    regions = [region or "unknown" for region in known]
    sorting.set_property("brain_region", np.array(regions, dtype=str))
    for name, values in coordinates.items():
        if np.isfinite(values).any():
            sorting.set_property(name, values)
    task.fact(locations_file=task.job.locations_file, brain_regions=dict(Counter(regions)))


def _label_by_bombcell(task: Task, analyzer: Any, metrics: Any, sorting: Any) -> None:
    """Bombcell's labels as the property `bombcell_label`; what it could not ask for is said.

    Fabre, van Beest, Peters, Carandini and Harris, Bombcell (2023); SpikeInterface's `bombcell_label_units`.
    """
    from spikeinterface.curation import bombcell_label_units

    if metrics.empty:
        task.warn("bombcell_label is left out: no metric was computed")
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
            task.warn(
                f"{role} {name!r} has the labels {_listed(classifier.labels)}, not {_listed(LABELS[role])}: they are "
                "kept, and only units labelled `noise` count as noise; to rename them, edit label_conversion in its "
                f"{models.INFO}"
            )
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
    """A classifier that is not on this machine: a run fetches it beforehand, and warns once where it cannot."""
    if task.params.on_missing_model == "refuse":
        raise SpikeRelayError(f"{reason}; `spikerelay fetch-models` fetches it")
    task.change(f"{reason}: its labels are left out")


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
