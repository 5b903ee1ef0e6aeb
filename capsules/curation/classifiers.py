"""UnitRefine's classifiers: read without running code that a file brings along, and applied to the units.

Jain, Greene et al., UnitRefine (2025); SpikeInterface's `unitrefine_label_units`.
"""

from __future__ import annotations

import re
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from capsules.common.classifier_models import INFO
from capsules.common.errors import SpikeRelayError
from capsules.common.units.metric_names import metric_of_column

REVIEWED = {
    "numpy.dtype": "the type of an array's numbers",
    "sklearn.impute._iterative._ImputerTriplet": "two numbers of features and the regressor between them",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer": "arrays and numbers of a network's training",
    "sklearn.tree._tree.Tree": "arrays of a decision tree, whose indices are checked before it is used",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor": "the same of a boosted tree",
}
"""The types beyond those that skops trusts by itself which a model may hold, and why each is harmless: what
SpikeInterface's `train_model` writes with its classifiers, imputers and scalers. None of them runs anything."""

UNREADABLE = (zipfile.BadZipFile, zlib.error, OSError, LookupError, ValueError, TypeError, AttributeError, ImportError,
              RecursionError)  # fmt: skip
"""What reading a file that is no model, or a broken one, may end in."""

OTHER_PARAMETERS = re.compile(r"params for (\w+) do not match")


class _Metrics(BaseModel):
    metric_names: list[str]


class _MetricParams(BaseModel):
    quality_metric_params: _Metrics | None = None
    template_metric_params: _Metrics | None = None


class _Info(BaseModel):
    """What SpikeInterface reads from `model_info.json`."""

    requirements: dict[str, str]
    metric_params: _MetricParams
    label_conversion: dict[int, str | int]
    """SpikeInterface's trainer keeps the labels that it was given, which for UnitRefine's models are integers."""


class ModelError(SpikeRelayError):
    """A model that is not used: broken, or not trusted."""

    def __init__(self, folder: Path, problem: str):
        super().__init__(f"the model in {folder} cannot be used: {problem}")


@dataclass(frozen=True)
class Classifier:
    """A model that was read and found harmless: the metrics it needs, the labels it gives, the versions it is from."""

    folder: Path
    metrics: list[str]
    labels: set[str]
    versions: dict[str, str]


def read(folder: Path) -> Classifier:
    """Read a model.

    Raises
    ------
    ModelError
        When it holds a type that is not trusted, or is no model.
    """
    from sklearn.exceptions import InconsistentVersionWarning
    from spikeinterface.curation import get_required_metrics_from_model
    from spikeinterface.curation.model_based_curation import load_model

    info = _info(folder)
    _check_types(folder, _model_file(folder))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InconsistentVersionWarning)  # The versions are recorded.
            model, _ = load_model(model_folder=folder, trusted=list(REVIEWED))
        metrics, classes = get_required_metrics_from_model(model=model), set(model.classes_)
        sound = all(_within_bounds(tree, features) for tree, features in _trees(model, set()))
    except UNREADABLE as error:
        raise ModelError(folder, f"it cannot be read ({type(error).__name__}: {error})") from None
    if not sound:
        raise ModelError(folder, "a decision tree in it points outside of its nodes or features")
    if not hasattr(model, "predict_proba"):
        raise ModelError(folder, "it gives no probabilities")
    if not classes <= set(info.label_conversion):
        raise ModelError(folder, f"{INFO} has no label for some of its classes")
    return Classifier(folder, metrics, set(map(str, info.label_conversion.values())), info.requirements)


