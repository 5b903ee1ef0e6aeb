"""The classifiers' models before a run: fetch the missing ones; note or reject those that are unavailable."""

from __future__ import annotations

from pathlib import Path

from capsules.common import classifier_models as models
from capsules.common.errors import Rejected
from capsules.resolve_params.resolve import Resolved


def prepare_models(resolved: Resolved, launch_folder: Path) -> str:
    """Make the models of a run ready for its tasks, which start in other folders and never ask the hub.

    Returns
    -------
    str
        A digest of the available models; empty when the run uses none.

    Raises
    ------
    Rejected
        When a model is unavailable and `curation.on_missing_model` is `refuse`.
    """
    curation = resolved.params.curation
    names = curation.models()
    model_of = dict(zip(names, models.fetch_models(names.values(), launch_folder), strict=True))
    missing = [
        f"curation.{role}: {model.name!r}: {model.message}" for role, model in model_of.items() if not model.folder
    ]
    if missing and curation.on_missing_model == "refuse":
        raise Rejected([f'{text} (curation.on_missing_model is "refuse")' for text in missing])
    resolved.notes += [f"{text}; its labels are left out" for text in missing]
    for role, model in model_of.items():
        if model.origin == "hub":
            resolved.notes.append(f"curation.{role}: {model.name!r}: {model.message}")
        if model.origin == "folder":
            setattr(curation, role, str(model.folder))
            resolved.origins.setdefault(f"curation.{role}", "detected in the launch folder")
    return models.digest_models(model.folder for model in model_of.values()) if model_of else ""


def missing_models(resolved: Resolved, launch_folder: Path) -> list[str]:
    """A line for each model that a run would have to fetch."""
    reject = resolved.params.curation.on_missing_model == "refuse"
    outcome = "is rejected" if reject else "leaves its labels out"
    return [
        f"curation.{role}: {name!r} is not on this machine: a run asks the hub for it, and {outcome} when it is "
        "unavailable"
        for role, name in resolved.params.curation.models().items()
        if models.find_model(name, launch_folder) is None
    ]
