"""Labels by UnitRefine's classifiers: models that are read without running code of theirs, and applied to the units.

Jain, Greene et al., UnitRefine (2025); SpikeInterface's `unitrefine_label_units`.
"""

from __future__ import annotations

import re
import warnings
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ValidationError
from sklearn.exceptions import InconsistentVersionWarning
from spikeinterface import SortingAnalyzer
from spikeinterface.curation import get_required_metrics_from_model, unitrefine_label_units
from spikeinterface.curation.model_based_curation import load_model

from capsules.common import classifier_models as models
from capsules.common.errors import SpikeRelayError
from capsules.common.tasks.task import Task
from capsules.common.units.metric_names import metric_of_column
from capsules.curation.model_safety import REVIEWED, trees_within_bounds, unreviewed_types
from capsules.curation.params import CLASSIFIERS, CurationParams

LABELS = {"noise_neural_classifier": {"noise", "neural"}, "sua_mua_classifier": {"sua", "mua"}}
"""The labels that each classifier gives; the second is applied to the units that the first does not label noise."""

UNREADABLE = (zipfile.BadZipFile, zlib.error, OSError, LookupError, ValueError, TypeError, AttributeError, ImportError,
              RecursionError)  # fmt: skip
"""The errors of reading a file that is broken or is not a model."""

DIFFERENT_PARAMETERS = re.compile(r"params for (\w+) do not match")


class _Metrics(BaseModel):
    metric_names: list[str]


class _MetricParams(BaseModel):
    quality_metric_params: _Metrics | None = None
    template_metric_params: _Metrics | None = None


class _Info(BaseModel):
    """The part of `model_info.json` that SpikeInterface reads."""

    requirements: dict[str, str]
    metric_params: _MetricParams
    label_conversion: dict[int, str | int]
    """SpikeInterface's trainer keeps the labels of the training data, which for UnitRefine's models are integers."""


class ModelError(SpikeRelayError):
    """A model that is not used: broken, or not trusted."""

    def __init__(self, folder: Path, problem: str):
        super().__init__(f"the model in {folder} cannot be used: {problem}")


@dataclass(frozen=True)
class Classifier:
    """A model that is safe to use: the metrics it needs, the labels it gives, the versions it was trained with."""

    folder: Path
    metrics: list[str]
    labels: set[str]
    versions: dict[str, str]


def label_by_classifiers(
    task: Task[CurationParams], analyzer: SortingAnalyzer, metrics: pd.DataFrame
) -> pd.DataFrame | None:
    """The classifiers' labels as columns `decoder_label` and `decoder_probability`; None when no classifier is usable.

    Raises
    ------
    SpikeRelayError
        When a model is broken or not trusted, or is missing and `on_missing_model` rejects that.
    """
    usable, record = {}, {}
    for role, name in task.params.models().items():
        folder = models.find_model(name)
        if folder is None:
            _report_missing(task, f"{role} {name!r} is neither a folder with a model nor in the local model cache")
            continue
        classifier = read(folder)
        if _is_usable(task, role, name, classifier, metrics):
            usable[role] = classifier
            record[role] = {
                "model": name,
                "digest": models.digest_models([folder]),
                "trained_with": classifier.versions,
            }
    if not usable:
        return None
    labels, remarks = label_units(analyzer, *(usable.get(role) for role in CLASSIFIERS))
    for remark in remarks:
        task.warn(f"classifiers: {remark}")
    task.fact(classifiers=record, decoder=labels["unitrefine_label"].value_counts().to_dict())
    return labels.rename(columns=lambda column: column.replace("unitrefine", "decoder"))


def _report_missing(task: Task[CurationParams], reason: str) -> None:
    """Record a classifier that is not on this machine. A run fetches it beforehand, and warns once where it cannot."""
    if task.params.on_missing_model == "refuse":
        raise SpikeRelayError(f"{reason}; `spikerelay fetch-models` fetches it")
    task.change(f"{reason}: its labels are left out")


def _is_usable(task: Task[CurationParams], role: str, name: str, classifier: Classifier, metrics: pd.DataFrame) -> bool:
    """Whether the metrics that a classifier needs were computed; warns of missing metrics and of other labels."""
    missing = sorted(set(classifier.metrics) - set(map(str, metrics.columns)))
    if missing:
        task.warn(f"{role} {name!r} is left out: it needs metrics that were not computed; {_metrics_to_add(missing)}")
        return False
    if classifier.labels != LABELS[role]:
        task.warn(
            f"{role} {name!r} has the labels {_enumerate(classifier.labels)}, not {_enumerate(LABELS[role])}: they are "
            "kept, and only units labelled `noise` count as noise; to rename the labels, edit label_conversion in its "
            f"{models.INFO}"
        )
    return True