def label_units(analyzer: Any, noise_neural: Classifier | None, sua_mua: Classifier | None) -> tuple[Any, list[str]]:
    """Label each unit with one or both classifiers.

    Returns
    -------
    labels : pandas.DataFrame
        Unit id -> `unitrefine_label` and `unitrefine_probability`.
    remarks : list of str
        What SpikeInterface warned of.

    Raises
    ------
    SpikeRelayError
        When a model does not work with the installed libraries.
    """
    from spikeinterface.curation import unitrefine_label_units

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            # It trusts whatever a model holds: `read` has looked at that before.
            labels = unitrefine_label_units(
                analyzer,
                noise_neural_classifier=noise_neural and str(noise_neural.folder),
                sua_mua_classifier=sua_mua and str(sua_mua.folder),
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
    """Warnings in few lines: metrics with other parameters together, and without those about labels found or not.

    SpikeInterface compares all metrics that were there when a model learnt; `used` are those that it looks at.
    """
    others = {found[1] for message in messages if (found := OTHER_PARAMETERS.search(message))} & used
    remarks = [
        message
        for message in dict.fromkeys(messages)
        if not OTHER_PARAMETERS.search(message) and "did not return the expected labels" not in message
    ]
    if others:
        remarks.append(f"computed with other parameters than the classifiers learnt from: {', '.join(sorted(others))}")
    return remarks


def _model_file(folder: Path) -> Path:
    files = sorted(folder.glob("*.skops"))
    if len(files) != 1:
        raise ModelError(folder, f"it holds {len(files)} .skops files, and one is needed")
    return files[0]


def _info(folder: Path) -> _Info:
    try:
        return _Info.model_validate_json((folder / INFO).read_bytes())
    except OSError as error:
        raise ModelError(folder, f"{INFO}: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ModelError(folder, f"{INFO}: " + ": ".join(part for part in (place, first["msg"]) if part)) from None


def _check_types(folder: Path, file: Path) -> None:
    """Refuse a model that holds anything but what is known to be harmless; nothing is imported for this."""
    from skops.io import get_untrusted_types

    try:
        unknown = set(get_untrusted_types(file=file)) - set(REVIEWED)
    except UNREADABLE as error:
        raise ModelError(folder, f"{file.name} cannot be read ({type(error).__name__}: {error})") from None
    if unknown:
        raise ModelError(folder, f"{file.name} holds types that are not trusted: {', '.join(sorted(unknown))}")


def _trees(part: Any, seen: set[tuple], features: int | None = None) -> Iterator[tuple[Any, int | None]]:
    """The decision trees within a model, each with the number of features that it is given at least."""
    import numpy as np
    from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
    from sklearn.pipeline import Pipeline
    from sklearn.tree._tree import Tree

    if (id(part), features) in seen:
        return
    seen.add((id(part), features))
    if isinstance(part, (Tree, TreePredictor)):
        yield part, features
        return
    if isinstance(part, dict):
        parts = list(part.values())
    elif isinstance(part, (list, tuple)):
        parts = list(part)
    elif isinstance(part, np.ndarray):
        parts = list(part.flat) if part.dtype.hasobject else []
    else:
        parts = list(getattr(part, "__dict__", {}).values())
    # An estimator checks how many features it is given; a pipeline leaves that to its steps.
    own = None if isinstance(part, Pipeline) else getattr(part, "n_features_in_", None)
    features = min((number for number in (features, own) if number is not None), default=None)
    for inner in parts:
        yield from _trees(inner, seen, features)


def _within_bounds(tree: Any, features: int | None) -> bool:
    """Whether a tree's compiled code stays within its nodes and features, which it does not check by itself.

    Children come after their parents, so that every walk ends.
    """
    import numpy as np

    if features is None:
        return False
    if hasattr(tree, "capacity"):
        if tree.node_count != tree.capacity or tree.node_count < 1:
            return False
        left, right, feature, leaf = tree.children_left, tree.children_right, tree.feature, tree.children_left == -1
        categorical = False
    else:
        nodes = tree.nodes
        left, right, feature = (nodes[name].astype(np.int64) for name in ("left", "right", "feature_idx"))
        leaf, categorical = nodes["is_leaf"].astype(bool), nodes["is_categorical"].any()
    inner = ~leaf
    place = np.arange(len(left))
    children = [(place < child) & (child < len(left)) for child in (left, right)]
    good = children[0] & children[1] & (feature >= 0) & (feature < features)
    return len(left) > 0 and not categorical and bool(good[inner].all())
