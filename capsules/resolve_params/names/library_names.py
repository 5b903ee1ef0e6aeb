"""The names of SpikeInterface's settings, metrics and methods, checked before a run.

`make generate` writes them to `pipeline/library_names.json` (`installed_names.py`). The checks, the schema and the
parameter editor read that file, so that no check imports the library.
"""

from __future__ import annotations

import json
from typing import Any

from capsules.common.errors import nearest
from capsules.common.units.metric_names import LIBRARY_NAMES, METRICS
from capsules.parameters.model import OpenSection, get_dotted, sections
from capsules.parameters.problems import Problem, quote
from capsules.resolve_params.params import PipelineParams

EXTENSIONS = "postprocessing.extensions"
MOTION = "preprocessing.motion_correction"
PIPELINE = "preprocessing.custom_preprocessing_pipeline"
CIRCUS = "spikesorting.spykingcircus2.sorter"


def read_names() -> dict[str, dict[str, Any] | list[str]]:
    """Dotted name of a section -> names of the library's settings in it -> their defaults.

    Of a parameter that names something in the library: the list of its valid values.
    """
    return {path: names for path, names in json.loads(LIBRARY_NAMES.read_text()).items() if path != METRICS}


def declared_names() -> dict[str, list[str]]:
    """Dotted name of an open section -> the settings that the parameter models declare there."""
    return {
        ".".join(path): list(section.model_fields)
        for path, section in sections(PipelineParams)
        if issubclass(section, OpenSection)
    }


def name_problems(document: dict[str, Any]) -> list[Problem]:
    """The settings in a whole document that the library does not know."""
    own, problems = declared_names(), []
    for path, names in read_names().items():
        value = get_dotted(document, path)
        if isinstance(names, list):
            words = value if isinstance(value, list) else [] if value is None else [value]
            problems += [
                Problem(tuple(path.split(".")), f"the library has no {word!r}{nearest(str(word), names)}")
                for word in words
                if word not in names
            ]
            continue
        known = [*names, *own.get(path, ())]
        problems += [
            Problem((*path.split("."), name), f"no such setting in the library{nearest(name, known)}")
            for name in (value if isinstance(value, dict) else ())
            if name not in known
        ]
    steps = get_dotted(document, PIPELINE) or {}
    problems += [
        Problem((*PIPELINE.split("."), name), f"must be an object with the step's settings; got {quote(settings)}")
        for name, settings in steps.items()
        if not isinstance(settings, dict)
    ]
    return problems
