"""Drives without geometry are sorted group by group."""

from __future__ import annotations

import numpy as np
import pytest

from capsules.common.recordings.channel_groups import find_reader_groups, set_channel_groups
from capsules.common.recordings.reading import load_recording
from tests import formats
from tests.unit.test_job_dispatch import jobs_of

NEUROSCOPE = {
    "input": "spikeinterface",
    "spikeinterface_info": {"reader_type": "neuroscope", "reader_kwargs": {"file_path": "rat.xml"}},
}


def bare(channels):
    from spikeinterface.core import NumpyRecording

    return NumpyRecording([np.arange(100 * channels, dtype="int16").reshape(100, channels)], 30000.0)


@pytest.fixture
def drive(tmp_path):
    """A Neuroscope recording of eight channels, whose XML gets these groups."""

    def write(*groups):
        formats.write_neuroscope(tmp_path)
        head, _, rest = (tmp_path / "rat.xml").read_text().partition("<channelGroups>")
        listed = "".join(
            "<group>" + "".join(f'<channel skip="0">{channel}</channel>' for channel in group) + "</group>"
            for group in groups
        )
        (tmp_path / "rat.xml").write_text(
            f"{head}<channelGroups>{listed}</channelGroups>{rest.partition('</channelGroups>')[2]}"
        )
        return tmp_path

    return write


def test_neuroscopes_groups_become_probes(drive):
    jobs = jobs_of(drive([0, 2, 4, 6], [1, 3, 5]), **NEUROSCOPE)
    assert [(job.group, job.num_channels) for job in jobs] == [("0", 4), ("1", 3)]
    channels = [list(load_recording(job, drive([0, 2, 4, 6], [1, 3, 5])).channel_ids) for job in jobs]
    assert channels == [["0", "2", "4", "6"], ["1", "3", "5"]]
    for job in jobs:
        assert (
            "channel positions are unknown: 2 groups of 3 to 4 channels are assumed; depths and drift have no meaning"
            in job.warnings
        )
        assert "channels without a group are left out: 7" in job.warnings
    assert jobs[0].probe == "tetrode"


def test_the_order_in_a_neuroscope_group_is_that_of_the_shank(drive):
    from spikeinterface.extractors import read_neuroscope

    grouped = set_channel_groups(read_neuroscope(drive([3, 1, 2, 0, 4], [5, 6, 7]) / "rat.xml"), None)
    depth = dict(zip(grouped.channel_ids.tolist(), grouped.get_channel_locations()[:, 1].tolist(), strict=True))
    assert [depth[channel] for channel in ("3", "1", "2", "0", "4")] == [0.0, 20.0, 40.0, 60.0, 80.0]


def test_one_neuroscope_group_gives_no_positions(drive):
    (job,) = jobs_of(drive(range(8)), **NEUROSCOPE)
    assert "the channels have no positions" in job.failure and "--channel-groups" in job.failure


def test_four_tetrodes(drive):
    jobs = jobs_of(drive(range(8)), channel_groups="2x4", **NEUROSCOPE)
    assert [(job.group, job.num_channels, job.probe) for job in jobs] == [("0", 4, "tetrode"), ("1", 4, "tetrode")]
    recording = load_recording(jobs[1], drive(range(8)))
    assert list(recording.channel_ids) == ["4", "5", "6", "7"]
    assert len(recording.get_probegroup().probes) == 1
    np.testing.assert_array_equal(
        recording.get_traces(end_frame=5), load_recording_of_all(drive(range(8))).get_traces(end_frame=5)[:, 4:]
    )


def load_recording_of_all(folder):
    from spikeinterface.extractors import read_neuroscope

    return read_neuroscope(folder / "rat.xml")


def test_groups_that_do_not_fit_are_this_recordings_failure(drive):
    (job,) = jobs_of(drive(range(8)), channel_groups="4x4", **NEUROSCOPE)
    assert "channel_groups = 4x4 are 16 channels, and the recording has 8" in job.failure


def test_channels_with_positions_keep_them(drive):
    info = NEUROSCOPE["spikeinterface_info"] | {"probe_paths": "probe.json"}
    (job,) = jobs_of(
        drive([0, 1, 2, 3], [4, 5, 6, 7]), input="spikeinterface", spikeinterface_info=info, channel_groups="2x4"
    )
    assert job.group is None
    assert "channel_groups does not apply: the channels have positions" in job.warnings


@pytest.mark.parametrize("groups", ["4", "4x", "0x4", "4x4x4", "4x4 ", "04x4", "x4"])
def test_other_forms_are_refused(groups):
    from pydantic import ValidationError

    from capsules.job_dispatch.params import JobDispatchParams

    with pytest.raises(ValidationError, match="channel_groups"):
        JobDispatchParams(channel_groups=groups)


def test_a_readers_group_property_is_taken():
    recording = bare(4)
    assert find_reader_groups(recording) == []
    recording.set_property("group", ["a", "b", "a", "b"])
    assert find_reader_groups(recording) == [[0, 2], [1, 3]]
    assert set_channel_groups(recording, None).get_channel_groups().tolist() == [0, 1, 0, 1]
