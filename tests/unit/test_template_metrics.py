"""SpikeInterface's template metrics as postprocessing mends them."""

import numpy as np
import pytest

from capsules.common.patches.template_metrics import mend_template_metrics


@pytest.fixture(scope="module")
def analyzer():
    import spikeinterface as si

    recording, sorting = si.generate_ground_truth_recording(durations=[2.0], num_channels=64, num_units=3, seed=0)
    analyzer = si.create_sorting_analyzer(sorting, recording, format="memory", sparse=True)
    analyzer.compute({"random_spikes": {}, "templates": {}})
    return analyzer


@pytest.fixture
def table(analyzer):
    """Makes the table of template metrics, with these settings."""

    def made(**settings):
        mend_template_metrics()
        return analyzer.compute("template_metrics", delete_existing_metrics=True, **settings).get_data()

    return made


def test_metrics_of_several_channels_are_computed_when_asked_for_alone(table):
    assert "spread" in table(include_multi_channel_metrics=True)
    assert not {"spread", "exp_decay", "velocity_above"} & set(table(include_multi_channel_metrics=False))


def test_the_spread_of_the_others_stays_when_a_unit_has_channels_of_one_depth(analyzer, table):
    from spikeinterface.core import ChannelSparsity

    plain = table(include_multi_channel_metrics=True)["spread"].to_numpy()
    mask = analyzer.sparsity.mask.copy()
    mask[0] = np.arange(64) == analyzer.get_main_channels(outputs="index")[0]
    sparsity, analyzer.sparsity = analyzer.sparsity, ChannelSparsity(mask, analyzer.unit_ids, analyzer.channel_ids)
    try:
        ours = table(include_multi_channel_metrics=True)["spread"].to_numpy()
    finally:
        analyzer.sparsity = sparsity
    assert np.isfinite(plain).all()
    np.testing.assert_array_equal(ours, [np.nan, *plain[1:]])
