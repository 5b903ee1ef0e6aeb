"""Whether a classifier's file is safe: it holds reviewed types only, and its decision trees stay within bounds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.pipeline import Pipeline
from sklearn.tree._tree import Tree  # type: ignore[import-not-found]  # compiled, without stubs

REVIEWED = {
    "numpy.dtype": "the type of an array's numbers",
    "sklearn.impute._iterative._ImputerTriplet": "two numbers of features and the regressor between them",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer": "arrays and numbers of a network's training",
    "sklearn.tree._tree.Tree": "arrays of a decision tree; `trees_within_bounds` checks its indices",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor": "the same of a boosted tree",
}
"""The types that a model may hold besides those that skops trusts -> why each is harmless. SpikeInterface's
`train_model` writes them with its classifiers, imputers and scalers. None of them runs code."""


def unreviewed_types(file: Path) -> list[str]:
    """The types in a `.skops` file that are neither trusted by skops nor in REVIEWED; nothing is imported for this."""
    # skops imports all of scikit-learn, which takes seconds; curation without models does not need it.
    from skops.io import get_untrusted_types

    return sorted(set(get_untrusted_types(file=file)) - set(REVIEWED))


def trees_within_bounds(model: Any) -> bool:
    """Whether the compiled code of every decision tree in a model stays within its nodes and features."""
    return all(within_bounds(tree, features) for tree, features in decision_trees(model))


def decision_trees(model: Any) -> Iterator[tuple[Any, int | None]]:
    """The decision trees in a model, each with the smallest number of features that it receives."""
    return _trees(model, None, set())


def _trees(part: Any, features: int | None, seen: set[tuple[int, int | None]]) -> Iterator[tuple[Any, int | None]]:
    if (id(part), features) in seen:
        return
    seen.add((id(part), features))
    if isinstance(part, (Tree, TreePredictor)):
        yield part, features
        return
    # An estimator checks how many features it receives; a pipeline leaves that to its steps.
    own = None if isinstance(part, Pipeline) else getattr(part, "n_features_in_", None)
    features = min((number for number in (features, own) if number is not None), default=None)
    for inner in _parts(part):
        yield from _trees(inner, features, seen)


def _parts(whole: Any) -> list[Any]:
    if isinstance(whole, dict):
        return list(whole.values())
    if isinstance(whole, (list, tuple)):
        return list(whole)
    if isinstance(whole, np.ndarray):
        return list(whole.flat) if whole.dtype.hasobject else []
    return list(getattr(whole, "__dict__", {}).values())


def within_bounds(tree: Any, features: int | None) -> bool:
    """Whether a tree's nodes point to nodes and features that exist; its compiled code does not check that.

    Children come after their parents, so that every walk ends.
    """
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
    place = np.arange(len(left))
    children = [(place < child) & (child < len(left)) for child in (left, right)]
    good = children[0] & children[1] & (feature >= 0) & (feature < features)
    return len(left) > 0 and not categorical and bool(good[~leaf].all())
