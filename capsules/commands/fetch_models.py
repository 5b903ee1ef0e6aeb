"""`spikerelay fetch-models`: bring the classifiers' models onto this machine ahead of a run."""

from __future__ import annotations

from pathlib import Path

from capsules.common import classifier_models as models
from capsules.resolve_params.params import PipelineParams
from capsules.resolve_params.params_file import validate_file


def fetch_models(params_file: Path | None) -> tuple[list[str], bool]:
    """Fetch the models that a params file, or else the defaults, name and that are not here yet.

    Returns
    -------
    lines : list of str
        What happened to each model.
    good : bool
        Whether all are here now.

    Raises
    ------
    Rejected
        With every problem of the params file.
    """
    params = PipelineParams() if params_file is None else validate_file(params_file)
    found = models.ready(params.curation.models().values())
    lines = [f"{model.name}: {model.told}" for model in found]
    return lines or ["the parameters use no classifier"], all(model.folder for model in found)
