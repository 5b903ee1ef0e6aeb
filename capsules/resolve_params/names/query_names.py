"""The curation query before a run: whether it is valid, and whether its metrics will be computed."""

from __future__ import annotations

from typing import Any

from capsules.common.errors import nearest
from capsules.common.units.metric_names import metric_columns, metric_of_column, multi_channel_metrics
from capsules.curation.query import QueryError, metric_names, parse
from capsules.parameters.problems import Problem
from capsules.postprocessing.extension_params import METRIC_NAMES, missing_extension
from capsules.resolve_params.names.library_names import EXTENSIONS
from capsules.resolve_params.params import PipelineParams


def query_problems(params: PipelineParams) -> list[Problem]:
    """What is wrong with the curation query, as far as it can be checked without the data."""
    query = params.curation.query
    if not query or not query.strip():
        return []
    path = ("curation", "query")
    try:
        used = metric_names(parse(query))
    except QueryError as error:
        return [Problem(path, error.problem)]
    extensions = params.postprocessing.extensions.model_dump()
    reasons = [_absence_problem(name, extensions) for name in sorted(used)]
    return [Problem(path, reason) for reason in reasons if reason]


def _absence_problem(name: str, extensions: dict[str, dict[str, Any] | None]) -> str | None:
    """Why a name of the query will not be in the table of metrics, and what to do; None when it will be."""
    columns = metric_of_column()
    if name not in columns:
        return _unknown_problem(name, list(columns))
    extension, metric = columns[name]
    settings = extensions[extension]
    if settings is None:
        return _extension_problem(name, extension)
    chosen = settings.get("metric_names")
    if metric in multi_channel_metrics():
        if settings["include_multi_channel_metrics"] or metric in (chosen or []):
            return None
        return f"{name} is not computed: {EXTENSIONS}.{extension}.include_multi_channel_metrics is false"
    if isinstance(chosen, list) and metric not in [METRIC_NAMES.get(name, name) for name in chosen]:
        return f"{name} is not computed: add {metric!r} to {EXTENSIONS}.{extension}.metric_names"
    computed = [other for other, value in extensions.items() if value is not None]
    missing = missing_extension(metric, settings.get("metric_params"), computed)
    return None if missing is None else _extension_problem(name, missing)


def _unknown_problem(name: str, columns: list[str]) -> str:
    for metrics in metric_columns().values():
        if name in metrics:
            return f"{name!r} is a metric with several values: {', '.join(metrics[name])}"
    return f"no metric {name!r}{nearest(name, columns)}"


def _extension_problem(name: str, extension: str) -> str:
    return f"{name} needs {EXTENSIONS}.{extension}, which is off (null); turn it on, or remove {name} from the query"
