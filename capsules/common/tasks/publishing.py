"""The parts of a stage that users see, as links that Nextflow publishes."""

from __future__ import annotations

import shutil
from pathlib import Path

from capsules.common.contract import Stage
from capsules.common.files import link_or_copy


def link_published(stage: Stage, id: str, folder: Path, target: Path) -> None:
    """Hard-link a stage's published parts into `target`, each named after its place in the results with % for /.

    Nextflow moves them to the results folder from there: it does not publish parts of a folder that is an output.
    """
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for part in stage.parts:
        place, source = part.place(stage.name, id), folder / part.name
        if place is None or not source.exists():
            continue
        linked = target / place.replace("/", "%")
        if source.is_dir():
            shutil.copytree(source, linked, copy_function=link_or_copy)
        else:
            link_or_copy(source, linked)
