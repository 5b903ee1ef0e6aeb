"""A changed value of any parameter, given by its flag, stands in the resolved params of its stage's `stage.json`."""

import importlib

import pytest

from capsules.common.contract import SECTION_OF_STAGE
from capsules.common.tasks.command_line import read_section
from capsules.parameters import flags as cli
from capsules.parameters.model import get_dotted
from tests.leaf_values import LEAVES, other_value
from tests.reach.spy import stage_leaves, task_for

CASES = [(stage, name) for stage, path in SECTION_OF_STAGE.items() for name in stage_leaves(".".join(path))]


@pytest.fixture(scope="module")
def plain_records(tmp_path_factory):
    """Stage -> what its record says of the default parameters."""
    folder = tmp_path_factory.mktemp("plain")
    models = {stage: importlib.import_module(f"capsules.{stage}.params").PARAMS for stage in SECTION_OF_STAGE}
    return {stage: task_for(stage, model(), folder).record["params"] for stage, model in models.items()}


@pytest.mark.parametrize(("stage", "name"), CASES, ids=".".join)
def test_a_changed_value_stands_in_the_stages_record(stage, name, plain_records, tmp_path):
    model = importlib.import_module(f"capsules.{stage}.params").PARAMS
    value = other_value(LEAVES[".".join((*SECTION_OF_STAGE[stage], name))])
    params = read_section(model, None, {name: cli.FlagValue(value, f"--{name}")}, stage)
    recorded = get_dotted(task_for(stage, params, tmp_path).record["params"], name)
    assert recorded != get_dotted(plain_records[stage], name)
    if isinstance(value, dict):
        assert value.items() <= recorded.items()
    else:
        assert recorded == value
