"""Values for the parameter tests: another good value for each parameter, and bad ones."""

from __future__ import annotations

from typing import Any

from capsules.parameters.model import Leaf, leaves
from capsules.resolve_params.params import PipelineParams

LEAVES = {leaf.dotted: leaf for leaf in leaves(PipelineParams) if leaf.path != ("schema_",)}

OTHER_VALUES: dict[str, Any] = {
    "job_dispatch.spikeinterface_info": {"reader_type": "intan"},
    "job_dispatch.nwb_files": ["a.nwb"],
    "job_dispatch.channel_groups": "4x4",
    "job_dispatch.sync.lines": {"nidq": "XD0"},
    "preprocessing.custom_preprocessing_pipeline": {"common_reference": {}},
    "postprocessing.extensions.quality_metrics.metric_names": ["snr"],
    "postprocessing.extensions.quality_metrics.metric_params.silhouette.method": ["full"],
    "spikesorting.kilosort4.sorter.torch_device": "cpu",
    "spikesorting.kilosort4.sorter.bad_channels": [0],
    "spikesorting.kilosort25.sorter.delete_tmp_files": ["temp_wh.dat"],
    "nwb.ecephys.surface_channel_agar_probes_indices": '{"imec0": 3}',
    "events.names": {"XD1": "reward"},
    "visualization.drift.cmap": "viridis",
    "visualization.motion.cmap": "viridis",
    "curation.query": "snr > 5",
}


def is_fixed(leaf: Leaf) -> bool:
    """Whether the default is the only value."""
    single = leaf.choices is not None and len(leaf.choices) == 1
    return single or "const" in (leaf.field.json_schema_extra or {}) or leaf.type_name == "null"


def other_value(leaf: Leaf) -> Any:
    """A good value that is not the default.

    Raises
    ------
    LookupError
        When the parameter's type says too little: add one to `OTHER_VALUES`.
    """
    value: Any
    if leaf.dotted in OTHER_VALUES:
        value = OTHER_VALUES[leaf.dotted]
    elif leaf.choices:
        value = next(choice for choice in leaf.choices if choice != leaf.default)
    elif leaf.pattern:
        value = "2s"
    elif leaf.is_boolean:
        value = not leaf.default
    elif "number" in leaf.type_name or "integer" in leaf.type_name:
        value = _other_number(leaf)
    elif "list" in leaf.type_name:
        value = [item + 1 for item in leaf.default] if leaf.default else [0.5]
    elif "object" in leaf.type_name:
        value = {"some_setting": 1}
    elif "text" in leaf.type_name:
        value = "other"
    else:
        raise LookupError(leaf.dotted)
    return value


def _other_number(leaf: Leaf) -> float:
    rules = {name: getattr(rule, name) for rule in leaf.field.metadata for name in ("ge", "gt", "le", "lt")
             if getattr(rule, name, None) is not None}  # fmt: skip
    start = leaf.default if leaf.default is not None else rules.get("ge", rules.get("gt", 1))
    steps = (1, -1) if "integer" in leaf.type_name else (0.25, -0.25, 0.01, -0.001)
    for step in steps:
        value = start + step
        low, high = rules.get("ge", value), rules.get("le", value)
        if low <= value <= high and value > rules.get("gt", value - 1) and value < rules.get("lt", value + 1):
            return value
    raise LookupError(leaf.dotted)


def bad_values(leaf: Leaf) -> list[Any]:
    """Values of the wrong type, outside the bounds, or near misses of a choice."""
    wrong: list[Any] = []
    if not leaf.nullable:
        wrong.append(None)
    if not leaf.is_union:
        wrong += [{"a": 1}] if leaf.type_name not in ("object", "object or null") else [5, "x"]
        wrong += [["x", None]] if "list" not in leaf.type_name else [3, [{}]]
    if leaf.choices:
        wrong += [f"{leaf.choices[0]}x", 1]
    elif leaf.is_boolean and not leaf.is_union:
        wrong += ["false", "true", 0, 1]
    elif leaf.type_name.startswith("integer"):
        wrong += ["1", 1.5, True]
    elif leaf.type_name.startswith("number"):
        wrong += ["1", True]
    elif leaf.type_name.startswith("text") and not leaf.is_union:
        wrong += [5, True]
    if leaf.pattern:
        wrong += ["1 s", "one second", "", "1s\n", "-1s"]
    for rule in leaf.field.metadata:
        for name, step in (("ge", -1), ("gt", 0), ("le", 1), ("lt", 0)):
            if getattr(rule, name, None) is not None:
                wrong.append(getattr(rule, name) + step)
    return wrong
