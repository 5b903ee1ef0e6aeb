"""The manual's parameter sections, transcribed to `tests/facts/manual_defaults.json`, against ours."""

import json
from pathlib import Path

import pytest

from capsules.parameters.model import get_dotted
from capsules.resolve_params.params import PipelineParams
from capsules.resolve_params.params_file import dump

ROOT = Path(__file__).parents[2]
MANUAL = json.loads((ROOT / "tests" / "facts" / "manual_defaults.json").read_text())
SCHEMA = json.loads((ROOT / "pipeline" / "default_params_schema.json").read_text())
DEFAULTS = json.loads((ROOT / "pipeline" / "default_params.json").read_text())


def flat(document, path=()):
    """Every leaf of a document; an empty object counts as one."""
    for key, value in document.items():
        if isinstance(value, dict) and value:
            yield from flat(value, (*path, key))
        else:
            yield (*path, key), value


LEAVES = dict(flat(MANUAL))


def schema_node(path):
    node = SCHEMA
    for key in path:
        node = node["properties"][key]
    return node


def test_the_whole_manual_was_transcribed():
    # The manual has no section of events.
    assert set(MANUAL) == set(PipelineParams.model_fields) - {"schema_", "events"}
    assert len(LEAVES) == 166


@pytest.mark.parametrize("path", LEAVES, ids=".".join)
def test_a_leaf_of_the_manual_has_its_place_and_its_default(path):
    expected, node = LEAVES[path], schema_node(path)
    assert node["description"]
    found = get_dotted(DEFAULTS, ".".join(path), absent="absent")
    if expected == {}:
        # Handed on to a library: the sorters' own settings stand in full, the others have nothing of their own.
        assert "object" in node["type"]
        assert isinstance(found, dict)
        return
    assert node["default"] == expected
    assert found == expected
    assert isinstance(found, bool) == isinstance(expected, bool)


def test_the_default_file_is_the_models_defaults():
    assert dump(PipelineParams()) == DEFAULTS
