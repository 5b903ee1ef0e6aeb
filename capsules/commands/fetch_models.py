"""`spikerelay fetch-models`: download the classifiers' models before a run."""

from __future__ import annotations

import argparse

from capsules.common import classifier_models
from capsules.common.errors import printable
from capsules.resolve_params.params import PipelineParams
from capsules.resolve_params.params_file import validate_file


def run(arguments: argparse.Namespace) -> int:
    """Fetch the models of a params file, or of the defaults, that are missing on this machine; print their states."""
    params = PipelineParams() if arguments.params is None else validate_file(arguments.params)
    models = classifier_models.fetch_models(params.curation.models().values())
    lines = [f"{model.name}: {model.message}" for model in models]
    print(*map(printable, lines or ["the parameters use no classifier"]), sep="\n")
    return 0 if all(model.folder for model in models) else 1