def _metrics_to_add(columns: list[str]) -> str:
    """The metrics to add to the parameters so that the metrics table gets these columns."""
    known = metric_of_column()
    metrics: dict[str, list[str]] = {}
    for column in columns:
        extension, metric = known.get(column, ("metrics that SpikeInterface does not have", column))
        metrics.setdefault(extension, []).append(metric)
    return "; ".join(f"{extension}: {_enumerate(names)}" for extension, names in metrics.items())


def _enumerate(names: Iterable[str]) -> str:
    return ", ".join(sorted(set(names)))


def read(folder: Path) -> Classifier:
    """Read a model.

    Raises
    ------
    ModelError
        When it is broken, is not a model, or holds a type that is not trusted.
    """
    info, file = _info(folder), _model_file(folder)
    try:
        if unknown := unreviewed_types(file):
            raise ModelError(folder, f"{file.name} holds types that are not trusted: {', '.join(unknown)}")
    except UNREADABLE as error:
        raise ModelError(folder, f"{file.name} cannot be read ({type(error).__name__}: {error})") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InconsistentVersionWarning)  # The task's record has the versions.
            model, _ = load_model(model_folder=folder, trusted=list(REVIEWED))
        metrics, classes = get_required_metrics_from_model(model=model), set(model.classes_)
        safe = trees_within_bounds(model)
    except UNREADABLE as error:
        raise ModelError(folder, f"it cannot be read ({type(error).__name__}: {error})") from None
    if not safe:
        raise ModelError(folder, "a decision tree in it points outside of its nodes or features")
    if not hasattr(model, "predict_proba"):
        raise ModelError(folder, "it gives no probabilities")
    if not classes <= set(info.label_conversion):
        raise ModelError(folder, f"{models.INFO} has no label for some of its classes")
    return Classifier(folder, metrics, set(map(str, info.label_conversion.values())), info.requirements)


def _model_file(folder: Path) -> Path:
    files = sorted(folder.glob("*.skops"))
    if len(files) != 1:
        raise ModelError(folder, f"it holds {len(files)} .skops files, and exactly one is needed")
    return files[0]


def _info(folder: Path) -> _Info:
    try:
        return _Info.model_validate_json((folder / models.INFO).read_bytes())
    except OSError as error:
        raise ModelError(folder, f"{models.INFO}: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        problem = ": ".join(part for part in (models.INFO, place, first["msg"]) if part)
        raise ModelError(folder, problem) from None


def label_units(
    analyzer: SortingAnalyzer, noise_neural: Classifier | None, sua_mua: Classifier | None
) -> tuple[pd.DataFrame, list[str]]:
    """Label each unit with one or both classifiers.

    Returns
    -------
    labels : pandas.DataFrame
        Unit id -> `unitrefine_label` and `unitrefine_probability`.
    remarks : list of str
        The warnings of SpikeInterface.

    Raises
    ------
    SpikeRelayError
        When a model does not work with the installed libraries.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            # SpikeInterface trusts all types in a model here: `read` has checked them.
            labels = unitrefine_label_units(
                analyzer,
                noise_neural_classifier=str(noise_neural.folder) if noise_neural else None,
                sua_mua_classifier=str(sua_mua.folder) if sua_mua else None,
            )
        except (AttributeError, TypeError, ValueError) as error:
            reason = f"the classifiers do not work with the installed libraries ({type(error).__name__}: {error})"
            raise SpikeRelayError(reason) from error
    labels = labels.astype({"unitrefine_label": str, "unitrefine_probability": float})
    known = metric_of_column()
    columns = {column for classifier in (noise_neural, sua_mua) if classifier for column in classifier.metrics}
    used = {known[column][1] for column in columns if column in known}
    return labels, _remarks([str(warning.message) for warning in caught if warning.category is UserWarning], used)


def _remarks(messages: list[str], used: set[str]) -> list[str]:
    """SpikeInterface's warnings: those on a metric's parameters as one line, those on expected labels left out.

    SpikeInterface compares all metrics of the training data; `used` are those that a model needs.
    """
    matches = {message: DIFFERENT_PARAMETERS.search(message) for message in dict.fromkeys(messages)}
    remarks = [
        message
        for message, match in matches.items()
        if match is None and "did not return the expected labels" not in message
    ]
    if others := {match[1] for match in matches.values() if match} & used:
        names = ", ".join(sorted(others))
        remarks.append(f"computed with other parameters than in the classifiers' training data: {names}")
    return remarks
